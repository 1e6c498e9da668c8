// A job as users have it: thousands of prompts of every length, prompts beyond the context among them, on two ranks and
// within a memory budget.
#include <algorithm>
#include <catch2/catch.hpp>
#include <fstream>
#include <iostream>
#include <set>

#include "tests/launch/run_program.hpp"
#include "tests/support/shared_data.hpp"

using namespace argosy;
using namespace argosy::test;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr int kContext = 1024;  // of the demo model
constexpr int kMaxTokens = 32;
constexpr std::int64_t kMiB = std::int64_t{1} << 20;

// The prompts, each with max_tokens; then, since none of them is longer than the demo's context, three made of several
// prompts that are. Ids in order.
std::string requests_of(const fs::path& prompts, std::vector<std::string>& ids, std::set<std::string>& too_long) {
    std::string requests, text, joined;
    std::ifstream file(prompts);
    for (std::string line; std::getline(file, line);) {
        json request = json::parse(line);
        ids.push_back(request.at("id"));
        if (joined.size() < 12000) joined += request.at("prompt").get<std::string>() + "\n";
        request["max_tokens"] = kMaxTokens;
        requests += request.dump() + "\n";
        // Between the others, so that an error record has neighbours on both sides.
        if (ids.size() % 2000 == 0) {
            const std::string id = "too-long-" + std::to_string(ids.size());
            ids.push_back(id);
            too_long.insert(id);
            requests +=
                json({{"id", id}, {"source", "joined"}, {"prompt", joined}, {"max_tokens", kMaxTokens}}).dump() + "\n";
        }
    }
    return requests;
}

std::int64_t tokens_answered(const json& response) {
    return response.at("response").at("body").at("usage").at("completion_tokens");
}

}  // namespace

TEST_CASE("6,263 prompts on two ranks: every id once, in order, within the memory given") {
    if (!have_shared("prompts/bulk_prompts.jsonl", "the bulk job")) return;
    std::vector<std::string> ids;
    std::set<std::string> too_long;
    const TempDir temp;
    write_text(temp.path() / "requests.jsonl",
               requests_of(*shared_dir() / "prompts/bulk_prompts.jsonl", ids, too_long));
    REQUIRE(ids.size() == 6263 + 3);
    REQUIRE(too_long.size() == 3);

    constexpr std::int64_t kKvBytes = 16 * kMiB;
    ProgramCall call;
    call.ranks = 2;
    call.timeout_s = 300;
    call.arguments = {"run",
                      "--model",
                      (source_dir() / "configs/demo").string(),
                      "--input",
                      (temp.path() / "requests.jsonl").string(),
                      "--run-dir",
                      (temp.path() / "run").string(),
                      "--kv-memory",
                      std::to_string(kKvBytes)};
    const ProgramResult result = run_program(call);
    INFO(result.err);
    REQUIRE(result.status == 0);

    std::ifstream file(temp.path() / "run/responses.jsonl");
    std::vector<std::string> answered;
    std::set<std::string> refused;
    std::int64_t tokens = 0;
    int wrong = 0;
    for (std::string line; std::getline(file, line);) {
        const json response = json::parse(line);
        answered.push_back(response.at("custom_id"));
        const json& error = response.at("error");
        if (!error.is_null()) {
            refused.insert(answered.back());
            wrong += error.at("code") != "context_length_exceeded" ||
                     error.at("message").get<std::string>().find(std::to_string(kContext)) == std::string::npos;
            continue;
        }
        // An answer is as long as was asked for, unless the model ended it.
        const std::int64_t given = tokens_answered(response);
        const bool ended = response.at("response").at("body").at("choices").at(0).at("finish_reason") == "stop";
        wrong += given < 1 || given > kMaxTokens || (!ended && given < kMaxTokens);
        tokens += given;
    }
    CHECK((answered == ids));  // every id, once, in the order of the input
    CHECK(refused == too_long);
    CHECK(wrong == 0);

    const json report = read_report(temp.path() / "run");
    CHECK(report.at("requests").at("total") == ids.size());
    CHECK(report.at("requests").at("failed") == too_long.size());
    CHECK(report.at("bill").at("valid") == true);
    CHECK(report.at("tokens").at("delivered_output").at("tokens") == tokens);
    CHECK(report.at("ranks").size() == 2);
    if (kSanitized) WARN("memory at the peak is not judged: the sanitizer's own is part of it");
    for (const json& rank : report.at("ranks")) {
        CHECK(rank.at("kv_bytes") <= kKvBytes);
        CHECK(rank.at("kv_bytes") > kKvBytes / 2);
        // Beside pool and weights: program, MPI, buffers of a step, and the prompts and answers of the job. Measured:
        // 75 MiB.
        const std::int64_t held = rank.at("kv_bytes").get<std::int64_t>() +
                                  rank.at("weight_bytes_private").get<std::int64_t>() +
                                  rank.at("weight_bytes_shared").get<std::int64_t>();
        INFO("peak " << rank.at("max_rss_bytes") << ", of which pool and weights " << held);
        if (!kSanitized) CHECK(rank.at("max_rss_bytes").get<std::int64_t>() <= held + 160 * kMiB);
    }
    const json& witness = report.at("witness");
    CHECK(witness.at("mixed_steps") > 0);
    CHECK(witness.at("prefill_chunks") > 0);
    CHECK(witness.at("prefix_hit_tokens") > 0);
    CHECK(witness.at("blocks_evicted") > 0);  // the pool is smaller than the job
    std::cout << "bulk: " << ids.size() << " requests in " << result.seconds << " s, " << tokens << " tokens out, "
              << report.at("rates").at("delivered_per_second") << " delivered tok/s, "
              << report.at("rates").at("all_per_second") << " tok/s in all, peak "
              << report.at("memory").at("max_rss_bytes").at("max").get<double>() / kMiB << " MiB per rank, preemptions "
              << witness.at("preemptions") << "\n";
}
