// Fuzzes tokenizer.json; a tokenizer that loads must encode and decode.
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "runtime/text/tokenizer.hpp"
#include "tests/fuzz/fuzz_input.hpp"

using namespace argosy;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const int file = memfd_create("tokenizer.json", 0);
    if (ftruncate(file, 0) != 0 || pwrite(file, data, size, 0) != static_cast<ssize_t>(size)) std::abort();
    fuzz::answers_or_refuses([&] {
        const Tokenizer tokenizer = load_tokenizer("/proc/self/fd/" + std::to_string(file));
        const auto ids = encode(tokenizer, "A cat's 12 naps,\n\u00e9t\u00e9 <s>\xff \u6f22\u5b57", true);
        decode(tokenizer, ids, false);
        for (const std::int32_t id : ids) token_text(tokenizer, id);
    });
    return 0;
}
