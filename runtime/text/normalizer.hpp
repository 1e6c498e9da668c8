// The normalizer of a tokenizer: NFC, Prepend and Replace, in the order of the file.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/regex_pcre2.hpp"
#include "runtime/text/tokenizer_spec.hpp"

namespace argosy {

// Replaces every match of a literal or a regex. Used by the normalizer and by the Replace decoder.
struct Replacer {
    std::string literal;  // empty: use the regex
    Regex regex;
    std::string content;

    Replacer(const TextPattern& pattern, std::string content, const std::string& where);
    // Appends `text` with its matches replaced to `out`.
    void append(RegexState& state, std::string_view text, std::string& out) const;
};

class Normalizer {
  public:
    Normalizer() = default;
    Normalizer(const std::vector<NormalizerStep>& steps, const std::string& file);

    bool empty() const { return steps_.empty(); }
    // Two buffers that the steps write to in turn.
    struct Buffers {
        std::string a, b;
    };
    // The normal form of `text` (valid UTF-8): `text` itself when nothing changes, else a view of one of the buffers.
    std::string_view apply(RegexState& state, std::string_view text, Buffers& buffers) const;

  private:
    struct Step {
        NormalizerStep::Kind kind;
        std::string content;             // prepend
        std::vector<Replacer> replacer;  // replace: exactly one
    };
    std::vector<Step> steps_;
};

}  // namespace argosy
