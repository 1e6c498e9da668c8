// The small word that every rank tells all others of its group before every step, and what all conclude from it alike.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "parallel/communicator.hpp"
#include "parallel/rank_layout.hpp"

namespace argosy {

enum StepFlag : std::uint32_t {
    kStepStop = 1,      // a signal or the time limit: finish this step, save, end with status 75
    kStepAbort = 2,     // this rank has failed and says so before it ends
    kStepDone = 4,      // nothing left to do and nothing left to claim
    kStepNoClaims = 8,  // claims are exhausted; rows may remain
};

// Exactly 64 bytes, moved as they are.
struct StepWord {
    std::int32_t prefill_rows = 0;
    std::int32_t decode_rows = 0;
    std::int32_t waiting = 0;   // sequences that wait for room
    std::int32_t finished = 0;  // sequences that ended in the last step
    std::int64_t claim_begin =
        0;  // the run of requests that the group's leader hands to its members with this step; empty: none
    std::int64_t claim_end = 0;
    std::uint32_t flags = 0;  // StepFlag
    std::int32_t spare = 0;
    std::uint64_t plan_hash = 0;  // of the StepPlan; the same within a dp group
    std::uint64_t value = 0;      // free for the engine (time left, agreed hit length)
    std::uint64_t step = 0;       // number of the step
    bool operator==(const StepWord&) const = default;
    bool has(StepFlag flag) const { return (flags & flag) != 0; }
    std::int32_t rows() const { return prefill_rows + decode_rows; }
};
static_assert(sizeof(StepWord) == 64);

std::string describe(const StepWord& word);

// Words of all ranks of the group, by rank. Collective.
std::vector<StepWord> exchange_words(Communicator& group, const StepWord& mine);

// Pure conclusions; the same on all ranks that saw the same words.
bool all_done(std::span<const StepWord> words);
bool any_flag(std::span<const StepWord> words, StepFlag flag);
int first_with_flag(std::span<const StepWord> words, StepFlag flag);  // -1: nobody
std::int64_t total_rows(std::span<const StepWord> words);

// `words` by stage rank: the tp ranks of one dp group must have the same step, plan, claim and rows. Error(internal)
// names the ranks that differ.
void check_same_plans(std::span<const StepWord> words, const RankLayout& layout);

}  // namespace argosy
