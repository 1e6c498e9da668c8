// Cutting a template into tokens.
#include "runtime/text/jinja_lexer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "runtime/text/jinja_strings.hpp"
#include "runtime/text/jinja_value.hpp"
#include "runtime/text/utf8.hpp"

namespace argosy {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_char(char c) {
    return is_digit(c) || c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           static_cast<unsigned char>(c) >= 0x80;
}

// Line breaks of all kinds become "\n"; one at the very end is dropped.
std::string normal_lines(std::string_view source) {
    std::string out;
    out.reserve(source.size());
    for (std::size_t i = 0; i < source.size(); ++i) {
        const bool pair = source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n';
        if (!pair) out += source[i] == '\r' ? '\n' : source[i];
    }
    if (!out.empty() && out.back() == '\n') out.pop_back();
    return out;
}

class Lexer {
  public:
    explicit Lexer(std::string source) : source_(std::move(source)), rest_(source_) {}

    std::vector<JinjaToken> run() {
        while (!rest_.empty()) {
            const std::size_t open = next_bracket();
            if (open == rest_.npos) break;
            read_tag(open);
        }
        if (!rest_.empty()) add(JinjaTokenKind::data, std::string(rest_));
        line_ += static_cast<int>(std::count(rest_.begin(), rest_.end(), '\n'));
        add(JinjaTokenKind::end, "");
        return std::move(tokens_);
    }

  private:
    std::string source_;
    std::string_view rest_;      // what is still to be read
    bool line_starting_ = true;  // the tag before ended with a line break
    int line_ = 1;
    std::vector<JinjaToken> tokens_;

    [[noreturn]] void wrong(std::string text) { throw JinjaFailure{JinjaFailure::syntax, line_, std::move(text)}; }
    void add(JinjaTokenKind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }

    void skip(std::size_t bytes) {
        line_ += static_cast<int>(std::count(rest_.begin(), rest_.begin() + static_cast<std::ptrdiff_t>(bytes), '\n'));
        if (bytes > 0) line_starting_ = rest_[bytes - 1] == '\n';
        rest_.remove_prefix(bytes);
    }
    void skip_space() { skip(rest_.size() - python_strip(rest_, StripSides::left).size()); }

    std::size_t next_bracket() const {
        for (std::size_t at = rest_.find('{'); at != rest_.npos; at = rest_.find('{', at + 1)) {
            if (at + 1 < rest_.size() && (rest_[at + 1] == '{' || rest_[at + 1] == '%' || rest_[at + 1] == '#'))
                return at;
        }
        return rest_.npos;
    }

    // The text before the bracket at `open`, less the white space that the bracket takes. `sign` is the character that
    // follows the bracket.
    std::string_view before_tag(std::string_view text, char bracket, char sign) const {
        if (sign == '-') return python_strip(text, StripSides::right);
        if (sign == '+' || bracket == '{') return text;
        const std::size_t line = text.rfind('\n') == text.npos ? 0 : text.rfind('\n') + 1;
        if (line == 0 && !line_starting_) return text;
        return python_strip(text.substr(line), StripSides::both).empty() ? text.substr(0, line) : text;
    }

    void read_tag(std::size_t open) {
        const char bracket = rest_[open + 1];
        const char sign = open + 2 < rest_.size() ? rest_[open + 2] : ' ';
        const std::string_view text = before_tag(rest_.substr(0, open), bracket, sign);
        if (!text.empty()) add(JinjaTokenKind::data, std::string(text));
        skip(open + 2 + (sign == '-' || sign == '+' ? 1 : 0));
        if (bracket == '#') return skip_comment();
        if (bracket == '%' && read_raw()) return;
        const char* close = bracket == '{' ? "}}" : "%}";
        add(bracket == '{' ? JinjaTokenKind::output_begin : JinjaTokenKind::tag_begin, "");
        std::string open_brackets;
        while (true) {
            skip_space();
            if (rest_.empty()) wrong(fmt::format("the tag is not closed; {} is missing", close));
            if (open_brackets.empty() && at_close(close)) break;
            read_token(open_brackets);
        }
        add(bracket == '{' ? JinjaTokenKind::output_end : JinjaTokenKind::tag_end, "");
        skip_close(bracket == '%');
    }

