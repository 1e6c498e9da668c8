// Model, layout, threads, memory and requests of a job, decided in this order.
#include "runtime/job_setup.hpp"

#include <algorithm>

#include "kernels/backend.hpp"
#include "kernels/base/error.hpp"
#include "kernels/self_test.hpp"
#include "runtime/forward/kv_cache.hpp"
#include "runtime/forward/rank_context.hpp"
#include "runtime/memory_budget.hpp"
#include "runtime/model/families.hpp"
#include "runtime/model/kv_groups.hpp"
#include "runtime/placement.hpp"
#include "runtime/schedule/kv_window.hpp"

namespace argosy {

namespace fs = std::filesystem;

namespace {

void broadcast_text(MpiSession& session, std::string& text) {
    auto bytes = static_cast<std::int64_t>(text.size());
    session.world().broadcast(&bytes, sizeof bytes, 0);
    text.resize(static_cast<std::size_t>(bytes));
    session.world().broadcast(text.data(), bytes, 0);
}

// config.json is read by rank 0 alone; every rank parses the same text and so gets the same plan or the same error.
ModelPlan read_plan(MpiSession& session, const fs::path& model) {
    ConfigText text;
    session.run_agreed([&] {
        if (session.rank() == 0) text = read_config_text(model);
    });
    broadcast_text(session, text.config_path);
    broadcast_text(session, text.config);
    broadcast_text(session, text.generation_path);
    broadcast_text(session, text.generation);
    ModelPlan plan;
    session.run_agreed([&] { plan = plan_model(text); });
    return plan;
}

ModelPlan with_predictor_asked(const ModelPlan& plan) {
    if (plan.predictors > 0) return with_predictor(plan);
    fail(
        ErrorKind::usage,
        "--record mtp: the model has no layer that predicts one token further (config.json: num_nextn_predict_layers). "
        "Leave mtp out.");
}

// Bytes that a rank of some share holds, in the formats in which weights are kept. Where all tensors have one, without
// going through their list.
std::function<WeightBytes(const LayoutShare&)> weight_counter(const ModelPlan& plan, const WeightSource& source,
                                                              const Ops& ops) {
    std::vector<StoredTensor> held = source.sent;
    std::vector<DType> sent;
    for (const StoredTensor& tensor : held) sent.push_back(tensor.dtype);
    const std::vector<DType> kept = kept_dtypes(plan, source.tensors, sent, ops);
    for (std::size_t i = 0; i < held.size(); ++i) held[i].dtype = kept[i];
    const bool one_format = std::all_of(held.begin(), held.end(),
                                        [&](const StoredTensor& tensor) { return tensor.dtype == held[0].dtype; });
    if (one_format && !held.empty()) {
        const auto bytes = static_cast<std::int64_t>(size_of(held[0].dtype));
        return [&plan, bytes](const LayoutShare& share) { return weight_bytes(plan, bytes, share); };
    }
    return [&plan, &tensors = source.tensors, held](const LayoutShare& share) {
        return weight_bytes(plan, tensors, held, share);
    };
}

FitQuestion fit_question(const JobSetup& job, const JobSettings& settings, const MpiSession& session) {
    FitQuestion question;
    question.plan = &job.plan;
    question.weights = weight_counter(job.plan, job.source, *job.ops);
    question.kv_dtype = settings.kv_dtype;
    question.products = job.ops->products;
    question.kv_memory_bytes = settings.kv_memory_bytes;
    question.max_rows = settings.max_rows;
    question.exchange_rows = settings.exchange_rows;
    question.threads = job.stream.threads;
    question.ranks_per_node = session.node().ranks;
    question.bytes_per_rank = job.spots[0].memory_bytes;
    for (const RankSpot& spot : job.spots)
        question.bytes_per_rank = std::min(question.bytes_per_rank, spot.memory_bytes);
    const RankSpot& first = job.spots[0];
    question.sharing_ranks =
        static_cast<int>(std::count_if(job.spots.begin(), job.spots.end(), [&](const RankSpot& spot) {
            return spot.leader == first.leader && spot.numa_domain == first.numa_domain;
        }));
    return question;
}

ModelShape shape_of_model(const ModelPlan& plan) {
    ModelShape shape{.q_heads = plan.attention.q_heads,
                     .kv_heads = plan.attention.kv_heads,
                     .experts = plan.moe.experts,
                     .expert_intermediate = expert_leaf_units(plan),
                     .dense_intermediate = 0,
                     .vocab = plan.vocab_size,
                     .bytes_needed = {},
                     .bytes_max = 0};
    for (const LayerPlan& layer : plan.layers) {
        if (layer.kind == LayerKind::dense)
            shape.dense_intermediate = std::max<std::int64_t>(shape.dense_intermediate, layer.intermediate);
    }
    return shape;
}

int longest_sequence(const JobInput& input) {
    std::int64_t longest = 1;
    for (const RequestEntry& entry : input.entries) longest = std::max<std::int64_t>(longest, entry.total_tokens);
    return static_cast<int>(longest);
}

// Blocks beyond which the pool of a group could not be filled: all requests at once, or as many of the longest as a
// step has rows; and where there are windows, what the rows of a step need until it ends. What a window has left behind
// is worth keeping for others that begin alike: of one sequence.
std::int64_t useful_blocks(const JobInput& input, const std::vector<int>& windows, int max_rows, int longest) {
    const auto blocks = [&](std::int64_t tokens) { return most_blocks(windows, tokens, 1); };
    std::int64_t all = 1;
    for (const RequestEntry& entry : input.entries) all += entry.samples * blocks(entry.total_tokens);
    const std::int64_t kept = std::ssize(windows) * most_blocks(0, longest, 1) - blocks(longest);
    const std::int64_t in_step = most_blocks(windows, longest, max_rows) - blocks(longest);
    return std::max(blocks(longest), std::min(all, 2 * std::int64_t{max_rows} * blocks(longest))) +
           std::max(kept, in_step);
}

// The verdict for the job's own longest sequence, and the pool. A longest sequence that does not fit is not the job's
// end: such requests get error records, the others are answered.
void decide_pool(const MpiSession& session, const JobSettings& settings, JobSetup& job) {
    constexpr double kPoolShare = 0.6;  // of what is free after the weights; the rest is for buffers and the page cache
    FitQuestion question = fit_question(job, settings, session);
    question.positions = job.positions;
    job.fit = judge_fit(question, job.layout, shape_of_model(job.plan));
    const std::int64_t have = job.spots[static_cast<std::size_t>(session.rank())].memory_bytes;
    const std::int64_t free_bytes = std::max<std::int64_t>(0, have - job.fit.need.weight_bytes);
    PoolNeed need{.block_bytes = job.kv_block_bytes,
                  .budget_bytes = settings.kv_memory_bytes,
                  .useful_blocks = useful_blocks(job.input, kv_groups(job.plan).windows, job.max_rows, job.positions),
                  .budget_given = settings.kv_memory_bytes > 0};
    if (need.budget_given) {
        if (!job.fit.fits && !settings.dry_run) fail(ErrorKind::usage, "{}", job.fit.sentence);
    } else {
        const std::int64_t longest = std::min(job.fit.need.kv_bytes, free_bytes - job.fit.need.buffer_bytes);
        need.budget_bytes = std::max(static_cast<std::int64_t>(kPoolShare * static_cast<double>(free_bytes)), longest);
    }
    if (settings.dry_run && !job.fit.fits) return;  // the plan is printed with the verdict
    job.kv_blocks = pool_blocks(need);
}

}  // namespace

JobSetup set_up_job(MpiSession& session, const JobSettings& settings, const std::optional<SyntheticWork>& synthetic,
                    AccountClock& clock) {
    JobSetup job;
    session.run_agreed([&] { job.ops = &select_backend(settings.backend, settings.isa, settings.numerics); });
    job.stream.threads = choose_threads(session.node(), settings.threads);
    prepare_threads(job.stream.threads);
    job.spots = gather_spots(
        session, spot_of_this_rank(session, job.stream.threads, available_memory_bytes() / session.node().ranks));
    job.same_bits = describe(self_test(*job.ops, reference_of(*job.ops), job.stream));

    job.plan = read_plan(session, settings.model);
    if (std::find(settings.record.begin(), settings.record.end(), "mtp") != settings.record.end())
        session.run_agreed([&] { job.plan = with_predictor_asked(job.plan); });
    job.config = fs::is_directory(settings.model) ? settings.model / "config.json" : settings.model;
    fs::path folder = job.config.parent_path();
    if (folder.empty()) folder = ".";  // a config.json of the working directory, named without a folder
    job.model_name = fs::absolute(folder).lexically_normal().filename().string();
    if (job.model_name.empty())
        job.model_name = fs::absolute(folder).lexically_normal().parent_path().filename().string();
    job.source = synthetic && synthetic->random_weights ? random_weights(job.plan, *synthetic->random_weights)
                                                        : open_weights(session, job.plan, folder);
    if (settings.weights_as) send_as(job.source, *settings.weights_as);

    const LayoutRequest request{.replicas = settings.replicas,
                                .pp = settings.pp,
                                .dp = settings.dp,
                                .tp = settings.tp,
                                .ep = settings.ep,
                                .etp = settings.etp};
    session.run_agreed([&] {
        const FitQuestion question = fit_question(job, settings, session);
        ModelShape shape = shape_of_model(job.plan);
        shape.bytes_max = question.bytes_per_rank;
        // Whichever requests may come: a sequence of the longest length that the model knows should fit too.
        shape.bytes_needed = [&](const RankLayout& layout) {
            FitQuestion longest = question;
            longest.positions = job.plan.max_positions;
            return memory_needed(longest, layout).total();
        };
        job.layout = resolve_layout(session.size(), request, shape);
        job.fit = judge_fit(question, job.layout, shape_of_model(job.plan));
        if (!job.fit.fits && !settings.dry_run) fail(ErrorKind::usage, "{}", job.fit.sentence);
    });
    session.world().broadcast(&job.layout, sizeof job.layout, 0);  // nodes may see different memory: rank 0 decides
    job.place = place_of(job.layout, session.rank());
    job.weight_bytes = weight_counter(job.plan, job.source, *job.ops)(share_of(job.place, job.layout)).total();

    if (!synthetic) {
        session.run_agreed([&] { job.tokenizer = load_tokenizer(folder / "tokenizer.json"); });
        job.input = read_job_input(session, settings, job.plan, job.tokenizer, job.stream.threads, clock);
    } else {
        if (fs::exists(folder / "tokenizer.json"))
            session.run_agreed([&] { job.tokenizer = load_tokenizer(folder / "tokenizer.json"); });
        job.input = synthetic_input(job.plan, synthetic->requests, synthetic->input_tokens, synthetic->shared_tokens,
                                    synthetic->output_tokens, settings.seed);
    }

    job.max_rows = settings.max_rows;
    job.exchange_rows = exchange_rows_of(settings.exchange_rows, settings.max_rows, job.layout.stage_size());
    job.positions = longest_sequence(job.input);
    const HeadShare heads = head_share(job.plan, job.place.tp_rank, job.layout.tp);
    session.run_agreed([&] {
        job.kv_block_bytes =
            kv_block_bytes(kv_groups(job.plan), kv_spec(job.plan, heads.kv.count(), settings.kv_dtype), *job.ops);
    });
    session.run_agreed([&] { decide_pool(session, settings, job); });
    // One scheduler state for all ranks of a group: the smallest pool counts.
    std::vector<std::int64_t> blocks(static_cast<std::size_t>(session.size()));
    session.world().all_gather(&job.kv_blocks, sizeof job.kv_blocks, blocks.data());
    job.kv_blocks = *std::min_element(blocks.begin(), blocks.end());
    return job;
}

std::string describe(const JobSetup& job, const MpiSession& session) {
    const NodeCensus& node = session.node();
    std::string text = describe(job.plan) + "\n";
    text += fmt::format("layout    {} ({} ranks on {} nodes)\n", describe(job.layout), session.size(),
                        session.node_count());
    text += fmt::format("backend   {}, numerics {}, {} threads per rank, {} cores for {} ranks on this node\n",
                        job.ops->name, job.ops->numerics_id, job.stream.threads, node.cores_all, node.ranks);
    if (const std::string advice = bf16_advice(*job.ops); !advice.empty())
        text += fmt::format("advice    {}\n", advice);
    text += fmt::format("memory    weights {:.1f} MiB on this rank, KV pool {} blocks of {} tokens = {:.1f} MiB\n",
                        static_cast<double>(job.weight_bytes) / 1048576.0, job.kv_blocks, kKvBlockTokens,
                        static_cast<double>(job.kv_blocks * job.kv_block_bytes) / 1048576.0);
    if (const std::string layers = describe(kv_groups(job.plan)); !layers.empty())
        text += fmt::format("KV        {}\n", layers);
    text += fmt::format("fit       {}\n", job.fit.sentence);
    text += "placement\n" + describe(job.spots);
    for (const std::string& warning : placement_warnings(job.spots)) text += fmt::format("warning   {}\n", warning);
    text += fmt::format(
        "work      {} requests, {} lines with errors; longest sequence {} tokens; at most {} rows per step\n",
        job.input.entries.size(), job.input.errors.size(), job.positions, job.max_rows);
    return text;
}

}  // namespace argosy
