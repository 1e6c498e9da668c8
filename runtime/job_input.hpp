// The job's requests as an index: for every request its line, length and samples, in the one global order that every
// rank agrees on. Texts and tokens stay in the files; a request is made when its turn comes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kernels/base/account_clock.hpp"
#include "parallel/mpi_session.hpp"
#include "runtime/job/request_file.hpp"
#include "runtime/job_settings.hpp"
#include "runtime/model/model_plan.hpp"
#include "runtime/prepare_line.hpp"
#include "runtime/schedule/request.hpp"
#include "runtime/text/tokenizer.hpp"

namespace argosy {

// What is kept of a request until its turn comes.
struct RequestEntry {
    std::int64_t line = 0;
    std::int32_t total_tokens = 0;  // prompt + max_tokens
    std::int32_t samples = 1;
    bool operator==(const RequestEntry&) const = default;
};

// The request of a line that was good when the job began. Error(input) when it no longer is.
using LinePreparer = std::function<PreparedRequest(std::int64_t line, const Tokenizer& tokenizer)>;

// The same on every rank.
struct JobInput {
    std::vector<RequestEntry> entries;  // in global order
    LinePreparer prepare;               // reads, parses and tokenizes a line of `entries`
    std::vector<LineError> errors;      // lines that get an error record, by line
    std::vector<std::int64_t> lines;    // every line with work, ascending: requests and errors
    std::string digest;                 // of the input's bytes
};

// What a request leaves out comes from the model's generation_config.json, else from OpenAI's defaults.
GenerationDefaults job_defaults(const ModelPlan& plan, std::uint64_t seed);

// Collective. Every rank scans the files for line ends, then parses and tokenizes its share of the lines and hears what
// the others' came to.
JobInput read_job_input(MpiSession& session, const JobSettings& settings, const ModelPlan& plan,
                        const Tokenizer& tokenizer, int threads, AccountClock& clock);

// Fixed-length synthetic requests for benchmarks: random ids from the seed, `shared` of them common to all, end of text
// ignored.
JobInput synthetic_input(const ModelPlan& plan, int requests, int input_tokens, int shared_tokens, int output_tokens,
                         std::uint64_t seed);

}  // namespace argosy
