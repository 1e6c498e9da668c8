// The tokenizer: text to ids and ids to text, as a Hugging Face tokenizer.json says. Loaded once, read by any number of
// threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace argosy {

struct TokenizerTables;  // runtime/text/tokenizer_tables.hpp

// A loaded tokenizer. Immutable; copying shares the tables; safe to read from many threads.
// vocab_size: highest id + 1, added tokens included. A model's vocabulary may be larger: such ids are padding.
struct Tokenizer {
    std::shared_ptr<const TokenizerTables> tables;
    int32_t vocab_size = 0;
};

// Loads a tokenizer.json with a BPE model. Error(input) names the file and the member when it cannot be read,
// contradicts itself, or asks for a kind of step that is not known. "truncation" and "padding" of the file are for
// training and are not applied.
Tokenizer load_tokenizer(const std::filesystem::path& path);

// Memory that encoding uses again from text to text, with a cache of words; one per thread, any number of texts.
// A scratch that meets another tokenizer than before forgets the words.
class EncodeScratch {
  public:
    EncodeScratch();
    ~EncodeScratch();
    EncodeScratch(EncodeScratch&&) noexcept;
    EncodeScratch& operator=(EncodeScratch&&) noexcept;

    struct Impl;
    Impl& impl() { return *impl_; }

  private:
    std::unique_ptr<Impl> impl_;
};

// Appends the ids of `text` to `out`. add_special: with the BOS, EOS and so on that the post-processor adds; special
// tokens that are written in the text become their ids either way. Text that is not UTF-8 is read with U+FFFD for each
// maximal invalid part.
void encode(const Tokenizer& tokenizer, EncodeScratch& scratch, std::string_view text, bool add_special,
            std::vector<int32_t>& out);

// The same for a single text; many texts go faster with a scratch.
std::vector<int32_t> encode(const Tokenizer& tokenizer, std::string_view text, bool add_special);

// The text of `ids`, valid UTF-8. Ids that the tokenizer does not have, negative ones included, decode to nothing.
// skip_special: special tokens decode to nothing too.
std::string decode(const Tokenizer& tokenizer, std::span<const int32_t> ids, bool skip_special);

// The id of a token by its spelling in the file ("Ġthe", "▁the", "<|endoftext|>").
std::optional<int32_t> token_to_id(const Tokenizer& tokenizer, std::string_view token);

// The spelling of a token in the file; empty for ids that the tokenizer does not have.
std::string_view id_to_token(const Tokenizer& tokenizer, int32_t id);

bool is_special(const Tokenizer& tokenizer, int32_t id);

// The bytes that a token adds in the middle of a text; they need not be whole characters. Empty for unknown ids.
std::string token_bytes(const Tokenizer& tokenizer, int32_t id);

// The same as text for logprobs: when the bytes are not UTF-8, "bytes:" and each byte as \xNN, as the OpenAI API writes
// it. Example: the second byte token of "é" is "bytes:\xa9".
std::string token_text(const Tokenizer& tokenizer, int32_t id);

}  // namespace argosy
