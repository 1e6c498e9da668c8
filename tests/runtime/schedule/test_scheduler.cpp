// Single decisions of the scheduler, each on a job small enough to follow by hand.
#include <catch2/catch.hpp>

#include "kernels/base/error.hpp"
#include "kernels/ops.hpp"
#include "runtime/schedule/scheduler.hpp"

using namespace argosy;

namespace {

Request make(int prompt_tokens, int max_tokens, std::int32_t first = 1) {
    Request request;
    request.prompt.resize(static_cast<std::size_t>(prompt_tokens));
    for (int i = 0; i < prompt_tokens; ++i) request.prompt[static_cast<std::size_t>(i)] = first + i;
    request.max_tokens = max_tokens;
    request.ignore_eos = true;
    return request;
}

std::vector<std::int32_t> finish_step(Scheduler& scheduler, const StepPlan& plan) {
    return scheduler.complete(plan,
                              std::vector<SampleOutcome>(static_cast<std::size_t>(plan.sample_count()), {.token = 7}));
}

StepPlan run_step(Scheduler& scheduler, int max_rows) {
    const StepPlan plan = scheduler.next({.max_rows = max_rows});
    finish_step(scheduler, plan);
    return plan;
}

}  // namespace

TEST_CASE("identities: fixed for ever, of ids and of line numbers apart") {
    CHECK(request_identity("", 7) != request_identity("7", 7));
    CHECK(request_identity("a", 1) == request_identity("a", 2));
    CHECK(request_identity("", 1) != request_identity("", 2));
    CHECK(request_identity("a", 1) == 7309096123711430550ULL);
    CHECK(request_identity("", 1) == 17810411332630565234ULL);
    CHECK(request_name("", 7) == "line-7");
    CHECK(request_name("q", 7) == "q");
}

TEST_CASE("refusals: what can never fit, and what is no request") {
    const auto fits = [](const Request& request, int blocks) {
        return !refusal(request, {.pool_blocks = blocks}).has_value();
    };
    CHECK(fits(make(16, 1), 1));  // the token generated is never fed back
    CHECK_FALSE(fits(make(16, 2), 1));
    CHECK(fits(make(16, 0), 1));
    CHECK_FALSE(fits(make(17, 0), 1));
    CHECK_FALSE(fits(make(0, 5), 10));
    Request request = make(3, 5);
    request.n = 0;
    CHECK_FALSE(fits(request, 10));
    request = make(3, -1);
    CHECK_FALSE(fits(request, 10));
    request = make(3, std::numeric_limits<int>::max());
    CHECK_FALSE(fits(request, std::numeric_limits<int>::max()));
    Scheduler scheduler({.pool_blocks = 2});
    const auto refused = scheduler.add({make(3, 3), make(40, 1), make(5, 3)});
    REQUIRE(refused.size() == 1);
    CHECK(refused[0].index == 1);
    CHECK(refused[0].sentence.find("may need 3 KV blocks of 16 tokens") != std::string::npos);
    CHECK(scheduler.sequence_count() == 2);
    CHECK(scheduler.request(1).prompt.size() == 5);
}

TEST_CASE("a step: decode rows first, then chunks of prompts fill it") {
    Scheduler scheduler({.pool_blocks = 100});
    scheduler.add({make(5, 10), make(20, 10, 100)});
    StepPlan plan = run_step(scheduler, 8);
    REQUIRE(plan.spans.size() == 2);
    CHECK(plan.spans[0] == StepSpan{.sequence = 0,
                                    .row_begin = 0,
                                    .rows = 5,
                                    .first_position = 0,
                                    .kind = SpanKind::prefill,
                                    .logits = LogitRows::last,
                                    .samples = true,
                                    .block_begin = 0,
                                    .block_count = 1,
                                    .new_blocks = 1});
    CHECK(plan.spans[1] == StepSpan{.sequence = 1,
                                    .row_begin = 5,
                                    .rows = 3,
                                    .first_position = 0,
                                    .kind = SpanKind::prefill,
                                    .logits = LogitRows::none,
                                    .samples = false,
                                    .block_begin = 1,
                                    .block_count = 1,
                                    .new_blocks = 2});
    CHECK(plan.tokens == std::vector<std::int32_t>{1, 2, 3, 4, 5, 100, 101, 102});
    CHECK(plan.blocks == std::vector<std::int32_t>{0, 1});
    CHECK(scheduler.demand() == StepDemand{.decode_rows = 1, .prefill_rows = 17, .waiting = 0});
    plan = run_step(scheduler, 8);
    REQUIRE(plan.spans.size() == 2);
    CHECK(plan.decode_rows == 1);
    CHECK(plan.spans[0].kind == SpanKind::decode);
    CHECK(plan.spans[1].first_position == 3);
    CHECK(plan.spans[1].rows == 7);
    CHECK(plan.tokens[0] == 7);
    CHECK(scheduler.counters().mixed_steps == 1);
    plan = scheduler.next({.max_rows = 8, .max_prefill_rows = 2});
    CHECK(plan.rows == 3);
    finish_step(scheduler, plan);
    plan = scheduler.next({.max_rows = 8, .max_prefill_rows = 0});
    CHECK(plan.rows == 1);
    CHECK(describe(plan).find("step 3: 1 rows in 1 spans, 1 of decode, 1 sample\n  decode sequence 0 positions 7..7") ==
          0);
}

