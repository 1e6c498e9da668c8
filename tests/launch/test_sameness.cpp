// Same: one job of 500 mixed requests gives the same bytes however it is run. Every way of running is a line of the
// table below, with the witness counters that prove that what the line is about has happened.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <random>
#include <set>

#include "kernels/backend.hpp"
#include "tests/launch/run_program.hpp"
#include "tests/launch/sameness.hpp"
#include "tests/support/shared_data.hpp"

using namespace argosy::test;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

// The prompts of the demo requests, stretched and mixed with every parameter that answers depend on.
std::string mixed_requests(int count) {
    std::vector<std::string> prompts;
    std::istringstream demo(read_text(source_dir() / "configs/demo/requests.jsonl"));
    for (std::string line; std::getline(demo, line);) {
        const json body = json::parse(line).at("body");
        if (body.contains("prompt")) prompts.push_back(body.at("prompt"));
    }
    std::mt19937 random(20261123);
    const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
    std::string lines;
    for (int i = 0; i < count; ++i) {
        json body = {{"model", "demo"},
                     {"prompt", prompts[static_cast<std::size_t>(below(static_cast<int>(prompts.size())))]},
                     {"max_tokens", 1 + below(40)},
                     {"temperature", 0}};
        if (i % 7 == 3) {
            std::vector<int> ids;
            for (int j = 0; j <= below(70); ++j) ids.push_back(below(2045));
            body["prompt"] = ids;
        }
        if (i % 2 == 1) body.update({{"temperature", 0.3 + 0.1 * below(10)}, {"seed", below(1000)}});
        if (i % 3 == 1) body["top_p"] = 0.7 + 0.05 * below(6);
        if (i % 5 == 1) body["top_k"] = 1 + below(40);
        if (i % 11 == 1) body["min_p"] = 0.01 * below(20);
        if (i % 4 != 2) body["logprobs"] = below(6);
        if (i % 13 == 4) body["echo"] = true;
        if (i % 10 == 5) body["n"] = 2 + below(3);
        if (i % 6 == 1) body["stop"] = json::array({".", " the"});
        if (i % 9 == 1) body["ignore_eos"] = true;
        if (i % 3 == 2) body["return_token_ids"] = true;
        if (i % 8 == 1) body["repetition_penalty"] = 0.8 + 0.1 * below(8);
        if (i % 8 == 3) body["presence_penalty"] = 0.25 * below(9) - 1;
        if (i % 8 == 5) body["frequency_penalty"] = 0.25 * below(9) - 1;
        if (i % 16 == 6)
            body.update({{"repetition_penalty", 1.2}, {"presence_penalty", 0.5}, {"frequency_penalty", 0.3}});
        if (i % 12 == 7) {
            json bias = json::object();
            for (int j = 0; j <= below(30); ++j) bias[std::to_string(below(2045))] = below(13) - 6;
            body["logit_bias"] = bias;
        }
        if (i % 25 == 9) body.update({{"max_tokens", 0}, {"echo", i % 2 == 0}});
        lines += json{{"custom_id", "mixed-" + std::to_string(i)},
                      {"method", "POST"},
                      {"url", "/v1/completions"},
                      {"body", body}}
                     .dump() +
                 "\n";
    }
    return lines;
}

// A handful of short requests, greedy and sampled: an emulated processor takes a quarter of a second per row.
std::string short_requests() {
    std::string lines;
    const char* prompts[] = {"Q: 74 minus 10\nA:", "One sunny day, a girl",
                             "Q: Which is smaller, 1 or 60?\nA:", "In the beginning"};
    for (int i = 0; i < 4; ++i) {
        json body = {{"model", "demo"}, {"prompt", prompts[i]}, {"max_tokens", 5}, {"temperature", 0}, {"logprobs", 3}};
        if (i % 2 == 1) body.update({{"temperature", 0.8}, {"seed", i}, {"top_p", 0.9}, {"n", 2}});
        if (i >= 2) body.update({{"repetition_penalty", 1.3}, {"frequency_penalty", 0.5}, {"logit_bias", {{"11", 4}}}});
        lines += json{{"custom_id", "short-" + std::to_string(i)},
                      {"method", "POST"},
                      {"url", "/v1/completions"},
                      {"body", body}}
                     .dump() +
                 "\n";
    }
    return lines;
}

const auto kAlone = [](const json& w) {
    return value(w, "exchange_rows") == 0 && value(w, "leaf_sums") == 0 && value(w, "mixed_steps") > 0 &&
           value(w, "rows_max") == 2048;
};

}  // namespace

