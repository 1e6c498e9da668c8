// Walking through a request line's JSON with a sentence for whatever is wrong.
#include "runtime/job/line_json.hpp"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "runtime/job/json_text.hpp"

namespace argosy {

namespace {

constexpr int kDepthMax = 64;

// Levels of brackets outside strings: the library's destructor and writer recurse, so depth is bounded before parsing.
int depth_of(std::string_view text) {
    int depth = 0, deepest = 0;
    bool in_string = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\')
                ++i;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            deepest = std::max(deepest, ++depth);
        } else if (c == '}' || c == ']') {
            --depth;
        }
    }
    return deepest;
}

}  // namespace

std::string shown(std::string_view text) {
    std::string out;
    std::size_t keep = std::min<std::size_t>(text.size(), 60);
    while (keep < text.size() && keep > 0 && (static_cast<unsigned char>(text[keep]) & 0xC0) == 0x80) --keep;
    append_json_string(out, text.substr(0, keep));
    if (keep < text.size()) out.insert(out.size() - 1, "...");
    return out;
}

std::string shown_value(const Json& value) { return shown(std::string_view(value.dump())); }

Json parse_line_json(std::string_view text) {
    if (depth_of(text) > kDepthMax) {
        bad("invalid_json", "The line's JSON is nested more than {} levels deep; requests need three.", kDepthMax);
    }
    std::vector<std::set<std::string>> open;  // names seen in each object that is not closed yet
    const auto watch = [&](int, Json::parse_event_t event, Json& value) {
        if (event == Json::parse_event_t::object_start) open.emplace_back();
        if (event == Json::parse_event_t::object_end) open.pop_back();
        if (event == Json::parse_event_t::key && !open.back().insert(value.get<std::string>()).second) {
            bad("duplicate_member",
                "The member {} stands twice in one object of the line; which one counts would be a guess.",
                shown(value.get_ref<const std::string&>()));
        }
        return true;
    };
    try {
        return Json::parse(text.begin(), text.end(), watch);
    } catch (const Json::exception& error) {
        // The library's text begins with an identifier in brackets; what follows says where and what.
        std::string_view what = error.what();
        if (const auto close = what.find("] "); close != what.npos) what.remove_prefix(close + 2);
        bad("invalid_json", "The line is not valid JSON: {}.", what.substr(0, 200));
    }
}

const Json* given(const Json& object, const char* name) {
    const auto found = object.find(name);
    return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::int64_t integer(const Json& value, const char* name, std::int64_t low, std::int64_t high) {
    if (!value.is_number_integer())
        bad("invalid_type", "{} must be an integer from {} to {}; it is {}.", name, low, high, shown_value(value));
    const bool huge = value.is_number_unsigned() &&
                      value.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (huge || value.get<std::int64_t>() < low || value.get<std::int64_t>() > high) {
        bad("invalid_value", "{} must be from {} to {}; it is {}.", name, low, high, shown_value(value));
    }
    return value.get<std::int64_t>();
}

double number(const Json& value, const char* name, double low, double high) {
    if (!value.is_number())
        bad("invalid_type", "{} must be a number from {} to {}; it is {}.", name, low, high, shown_value(value));
    const double result = value.get<double>();
    if (!(result >= low && result <= high)) {
        bad("invalid_value", "{} must be from {} to {}; it is {}.", name, low, high, shown_value(value));
    }
    return result;
}

bool boolean(const Json& value, const char* name) {
    if (!value.is_boolean()) bad("invalid_type", "{} must be true or false; it is {}.", name, shown_value(value));
    return value.get<bool>();
}

const std::string& text_of(const Json& value, const char* name) {
    if (!value.is_string()) bad("invalid_type", "{} must be a string; it is {}.", name, shown_value(value));
    return value.get_ref<const std::string&>();
}

std::vector<std::int32_t> token_ids(const Json& value, const char* name) {
    if (!value.is_array()) bad("invalid_type", "{} must be a list of token ids; it is {}.", name, shown_value(value));
    std::vector<std::int32_t> ids;
    ids.reserve(value.size());
    for (const Json& id : value) {
        ids.push_back(static_cast<std::int32_t>(integer(id, name, 0, std::numeric_limits<std::int32_t>::max())));
    }
    return ids;
}

}  // namespace argosy
