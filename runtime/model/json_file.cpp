// JSON through nlohmann's parser, which no other header of the project shows.
#include "runtime/model/json_file.hpp"

#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "kernels/base/error.hpp"

namespace argosy {

using nlohmann::json;

namespace {

const json& tree(const std::shared_ptr<const void>& node) { return *static_cast<const json*>(node.get()); }

// A value as error sentences show it: short, whatever the file holds.
std::string shown(const json& value) {
    std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
    if (text.size() > 60) text = text.substr(0, 57) + "...";
    return text;
}

json parse_strictly(std::string_view text, const std::string& path) {
    std::vector<std::set<std::string>> open_objects;
    const auto watch = [&](int, json::parse_event_t event, json& parsed) {
        if (event == json::parse_event_t::object_start) open_objects.emplace_back();
        if (event == json::parse_event_t::object_end) open_objects.pop_back();
        if (event == json::parse_event_t::key && !open_objects.back().insert(parsed.get<std::string>()).second) {
            fail(ErrorKind::input, "{}: the key {} appears twice in one object; keep one of the two.", path,
                 shown(parsed));
        }
        return true;
    };
    try {
        return json::parse(text.begin(), text.end(), watch);
    } catch (const json::exception& error) {
        fail(ErrorKind::input, "{} is not valid JSON ({}). Fetch the file again.", path, error.what());
    }
}

}  // namespace

JsonObject::JsonObject(std::shared_ptr<const void> node, std::string path, std::string prefix)
    : node_(std::move(node)), path_(std::move(path)), prefix_(std::move(prefix)) {}

JsonObject JsonObject::parse(std::string_view text, const std::string& path) {
    auto root = std::make_shared<const json>(parse_strictly(text, path));
    if (!root->is_object())
        fail(ErrorKind::input, "{} does not hold a JSON object ({{...}}) but {}.", path, shown(*root));
    return JsonObject(std::move(root), path, "");
}

void JsonObject::reject(std::string_view key, std::string_view predicate) const {
    fail(ErrorKind::input, "{}: \"{}{}\" {}.", path_, prefix_, key, predicate);
}

bool JsonObject::has(std::string_view key) const {
    const auto found = tree(node_).find(key);
    return found != tree(node_).end() && !found->is_null();
}

bool JsonObject::is_null(std::string_view key) const {
    const auto found = tree(node_).find(key);
    return found != tree(node_).end() && found->is_null();
}

std::vector<std::string> JsonObject::keys() const {
    std::vector<std::string> names;
    names.reserve(tree(node_).size());
    for (const auto& item : tree(node_).items()) names.push_back(item.key());
    return names;
}

namespace {

const json& required(const JsonObject& object, const json& node, std::string_view key) {
    if (!object.has(key)) object.reject(key, "is missing, and there is no default for it");
    return *node.find(key);
}

std::int64_t checked_integer(const JsonObject& object, const json& value, std::string_view key, std::int64_t least,
                             std::int64_t most) {
    if (!value.is_number_integer()) object.reject(key, fmt::format("is {}; it must be an integer", shown(value)));
    const bool too_large =
        value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX);
    const std::int64_t number = too_large ? INT64_MAX : value.get<std::int64_t>();
    if (too_large || number < least || number > most) {
        object.reject(key, fmt::format("is {}; it must be between {} and {}", shown(value), least, most));
    }
    return number;
}

}  // namespace

std::int64_t JsonObject::integer(std::string_view key, std::int64_t least, std::int64_t most) const {
    return checked_integer(*this, required(*this, tree(node_), key), key, least, most);
}

std::int64_t JsonObject::integer_or(std::string_view key, std::int64_t fallback, std::int64_t least,
                                    std::int64_t most) const {
    return has(key) ? integer(key, least, most) : fallback;
}

double JsonObject::number(std::string_view key, double least, double most) const {
    const json& value = required(*this, tree(node_), key);
    if (!value.is_number()) reject(key, fmt::format("is {}; it must be a number", shown(value)));
    const double number = value.get<double>();
    if (!(number >= least && number <= most)) {
        reject(key, fmt::format("is {}; it must be between {} and {}", shown(value), least, most));
    }
    return number;
}

double JsonObject::number_or(std::string_view key, double fallback, double least, double most) const {
    return has(key) ? number(key, least, most) : fallback;
}

bool JsonObject::boolean_or(std::string_view key, bool fallback) const {
    if (!has(key)) return fallback;
    const json& value = *tree(node_).find(key);
    if (!value.is_boolean()) reject(key, fmt::format("is {}; it must be true or false", shown(value)));
    return value.get<bool>();
}

std::string JsonObject::text(std::string_view key) const {
    const json& value = required(*this, tree(node_), key);
    if (!value.is_string()) reject(key, fmt::format("is {}; it must be a string", shown(value)));
    return value.get<std::string>();
}

std::string JsonObject::text_or(std::string_view key, std::string_view fallback) const {
    return has(key) ? text(key) : std::string(fallback);
}

JsonObject JsonObject::object(std::string_view key) const {
    const json& value = required(*this, tree(node_), key);
    if (!value.is_object()) reject(key, fmt::format("is {}; it must be an object", shown(value)));
    return JsonObject(std::shared_ptr<const void>(node_, &value), path_, fmt::format("{}{}.", prefix_, key));
}

std::vector<std::string> JsonObject::texts(std::string_view key) const {
    const json& value = required(*this, tree(node_), key);
    if (!value.is_array()) reject(key, fmt::format("is {}; it must be an array of strings", shown(value)));
    std::vector<std::string> result;
    for (const json& element : value) {
        if (!element.is_string()) reject(key, fmt::format("holds {}; it must be an array of strings", shown(element)));
        result.push_back(element.get<std::string>());
    }
    return result;
}

std::vector<std::int64_t> JsonObject::integers(std::string_view key, std::int64_t least, std::int64_t most) const {
    const json& value = required(*this, tree(node_), key);
    if (!value.is_array()) reject(key, fmt::format("is {}; it must be an array of integers", shown(value)));
    std::vector<std::int64_t> result;
    for (const json& element : value) result.push_back(checked_integer(*this, element, key, least, most));
    return result;
}

std::vector<std::int64_t> JsonObject::integer_list(std::string_view key, std::int64_t least, std::int64_t most) const {
    if (!has(key)) return {};
    if (tree(node_).find(key)->is_array()) return integers(key, least, most);
    return {integer(key, least, most)};
}

std::string read_text_file(const std::filesystem::path& path, std::int64_t bytes_max) {
    std::error_code error;
    const auto bytes = std::filesystem::file_size(path, error);
    if (error) fail(ErrorKind::input, "Cannot read {}: {}.", path.string(), error.message());
    if (bytes > static_cast<std::uintmax_t>(bytes_max)) {
        fail(ErrorKind::input, "{} has {} bytes; a file of its kind has at most {}.", path.string(), bytes, bytes_max);
    }
    std::ifstream file(path, std::ios::binary);
    std::string text(bytes, '\0');
    if (!file.read(text.data(), static_cast<std::streamsize>(bytes))) {
        fail(ErrorKind::input, "Cannot read the {} bytes of {}.", bytes, path.string());
    }
    return text;
}

}  // namespace argosy
