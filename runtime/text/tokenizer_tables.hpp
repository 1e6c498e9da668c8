// What a loaded tokenizer holds; for the files of this folder only.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/text/added_tokens.hpp"
#include "runtime/text/bpe.hpp"
#include "runtime/text/char_class.hpp"
#include "runtime/text/decoder.hpp"
#include "runtime/text/normalizer.hpp"
#include "runtime/text/pre_tokenizer.hpp"

namespace argosy {

struct TokenizerTables {
    CharTable chars;
    Normalizer normalizer;
    PreTokenizer pre_tokenizer;
    bool pre_tokenizes = false;  // the file has a pre-tokenizer
    Bpe bpe;
    AddedTokenSet raw_added;         // looked for in the text as it comes
    AddedTokenSet normalized_added;  // looked for in normalized text
    StringTable added_ids;           // content -> id
    Decoder decoder;
    StringList strings;                // spellings
    std::vector<int32_t> string_of;    // [vocab_size] index into strings; -1: no token has this id
    std::vector<bool> special, added;  // [vocab_size]
    std::vector<int32_t> prefix_ids, suffix_ids;

    bool has(int32_t id) const { return id >= 0 && static_cast<size_t>(id) < string_of.size() && string_of[id] >= 0; }
    std::string_view spelling(int32_t id) const { return has(id) ? strings[string_of[id]] : std::string_view(); }
};

}  // namespace argosy