TEST_CASE("max_tokens 0: the prompt is scored whole, nothing is sampled, all samples end together") {
    Scheduler scheduler({.pool_blocks = 10});
    Request request = make(20, 0);
    request.n = 3;
    request.echo = true;
    request.logprobs = 0;
    scheduler.add({make(20, 1), request});
    REQUIRE(run_step(scheduler, 20).spans.size() == 1);  // the equal prompt is now cached
    StepPlan plan = run_step(scheduler, 15);
    REQUIRE(plan.spans.size() == 1);
    CHECK(plan.spans[0].first_position == 0);  // not taken from the cache: its logits are wanted
    CHECK(plan.spans[0].logits == LogitRows::all);
    plan = scheduler.next({.max_rows = 15});
    CHECK(plan.spans[0].rows == 5);
    CHECK(plan.sample_count() == 0);
    CHECK(finish_step(scheduler, plan) == std::vector<std::int32_t>{1, 2, 3});
    CHECK(scheduler.done());
    CHECK(scheduler.request_finished(1));
    CHECK(scheduler.sequence(3).finish == FinishReason::length);
    CHECK(scheduler.pool().held() == 0);
}

TEST_CASE("max_tokens 0 without log probabilities: nothing is scored, and the cache may serve the prompt") {
    for (const bool echo : {false, true}) {
        CAPTURE(echo);
        Scheduler scheduler({.pool_blocks = 10});
        Request request = make(20, 0);
        request.echo = echo;
        request.logprobs = echo ? -1 : 3;
        scheduler.add({make(20, 1), request});
        run_step(scheduler, 20);
        const StepPlan plan = scheduler.next({.max_rows = 15});
        REQUIRE(plan.spans.size() == 1);
        CHECK(plan.spans[0].first_position == 16);
        CHECK(plan.spans[0].logits == LogitRows::none);
        CHECK(finish_step(scheduler, plan) == std::vector<std::int32_t>{1});
        CHECK(scheduler.sequence(1).finish == FinishReason::length);
    }
}

TEST_CASE("prefix cache: a prompt that shares blocks begins behind them, after their writer's step") {
    for (const bool cache : {true, false}) {
        CAPTURE(cache);
        Scheduler scheduler({.pool_blocks = 20, .prefix_cache = cache});
        scheduler.add({make(40, 3), make(50, 3)});
        StepPlan plan = run_step(scheduler, 512);
        CHECK(plan.spans.size() ==
              (cache ? 1 : 2));  // with the cache, the second waits for the first to write what they share
        plan = run_step(scheduler, 512);
        if (cache) {
            REQUIRE(plan.spans.size() == 2);
            CHECK(plan.spans[1].first_position == 32);
            CHECK(plan.spans[1].rows == 18);
            CHECK(plan.block_table(plan.spans[1])[0] == plan.block_table(plan.spans[0])[0]);
            CHECK(scheduler.pool().references(plan.blocks[0]) == 2);
            CHECK(scheduler.sequence(1).cached_prompt_tokens == 32);
        }
        CHECK(scheduler.counters().prefix_hit_tokens == (cache ? 32 : 0));
    }
}

