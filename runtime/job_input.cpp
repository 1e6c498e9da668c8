// Reading, tokenizing and ordering the requests of a job.
#include "runtime/job_input.hpp"

#include <algorithm>

#include "kernels/base/philox.hpp"
#include "runtime/job/input_index.hpp"
#include "runtime/schedule/global_order.hpp"

namespace argosy {

GenerationDefaults job_defaults(const ModelPlan& plan, std::uint64_t seed) {
    GenerationDefaults defaults;
    const GenerationConfig& model = plan.generation;
    if (model.temperature) defaults.temperature = *model.temperature;
    if (model.top_p) defaults.top_p = *model.top_p;
    if (model.min_p) defaults.min_p = *model.min_p;
    if (model.top_k) defaults.top_k = *model.top_k;
    if (model.repetition_penalty) defaults.repetition_penalty = *model.repetition_penalty;
    if (model.do_sample && !*model.do_sample) defaults.temperature = 0;  // the authors ask for greedy decoding
    defaults.seed = seed;
    return defaults;
}

namespace {

// Parsed lines on their way to being requests.
struct Draft {
    std::vector<ParsedRequest> parsed;  // by line
    std::vector<LineError> errors;
};

Draft parse_lines(const InputIndex& index, const JobSettings& settings, const GenerationDefaults& defaults) {
    Draft draft;
    UniqueNames names;
    const InputFormat format = parse_input_format(settings.input_format);
    const LineRange range = select_lines(index.line_count(), settings.slice, settings.slices, -1);
    for (std::int64_t line = range.begin; line < range.end; ++line) {
        const InputLine text = index.read_line(line);
        if (text.too_long) {
            draft.errors.push_back({.line = line,
                                    .id = {},
                                    .code = "line_too_long",
                                    .sentence = fmt::format("{} is longer than {} bytes. Split the request.",
                                                            index.place(line), kLineBytesMax),
                                    .metadata = {}});
            continue;
        }
        if (is_blank(text.text)) continue;
        if (settings.limit > 0 &&
            static_cast<std::int64_t>(draft.parsed.size() + draft.errors.size()) >= settings.limit)
            break;
        auto outcome = parse_request_line(text.text, line, format, defaults);
        if (auto* error = std::get_if<LineError>(&outcome)) {
            draft.errors.push_back(std::move(*error));
            continue;
        }
        ParsedRequest& parsed = std::get<ParsedRequest>(outcome);
        if (auto taken = names.claim(parsed.request.id, line)) {
            taken->metadata = parsed.metadata;
            draft.errors.push_back(std::move(*taken));
            continue;
        }
        draft.parsed.push_back(std::move(parsed));
    }
    return draft;
}

// Tokenizes every size-th text, from rank on, and all-gathers the ids: [texts of rank 0][texts of rank 1]..., each as a
// count and the ids.
void tokenize_together(MpiSession& session, const Tokenizer& tokenizer, int threads,
                       std::vector<ParsedRequest>& parsed) {
    std::vector<std::size_t> mine;
    for (std::size_t i = static_cast<std::size_t>(session.rank()); i < parsed.size();
         i += static_cast<std::size_t>(session.size())) {
        if (parsed[i].text) mine.push_back(i);
    }
    std::vector<std::vector<std::int32_t>> ids(mine.size());
#pragma omp parallel num_threads(threads)
    {
        EncodeScratch scratch;
#pragma omp for schedule(dynamic, 16)
        for (std::size_t i = 0; i < mine.size(); ++i) encode(tokenizer, scratch, *parsed[mine[i]].text, true, ids[i]);
    }
    std::vector<std::int32_t> flat;
    for (const auto& one : ids) {
        flat.push_back(static_cast<std::int32_t>(one.size()));
        flat.insert(flat.end(), one.begin(), one.end());
    }
    auto bytes = static_cast<std::int64_t>(flat.size() * sizeof(std::int32_t));
    std::vector<std::int64_t> counts(static_cast<std::size_t>(session.size()));
    session.world().all_gather(&bytes, sizeof bytes, counts.data());
    std::int64_t total = 0;
    for (const std::int64_t count : counts) total += count;
    std::vector<std::int32_t> all(static_cast<std::size_t>(total) / sizeof(std::int32_t));
    session.world().all_gather_v(flat.data(), all.data(), counts);

    auto next = all.begin();
    for (int rank = 0; rank < session.size(); ++rank) {
        for (std::size_t i = static_cast<std::size_t>(rank); i < parsed.size();
             i += static_cast<std::size_t>(session.size())) {
            if (!parsed[i].text) continue;
            const std::int32_t count = *next++;
            parsed[i].request.prompt.assign(next, next + count);
            next += count;
            parsed[i].text.reset();
        }
    }
}

// What is wrong with a tokenized prompt under this model, or "".
LineError check_prompt(const Request& request, const ModelPlan& plan) {
    LineError error{.line = request.line, .id = request.id, .code = {}, .sentence = {}, .metadata = {}};
    const auto tokens = static_cast<std::int64_t>(request.prompt.size());
    if (tokens == 0) {
        error.code = "empty_prompt";
        error.sentence = fmt::format("Line {}: the prompt has no tokens. Give at least one word.", request.line);
    } else if (tokens > plan.max_positions || (tokens == plan.max_positions && request.max_tokens > 0)) {
        error.code = "context_length_exceeded";
        error.sentence =
            fmt::format("Line {}: the prompt has {} tokens and the model's context is {}. Shorten the prompt.",
                        request.line, tokens, plan.max_positions);
    } else {
        for (const std::int32_t id : request.prompt) {
            if (id >= 0 && id < plan.vocab_size) continue;
            error.code = "invalid_token_id";
            error.sentence =
                fmt::format("Line {}: token id {} is outside the model's vocabulary of {}. Use ids from 0 to {}.",
                            request.line, id, plan.vocab_size, plan.vocab_size - 1);
            break;
        }
    }
    return error;
}

}  // namespace

JobInput read_job_input(MpiSession& session, const JobSettings& settings, const ModelPlan& plan,
                        const Tokenizer& tokenizer, int threads, AccountClock& clock) {
    const InAccount account(clock, Account::tokenize);
    JobInput input;
    Draft draft;
    session.run_agreed([&] {
        const InputIndex index(settings.input, std::filesystem::temp_directory_path());
        input.digest = to_string(index.digest());
        draft = parse_lines(index, settings, job_defaults(plan, settings.seed));
    });
    tokenize_together(session, tokenizer, threads, draft.parsed);

    std::vector<ParsedRequest> taken;
    for (ParsedRequest& parsed : draft.parsed) {
        input.lines.push_back(parsed.request.line);
        LineError error = check_prompt(parsed.request, plan);
        if (!error.code.empty()) {
            error.metadata = std::move(parsed.metadata);
            draft.errors.push_back(std::move(error));
            continue;
        }
        const int room = plan.max_positions - static_cast<int>(parsed.request.prompt.size());
        parsed.request.max_tokens = std::min(parsed.request.max_tokens, room);
        taken.push_back(std::move(parsed));
    }
    for (const LineError& error : draft.errors) input.lines.push_back(error.line);
    std::sort(input.lines.begin(), input.lines.end());
    input.lines.erase(std::unique(input.lines.begin(), input.lines.end()), input.lines.end());
    std::sort(draft.errors.begin(), draft.errors.end(),
              [](const LineError& a, const LineError& b) { return a.line < b.line; });
    input.errors = std::move(draft.errors);

    std::vector<OrderItem> items;
    for (const ParsedRequest& parsed : taken) items.push_back(order_item(parsed.request));
    for (const int i : global_order(items)) {
        input.requests.push_back(std::move(taken[static_cast<std::size_t>(i)].request));
        input.metadata.push_back(std::move(taken[static_cast<std::size_t>(i)].metadata));
    }
    return input;
}

JobInput synthetic_input(const ModelPlan& plan, int requests, int input_tokens, int shared_tokens, int output_tokens,
                         std::uint64_t seed) {
    JobInput input;
    const auto id_at = [&](std::uint64_t request, int position) {
        return static_cast<std::int32_t>(uniform_f64(seed, request, 0, static_cast<std::uint32_t>(position)) *
                                         plan.vocab_size);
    };
    std::vector<Request> all(static_cast<std::size_t>(requests));
    for (int r = 0; r < requests; ++r) {
        Request& request = all[static_cast<std::size_t>(r)];
        request.line = r + 1;
        request.identity = request_identity("", request.line);
        for (int i = 0; i < shared_tokens; ++i) request.prompt.push_back(id_at(0, i));
        for (int i = 0; i < input_tokens; ++i) request.prompt.push_back(id_at(static_cast<std::uint64_t>(r) + 1, i));
        request.max_tokens = output_tokens;
        request.temperature = 0;
        request.ignore_eos = true;
        input.lines.push_back(request.line);
    }
    for (const int i : global_order(all)) input.requests.push_back(std::move(all[static_cast<std::size_t>(i)]));
    input.metadata.resize(input.requests.size());
    input.digest =
        fmt::format("synthetic {} x {}+{} -> {}, seed {}", requests, shared_tokens, input_tokens, output_tokens, seed);
    return input;
}

}  // namespace argosy
