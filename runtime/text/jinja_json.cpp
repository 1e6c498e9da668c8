// Reading JSON into a template's values, and writing them as Python's json.dumps does.
#include "runtime/text/jinja_json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "kernels/base/error.hpp"
#include "runtime/text/utf8.hpp"

namespace argosy {

namespace {

using Json = nlohmann::json;

constexpr std::size_t kJsonDepthMax = 100;

// Builds values from the parser's events: a stack of the containers that are open.
class ValueBuilder : public nlohmann::json_sax<Json> {
  public:
    JinjaValue result{};
    std::string trouble{};

    bool null() override { return put(jinja_none()); }
    bool boolean(bool value) override { return put(jinja_bool(value)); }
    bool number_integer(number_integer_t value) override { return put(jinja_integer(value)); }
    bool number_unsigned(number_unsigned_t value) override {
        if (value > static_cast<number_unsigned_t>(INT64_MAX)) return put_big(std::to_string(value));
        return put(jinja_integer(static_cast<std::int64_t>(value)));
    }
    // The parser calls this too for integers beyond 64 bits; their digits say so.
    bool number_float(number_float_t value, const string_t& digits) override {
        if (digits.find_first_of(".eE") == digits.npos) return put_big(digits);
        return put({value});
    }
    bool string(string_t& value) override { return put(jinja_text(std::move(value))); }
    bool binary(binary_t&) override { return false; }
    bool start_object(std::size_t) override { return open(true); }
    bool start_array(std::size_t) override { return open(false); }
    bool key(string_t& name) override {
        open_.back().members.emplace_back(std::make_shared<const std::string>(std::move(name)), JinjaValue{});
        return true;
    }
    bool end_object() override {
        auto members = std::move(open_.back().members);
        open_.pop_back();
        return put(jinja_dict(std::move(members)));
    }
    bool end_array() override {
        auto items = std::move(open_.back().items);
        open_.pop_back();
        return put(jinja_list(std::move(items)));
    }
    bool parse_error(std::size_t position, const std::string&, const Json::exception& error) override {
        trouble = fmt::format("at byte {}: {}", position, error.what());
        return false;
    }

  private:
    struct Open {
        bool object;
        std::vector<std::pair<JinjaText, JinjaValue>> members{};
        std::vector<JinjaValue> items{};
    };
    std::vector<Open> open_;

    bool open(bool object) {
        if (open_.size() == kJsonDepthMax) {
            trouble = fmt::format("nested more than {} levels deep", kJsonDepthMax);
            return false;
        }
        open_.push_back({object});
        return true;
    }
    bool put(JinjaValue value) {
        if (open_.empty()) {
            result = std::move(value);
        } else if (open_.back().object) {
            open_.back().members.back().second = std::move(value);
        } else {
            open_.back().items.push_back(std::move(value));
        }
        return true;
    }
    bool put_big(std::string digits) {
        return put({JinjaBigInteger{std::make_shared<const std::string>(std::move(digits))}});
    }
};

void append_string(std::string& out, const std::string& text, bool ascii) {
    out += '"';
    for (std::size_t at = 0; at < text.size();) {
        const Utf8Char c = utf8_char(text.data() + at);
        constexpr std::string_view kEscaped = "\"\\\n\r\t\b\f", kLetters = "\"\\nrtbf";
        const std::size_t escape = c.code < 0x80 ? kEscaped.find(static_cast<char>(c.code)) : kEscaped.npos;
        if (escape != kEscaped.npos) {
            out += '\\';
            out += kLetters[escape];
        } else if (c.code < 0x20 || (ascii && c.code >= 0x7F && c.code < 0x10000)) {
            out += fmt::format("\\u{:04x}", static_cast<unsigned>(c.code));
        } else if (ascii && c.code >= 0x10000) {
            const auto rest = static_cast<unsigned>(c.code) - 0x10000;
            out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (rest >> 10), 0xDC00 + (rest & 0x3FF));
        } else {
            out.append(text, at, c.bytes);
        }
        at += c.bytes;
    }
    out += '"';
}

// The writer: where a container's parts stand follows from the style alone.
struct Writer {
    std::string& out;
    const JsonStyle& style;
    JinjaBudget& budget;

    void new_line(int level) {
        if (!style.indent) return;
        budget.charge(level * static_cast<std::int64_t>(style.indent->size()) + 1);
        out += '\n';
        for (int i = 0; i < level; ++i) out += *style.indent;
    }
    void list(const JinjaList& list, int level) {
        if (list.flavour > JinjaFlavour::tuple) refuse("a generator cannot be written as JSON; put |list before it");
        out += '[';
        for (std::size_t i = 0; i < list.items.size(); ++i) {
            if (i > 0) out += style.between_items;
            new_line(level + 1);
            value(list.items[i], level + 1);
        }
        if (!list.items.empty()) new_line(level);
        out += ']';
    }
    void dict(const JinjaDict& dict, int level) {
        std::vector<const std::pair<JinjaText, JinjaValue>*> members;
        for (const auto& member : dict.members) members.push_back(&member);
        if (style.sorted) {
            std::stable_sort(members.begin(), members.end(), [](auto* a, auto* b) { return *a->first < *b->first; });
        }
        out += '{';
        for (std::size_t i = 0; i < members.size(); ++i) {
            if (i > 0) out += style.between_items;
            new_line(level + 1);
            budget.charge(static_cast<std::int64_t>(members[i]->first->size()));
            append_string(out, *members[i]->first, style.ascii);
            out += style.after_name;
            value(members[i]->second, level + 1);
        }
        if (!members.empty()) new_line(level);
        out += '}';
    }
    void value(const JinjaValue& value, int level) {
        budget.charge(32);
        if (const std::string* text = value.text()) {
            budget.charge(static_cast<std::int64_t>(text->size()));
            append_string(out, *text, style.ascii);
        } else if (value.is_none()) {
            out += "null";
        } else if (const bool* truth = value.as<bool>()) {
            out += *truth ? "true" : "false";
        } else if (const double* real = value.as<double>()) {
            out += std::isnan(*real)   ? "NaN"
                   : std::isinf(*real) ? (*real < 0 ? "-Infinity" : "Infinity")
                                       : python_real(*real);
        } else if (value.as<std::int64_t>() || value.as<JinjaBigInteger>()) {
            append_python_text(out, value, budget);
        } else if (const JinjaList* items = value.list()) {
            list(*items, level);
        } else if (const JinjaDict* members = value.dict()) {
            dict(*members, level);
        } else {
            const auto* undefined = value.as<JinjaUndefined>();
            refuse(undefined && undefined->name
                       ? fmt::format("'{}' is undefined and cannot be written as JSON", *undefined->name)
                       : fmt::format("a {} cannot be written as JSON", jinja_type_name(value)));
        }
    }
};

}  // namespace

JinjaValue jinja_from_json(std::string_view json) {
    ValueBuilder builder;
    if (!Json::sax_parse(json.begin(), json.end(), &builder)) {
        fail(ErrorKind::input, "The text is not JSON that can be read, {}.", builder.trouble);
    }
    return std::move(builder.result);
}

void append_json(std::string& out, const JinjaValue& value, const JsonStyle& style, JinjaBudget& budget) {
    Writer{out, style, budget}.value(value, 0);
}

}  // namespace argosy
