// What a tokenizer.json says, as plain values: every kind that Argosy knows, nothing of JSON.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "runtime/text/string_table.hpp"

namespace argosy {

struct AddedToken {
    int32_t id = 0;
    std::string content;
    bool single_word = false;  // matches only between characters that are no word characters
    bool lstrip = false;       // takes the white space before it along
    bool rstrip = false;       // takes the white space after it along
    bool normalized = false;   // is looked for in normalized text
    bool special = false;      // left out when decoding with skip_special
};

struct TextPattern {
    std::string text;
    bool is_regex = false;
};

struct NormalizerStep {
    enum class Kind { nfc, prepend, replace } kind;
    TextPattern pattern;  // replace: what to look for
    std::string content;  // replace: what to put there; prepend: what to put in front
};

enum class SplitBehavior { isolated, removed, merged_with_previous, merged_with_next, contiguous };
enum class PrependScheme { always, first, never };

struct PreTokenizerStep {
    enum class Kind { split, byte_level, digits, metaspace, punctuation } kind;
    TextPattern pattern;                               // split
    SplitBehavior behavior = SplitBehavior::isolated;  // split, punctuation
    bool invert = false;                               // split: the pattern describes the pieces, not the separators
    bool add_prefix_space = false;                     // byte_level
    bool use_regex = true;                             // byte_level: split by GPT-2's pattern first
    bool individual_digits = false;                    // digits
    std::string replacement;                           // metaspace: the character for a space
    PrependScheme prepend = PrependScheme::always;     // metaspace
    bool split = true;                                 // metaspace: cut before each replacement character
};

struct DecoderStep {
    enum class Kind { byte_level, replace, byte_fallback, fuse, strip, metaspace } kind;
    TextPattern pattern;           // replace
    std::string content;           // replace: what to put there; strip: the character; metaspace: the replacement
    uint32_t start = 0, stop = 0;  // strip: how many at either end
    bool drop_first = true;        // metaspace: replacement characters of the first token vanish
};

struct BpeSpec {
    StringList tokens;                   // vocabulary, in file order
    std::vector<int32_t> ids;            // [tokens] the id of each
    StringList merge_left, merge_right;  // [merges] the two parts of each merge; its rank is its place
    std::optional<std::string> unk_token;
    bool fuse_unk = false, byte_fallback = false, ignore_merges = false;
};

struct TokenizerSpec {
    std::string file;  // for error sentences
    BpeSpec model;
    std::vector<AddedToken> added_tokens;
    std::vector<NormalizerStep> normalizer;
    std::vector<PreTokenizerStep> pre_tokenizer;
    std::vector<DecoderStep> decoder;
    bool has_decoder = false;
    std::vector<int32_t> prefix_ids, suffix_ids;  // what the post-processor puts before and after (BOS, EOS)
};

// Reads and checks a tokenizer.json. Error(input) when it cannot be read, is no JSON, or asks for a kind that is not
// known here.
TokenizerSpec read_tokenizer_spec(const std::filesystem::path& path);

}  // namespace argosy
