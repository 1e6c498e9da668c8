// The whole program against the machine it runs on: probe and its profile, limits in reports, placement and its
// warnings, jobs that do not fit, and launchers that start many jobs of one rank. No speed is judged.
#include <catch2/catch.hpp>

#include <filesystem>
#include <iostream>
#include <map>
#include <regex>

#include "kernels/base/step_cost.hpp"
#include "kernels/ops.hpp"
#include "tests/launch/run_program.hpp"
#include "tests/support/shared_data.hpp"

using namespace argosy::test;
using Catch::Contains;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

// 4 layers, 8 experts of which each token takes 3.
json small_config() {
    return {{"architectures", {"Qwen3MoeForCausalLM"}},
            {"model_type", "qwen3_moe"},
            {"hidden_size", 256},
            {"num_hidden_layers", 4},
            {"num_attention_heads", 8},
            {"num_key_value_heads", 4},
            {"head_dim", 32},
            {"num_experts", 8},
            {"num_experts_per_tok", 3},
            {"moe_intermediate_size", 200},
            {"intermediate_size", 512},
            {"vocab_size", 1021},
            {"max_position_embeddings", 4096},
            {"rms_norm_eps", 1e-6},
            {"rope_theta", 10000.0},
            {"tie_word_embeddings", false},
            {"norm_topk_prob", true},
            {"decoder_sparse_step", 1},
            {"mlp_only_layers", json::array()},
            {"torch_dtype", "bfloat16"},
            {"eos_token_id", 1020},
            {"hidden_act", "silu"}};
}

ProgramResult run(std::vector<std::string> arguments, int ranks = 0, std::vector<std::string> environment = {},
                  std::vector<std::string> before = {}) {
    ProgramCall call;
    call.arguments = std::move(arguments);
    call.ranks = ranks;
    call.environment = std::move(environment);
    call.before = std::move(before);
    return run_program(call);
}

// A benchmark of small_config() with random weights.
std::vector<std::string> bench(const fs::path& folder, const std::string& options) {
    write_text(folder / "config.json", small_config().dump());
    std::vector<std::string> words = {"bench", "--model", (folder / "config.json").string(), "--weights", "random:1"};
    for (const std::string& word : words_of(options)) words.push_back(word);
    return words;
}

std::int64_t witness(const json& rank, const char* name) { return rank.at("witness").at(name); }

}  // namespace

