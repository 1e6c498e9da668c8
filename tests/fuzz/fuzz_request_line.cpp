// Fuzzes request lines: whatever a line holds, the answer is a request or an error record.
#include "runtime/job/request_file.hpp"
#include "tests/fuzz/fuzz_input.hpp"

using namespace argosy;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = fuzz::text_of(data, size);
    const InputFormat format = !text.empty() && text[0] == 't' ? InputFormat::text : InputFormat::jsonl;
    const auto outcome = parse_request_line(text, 7, format, {});
    if (const auto* error = std::get_if<LineError>(&outcome)) {
        if (error->line != 7 || error->code.empty() || error->sentence.empty()) std::abort();
    } else {
        const Request& request = std::get<ParsedRequest>(outcome).request;
        if (request.line != 7 || request.n < 1 || request.max_tokens < 0) std::abort();
    }
    return 0;
}
