// The door to PCRE2: the only file that includes its header.
#include "runtime/text/regex_pcre2.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "kernels/base/error.hpp"
#include "runtime/text/utf8.hpp"

namespace argosy {
namespace {

constexpr size_t kJitStackMin = 32 * 1024;
constexpr size_t kJitStackMax = 1024 * 1024;

std::string message_of(int code) {
    unsigned char text[256];
    pcre2_get_error_message(code, text, sizeof text);
    return reinterpret_cast<const char*>(text);
}

// The inside of a bracket class for an escape letter, or nothing when PCRE2 means the same by it.
std::string_view class_inside(char letter) {
    switch (letter) {
        case 's':
            return R"(\t-\r\x{85}\p{Z})";
        case 'w':
            return R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\xB2\xB3\xB9\xBC-\xBE)";
        case 'h':
            return "0-9a-fA-F";
        default:
            return {};
    }
}

}  // namespace

std::string to_pcre2_pattern(std::string_view pattern) {
    std::string out;
    int depth = 0;  // of bracket classes
    for (size_t i = 0; i < pattern.size(); ++i) {
        const char c = pattern[i];
        if (c == '\\' && i + 1 < pattern.size()) {
            const char letter = pattern[++i];
            const char small =
                letter == 'S' || letter == 'W' || letter == 'H' ? static_cast<char>(letter + 32) : letter;
            const std::string_view inside = class_inside(small);
            if (!inside.empty() && small == letter) {
                out.append(depth ? "" : "[").append(inside).append(depth ? "" : "]");
            } else if (!inside.empty() && depth == 0) {
                out.append("[^").append(inside).append("]");
            } else {
                out.append({'\\', letter});
            }
            continue;
        }
        if (c == '[' && (depth == 0 || pattern.substr(i, 2) == "[:")) ++depth;
        if (c == ']' && depth > 0) --depth;
        out.push_back(c);
        if (c == '[' && depth == 1) {  // "]" right after "[" or "[^" is a plain character
            if (i + 1 < pattern.size() && pattern[i + 1] == '^') out.push_back(pattern[++i]);
            if (i + 1 < pattern.size() && pattern[i + 1] == ']') out.push_back(pattern[++i]);
        }
    }
    return out;
}

struct RegexState::Impl {
    pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
    pcre2_match_context* context = pcre2_match_context_create(nullptr);
    pcre2_jit_stack* stack = pcre2_jit_stack_create(kJitStackMin, kJitStackMax, nullptr);
    Impl() {
        if (!data || !context || !stack) {
            fail(ErrorKind::system, "PCRE2 got no memory for the state of a search. Give the process more memory.");
        }
        pcre2_jit_stack_assign(context, nullptr, stack);
    }
    ~Impl() {
        pcre2_jit_stack_free(stack);
        pcre2_match_context_free(context);
        pcre2_match_data_free(data);
    }
};

RegexState::RegexState() : impl_(std::make_unique<Impl>()) {}
RegexState::~RegexState() = default;
RegexState::RegexState(RegexState&&) noexcept = default;
RegexState& RegexState::operator=(RegexState&&) noexcept = default;

struct Regex::Code {
    pcre2_code* compiled = nullptr;
    ~Code() { pcre2_code_free(compiled); }
};

Regex::Regex(std::string_view pattern, const std::string& where) {
    auto code = std::make_shared<Code>();
    const std::string text = to_pcre2_pattern(pattern);
    int error = 0;
    PCRE2_SIZE offset = 0;
    code->compiled = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                   PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, &error, &offset, nullptr);
    if (code->compiled == nullptr) {
        fail(ErrorKind::input, "{}: the pattern {} is not one that PCRE2 can compile ({} at offset {} of {}).", where,
             pattern, message_of(error), offset, text);
    }
    pcre2_jit_compile(code->compiled, PCRE2_JIT_COMPLETE);  // without it the interpreter runs: slower, the same matches
    code_ = std::move(code);
}

bool Regex::find(RegexState& state, std::string_view text, size_t from, Match& match) const {
    RegexState::Impl& s = state.impl();
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    int rc = pcre2_match(code_->compiled, subject, text.size(), from, PCRE2_NO_UTF_CHECK, s.data, s.context);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) {
        rc = pcre2_match(code_->compiled, subject, text.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, s.data,
                         s.context);
    }
    if (rc == PCRE2_ERROR_NOMATCH) return false;
    if (rc < 0) {
        fail(ErrorKind::input, "A split pattern of the tokenizer gave up on a text of {} bytes: {}. Shorten the text.",
             text.size(), message_of(rc));
    }
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(s.data);
    match = {ends[0], ends[1]};
    return true;
}

}  // namespace argosy