TEST_CASE("probe writes a profile, and reports print parts of its limits") {
    const TempDir temp;
    const std::string profile = (temp.path() / "here.json").string();
    const ProgramResult probed = run({"probe", "--quick", "--output", profile, "--path", temp.path().string()}, 2);
    INFO(probed.err);
    REQUIRE(probed.status == 0);
    CHECK_THAT(probed.out, Contains("f32 portable") && Contains("read memory") && Contains("same node") &&
                               Contains("profile: " + profile));
    const json read = json::parse(read_text(profile));
    CHECK(read.at("schema") == "argosy-cluster-1");
    CHECK(read.at("ranks_per_node") == 2);

    const std::regex with_limit(
        R"(prefill [\d.]+ tok/s  decode [\d.]+ tok/s  total [\d.]+ tok/s  \([\d.]+ % of limit\)\n$)");
    const std::string work =
        "--requests 8 --input-tokens 64 --output-tokens 8 --run-dir " + (temp.path() / "run").string();
    ProgramResult result = run(bench(temp.path(), work + " --cluster " + profile), 2);
    INFO(result.err);
    REQUIRE(result.status == 0);
    CHECK(std::regex_search(result.out, with_limit));
    CHECK_THAT(result.out, Contains("of what this machine can do at most"));
    CHECK_THAT(read_text(temp.path() / "run/report.txt"), Contains(" limits "));
    CHECK_THAT(read_text(temp.path() / "run/effective.cfg"), Contains("cluster = " + profile));
    CHECK_THAT(read_text(temp.path() / "run/log.txt"),
               Contains("NUMA domain") && Contains("fits: needs") && Contains("buffers"));
    const json report = read_report(temp.path() / "run");
    double limit_s = 0;
    for (const json& rank : report.at("ranks"))
        limit_s = std::max(
            limit_s, 1e-6 * static_cast<double>(witness(rank, "limit_prefill_us") + witness(rank, "limit_decode_us")));
    CHECK(limit_s > 0);
    // The limit of the steps and the time that the job took are of one kind: a wide bound, since the machine is shared,
    // and wider under a sanitizer, which slows the probe's loops more than the job.
    std::smatch match;
    REQUIRE(std::regex_search(result.out, match, std::regex(R"(\(([\d.]+) % of limit\))")));
    std::cout << "small model on 2 ranks: least time of its steps " << limit_s * 1e3 << " ms, " << match[1]
              << " % of what they took\n";
    CHECK(std::stod(match[1]) > 0.01);
    CHECK(std::stod(match[1]) < 300 * patience());

    result = run(bench(temp.path(), "--requests 2 --input-tokens 8 --output-tokens 2"));
    CHECK(result.status == 0);
    CHECK_THAT(result.out, !Contains("of limit") && !Contains(" limits "));
    result = run(bench(temp.path(), "--cluster " + (temp.path() / "config.json").string()));
    CHECK(result.status == 64);
    CHECK_THAT(result.err, Contains("\"schema\" is missing"));
    result = run(bench(temp.path(), "--cluster nowhere"));
    CHECK(result.status == 64);
    CHECK_THAT(result.err, Contains("\"nowhere\"") && Contains("argosy probe"));
}

TEST_CASE("probe's mistakes are sentences, and leave nothing") {
    const TempDir temp;
    const std::string out = (temp.path() / "p.json").string();
    const std::vector<std::pair<std::vector<std::string>, std::string>> mistakes = {
        {{"--quik"}, "Did you mean quick?"},           {{"--threads", "-1"}, "--threads"},
        {{"--disk", "maybe"}, "write on or off"},      {{"--path", "/nowhere"}, "--path"},
        {{"--output", "/nowhere/p.json"}, "--output"}, {{"word"}, "a word stands alone"}};
    for (const auto& [words, part] : mistakes) {
        for (const int ranks : {0, 2}) {
            std::vector<std::string> arguments = {"probe", "--quick"};
            if (words[0] != "--output") arguments.insert(arguments.end(), {"--output", out});
            arguments.insert(arguments.end(), words.begin(), words.end());
            const ProgramResult result = run(arguments, ranks);
            INFO(words[0] << ", ranks " << ranks << ": " << result.err);
            CHECK(result.status == 64);
            CHECK_THAT(result.err, Contains(part));
            CHECK(std::count(result.err.begin(), result.err.end(), '\n') >= 1);
            CHECK(result.err.find("argosy: ") == result.err.rfind("argosy: "));  // one rank speaks
            CHECK(fs::is_empty(temp.path()));
        }
    }
    const ProgramResult help = run({"probe", "--help"});
    CHECK(help.status == 0);
    for (const char* option : {"--threads", "--path", "--disk", "--output", "--quick", "--cluster"})
        CHECK_THAT(help.out, Contains(option));
}

// The meter counts what each kernel was given, the formulas what a step should give them; and a kernel's time is part
// of its account's.
void check_kernels(const json& rank) {
    std::int64_t operations = 0;
    std::map<std::pair<std::string, std::string>, std::int64_t> kernel_ns;
    for (const json& kernel : rank.at("kernels")) {
        operations += kernel.at("operations").get<std::int64_t>();
        kernel_ns[{kernel.at("phase"), kernel.at("account")}] += kernel.at("ns").get<std::int64_t>();
    }
    CHECK(operations / 1'000'000 == witness(rank, "step_megaflops"));
    CHECK(kernel_ns.size() >= 10);  // attention, router, experts, exchange, logits in each phase
    for (const auto& [cell, ns] : kernel_ns) {
        INFO(cell.first << " " << cell.second);
        CHECK(ns <= rank.at("accounts_ns").at(cell.first).at(cell.second).get<std::int64_t>());
    }
}