TEST_CASE("a prompt found whole still computes its last token's row") {
    Scheduler scheduler({.pool_blocks = 20});
    scheduler.add({make(32, 1), make(32, 1)});
    run_step(scheduler, 512);
    const StepPlan plan = run_step(scheduler, 512);
    REQUIRE(plan.spans.size() == 1);
    CHECK(plan.spans[0].first_position == 16);
    CHECK(plan.spans[0].rows == 16);
}

TEST_CASE("n samples: the prompt is computed once, without the prefix cache too") {
    for (const bool cache : {true, false}) {
        Scheduler scheduler({.pool_blocks = 20, .prefix_cache = cache});
        Request request = make(35, 2);
        request.n = 3;
        scheduler.add({request});
        CHECK(run_step(scheduler, 512).rows == 35);
        const StepPlan plan = run_step(scheduler, 512);
        CHECK(plan.rows == 1 + 3 + 3);
        CHECK(scheduler.pool().references(plan.blocks[0]) == 2);  // sample 0 has just ended
        CHECK(scheduler.counters().sample_shared_tokens == 64);
        CHECK(scheduler.counters().prefix_hit_tokens == 0);
    }
}

TEST_CASE("preemption: the latest gives way, starts again with all it had generated, and the first goes on") {
    Scheduler scheduler({.pool_blocks = 4, .prefix_cache = false});
    Request first = make(16, 33);
    Request second = make(16, 33, 500);
    first.ignore_eos = second.ignore_eos = false;  // expected to end half way
    scheduler.add({first, second});
    StepPlan plan = run_step(scheduler, 64);
    REQUIRE(plan.spans.size() == 2);
    while (plan.preempted.empty()) plan = run_step(scheduler, 64);
    CHECK(plan.preempted == std::vector<std::int32_t>{1});
    CHECK(plan.spans.size() == 1);
    CHECK(scheduler.sequence(1).state == SequenceState::preempted);
    CHECK(scheduler.sequence(1).generated.size() == 17);
    while (scheduler.sequence(0).state != SequenceState::finished) run_step(scheduler, 64);
    plan = run_step(scheduler, 64);
    REQUIRE(plan.spans.size() == 1);
    CHECK(plan.spans[0].rows == 33);  // prompt and generated tokens, as prefill
    CHECK(plan.spans[0].samples);
    CHECK(scheduler.counters().preemptions == 1);
    CHECK(scheduler.counters().recomputed_rows == 32);
}

TEST_CASE("calls out of turn are internal errors, and a step without rows is refused") {
    Scheduler scheduler({.pool_blocks = 4});
    CHECK_THROWS_AS(Scheduler({.pool_blocks = 0}), Error);
    CHECK(scheduler.next({}).empty());
    CHECK(scheduler.complete(StepPlan{}, {}).empty());
    CHECK_THROWS_AS(scheduler.next({.max_rows = 0}), Error);
    scheduler.add({make(5, 3)});
    const StepPlan plan = scheduler.next({});
    CHECK_THROWS_AS(scheduler.next({}), Error);
    CHECK_THROWS_AS(scheduler.complete(plan, {}), Error);
    StepPlan wrong = plan;
    wrong.spans[0].first_position = 1;
    CHECK_THROWS_AS(finish_step(scheduler, wrong), Error);
    finish_step(scheduler, plan);
    CHECK_THROWS_AS(finish_step(scheduler, plan), Error);
    CHECK_THROWS_AS(scheduler.forget(0), Error);
}

TEST_CASE("a plan's hash depends on every field") {
    Scheduler scheduler({.pool_blocks = 4});
    scheduler.add({make(5, 3), make(6, 3, 50)});
    const StepPlan plan = scheduler.next({});
    std::vector<StepPlan> others(12, plan);
    others[0].step = 9;
    others[1].rows = 9;
    others[2].decode_rows = 9;
    others[3].tokens[3] = 99;
    others[4].blocks[1] = 3;
    others[5].preempted.push_back(1);
    others[6].spans[1].first_position = 3;
    others[7].spans[1].samples = false;
    others[8].spans[1].logits = LogitRows::all;
    others[9].spans[1].kind = SpanKind::decode;
    others[10].spans[0].new_blocks = 0;
    others[11].blocks.push_back(plan.tokens.back());
    for (const StepPlan& other : others) {
        CHECK_FALSE(other == plan);
        CHECK(plan_hash(other) != plan_hash(plan));
    }
}
