// The job's requests: lines read, checked and tokenized by all ranks together, in the one global order that every rank
// agrees on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/base/account_clock.hpp"
#include "parallel/mpi_session.hpp"
#include "runtime/job/request_file.hpp"
#include "runtime/job_settings.hpp"
#include "runtime/model/model_plan.hpp"
#include "runtime/schedule/request.hpp"
#include "runtime/text/tokenizer.hpp"

namespace argosy {

struct JobInput {
    std::vector<Request> requests;      // in global order; the same on every rank
    std::vector<std::string> metadata;  // [requests] members of the line that pass through, or ""
    std::vector<LineError> errors;      // lines that get an error record, by line
    std::vector<std::int64_t> lines;    // every line with work, ascending: requests and errors
    std::string digest;                 // of the input's bytes
};

// What a request leaves out comes from the model's generation_config.json, else from OpenAI's defaults.
GenerationDefaults job_defaults(const ModelPlan& plan, std::uint64_t seed);

// Collective. Every rank scans the files and parses all lines; each tokenizes its share of the texts and hears the
// others'. Prompts that leave no room for a token in the model's context get an error record; max_tokens is cut to the
// room there is.
JobInput read_job_input(MpiSession& session, const JobSettings& settings, const ModelPlan& plan,
                        const Tokenizer& tokenizer, int threads, AccountClock& clock);

// Fixed-length synthetic requests for benchmarks: random ids from the seed, `shared` of them common to all, end of text
// ignored.
JobInput synthetic_input(const ModelPlan& plan, int requests, int input_tokens, int shared_tokens, int output_tokens,
                         std::uint64_t seed);

}  // namespace argosy