    bool at_close(std::string_view close) const {
        if (rest_.substr(0, 2) == close) return true;
        const bool sign = rest_[0] == '-' || (rest_[0] == '+' && close == "%}");
        return sign && rest_.substr(1, 2) == close;
    }

    // At "%}", "-%}", "+%}" and the like: past it and the white space that it takes.
    void skip_close(bool trims_line) {
        const char sign = rest_[0];
        skip(sign == '-' || sign == '+' ? 3 : 2);
        if (sign == '-')
            skip_space();
        else if (sign != '+' && trims_line && !rest_.empty() && rest_[0] == '\n')
            skip(1);
    }

    void skip_comment() {
        const std::size_t end = rest_.find("#}");
        if (end == rest_.npos) wrong("the comment is not closed; #} is missing");
        skip(end > 0 && (rest_[end - 1] == '-' || rest_[end - 1] == '+') ? end - 1 : end);
        skip_close(true);
    }

    // Length of "word" and the tag's end, with the white space around, at the front of `text`; 0 when it is not there.
    static std::size_t word_tag(std::string_view text, std::string_view word) {
        const std::string_view from = python_strip(text, StripSides::left);
        if (from.substr(0, word.size()) != word) return 0;
        const std::string_view end = python_strip(from.substr(word.size()), StripSides::left);
        if (end.substr(0, 2) == "%}") return text.size() - end.size();
        return end.substr(0, 3) == "-%}" || end.substr(0, 3) == "+%}" ? text.size() - end.size() : 0;
    }

    // {% raw %} ... {% endraw %}, past its "{%": the text between is data.
    bool read_raw() {
        const std::size_t head = word_tag(rest_, "raw");
        if (head == 0 || rest_[head] == '+') return false;
        skip(head);
        skip_close(false);
        for (std::size_t at = rest_.find("{%"); at != rest_.npos; at = rest_.find("{%", at + 1)) {
            const char sign = at + 2 < rest_.size() ? rest_[at + 2] : ' ';
            const std::size_t body = at + 2 + (sign == '-' || sign == '+' ? 1 : 0);
            const std::size_t tail = body <= rest_.size() ? word_tag(rest_.substr(body), "endraw") : 0;
            if (tail == 0) continue;
            const std::string_view text = before_tag(rest_.substr(0, at), '%', sign);
            if (!text.empty()) add(JinjaTokenKind::data, std::string(text));
            skip(body + tail);
            skip_close(true);
            return true;
        }
        wrong("{% raw %} is not closed; {% endraw %} is missing");
    }

    void read_token(std::string& open_brackets) {
        const char c = rest_[0];
        if (is_digit(c)) return read_number();
        if (is_name_char(c)) {
            std::size_t size = 1;
            while (size < rest_.size() && is_name_char(rest_[size])) ++size;
            return take(JinjaTokenKind::name, size);
        }
        if (c == '"' || c == '\'') return read_string();
        for (const std::string_view two : {"//", "**", "==", "!=", ">=", "<="}) {
            if (rest_.substr(0, 2) == two) return take(JinjaTokenKind::op, 2);
        }
        if (std::string_view("+-/*%~[](){}><=.:|,;").find(c) == std::string_view::npos) {
            wrong(fmt::format("the character {} does not belong into a tag", rest_.substr(0, utf8_char(&c).bytes)));
        }
        balance(c, open_brackets);
        take(JinjaTokenKind::op, 1);
    }

    void balance(char c, std::string& open_brackets) {
        if (c == '(') open_brackets += ')';
        if (c == '[') open_brackets += ']';
        if (c == '{') open_brackets += '}';
        if (c != ')' && c != ']' && c != '}') return;
        if (open_brackets.empty() || open_brackets.back() != c) wrong(fmt::format("unexpected {}", c));
        open_brackets.pop_back();
    }

    void take(JinjaTokenKind kind, std::size_t bytes) {
        add(kind, std::string(rest_.substr(0, bytes)));
        skip(bytes);
    }