// Whatever the routers choose: what the formulas say from each step's rows is what the communicators counted.
TEST_CASE("bytes and operations of steps are those of the cost formulas, on every rank") {
    for (const auto& [ranks, options] : std::vector<std::pair<int, std::string>>{{2, "--tp 2"},
                                                                                 {2, "--dp 2"},
                                                                                 {2, "--tp 2 --etp 2"},
                                                                                 {4, "--dp 2 --tp 2 --etp 2"},
                                                                                 {4, "--tp 4 --etp 4"},
                                                                                 {2, "--replicas 2"}}) {
        INFO(options);
        const TempDir temp;
        const ProgramResult result =
            run(bench(temp.path(), options +
                                       " --requests 12 --input-tokens 45 --output-tokens 7 --max-rows 64 "
                                       "--exchange-rows 16 --kv-memory 4MiB --run-dir " +
                                       (temp.path() / "run").string()),
                ranks);
        INFO(result.err);
        REQUIRE(result.status == 0);
        const json report = read_report(temp.path() / "run");
        std::int64_t sent = 0;
        for (const json& rank : report.at("ranks")) {
            CHECK(witness(rank, "step_cost_bytes") == witness(rank, "step_sent_bytes"));
            sent += witness(rank, "step_sent_bytes");
            check_kernels(rank);
        }
        CHECK((sent > 0) == (options != "--replicas 2"));
        std::cout << options << ": " << sent << " bytes sent by steps, as predicted\n";
    }
}

TEST_CASE("the same over latents, beside a shared feed-forward, and with windows") {
    for (const std::string model : {"deepseek_v2", "deepseek_v3", "gpt_oss"}) {
        if (!have_shared("models-tiny/" + model, "steps of " + model)) return;
        for (const auto& [ranks, options] :
             std::vector<std::pair<int, std::string>>{{0, ""}, {2, "--tp 2"}, {2, "--dp 2"}, {4, "--tp 4 --etp 2"}}) {
            INFO(model << " " << options);
            const TempDir temp;
            std::vector<std::string> words = {"bench",
                                              "--model",
                                              (*shared_dir() / "models-tiny" / model / "config.json").string(),
                                              "--weights",
                                              "random:1",
                                              "--run-dir",
                                              (temp.path() / "run").string()};
            for (const std::string& word :
                 words_of(options + " --requests 9 --input-tokens 45 --output-tokens 7 --max-rows 64"))
                words.push_back(word);
            const ProgramResult result = run(words, ranks);
            INFO(result.err);
            REQUIRE(result.status == 0);
            const json report = read_report(temp.path() / "run");
            for (const json& rank : report.at("ranks")) {
                CHECK(witness(rank, "step_cost_bytes") == witness(rank, "step_sent_bytes"));
                check_kernels(rank);
            }
        }
    }
}

