// Exchanging step words and what follows from them.
#include "parallel/step_control.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <tuple>

#include "kernels/base/error.hpp"

namespace argosy {

std::string describe(const StepWord& word) {
    std::string flags;
    const auto add = [&](StepFlag flag, const char* name) {
        if (word.has(flag)) flags += fmt::format(" {}", name);
    };
    add(kStepStop, "stop");
    add(kStepAbort, "abort");
    add(kStepDone, "done");
    add(kStepNoClaims, "no-claims");
    return fmt::format("step {}: {} prefill + {} decode rows, {} waiting, {} finished, claim [{}, {}), plan {:016x},{}",
                       word.step, word.prefill_rows, word.decode_rows, word.waiting, word.finished, word.claim_begin,
                       word.claim_end, word.plan_hash, flags.empty() ? " no flags" : flags);
}

std::vector<StepWord> exchange_words(Communicator& group, const StepWord& mine) {
    std::vector<StepWord> words(static_cast<std::size_t>(group.size()));
    group.all_gather(&mine, sizeof mine, words.data());
    return words;
}

bool all_done(std::span<const StepWord> words) {
    return std::all_of(words.begin(), words.end(), [](const StepWord& word) { return word.has(kStepDone); });
}

bool any_flag(std::span<const StepWord> words, StepFlag flag) { return first_with_flag(words, flag) >= 0; }

int first_with_flag(std::span<const StepWord> words, StepFlag flag) {
    const auto found = std::find_if(words.begin(), words.end(), [&](const StepWord& word) { return word.has(flag); });
    return found == words.end() ? -1 : static_cast<int>(found - words.begin());
}

std::int64_t total_rows(std::span<const StepWord> words) {
    return std::accumulate(words.begin(), words.end(), std::int64_t{0},
                           [](std::int64_t sum, const StepWord& word) { return sum + word.rows(); });
}

void check_same_plans(std::span<const StepWord> words, const RankLayout& layout) {
    if (static_cast<int>(words.size()) != layout.stage_size()) {
        fail(ErrorKind::internal, "{} step words came from a stage of {} ranks.", words.size(), layout.stage_size());
    }
    const auto plan_of = [](const StepWord& w) {
        return std::tuple(w.step, w.plan_hash, w.prefill_rows, w.decode_rows, w.claim_begin, w.claim_end);
    };
    for (std::size_t leader = 0; leader < words.size(); leader += static_cast<std::size_t>(layout.tp)) {
        for (std::size_t s = leader + 1; s < leader + static_cast<std::size_t>(layout.tp); ++s) {
            if (plan_of(words[s]) != plan_of(words[leader])) {
                fail(ErrorKind::internal,
                     "Stage ranks {} and {} belong to one group but made different plans: {} | {}.", leader, s,
                     describe(words[leader]), describe(words[s]));
            }
        }
    }
}

}  // namespace argosy
