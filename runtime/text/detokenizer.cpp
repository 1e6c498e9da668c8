// The incremental detokenizer: the decoder's stream, fed id by id.
#include "runtime/text/detokenizer.hpp"

#include "runtime/text/tokenizer_tables.hpp"

namespace argosy {

IncrementalDetokenizer::IncrementalDetokenizer(const Tokenizer& tokenizer, bool skip_special,
                                               std::span<const int32_t> context)
    : tokenizer_(tokenizer), skip_special_(skip_special), stream_(tokenizer_.tables->decoder) {
    for (const int32_t id : context) push(id);
}

std::string IncrementalDetokenizer::push(int32_t id) {
    const TokenizerTables& t = *tokenizer_.tables;
    std::string out;
    if (t.has(id) && !(skip_special_ && t.special[id])) stream_.push(t.spelling(id), t.added[id], out);
    return out;
}

std::string IncrementalDetokenizer::finish() {
    std::string out;
    stream_.finish(out);
    return out;
}

}  // namespace argosy
