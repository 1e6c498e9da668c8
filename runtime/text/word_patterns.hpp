// The split patterns that most vocabularies share, as hand-written matchers: the same pieces as the regex, many times
// faster.
#pragma once

#include <optional>
#include <string_view>

#include "runtime/text/char_class.hpp"

namespace argosy {

enum class WordPattern {
    gpt2,          // GPT-2, OLMoE: also what ByteLevel with use_regex means
    cl100k_one,    // Qwen 2 and 3: numbers are single digits
    cl100k_three,  // Llama 3, OLMo 2: numbers are up to three digits
    o200k,         // o200k, gpt-oss
};

inline constexpr WordPattern kWordPatterns[] = {WordPattern::gpt2, WordPattern::cl100k_one, WordPattern::cl100k_three,
                                                WordPattern::o200k};

// The exact regex that a matcher stands for.
std::string_view regex_of(WordPattern pattern);

// The matcher for a regex, by its exact text; nothing when there is none.
std::optional<WordPattern> find_word_pattern(std::string_view regex);

// Each of these patterns matches at every position of any text, so its matches follow one another without gaps.
// Returns the end of the match that begins at `at`; at < end; the text is valid UTF-8 and ends at `end`.
const char* word_end(WordPattern pattern, const CharTable& chars, const char* at, const char* end);

}  // namespace argosy