    // Digits with single "_" between; 0 when there is none at `from`.
    std::size_t digits(std::size_t from) const {
        std::size_t at = from;
        while (at < rest_.size() && (is_digit(rest_[at]) || (rest_[at] == '_' && at > from && at + 1 < rest_.size() &&
                                                             is_digit(rest_[at + 1]) && rest_[at - 1] != '_'))) {
            ++at;
        }
        return at - from;
    }

    void read_number() {
        if (rest_[0] == '0' && rest_.size() > 1 && std::string_view("xXbBoO").find(rest_[1]) != std::string_view::npos)
            throw JinjaFailure{JinjaFailure::unsupported, line_, "a number that is not decimal"};
        std::size_t size = digits(0);
        const bool after_dot = !tokens_.empty() && tokens_.back().text == ".";
        bool real = false;
        if (!after_dot && size < rest_.size() && rest_[size] == '.' && digits(size + 1) > 0) {
            size += 1 + digits(size + 1);
            real = true;
        }
        if (!after_dot && size < rest_.size() && (rest_[size] == 'e' || rest_[size] == 'E')) {
            const bool sign = size + 1 < rest_.size() && (rest_[size + 1] == '+' || rest_[size + 1] == '-');
            const std::size_t from = size + 1 + (sign ? 1 : 0);
            if (from < rest_.size() && digits(from) > 0) {
                size = from + digits(from);
                real = true;
            }
        }
        take(real ? JinjaTokenKind::real : JinjaTokenKind::integer, size);
        std::string& text = tokens_.back().text;
        text.erase(std::remove(text.begin(), text.end(), '_'), text.end());
    }

    void read_string() {
        std::size_t end = 1;
        while (end < rest_.size() && rest_[end] != rest_[0]) end += rest_[end] == '\\' ? 2 : 1;
        if (end >= rest_.size()) wrong("a string is not closed");
        add(JinjaTokenKind::string, unescaped(rest_.substr(1, end - 1)));
        skip(end + 1);
    }

    // Python's escapes: \n, \x41, \u00e9, \101, ...; an unknown one stays as it is written.
    std::string unescaped(std::string_view text) {
        std::string out;
        for (std::size_t at = 0; at < text.size();) {
            if (text[at] != '\\') {
                out += text[at++];
                continue;
            }
            const char c = text[at + 1];
            constexpr std::string_view kLetters = "\\'\"nrtabfv", kMeant = "\\'\"\n\r\t\a\b\f\v";
            at += 2;
            if (const auto simple = kLetters.find(c); simple != kLetters.npos) {
                out += kMeant[simple];
            } else if (c == 'x' || c == 'u' || c == 'U') {
                const std::size_t size = c == 'x' ? 2 : c == 'u' ? 4 : 8;
                append_code(out, text.substr(at, size), size, 16);
                at += size;
            } else if (c >= '0' && c <= '7') {
                std::size_t size = 1;
                while (size < 3 && at - 1 + size < text.size() && text[at - 1 + size] >= '0' &&
                       text[at - 1 + size] <= '7')
                    ++size;
                append_code(out, text.substr(at - 1, size), size, 8);
                at += size - 1;
            } else if (c == 'N') {
                throw JinjaFailure{JinjaFailure::unsupported, line_, "the escape \\N in a string"};
            } else if (c != '\n') {
                out += '\\';
                out += c;
            }
        }
        return out;
    }

    void append_code(std::string& out, std::string_view digits, std::size_t size, unsigned base) {
        char32_t code = 0;
        bool good = digits.size() == size;
        for (const char d : digits) {
            const unsigned value = is_digit(d)              ? static_cast<unsigned>(d - '0')
                                   : (d >= 'a' && d <= 'f') ? static_cast<unsigned>(d - 'a') + 10
                                   : (d >= 'A' && d <= 'F') ? static_cast<unsigned>(d - 'A') + 10
                                                            : 99;
            good = good && value < base;
            code = code * base + value;
        }
        if (!good || code > 0x10FFFF) wrong("an escape in a string is cut short or names no character");
        if (code >= 0xD800 && code < 0xE000)
            out += kReplacementChar;
        else
            append_utf8(out, code);
    }
};

}  // namespace

std::vector<JinjaToken> jinja_tokens(std::string_view source) { return Lexer(normal_lines(source)).run(); }

}  // namespace argosy
