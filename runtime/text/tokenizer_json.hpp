// The JSON layer of tokenizer.json: the two large tables stream into flat lists, all else becomes a small JSON value.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "runtime/text/string_table.hpp"

namespace argosy {

struct TokenizerJson {
    StringList tokens;         // keys of model.vocab
    std::vector<int64_t> ids;  // [tokens]
    StringList merge_left, merge_right;
    bool has_vocab = false, has_merges = false;
};

// Parses `text` (the content of `file`). `rest` gets the document without model.vocab and model.merges.
TokenizerJson parse_tokenizer_json(const std::string& text, const std::string& file, nlohmann::json& rest);

}  // namespace argosy
