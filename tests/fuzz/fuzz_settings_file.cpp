// Fuzzes the config file of `argosy run --config`. What was understood must come back from what the program writes of
// it.
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "launch/options.hpp"
#include "tests/fuzz/fuzz_input.hpp"

using namespace argosy;

namespace {

RunOptions read_back(int file, std::string_view text) {
    if (ftruncate(file, 0) != 0 || pwrite(file, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
        std::abort();
    return parse_run_options({"--config", "/proc/self/fd/" + std::to_string(file)});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const int file = memfd_create("settings.cfg", 0);
    fuzz::answers_or_refuses([&] { read_back(file, fuzz::text_of(data, size)); });
    return 0;
}
