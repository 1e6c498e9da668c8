// The partition is real: what a rank holds, computes, reads and sends is what the layout says, measured from outside or
// against the plans.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <future>
#include <iostream>
#include <map>
#include <numeric>
#include <sstream>

#include "runtime/forward/recorder.hpp"
#include "runtime/model/families.hpp"
#include "runtime/model/weight_plan.hpp"
#include "tests/launch/run_program.hpp"
#include "tests/support/shared_data.hpp"

using namespace argosy;
using namespace argosy::test;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr double kTolerance = 0.15;

struct Layout {
    int ranks;
    std::string options;
};

std::ostream& operator<<(std::ostream& out, const Layout& layout) {
    return out << std::max(1, layout.ranks) << " ranks " << layout.options;
}

fs::path demo() { return source_dir() / "configs/demo"; }

// 13 million parameters, nearly all of them in experts: what every rank holds whole (embedding, norms, routers) is 2 %
// of it.
const char* kConfig =
    R"({"architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "hidden_size": 256, "num_hidden_layers": 2,
 "num_attention_heads": 8, "num_key_value_heads": 8, "head_dim": 32, "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 1024,
 "intermediate_size": 512, "vocab_size": 1024, "max_position_embeddings": 2048, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
 "tie_word_embeddings": false, "norm_topk_prob": true, "decoder_sparse_step": 1, "mlp_only_layers": [], "torch_dtype": "bfloat16",
 "eos_token_id": 1023, "hidden_act": "silu"})";

// A benchmark of that model with random weights. `before`: words before the program.
ProgramResult run_bench(const fs::path& folder, const Layout& layout, int requests, const std::string& run,
                        const std::vector<std::string>& before = {}) {
    ProgramCall call;
    call.ranks = layout.ranks;
    call.before = before;
    call.arguments = {"bench",
                      "--model",
                      (folder / "config.json").string(),
                      "--weights",
                      "random:1",
                      "--requests",
                      std::to_string(requests),
                      "--input-tokens",
                      "128",
                      "--output-tokens",
                      "2",
                      "--kv-memory",
                      "64MiB",
                      "--run-dir",
                      (folder / run).string()};
    for (const std::string& word : words_of(layout.options)) call.arguments.push_back(word);
    return run_program(call);
}

}  // namespace

// ---- memory
// ---------------------------------------------------------------------------------------------------------------

TEST_CASE("weights of a rank are its share of the model, and of nothing else") {
    const TempDir temp;
    write_text(temp.path() / "config.json", kConfig);
    const ModelPlan plan = plan_model(read_config_text(temp.path() / "config.json"));
    const WeightBytes whole = weight_bytes(plan, 2, {});
    REQUIRE(run_bench(temp.path(), {1, ""}, 2, "one").status == 0);
    const std::int64_t alone = read_report(temp.path() / "one").at("ranks")[0].at("weight_bytes_private");
    // Norms are kept in f32, two bytes more for each element than they are stored with; routers of 8 experts fill a
    // panel of 16.
    CHECK(alone == whole.total() + whole[WeightClass::norms] + whole[WeightClass::router]);

    for (const Layout& layout :
         {Layout{2, "--tp 2"}, Layout{4, "--tp 4"}, Layout{2, "--tp 2 --etp 2"}, Layout{4, "--tp 4 --etp 2"},
          Layout{2, "--dp 2"}, Layout{4, "--dp 4"}, Layout{4, "--tp 2 --dp 2"}}) {
        INFO(layout);
        const std::vector<std::string> words = words_of(layout.options);
        const auto option = [&](const std::string& name, int otherwise) {
            const auto at = std::find(words.begin(), words.end(), name);
            return at == words.end() ? otherwise : std::stoi(*(at + 1));
        };
        const int tp = option("--tp", 1), etp = option("--etp", 1), ep = layout.ranks / etp;
        const ProgramResult result = run_bench(temp.path(), layout, 2, "run");
        INFO(result.err);
        REQUIRE(result.status == 0);
        const json report = read_report(temp.path() / "run");
        REQUIRE(report.at("ranks").size() == static_cast<std::size_t>(layout.ranks));
        for (int rank = 0; rank < layout.ranks; ++rank) {
            const json& ledger = report.at("ranks")[static_cast<std::size_t>(rank)];
            const LayoutShare share{
                .tp_rank = rank % tp, .tp = tp, .ep_rank = rank / etp, .ep = ep, .etp_rank = rank % etp, .etp = etp};
            WeightBytes mine = weight_bytes(plan, 2, share);
            std::int64_t wanted = mine[WeightClass::experts];
            if (tp == layout.ranks)
                wanted +=
                    mine[WeightClass::attention] + mine[WeightClass::head];  // else dp groups share one copy of these
            CHECK(ledger.at("weight_bytes_private") == wanted);
            const double share_of_alone =
                ledger.at("weight_bytes_private").get<double>() / static_cast<double>(alone) * layout.ranks;
            CHECK(share_of_alone > 1 - kTolerance);
            CHECK(share_of_alone < 1 + kTolerance);
            if (rank == 0)
                std::cout << layout << ": private weights " << ledger.at("weight_bytes_private") << " of " << alone
                          << " bytes, x ranks = " << share_of_alone << "\n";
        }
        fs::remove_all(temp.path() / "run");
    }
}

