// Reading the requests of a job together: every rank prepares a share of the lines and tells the others what it came
// to; the lines themselves are read again when their turn comes.
#include "runtime/job_input.hpp"

#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <numeric>
#include <type_traits>

#include "kernels/base/philox.hpp"
#include "parallel/rank_layout.hpp"
#include "runtime/gather_errors.hpp"
#include "runtime/job/input_index.hpp"
#include "runtime/job/repeated_names.hpp"
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

// The chat templates in the model's folder. Chats alone need one: what is wrong with it is theirs to hear.
std::shared_ptr<const ChatContext> job_chat(const JobSettings& settings) {
    const bool folder = std::filesystem::is_directory(settings.model);
    return std::make_shared<const ChatContext>(
        ChatContext{load_chat_templates(folder ? settings.model : settings.model.parent_path())});
}

// What this rank's share of the lines came to.
struct Share {
    std::vector<OrderKey> keys;     // of good requests, by line
    std::vector<NameClaim> names;   // of good requests and of errors with an id
    std::vector<LineError> errors;  // by line
};

void add_line(Share& share, std::variant<BlankLine, PreparedRequest, LineError> outcome) {
    if (auto* error = std::get_if<LineError>(&outcome)) {
        if (!error->id.empty()) share.names.push_back(name_claim(error->id, error->line));
        share.errors.push_back(std::move(*error));
    } else if (const auto* good = std::get_if<PreparedRequest>(&outcome)) {
        share.names.push_back(name_claim(good->request.id, good->request.line));
        share.keys.push_back(order_key(good->request));
    }
}

// Prepares lines [begin, end). A piece of lines is one task; pieces are put together in order.
Share prepare_share(const InputIndex& index, LineRange range, const LineContext& context, const Tokenizer& tokenizer,
                    int threads) {
    constexpr std::int64_t kPieceLines = 256;
    const std::int64_t pieces = (range.size() + kPieceLines - 1) / kPieceLines;
    std::vector<Share> part(static_cast<std::size_t>(pieces));
    std::exception_ptr failed;
#pragma omp parallel num_threads(threads)
    {
        EncodeScratch scratch;
#pragma omp for schedule(dynamic, 1)
        for (std::int64_t piece = 0; piece < pieces; ++piece) {
            Share& mine = part[static_cast<std::size_t>(piece)];
            const std::int64_t first = range.begin + piece * kPieceLines;
            try {
                for (std::int64_t line = first; line < std::min(first + kPieceLines, range.end); ++line) {
                    add_line(mine, prepare_line(index, line, context, tokenizer, scratch));
                }
            } catch (...) {
#pragma omp critical(argosy_job_input)
                failed = std::current_exception();
            }
        }
    }
    if (failed) std::rethrow_exception(failed);
    Share share;
    for (Share& mine : part) {
        share.keys.insert(share.keys.end(), mine.keys.begin(), mine.keys.end());
        share.names.insert(share.names.end(), mine.names.begin(), mine.names.end());
        std::move(mine.errors.begin(), mine.errors.end(), std::back_inserter(share.errors));
        mine = {};
    }
    return share;
}

template <class T>
std::vector<T> gather_all(Communicator& world, const std::vector<T>& mine) {
    static_assert(std::is_trivially_copyable_v<T>);
    const auto bytes = static_cast<std::int64_t>(mine.size() * sizeof(T));
    std::vector<std::int64_t> counts(static_cast<std::size_t>(world.size()));
    world.all_gather(&bytes, sizeof bytes, counts.data());
    std::vector<T> all(static_cast<std::size_t>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0})) /
                       sizeof(T));
    world.all_gather_v(mine.data(), all.data(), counts);
    return all;
}

// Every name goes to the rank that its digest picks, so that equal ones meet; what they find, all hear. By line.
std::vector<RepeatedName> find_repeated(Communicator& world, std::vector<NameClaim> names) {
    const auto ranks = static_cast<std::size_t>(world.size());
    const auto judge = [&](const NameClaim& claim) { return static_cast<std::size_t>(claim.name.high % ranks); };
    std::sort(names.begin(), names.end(), [&](const NameClaim& a, const NameClaim& b) { return judge(a) < judge(b); });
    std::vector<std::int64_t> send(ranks), receive(ranks);
    for (const NameClaim& claim : names) send[judge(claim)] += sizeof(NameClaim);
    world.all_to_all(send.data(), sizeof(std::int64_t), receive.data());
    std::vector<NameClaim> met(
        static_cast<std::size_t>(std::accumulate(receive.begin(), receive.end(), std::int64_t{0})) / sizeof(NameClaim));
    world.all_to_all_v(names.data(), send, met.data(), receive);
    std::vector<RepeatedName> all = gather_all(world, repeated_names(met));
    std::sort(all.begin(), all.end(), [](const RepeatedName& a, const RepeatedName& b) { return a.line < b.line; });
    return all;
}