TEST_CASE("layouts give the same bytes") {
    const auto several_claims = above("work_claims", 1);
    check_all_same(mixed_requests(500), {"", 0, kAlone, {}},
                   {
                       {"", 1, kAlone, {}},
                       {"--tp 2", 2, above("leaf_sums", 0), {}},
                       {"--ep 2", 2, above("exchange_rows", 0), {}},
                       {"--dp 2", 2, above("exchange_rows", 0), {}},
                       {"--replicas 2", 2, several_claims, {}},
                       {"--tp 2 --etp 2", 2, above("leaf_sums", 0), {}},
                       {"--tp 4", 4, above("leaf_sums", 0), {}},
                       {"--ep 4", 4, above("exchange_rows", 0), {}},
                       {"--dp 4", 4, above("exchange_rows", 0), {}},
                       {"--tp 2 --dp 2", 4, above("exchange_rows", 0), {}},
                       {"--tp 4 --etp 2", 4, above("exchange_rows", 0), {}},
                       {"--replicas 2 --tp 2", 4, above("leaf_sums", 0), {}},
                       {"--dp 2 --exchange-rows 3",
                        2,
                        [](const json& w) { return value(w, "exchange_rounds") > 10 * value(w, "steps"); },
                        {}},
                   });
}

TEST_CASE("steps, memory and threads give the same bytes") {
    check_all_same(mixed_requests(500), {"", 0, above("prefix_hit_tokens", 0), {}},
                   {
                       {"--max-rows 8", 0, equals("rows_max", 8), {}},
                       {"--max-rows 64", 0, equals("rows_max", 64), {}},
                       {"--max-rows 64 --dp 2", 2, above("prefill_chunks", 0), {}},
                       {"--prefix-cache off", 0, equals("prefix_hit_tokens", 0), {}},
                       {"--kv-memory 640KiB", 0, above("preemptions", 0), {}},
                       {"--kv-memory 640KiB --tp 2", 2, above("blocks_evicted", 0), {}},
                       {"--threads 2", 0, equals("threads", 2), {}},
                   });
}

TEST_CASE("instruction sets give the same bytes") {
    check_all_same(mixed_requests(500), {"--isa auto", 0, above("kernels_isa", 0), {}},
                   {
                       {"--isa avx2", 0, equals("kernels_isa", 2), {}},
                       {"--isa portable", 0, equals("kernels_isa", 1), {}},
                   });
}

// Layouts, steps, threads and instruction sets; `few` requests for the slow reference.
void check_numerics(const std::string& numerics, const std::string& kv_dtype = "bf16") {
    const auto with = [&](const std::string& options) {
        return "--numerics " + numerics + " --kv-dtype " + kv_dtype + " " + options;
    };
    const std::string little = kv_dtype == "int8" ? "384KiB" : "640KiB";
    const std::string requests = mixed_requests(250);
    const Way alone{with(""), 0, above("rows_max", 512), {}};
    std::vector<Way> sets{{with("--isa avx2"), 0, equals("kernels_isa", 2), {}},
                          {with("--isa portable"), 0, equals("kernels_isa", 1), {}}};
    for (const argosy::BackendEntry& entry : argosy::backends()) {
        if (entry.ops == nullptr || entry.numerics != numerics) continue;
        if (entry.name == "cpu-amx") sets.push_back({with("--isa amx"), 0, equals("kernels_isa", 1024), {}});
        if (entry.name == "cpu-avx512") sets.push_back({with("--isa avx512"), 0, equals("kernels_isa", 512), {}});
    }
    check_all_same(requests, alone, sets);
    check_all_same(requests, alone,
                   {
                       {with("--tp 2"), 2, above("leaf_sums", 0), {}},
                       {with("--ep 2"), 2, above("exchange_rows", 0), {}},
                       {with("--dp 2"), 2, above("exchange_rows", 0), {}},
                       {with("--replicas 2"), 2, above("work_claims", 1), {}},
                       {with("--tp 4 --etp 4"), 4, above("leaf_sums", 0), {}},
                       {with("--tp 2 --dp 2 --etp 2"), 4, above("exchange_rows", 0), {}},
                       {with("--max-rows 8"), 0, equals("rows_max", 8), {}},
                       {with("--max-rows 64 --kv-memory " + little), 0, above("preemptions", 0), {}},
                       {with("--threads 2"), 0, equals("threads", 2), {}},
                   });
    const std::string few = mixed_requests(25);
    check_all_same(few, {with(""), 0, above("steps", 0), {}},
                   {{with("--backend reference"), 0, equals("kernels_isa", 0), {}}});
    const Way exact{"", 0, above("steps", 0), {}};
    CHECK_FALSE((run_way(few, exact) == run_way(few, {with(""), 0, above("steps", 0), {}})));
}