// ---- processor time
// -------------------------------------------------------------------------------------------------------

namespace {

// Seconds of processor time that each rank spent outside MPI. A rank that waits in MPI polls and so burns its
// processor; with more ranks than cores, or ranks of unequal load, a process's whole time says how long it lived and
// not how much it worked. mpi_cpu_meter.c tells the two apart.
std::vector<double> work_seconds(const fs::path& folder, const Layout& layout, int requests, const std::string& name) {
    const fs::path meter = folder / (name + "-meter");
    fs::create_directories(meter);
    const ProgramResult result =
        run_bench(folder, layout, requests, name,
                  {"env", "LD_PRELOAD=" ARGOSY_CPU_METER_LIBRARY, "ARGOSY_CPU_METER=" + meter.string()});
    std::vector<double> seconds;
    for (int rank = 0; result.status == 0 && rank < layout.ranks; ++rank) {
        std::istringstream text(read_text(meter / std::to_string(rank)));
        double total = 0, inside = 0;
        text >> total >> inside;
        seconds.push_back((total - inside) * 1e-9);
    }
    fs::remove_all(meter);
    fs::remove_all(folder / name);
    return seconds;
}

// The same without what a job of little work costs: start-up, making and packing weights.
constexpr int kFewRequests = 8, kManyRequests = 200;
std::vector<double> step_seconds(const fs::path& folder, const Layout& layout, const std::string& name) {
    const std::vector<double> few = work_seconds(folder, layout, kFewRequests, name);
    std::vector<double> many = work_seconds(folder, layout, kManyRequests, name);
    REQUIRE(few.size() == many.size());
    for (std::size_t i = 0; i < many.size(); ++i) many[i] -= few[i];
    return many;
}

// One rank's time for the whole work while every core that `ranks` ranks would use is busy with the same: caches,
// memory and clocks are shared alike, so that the comparison is about the partition.
double whole_seconds(const fs::path& folder, int ranks) {
    std::vector<std::future<std::pair<std::vector<double>, std::vector<double>>>> jobs;
    for (int i = 0; i < ranks; ++i) {
        jobs.push_back(std::async(std::launch::async, [&folder, i] {
            const std::string name = "whole-" + std::to_string(i);
            std::vector<double> few = work_seconds(folder, {1, ""}, kFewRequests, name);
            return std::pair(few, work_seconds(folder, {1, ""}, kManyRequests, name));
        }));
    }
    double sum = 0;
    for (auto& job : jobs) {
        const auto [few, many] = job.get();
        REQUIRE(few.size() == 1);
        REQUIRE(many.size() == 1);
        sum += many[0] - few[0];
    }
    return sum / ranks;
}

}  // namespace