// One request, so that the steps are known: 50 rows in chunks of 16, then one row at a time. With ep 1 every row goes
// to all ranks whatever the routers choose, so that the prediction needs nothing of the run.
TEST_CASE("bytes are predicted before the run where routers cannot change them") {
    using namespace argosy;
    CostModel model{.hidden = 256,
                    .q_heads = 8,
                    .kv_heads = 4,
                    .head_dim = 32,
                    .vocab = 1021,
                    .dense_columns = {0, 0, 0, 0},
                    .experts = 8,
                    .top_k = 3,
                    .expert_columns = 200,
                    .window = 0,
                    .weight_bits = 16,
                    .kv_vector_bytes = 32 * 2,
                    .sample_bytes = sizeof(SampleResult),
                    .logits_rows = 512};
    const TempDir temp;
    const ProgramResult result = run(
        bench(temp.path(), "--tp 2 --etp 2 --requests 1 --input-tokens 50 --output-tokens 9 --max-rows 16 --run-dir " +
                               (temp.path() / "run").string()),
        2);
    INFO(result.err);
    REQUIRE(result.status == 0);
    const json report = read_report(temp.path() / "run");
    for (int r = 0; r < 2; ++r) {
        const CostPlace place{.dp = 1, .tp = 2, .tp_rank = r, .ep = 1, .ep_rank = 0, .etp = 2, .etp_rank = r};
        std::int64_t bytes = 0, flops = 0;
        const auto take = [&](std::int64_t first, std::int64_t rows, WantedLogits wanted) {
            CostStep step;
            add_sequence(step, model, first, rows, wanted);
            const std::int64_t own = rows * (r + 1) / 2 - rows * r / 2;
            // Each of the 2 ranks computes all rows with its columns; rank e joins and returns [n*e/2, n*(e+1)/2) of
            // each source's n rows, for all of the 3 experts of a row.
            std::int64_t joined = 0, returned = 0;
            for (int source = 0; source < 2; ++source) {
                const std::int64_t n = rows * (source + 1) / 2 - rows * source / 2;
                const std::int64_t mine = n * (r + 1) / 2 - n * r / 2;
                joined += mine;
                if (source != r) returned += mine;
            }
            step.route = {.grouped_rows = 4 * rows * 3,
                          .experts_hit = 0,
                          .rows_sent = 4 * own,
                          .rows_returned = 4 * returned,
                          .member_rows = 4 * (rows - joined) * 3,
                          .rounds = 0};
            const StepCost cost = step_cost(model, place, step);
            bytes += cost.sent.total();
            flops += cost.total().flops;
        };
        for (int first = 0; first < 50; first += 16)
            take(first, std::min(16, 50 - first), first + 16 < 50 ? WantedLogits::none : WantedLogits::last);
        for (int position = 50; position < 50 + 8; ++position) take(position, 1, WantedLogits::last);
        INFO("rank " << r);
        CHECK(witness(report.at("ranks")[static_cast<std::size_t>(r)], "step_sent_bytes") == bytes);
        CHECK(witness(report.at("ranks")[static_cast<std::size_t>(r)], "step_megaflops") == flops / 1'000'000);
    }
}

TEST_CASE("the plan of a dry run maps ranks to cores and memory, and says whether the job fits") {
    const TempDir temp;
    const ProgramResult plan = run(bench(temp.path(), "--dry-run"), 2);
    INFO(plan.err);
    CHECK(plan.status == 0);
    CHECK_THAT(plan.out, Contains("placement") && Contains("NUMA domain") && Contains("fit       fits: needs") &&
                             Contains("layout    replicas 2"));
    CHECK_THAT(plan.out, !Contains("tok/s") && !Contains("advice"));

    // Of the two orders of bf16 one is not this CPU's.
    int advised = 0;
    for (const std::string numerics : {"bf16", "bf16-amx"}) {
        const ProgramResult other = run(bench(temp.path(), "--dry-run --numerics " + numerics), 1);
        CHECK(other.status == 0);
        advised += Contains("advice    This CPU").match(other.out) ? 1 : 0;
    }
    CHECK(advised == 1);

    // 40 billion parameters in 64 experts per layer, from a config.json alone.
    json large = small_config();
    large.update({{"hidden_size", 4096},
                  {"num_hidden_layers", 96},
                  {"num_experts", 64},
                  {"moe_intermediate_size", 8192},
                  {"head_dim", 512},
                  {"vocab_size", 150000}});
    fs::create_directories(temp.path() / "large");
    write_text(temp.path() / "large/config.json", large.dump());
    const std::string model = (temp.path() / "large/config.json").string();
    for (const int ranks : {0, 2}) {
        for (const bool dry : {true, false}) {
            std::vector<std::string> words = {
                "bench", "--model", model, "--weights", "random:1", "--run-dir", (temp.path() / "run").string()};
            if (dry) words.push_back("--dry-run");
            const ProgramResult result = run(words, ranks);
            INFO(result.err << result.out);
            CHECK(result.status == 64);
            CHECK(result.seconds < 30);
            CHECK_THAT(result.err,
                       Contains("The model does not fit into") && Contains("ranks with as much memory each"));
            CHECK(result.err.find("argosy: ") == result.err.rfind("argosy: "));
            CHECK((result.out.find("placement") != std::string::npos) == dry);
            CHECK_FALSE(fs::exists(temp.path() / "run"));
        }
    }
    const ProgramResult pool =
        run(bench(temp.path(), "--kv-memory 900TiB --run-dir " + (temp.path() / "run").string()));
    CHECK(pool.status == 64);
    CHECK_THAT(pool.err, Contains("The KV pool does not fit") && Contains("--kv-memory at most"));
    CHECK_FALSE(fs::exists(temp.path() / "run"));
}

