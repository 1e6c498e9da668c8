// The pre-tokenizer: cuts normalized text into the words that BPE then encodes one by one.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/char_class.hpp"
#include "runtime/text/regex_pcre2.hpp"
#include "runtime/text/tokenizer_spec.hpp"
#include "runtime/text/word_patterns.hpp"

namespace argosy {

struct TextSpan {
    size_t begin = 0, end = 0;
    bool operator==(const TextSpan&) const = default;
};

// Words of a text, and the memory that finding them takes; used again for the next text.
struct Words {
    std::string_view text;        // what the spans are of: the given text, or `buffer` when a step changed it
    std::vector<TextSpan> spans;  // not empty, in order
    std::string buffer, spare;
    std::vector<TextSpan> next_spans;
    struct Piece {
        TextSpan span;
        bool is_match;
    };
    std::vector<Piece> pieces;
};

// One split: how to find matches, and what becomes of them.
struct Splitter {
    std::optional<WordPattern> pattern;  // a matcher that covers all text, else:
    std::string literal;                 // text to look for, else:
    std::optional<Regex> regex;          // else characters with any of these flags:
    uint8_t char_flags = 0;
    bool one_by_one = true;  // of char_flags: each character is a match, or each run
    SplitBehavior behavior = SplitBehavior::isolated;
    bool invert = false;
};

class PreTokenizer {
  public:
    PreTokenizer() = default;
    PreTokenizer(const std::vector<PreTokenizerStep>& steps, const std::string& file);

    // True when words are to be read as bytes of the GPT-2 alphabet: the last step is ByteLevel.
    bool byte_level() const { return byte_level_; }
    // The one pattern that does everything, when that is so: then words are word_end() after word_end() and cut() is
    // not needed.
    std::optional<WordPattern> only_pattern() const { return only_pattern_; }

    // Cuts `text`. `at_start`: nothing of the request's text stands before it (prepend_scheme "first" asks).
    void cut(const CharTable& chars, RegexState& state, std::string_view text, bool at_start, Words& words) const;

  private:
    struct Step {
        PreTokenizerStep::Kind kind;
        std::optional<Splitter> splitter;
        bool add_prefix_space = false;  // byte_level
        std::string replacement;        // metaspace
        PrependScheme prepend = PrependScheme::always;
    };
    static Step make_step(const PreTokenizerStep& step, const std::string& where);

    std::vector<Step> steps_;
    bool byte_level_ = false;
    std::optional<WordPattern> only_pattern_;
};

// The spans that a split makes of `span` of `text`, appended to `out`. Behaviours are those of the tokenizers library.
void split_span(const Splitter& splitter, const CharTable& chars, RegexState& state, std::string_view text,
                TextSpan span, std::vector<Words::Piece>& pieces, std::vector<TextSpan>& out);

}  // namespace argosy