// Good requests of this share whose name an earlier line has become errors; errors stay what they are.
void refuse_repeated(Share& share, const std::vector<RepeatedName>& repeated, const LinePreparer& prepare,
                     const Tokenizer& tokenizer) {
    const auto of_line = [&](std::int64_t line) {
        const auto found = std::lower_bound(repeated.begin(), repeated.end(), line,
                                            [](const RepeatedName& r, std::int64_t l) { return r.line < l; });
        return found != repeated.end() && found->line == line ? &*found : nullptr;
    };
    if (repeated.empty()) return;
    std::vector<OrderKey> kept;
    for (const OrderKey& key : share.keys) {
        const RepeatedName* again = of_line(key.line);
        if (again == nullptr) {
            kept.push_back(key);
            continue;
        }
        PreparedRequest request = prepare(key.line, tokenizer);
        share.errors.push_back(
            duplicate_id(request.request.id, key.line, again->first_line, std::move(request.metadata)));
    }
    share.keys = std::move(kept);
}

// The end of the first `limit` lines of the range that are not blank.
LineRange limited(const InputIndex& index, LineRange range, std::int64_t limit) {
    std::int64_t found = 0;
    for (std::int64_t line = range.begin; limit > 0 && line < range.end; ++line) {
        const InputLine text = index.read_line(line);
        if ((text.too_long || !is_blank(text.text)) && ++found == limit) return {range.begin, line + 1};
    }
    return range;
}

// This rank's part of a range.
LineRange share_of_lines(LineRange range, int rank, int ranks) {
    const RowRange part = row_share(range.size(), rank, ranks);
    return {range.begin + part.begin, range.begin + part.end};
}

// The entries in global order, and the lines with work.
void order_entries(JobInput& input, std::span<const OrderKey> keys) {
    input.lines.reserve(keys.size() + input.errors.size());
    for (const OrderKey& key : keys) input.lines.push_back(key.line);
    for (const LineError& error : input.errors) input.lines.push_back(error.line);
    std::sort(input.lines.begin(), input.lines.end());
    input.entries.reserve(keys.size());
    for (const int i : global_order(keys)) {
        const OrderKey& key = keys[static_cast<std::size_t>(i)];
        input.entries.push_back({.line = key.line, .total_tokens = key.total_tokens, .samples = key.samples});
    }
}

}  // namespace

JobInput read_job_input(MpiSession& session, const JobSettings& settings, const ModelPlan& plan,
                        const Tokenizer& tokenizer, int threads, AccountClock& clock) {
    const InAccount account(clock, Account::tokenize);
    JobInput input;
    LineContext context;
    std::shared_ptr<InputIndex> index;
    Share share;
    session.run_agreed([&] {
        index = std::make_shared<InputIndex>(settings.input, std::filesystem::temp_directory_path());
        input.digest = to_string(index->digest());
        context = {.format = parse_input_format(settings.input_format),
                   .defaults = job_defaults(plan, settings.seed),
                   .chat = job_chat(settings),
                   .max_positions = plan.max_positions,
                   .vocab_size = plan.vocab_size};
        const LineRange wanted =
            limited(*index, select_lines(index->line_count(), settings.slice, settings.slices, -1), settings.limit);
        share =
            prepare_share(*index, share_of_lines(wanted, session.rank(), session.size()), context, tokenizer, threads);
    });
    auto scratch = std::make_shared<EncodeScratch>();
    input.prepare = [index, context, scratch](std::int64_t line, const Tokenizer& text_tokenizer) {
        auto outcome = prepare_line(*index, line, context, text_tokenizer, *scratch);
        if (auto* good = std::get_if<PreparedRequest>(&outcome)) return std::move(*good);
        fail(ErrorKind::input, "{} is not what it was when the job began. Leave input files alone until it has ended.",
             index->place(line));
    };
    std::vector<RepeatedName> repeated = find_repeated(session.world(), std::move(share.names));
    session.run_agreed([&] { refuse_repeated(share, repeated, input.prepare, tokenizer); });
    input.errors = gather_errors(session.world(), share.errors);
    const std::vector<OrderKey> keys = gather_all(session.world(), share.keys);
    order_entries(input, keys);
    return input;
}

JobInput synthetic_input(const ModelPlan& plan, int requests, int input_tokens, int shared_tokens, int output_tokens,
                         std::uint64_t seed) {
    JobInput input;
    const int vocab = plan.vocab_size;
    input.prepare = [=](std::int64_t line, const Tokenizer&) {
        const auto id_at = [&](std::uint64_t request, int position) {
            return static_cast<std::int32_t>(uniform_f64(seed, request, 0, static_cast<std::uint32_t>(position)) *
                                             vocab);
        };
        PreparedRequest made;
        Request& request = made.request;
        request.line = line;
        request.identity = request_identity("", line);
        for (int i = 0; i < shared_tokens; ++i) request.prompt.push_back(id_at(0, i));
        for (int i = 0; i < input_tokens; ++i) request.prompt.push_back(id_at(static_cast<std::uint64_t>(line), i));
        request.max_tokens = output_tokens;
        request.temperature = 0;
        request.ignore_eos = true;
        return made;
    };
    std::vector<OrderKey> keys;
    for (int r = 0; r < requests; ++r) keys.push_back(order_key(input.prepare(r + 1, {}).request));
    order_entries(input, keys);
    input.digest =
        fmt::format("synthetic {} x {}+{} -> {}, seed {}", requests, shared_tokens, input_tokens, output_tokens, seed);
    return input;
}

}  // namespace argosy