// Where a layout cuts every matrix (tp = etp = N) each rank works 1/N. Where it deals out whole experts or requests,
// how much a rank gets is the routers' choice, but nothing is done twice: the ranks' mean is 1/N. Times of a shared
// machine scatter, so the least of up to three tries counts, and the case runs only when asked for, on a quiet machine:
// test_partition "[timing]"
TEST_CASE("processor time of a rank is its share of the work", "[.][timing]") {
    const TempDir temp;
    write_text(temp.path() / "config.json", kConfig);
    for (const int ranks : {2, 4}) {
        const std::string n = std::to_string(ranks);
        double whole = 1e9;
        std::map<std::string, std::vector<double>> least;
        const std::vector<std::pair<std::string, bool>> layouts = {
            {"--tp " + n + " --etp " + n, true}, {"--tp " + n, false}, {"--dp " + n, false}};
        const auto ratio = [&](double seconds) { return seconds / whole * ranks; };
        const auto near_one = [](double value) { return value > 1 - kTolerance && value < 1 + kTolerance; };
        const auto holds = [&](const std::string& options, bool each) {
            const std::vector<double>& seconds = least.at(options);
            if (each) return std::all_of(seconds.begin(), seconds.end(), [&](double s) { return near_one(ratio(s)); });
            return near_one(ratio(std::accumulate(seconds.begin(), seconds.end(), 0.0) / ranks));
        };
        for (int attempt = 0; attempt < 3; ++attempt) {
            if (attempt > 0 &&
                std::all_of(layouts.begin(), layouts.end(), [&](const auto& l) { return holds(l.first, l.second); }))
                break;
            whole = std::min(whole, whole_seconds(temp.path(), ranks));
            for (const auto& [options, each] : layouts) {
                const std::vector<double> seconds = step_seconds(temp.path(), {ranks, options}, "split");
                REQUIRE(seconds.size() == static_cast<std::size_t>(ranks));
                auto [known, fresh] = least.try_emplace(options, seconds);
                const double sum_before = std::accumulate(known->second.begin(), known->second.end(), 0.0);
                if (!fresh && std::accumulate(seconds.begin(), seconds.end(), 0.0) < sum_before)
                    known->second = seconds;
            }
        }
        for (const auto& [options, each] : layouts) {
            std::string text;
            for (const double seconds : least.at(options)) text += " " + std::to_string(ratio(seconds));
            std::cout << ranks << " ranks " << options << ": processor time x ranks / that of one rank (" << whole
                      << " s):" << text << "\n";
            INFO(options << ": " << text);
            CHECK(holds(options, each));
        }
    }
}

// ---- file system
// ----------------------------------------------------------------------------------------------------------

namespace {

// Bytes that system calls brought from each weight file, over all processes traced into `folder`; mapping one counts as
// a fault.
struct Reads {
    std::map<std::string, std::int64_t> bytes;
    int readers = 0;  // threads that read any
    int maps = 0;
};

// Lines look like: pread64(17</path/model.safetensors>, "..."..., 4096, 0) = 4096
Reads count_reads(const fs::path& folder) {
    Reads reads;
    for (const auto& entry : fs::directory_iterator(folder)) {
        std::ifstream file(entry.path());
        bool reader = false;
        for (std::string line; std::getline(file, line);) {
            const std::size_t end = line.find(".safetensors>");
            if (end == std::string::npos) continue;
            const std::size_t begin = line.rfind('<', end);
            const std::string path = line.substr(begin + 1, end + std::string(".safetensors").size() - begin - 1);
            const std::string call = line.substr(0, line.find('('));
            if (call == "mmap") {
                ++reads.maps;
            } else if (call != "close") {
                const std::int64_t result = std::stoll(line.substr(line.rfind("= ") + 2));
                reads.bytes[path] += std::max<std::int64_t>(result, 0);
                reader = reader || result > 0;
            }
        }
        reads.readers += reader ? 1 : 0;
    }
    return reads;
}

// `unread`: bytes of tensors that are of no use here.
void check_reads(const fs::path& model, const std::string& requests, const std::string& options = "",
                 std::int64_t unread = 0) {
    std::map<std::string, std::int64_t> sizes;
    std::int64_t all = 0;
    for (const auto& entry : fs::directory_iterator(model)) {
        const std::string name = entry.path().filename();
        if (name.rfind("model", 0) != 0 || entry.path().extension() != ".safetensors") continue;
        sizes[fs::canonical(entry.path())] = static_cast<std::int64_t>(entry.file_size());
        all += static_cast<std::int64_t>(entry.file_size());
    }
    REQUIRE_FALSE(sizes.empty());
    sizes.begin()->second -= unread;
    all -= unread;
    for (const Layout& layout :
         {Layout{1, ""}, Layout{2, "--tp 2"}, Layout{2, "--dp 2"}, Layout{2, "--replicas 2"}, Layout{4, "--tp 4"},
          Layout{4, "--dp 4"}, Layout{4, "--replicas 2 --tp 2"}, Layout{4, "--replicas 4"}}) {
        INFO(model.filename() << " on " << layout);
        const TempDir temp;
        fs::create_directories(temp.path() / "trace");
        write_text(temp.path() / "in.jsonl", requests);
        ProgramCall call;
        call.ranks = layout.ranks;
        // All calls that can bring bytes of a file; -y names the file behind each descriptor, -ff gives every thread a
        // file of its own. --seccomp-bpf stops a rank at these calls alone, and not at each yield while it waits for
        // another.
        call.before = {"strace",
                       "-ff",
                       "--seccomp-bpf",
                       "-y",
                       "-s",
                       "0",
                       "-e",
                       "trace=read,pread64,readv,preadv,preadv2,sendfile,copy_file_range,splice,mmap",
                       "-o",
                       (temp.path() / "trace/t").string()};
        call.arguments = {"run",
                          "--model",
                          model.string(),
                          "--input",
                          (temp.path() / "in.jsonl").string(),
                          "--run-dir",
                          (temp.path() / "run").string()};
        for (const std::string& word : words_of(layout.options + " " + options)) call.arguments.push_back(word);
        const ProgramResult result = run_program(call);
        INFO(result.err);
        REQUIRE(result.status == 0);
        const Reads reads = count_reads(temp.path() / "trace");
        CHECK(reads.bytes == sizes);  // every file, as often as it is long: once
        CHECK(reads.maps == 0);
        CHECK(reads.readers == layout.ranks);  // and all ranks take part in it
        CHECK(read_report(temp.path() / "run").at("bytes_read") == all);
    }
    std::cout << model.filename() << ": " << all << " bytes in " << sizes.size()
              << " files, read once in every layout\n";
}

}  // namespace

