// The incremental detokenizer: ids come one by one, text leaves as soon as it can no longer change.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "runtime/text/decoder.hpp"
#include "runtime/text/tokenizer.hpp"

namespace argosy {

// For all ids pushed: the concatenation of what push returned and of finish() equals decode(ids). Text always ends
// between characters: bytes of an unfinished one are held until it is complete or can no longer be.
//
// Some decoders treat the start of a text specially (Llama 2 strips one space). When generated ids continue a prompt,
// give the prompt's ids as `context`: they count as what stands before, and their text is not returned (except that a
// character which they leave unfinished is returned when a later id finishes it).
class IncrementalDetokenizer {
  public:
    IncrementalDetokenizer(const Tokenizer& tokenizer, bool skip_special, std::span<const int32_t> context = {});

    // The text that `id` makes certain, often empty. Ids that the tokenizer does not have add nothing.
    std::string push(int32_t id);
    // The rest, when no more ids come. The object is not used after that.
    std::string finish();

  private:
    Tokenizer tokenizer_;  // shares the tables, keeps them alive
    bool skip_special_;
    DecodeStream stream_;
};

}  // namespace argosy
