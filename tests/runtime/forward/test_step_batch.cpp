// Step plans as arrays: positions, KV slots, and which rows' logits are wanted for what.
#include <catch2/catch.hpp>

#include "kernels/base/error.hpp"
#include "runtime/forward/step_batch.hpp"

using namespace argosy;

namespace {

Request request_of(std::vector<std::int32_t> prompt, int max_tokens) {
    Request request;
    request.prompt = std::move(prompt);
    request.max_tokens = max_tokens;
    request.temperature = 0;
    request.seed = 9;
    request.identity = 77;
    return request;
}

std::vector<std::int32_t> counting(int n) {
    std::vector<std::int32_t> ids;
    for (int i = 0; i < n; ++i) ids.push_back(100 + i);
    return ids;
}

}  // namespace

TEST_CASE("rows of a chunk have the positions after those computed, and slots in the sequence's blocks") {
    Scheduler scheduler({.pool_blocks = 8, .prefix_cache = false, .cache_seed = 0, .max_running = 0});
    scheduler.add({request_of(counting(20), 3)});
    const StepPlan first = scheduler.next({.max_rows = 18, .max_prefill_rows = -1});
    const StepBatch batch = make_batch(first, scheduler, false);
    REQUIRE(batch.rows == 18);
    CHECK(batch.wanted.empty());
    const auto blocks = first.block_table(first.spans[0]);
    CHECK(batch.kv[0].slot[17] == std::int64_t{blocks[1]} * kKvBlockTokens + 1);
    scheduler.complete(first, {});
    const StepPlan second = scheduler.next({.max_rows = 18, .max_prefill_rows = -1});
    const StepBatch rest = make_batch(second, scheduler, false);
    REQUIRE(rest.rows == 2);
    CHECK(rest.position == std::vector<std::int32_t>{18, 19});
    CHECK(rest.token == std::vector<std::int32_t>{118, 119});
    REQUIRE(rest.wanted.size() == 1);
    CHECK(rest.wanted[0].row == 1);
    CHECK(rest.wanted[0].samples);
    CHECK(rest.wanted[0].how.forced_token == -1);
    CHECK(rest.wanted[0].how.position == 20);
    CHECK(rest.wanted[0].how.request == 77);
}

TEST_CASE("scoring a prompt wants every row but the last, each forced to the prompt's next token") {
    Scheduler scheduler({.pool_blocks = 8, .prefix_cache = true, .cache_seed = 0, .max_running = 0});
    Request request = request_of(counting(5), 0);
    request.echo = true;
    request.logprobs = 2;
    scheduler.add({request});
    const StepPlan plan = scheduler.next({.max_rows = 64, .max_prefill_rows = -1});
    const StepBatch batch = make_batch(plan, scheduler, false);
    REQUIRE(batch.wanted.size() == 4);
    for (int i = 0; i < 4; ++i) {
        const WantedRow& row = batch.wanted[static_cast<std::size_t>(i)];
        CHECK(row.scores);
        CHECK_FALSE(row.samples);
        CHECK(row.how.forced_token == 101 + i);
        CHECK(row.how.top_logprobs == 2);
    }
}

TEST_CASE("the recorder wants every prompt row, without scoring it for the answer") {
    Scheduler scheduler({.pool_blocks = 8, .prefix_cache = false, .cache_seed = 0, .max_running = 0});
    scheduler.add({request_of(counting(5), 1)});
    const StepPlan plan = scheduler.next({.max_rows = 64, .max_prefill_rows = -1});
    const StepBatch batch = make_batch(plan, scheduler, true);
    REQUIRE(batch.wanted.size() == 5);
    for (int i = 0; i < 4; ++i)
        CHECK_FALSE(
            (batch.wanted[static_cast<std::size_t>(i)].scores || batch.wanted[static_cast<std::size_t>(i)].samples));
    CHECK(batch.wanted[4].samples);
}

TEST_CASE("a span names the leading blocks that are those of the span before") {
    Scheduler scheduler({.pool_blocks = 16, .prefix_cache = true, .cache_seed = 0, .max_running = 0});
    scheduler.add({request_of(counting(40), 3)});
    const StepPlan first = scheduler.next({.max_rows = 64, .max_prefill_rows = -1});
    CHECK(make_batch(first, scheduler, false).kv[0].spans[0].shared_blocks == 0);
    scheduler.complete(first, std::vector<SampleOutcome>{{.token = 7}});
    scheduler.add({request_of(counting(40), 3)});
    scheduler.add({request_of({1, 2, 3}, 3)});
    const StepPlan second = scheduler.next({.max_rows = 64, .max_prefill_rows = -1});
    const StepBatch batch = make_batch(second, scheduler, false);
    REQUIRE(batch.kv[0].spans.size() == 3);
    CHECK(batch.kv[0].spans[1].first_position == 32);
    CHECK(batch.kv[0].spans[1].shared_blocks == 2);  // of 16 tokens each; the third is begun only
    CHECK(batch.kv[0].spans[2].shared_blocks == 0);
}

TEST_CASE("every row has the sequence's next token, or none where it is not known") {
    Scheduler scheduler({.pool_blocks = 8});
    scheduler.add({request_of(counting(20), 3)});
    const StepPlan chunk = scheduler.next({.max_rows = 3});
    CHECK(make_batch(chunk, scheduler, false).next_token == std::vector<std::int32_t>{101, 102, 103});
    scheduler.complete(chunk, {});
    const StepPlan rest = scheduler.next({.max_rows = 64});
    CHECK(make_batch(rest, scheduler, false).next_token.back() == kNoToken);
    scheduler.complete(rest, std::vector<SampleOutcome>{{.token = 7}});
    const StepPlan decode = scheduler.next({.max_rows = 64});
    CHECK(make_batch(decode, scheduler, false).next_token == std::vector<std::int32_t>{kNoToken});
}

TEST_CASE("groups of layers have slots of their own; a block that a window has passed is read as block 0") {
    Scheduler scheduler({.pool_blocks = 16, .windows = {0, 16}});
    scheduler.add({request_of(counting(70), 2)});
    StepPlan plan = scheduler.next({.max_rows = 40});
    scheduler.complete(plan, {});
    plan = scheduler.next({.max_rows = 40});
    const StepBatch batch = make_batch(plan, scheduler, false);
    REQUIRE(batch.kv.size() == 2);
    REQUIRE(plan.block_table(plan.spans[0], 1)[0] == kNoBlock);  // the next row, 40, sees from 25 on
    CHECK(batch.kv[1].spans[0].blocks[0] == 0);
    for (std::size_t group = 0; group < 2; ++group) {
        const auto table = plan.block_table(plan.spans[0], static_cast<int>(group));
        CHECK(batch.kv[group].slot[0] == std::int64_t{table[2]} * kKvBlockTokens + 8);
        CHECK(batch.kv[group].spans[0].blocks[2] == table[2]);
    }
    CHECK(batch.kv[0].slot[0] != batch.kv[1].slot[0]);
    StepPlan broken = plan;
    broken.blocks[static_cast<std::size_t>(plan.spans[0].block_begin + plan.spans[0].block_count + 1)] = kNoBlock;
    CHECK_THROWS_AS(make_batch(broken, scheduler, false), Error);  // block 1 of the window is seen
}