TEST_CASE("every byte of a checkpoint is read from the file system once per job") {
    if (!have(std::system("strace -o /dev/null true 2>/dev/null") == 0, "bytes read from the file system", "strace",
              "ARGOSY_REQUIRE_STRACE"))
        return;
    const std::string requests = request_line("a", {48, 25, 220}, 2) + request_line("b", {1, 2, 3, 4}, 2);
    check_reads(demo(), requests);
    check_reads(demo(), requests, "--weights-as fp8");
    if (have_shared("models-tiny/qwen3_moe_nvfp4", "bytes read of a quantised checkpoint")) {
        // 4 layers of 4 + 16 x 3 matrices, each with an input_scale.
        check_reads(*shared_dir() / "models-tiny/qwen3_moe_nvfp4", requests, "", std::int64_t{4} * 52 * 4);
    }
    if (have_shared("models-tiny/qwen3_moe_sharded", "bytes read of a checkpoint in three files")) {
        check_reads(*shared_dir() / "models-tiny/qwen3_moe_sharded", requests);
    }
}

// ---- messages
// -------------------------------------------------------------------------------------------------------------

namespace {

constexpr std::int64_t kStepWordBytes = 64;

json run_demo(const fs::path& folder, const Layout& layout, const std::vector<std::string>& more) {
    ProgramCall call;
    call.ranks = layout.ranks;
    call.arguments = {"run", "--run-dir", (folder / "run").string()};
    call.arguments.insert(call.arguments.end(), more.begin(), more.end());
    for (const std::string& word : words_of(layout.options)) call.arguments.push_back(word);
    const ProgramResult result = run_program(call);
    INFO(result.err);
    REQUIRE(result.status == 0);
    return read_report(folder / "run");
}

std::int64_t witness(const json& ledger, const char* name) { return ledger.at("witness").at(name); }

}  // namespace

