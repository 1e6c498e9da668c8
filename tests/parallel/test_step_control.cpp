// What ranks conclude from each other's step words.
#include <catch2/catch.hpp>

#include "kernels/base/error.hpp"
#include "parallel/step_control.hpp"

using namespace argosy;
using Catch::Matchers::Contains;

TEST_CASE("step words: flags and sums") {
    std::vector<StepWord> words(3);
    words[0].prefill_rows = 5;
    words[1].decode_rows = 7;
    CHECK(total_rows(words) == 12);
    CHECK_FALSE(all_done(words));
    CHECK_FALSE(any_flag(words, kStepStop));
    words[1].flags = kStepStop | kStepDone;
    words[2].flags = kStepStop;
    CHECK(any_flag(words, kStepStop));
    CHECK(first_with_flag(words, kStepStop) == 1);
    CHECK(first_with_flag(words, kStepAbort) == -1);
    CHECK_FALSE(all_done(words));
    for (StepWord& word : words) word.flags |= kStepDone;
    CHECK(all_done(words));
    CHECK_THAT(describe(words[1]), Contains("0 prefill + 7 decode rows") && Contains("stop") && Contains("done"));
}

TEST_CASE("step words: ranks of one group must have one plan") {
    const RankLayout layout{1, 1, 2, 2, 4, 1};
    std::vector<StepWord> words(4);
    words[0].plan_hash = words[1].plan_hash = 17;
    words[2].plan_hash = words[3].plan_hash = 99;  // another group, another plan
    CHECK_NOTHROW(check_same_plans(words, layout));
    for (int field = 0; field < 4; ++field) {
        std::vector<StepWord> broken = words;
        if (field == 0) broken[3].plan_hash = 98;
        if (field == 1) broken[3].step = 1;
        if (field == 2) broken[3].claim_end = 4;
        if (field == 3) broken[3].decode_rows = 1;
        CHECK_THROWS_WITH(check_same_plans(broken, layout), Contains("ranks 2 and 3"));
    }
    words.pop_back();
    CHECK_THROWS_AS(check_same_plans(words, layout), Error);
}
