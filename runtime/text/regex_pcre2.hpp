// The door to PCRE2: compiled patterns (shared by threads) and the per-thread state of a search.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace argosy {

// Per-thread memory of a search; not copied, not shared.
class RegexState {
  public:
    RegexState();
    ~RegexState();
    RegexState(RegexState&&) noexcept;
    RegexState& operator=(RegexState&&) noexcept;

    struct Impl;
    Impl& impl() { return *impl_; }

  private:
    std::unique_ptr<Impl> impl_;
};

struct Match {
    size_t begin = 0, end = 0;
};

// A pattern as tokenizer.json files write them: the syntax of Oniguruma on UTF-8, where \s, \w, \d are Unicode classes
// and ^ and $ stand at line ends. Immutable; copies share the compiled code.
class Regex {
  public:
    Regex() = default;
    // `where` names the file and member for the error sentence when the pattern does not compile.
    Regex(std::string_view pattern, const std::string& where);

    // First match at or after byte `from` of `text`, which is valid UTF-8. False when there is none.
    bool find(RegexState& state, std::string_view text, size_t from, Match& match) const;

  private:
    struct Code;
    std::shared_ptr<const Code> code_;
};

// What PCRE2 is given for a pattern of Oniguruma: \s, \S, \w, \W and \h are spelled out where the two differ
// (PCRE2's \s takes U+180E, its \w takes no marks, its \h is a space and not a hexadecimal digit).
std::string to_pcre2_pattern(std::string_view pattern);

}  // namespace argosy