// The stage and etp groups carry the exchange and one word a step, nothing else: to the byte.
TEST_CASE("bytes sent are what the route plans say") {
    for (const Layout& layout :
         {Layout{2, "--dp 2"}, Layout{2, "--tp 2"}, Layout{2, "--tp 2 --etp 2"}, Layout{4, "--dp 4"},
          Layout{4, "--tp 2 --dp 2"}, Layout{4, "--tp 4 --etp 2"}, Layout{4, "--replicas 2 --dp 2"}}) {
        INFO(layout);
        const TempDir temp;
        const json report = run_demo(temp.path(), layout, {"--max-rows", "96", "--exchange-rows", "16"});
        const int stage = layout.options.find("--replicas") == std::string::npos ? layout.ranks : 2;
        std::int64_t planned = 0;
        for (const json& ledger : report.at("ranks")) {
            INFO("rank " << ledger.at("rank"));
            const std::int64_t words = witness(ledger, "step_words") * kStepWordBytes * (stage - 1);
            CHECK(witness(ledger, "exchange_group_bytes") == witness(ledger, "exchange_planned_bytes") + words);
            CHECK(witness(ledger, "exchange_planned_bytes") > 0);
            CHECK(witness(ledger, "step_words") > witness(ledger, "steps"));
            planned += witness(ledger, "exchange_planned_bytes");
            // They stand in the report by verb too, among what else was sent.
            std::int64_t by_verb = 0;
            for (const auto& [verb, bytes] : ledger.at("bytes_sent").items()) by_verb += bytes.get<std::int64_t>();
            CHECK(by_verb >= witness(ledger, "exchange_group_bytes"));
        }
        CHECK(report.at("witness").at("exchange_planned_bytes") == planned);
        CHECK(report.at("witness").at("exchange_rounds") >
              report.at("witness").at("steps").get<std::int64_t>() * 5);  // some layers needed several rounds
        std::cout << layout << ": " << planned << " bytes planned and sent\n";
    }
}

// And the plans are right: of one step, counted by hand from the experts that the routers chose.
TEST_CASE("the route plans send a row to each rank that holds one of its experts, once") {
    const ModelPlan plan = plan_model(read_config_text(demo() / "config.json"));
    const std::int64_t k = plan.moe.top_k, hidden = plan.hidden, layers = static_cast<std::int64_t>(plan.layers.size());
    const TempDir temp;
    std::vector<int> prompt;
    for (int i = 0; i < 201; ++i) prompt.push_back((i * 37 + i * i) % 2000);
    write_text(temp.path() / "in.jsonl", request_line("p", prompt, 1));
    for (const Layout& layout : {Layout{2, "--tp 2"}, Layout{4, "--tp 4"}}) {
        INFO(layout);
        const json report =
            run_demo(temp.path(), layout, {"--input", (temp.path() / "in.jsonl").string(), "--record", "router"});
        const RecordedRequest recorded = read_record(temp.path() / "run/record").at("p");
        const std::int64_t rows = static_cast<std::int64_t>(prompt.size()), ranks = layout.ranks;
        REQUIRE(recorded.router_ids.size() == static_cast<std::size_t>(layers * rows * k));
        for (std::int64_t rank = 0; rank < ranks; ++rank) {
            // Rank t owns rows [R*t/tp, R*(t+1)/tp): it sends them out, and sends back sums for others' rows.
            const std::int64_t own_begin = rows * rank / ranks, own_end = rows * (rank + 1) / ranks;
            std::int64_t out = 0, back = 0;
            for (std::int64_t layer = 0; layer < layers; ++layer) {
                for (std::int64_t row = 0; row < rows; ++row) {
                    const std::int32_t* ids = &recorded.router_ids[static_cast<std::size_t>((layer * rows + row) * k)];
                    const bool own = row >= own_begin && row < own_end;
                    for (std::int64_t other = 0; other < ranks; ++other) {
                        const ExpertRange experts = experts_of(plan, static_cast<int>(other), static_cast<int>(ranks));
                        const bool wanted = std::any_of(
                            ids, ids + k, [&](std::int32_t id) { return id >= experts.begin && id < experts.end; });
                        if (own && other != rank && wanted) ++out;
                        if (!own && other == rank && wanted) ++back;
                    }
                }
            }
            const json& ledger = report.at("ranks")[static_cast<std::size_t>(rank)];
            const std::int64_t steps = witness(ledger, "steps") + witness(ledger, "empty_steps");
            const std::int64_t counts =
                steps * layers * ranks * 4 * (ranks - 1);  // how many rows come, to every other rank
            const std::int64_t wanted =
                counts + out * (k * 8 + hidden * 4) + back * hidden * 4;  // ids and weights, rows there, one sum back
            INFO("rank " << rank << ": " << out << " rows out, " << back << " back, " << steps << " steps");
            CHECK(witness(ledger, "exchange_rows") == out);
            CHECK(witness(ledger, "exchange_planned_bytes") == wanted);
        }
        fs::remove_all(temp.path() / "run");
    }
}
