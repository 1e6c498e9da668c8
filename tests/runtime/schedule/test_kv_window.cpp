// Blocks of layers with a window: the formulas against counting, and single decisions of the scheduler.
#include <catch2/catch.hpp>

#include "kernels/base/error.hpp"
#include "kernels/ops.hpp"
#include "runtime/schedule/scheduler.hpp"

using namespace argosy;

namespace {

Request make(int prompt_tokens, int max_tokens) {
    Request request;
    request.prompt.resize(static_cast<std::size_t>(prompt_tokens));
    for (int i = 0; i < prompt_tokens; ++i) request.prompt[static_cast<std::size_t>(i)] = 1 + i;
    request.max_tokens = max_tokens;
    request.ignore_eos = true;
    return request;
}

StepPlan run_step(Scheduler& scheduler, int max_rows) {
    const StepPlan plan = scheduler.next({.max_rows = max_rows});
    scheduler.complete(plan, std::vector<SampleOutcome>(static_cast<std::size_t>(plan.sample_count()), {.token = 7}));
    return plan;
}

int held(std::span<const std::int32_t> table) {
    return static_cast<int>(table.size() - static_cast<std::size_t>(std::count(table.begin(), table.end(), kNoBlock)));
}

}  // namespace

TEST_CASE("blocks of a window: as many as counting finds") {
    for (int window = 0; window <= 70; ++window) {
        for (const int rows : {1, 2, 15, 16, 17, 40}) {
            CAPTURE(window, rows);
            std::int64_t most = 0;
            for (int tokens = 1; tokens <= 200; ++tokens) {
                // The step that ends with these tokens, for every number of rows that it may have.
                for (int first = std::max(0, tokens - rows); first < tokens; ++first) {
                    const int seen = window == 0 ? 0 : std::max(0, first - window + 1);
                    REQUIRE(first_block_seen(window, first) == seen / kKvBlockTokens);
                    most = std::max<std::int64_t>(most, (tokens - 1) / kKvBlockTokens - seen / kKvBlockTokens + 1);
                }
                REQUIRE(most_blocks(window, tokens, rows) >= most);
                if (tokens > 150) REQUIRE(most_blocks(window, tokens, rows) == most);
            }
        }
    }
    CHECK(most_blocks(20, 1000, 1) == 3);
    CHECK(most_blocks(std::vector<int>{0, 20, 20}, 1000, 1) == 63 + 3 + 3);
    CHECK(most_blocks(std::vector<int>{0, 20, 20}, 17, 1) == 2 + 2 + 2);
}

TEST_CASE("a window's blocks are given back as it goes on, and others get them") {
    Scheduler scheduler({.pool_blocks = 7 + 2, .prefix_cache = false, .windows = {0, 16}});
    CHECK(scheduler.add({make(100, 13)}).empty());  // 112 tokens stored: 7 blocks, and 2 for the window
    CHECK(scheduler.add({make(100, 14)}).size() == 1);
    StepPlan plan = run_step(scheduler, 512);
    CHECK(plan.rows == 32);  // what there are blocks for
    int steps = 1;
    for (; !scheduler.done(); ++steps) {
        plan = run_step(scheduler, 512);
        CHECK(held(plan.block_table(plan.spans[0], 0)) == plan.spans[0].block_count);
        CHECK(held(plan.block_table(plan.spans[0], 1)) <= 2);
    }
    CHECK(steps == 1 + 5 + 12);  // then a block a step, then tokens
    CHECK(scheduler.counters().window_blocks_max == 2);
    CHECK(scheduler.counters().window_blocks_freed == 5 + 1);
    CHECK(scheduler.pool().held() == 0);
}

TEST_CASE("a prefix hit needs the blocks of the window before it, and no others") {
    for (const int window : {16, 17, 18, 33}) {
        CAPTURE(window);
        Scheduler scheduler({.pool_blocks = 40, .windows = {window, 0}});
        scheduler.add({make(160, 1), make(160, 1)});
        run_step(scheduler, 512);
        const StepPlan plan = run_step(scheduler, 512);
        REQUIRE(plan.spans.size() == 1);
        CHECK(plan.spans[0].first_position == 144);
        const auto table = plan.block_table(plan.spans[0], 0);
        const int found = (window - 1 + kKvBlockTokens - 1) / kKvBlockTokens;
        CHECK(held(table) == found + 1);
        CHECK(table[static_cast<std::size_t>(9 - found)] != kNoBlock);
        CHECK(held(plan.block_table(plan.spans[0], 1)) == 10);
        CHECK(scheduler.pool().counters().hits == found + 9);
    }
}

TEST_CASE("a prefix whose window was evicted is found up to where a window is whole") {
    // 10 blocks of the group that sees all and 10 of the other are cached; then a stranger needs some. Evicted is what
    // was let go first: the window's blocks from the beginning on, of which a later hit needs none.
    Scheduler scheduler({.pool_blocks = 24, .windows = {0, 16}});
    Request other = make(80, 1);
    for (auto& token : other.prompt) token += 1000;
    scheduler.add({make(160, 1), other});
    run_step(scheduler, 160);
    while (!scheduler.done()) run_step(scheduler, 160);
    CHECK(scheduler.pool().counters().evictions == 10 - (24 - 20));
    scheduler.add({make(160, 1)});
    const StepPlan plan = run_step(scheduler, 160);
    CHECK(plan.spans[0].first_position == 144);
}

TEST_CASE("groups: at least one, and none sees less than nothing") {
    CHECK_THROWS_AS(Scheduler({.pool_blocks = 2, .windows = {}}), Error);
    CHECK_THROWS_AS(Scheduler({.pool_blocks = 2, .windows = {-1}}), Error);
}