TEST_CASE("int8 numerics give the same bytes in all ways") { check_numerics("int8"); }

TEST_CASE("a KV cache of int8 gives the same bytes in all ways, and others than one of bf16") {
    check_numerics("int8", "int8");
    const std::string few = mixed_requests(25);
    CHECK_FALSE((run_way(few, {"--numerics int8", 0, above("steps", 0), {}}) ==
                 run_way(few, {"--numerics int8 --kv-dtype int8", 0, above("steps", 0), {}})));
}

TEST_CASE("bf16 numerics give the same bytes in all ways") { check_numerics("bf16"); }

TEST_CASE("bf16-amx numerics give the same bytes in all ways") { check_numerics("bf16-amx"); }

TEST_CASE("weights encoded at load: layouts give the same bytes, and formats differ") {
    const std::string requests = mixed_requests(60);
    std::set<std::string> seen;
    for (const std::string as : {"bf16", "fp8", "int8", "mxfp4", "nvfp4"}) {
        for (const std::string numerics : {"exact", "bf16", "bf16-amx", "int8"}) {
            const auto with = [&](const std::string& layout) {
                return "--weights-as " + as + " --numerics " + numerics + " " + layout;
            };
            const Way alone{with(""), 0, above("steps", 0), {}};
            check_all_same(requests, alone,
                           {
                               {with("--tp 4 --etp 4"), 4, above("leaf_sums", 0), {}},
                               {with("--dp 2 --tp 2"), 4, above("exchange_rows", 0), {}},
                               {with("--replicas 2"), 2, above("work_claims", 1), {}},
                           });
            // The demo's weights are bf16 already.
            CHECK(seen.insert(run_way(requests, alone)).second);
        }
    }
    CHECK_FALSE(seen.insert(run_way(requests, {"", 0, above("steps", 0), {}})).second);
}

TEST_CASE("mxfp4 that stays mxfp4 for int8 gives the same bytes on every instruction set") {
    const auto with = [](const std::string& options) { return "--weights-as mxfp4 --numerics int8 " + options; };
    check_all_same(mixed_requests(60), {with(""), 0, above("steps", 0), {}},
                   {
                       {with("--max-rows 8"), 0, equals("rows_max", 8), {}},
                       {with("--threads 2"), 0, equals("threads", 2), {}},
                       {with("--isa avx2"), 0, equals("kernels_isa", 2), {}},
                       {with("--isa portable"), 0, equals("kernels_isa", 1), {}},
                   });
    // The reference keeps codes of int8.
    check_all_same(mixed_requests(15), {with(""), 0, above("steps", 0), {}},
                   {{with("--backend reference"), 0, equals("kernels_isa", 0), {}}});
}

TEST_CASE("the reference backend gives the same bytes") {
    check_all_same(mixed_requests(25), {"", 0, above("steps", 0), {}},
                   {{"--backend reference", 0, equals("kernels_isa", 0), {}}});
}

TEST_CASE("emulated processors without AVX-512 and without AVX give the same bytes") {
    if (kSanitized) {
        WARN("no emulated processors: qemu keeps tables of the sanitizer's terabytes of shadow and takes all memory");
        return;
    }
    const bool emulator = std::system("command -v qemu-x86_64 >/dev/null 2>&1") == 0;
    if (!have(emulator, "emulated processors", "qemu-x86_64 (Debian package qemu-user)", "ARGOSY_REQUIRE_QEMU")) return;
    check_all_same(short_requests(), {"", 0, above("steps", 0), {}},
                   {
                       {"--isa auto", 0, equals("kernels_isa", 2), {"qemu-x86_64", "-cpu", "Haswell"}},
                       {"--isa auto", 0, equals("kernels_isa", 1), {"qemu-x86_64", "-cpu", "Nehalem"}},
                   });
    for (const std::string numerics : {"--numerics bf16", "--numerics int8"}) {
        check_all_same(short_requests(), {numerics, 0, above("steps", 0), {}},
                       {{numerics, 0, equals("kernels_isa", 2), {"qemu-x86_64", "-cpu", "Haswell"}}});
    }
}