TEST_CASE("published models of hundreds of gigabytes are refused from their config.json") {
    if (!have_shared("model-configs/Qwen3-Coder-480B-A35B-Instruct.json", "large models do not fit")) return;
    for (const char* name : {"Qwen3-Coder-480B-A35B-Instruct", "Mixtral-8x22B-v0.1", "Llama-3.1-70B"}) {
        const fs::path config = *shared_dir() / "model-configs" / (std::string(name) + ".json");
        const ProgramResult result =
            run({"bench", "--model", config.string(), "--weights", "random:1", "--dry-run"}, 0);
        INFO(name << ": " << result.err);
        const bool fits = result.status == 0;  // on a machine with room for it
        CHECK((fits || result.status == 64));
        CHECK_THAT(result.out, Contains(fits ? "fit       fits: needs" : "does not fit into one rank"));
        if (!fits) std::cout << name << ": " << result.err.substr(8);
    }
}

TEST_CASE("more threads than cores are warned of and mark the report") {
    const TempDir temp;
    const ProgramResult bound = run(bench(temp.path(), "--threads 2 --requests 2 --input-tokens 8 --output-tokens 2"),
                                    0, {}, {"taskset", "-c", "0"});
    INFO(bound.err);
    CHECK(bound.status == 0);
    CHECK_THAT(bound.err, Contains("warning: Rank 0 may run on 1 core only and has 2 threads") &&
                              Contains("--bind-to none") && Contains("correctness only"));
    CHECK_THAT(bound.out, Contains("correctness only"));
    const ProgramResult alone =
        run(bench(temp.path(), "--requests 2 --input-tokens 8 --output-tokens 2"), 0, {}, {"taskset", "-c", "0"});
    CHECK_THAT(alone.err, !Contains("warning"));  // threads follow the mask
    CHECK_THAT(alone.out, !Contains("correctness only"));
    const ProgramResult many =
        run(bench(temp.path(), "--requests 2 --input-tokens 8 --output-tokens 2"), 2, {}, {"taskset", "-c", "0"});
    CHECK_THAT(many.err, Contains("2 ranks on ") && Contains("run 2 threads on 1 core"));
    CHECK_THAT(many.out, Contains("correctness only"));
}

TEST_CASE("many jobs of one rank are refused before anything is touched") {
    const TempDir temp;
    const std::string run_dir = (temp.path() / "run").string();
    for (const char* setting : {"SLURM_NTASKS=4", "PMI_SIZE=4", "OMPI_COMM_WORLD_SIZE=4"}) {
        for (const std::vector<std::string>& words : {std::vector<std::string>{"run", "--run-dir", run_dir},
                                                      {"bench", "--run-dir", run_dir},
                                                      {"probe", "--quick"}}) {
            const ProgramResult result = run(words, 0, {setting});
            INFO(setting << " " << words[0] << ": " << result.err);
            CHECK(result.status == 64);
            CHECK_THAT(result.err, Contains("srun --mpi=pmix") && Contains("mpirun") && Contains("4 ranks"));
            CHECK_FALSE(fs::exists(run_dir));
        }
    }
}
