// Step after step until the job's requests are answered.
#include "runtime/job_loop.hpp"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <thread>

namespace argosy {

namespace {

// Runs are at least this long, so that claims are few and neighbours of the prefix tree stay together; short jobs are
// still dealt to all groups.
constexpr std::int64_t kRunMinimumMax = 16;
// A group claims when fewer sequences than this wait: enough to fill its next steps.
constexpr int kWaitingMinimum = 64;

std::int64_t run_minimum(std::int64_t requests, int groups) {
    return std::clamp<std::int64_t>(requests / (8 * std::int64_t{groups}), 1, kRunMinimumMax);
}

void pause_briefly() { std::this_thread::sleep_for(std::chrono::microseconds(200)); }

// The loop's state on one rank.
class Loop {
  public:
    Loop(MpiSession& session, Groups& groups, const JobSetup& job, JobInput& input, Engine& engine, AccountClock& clock,
         RankLedger& ledger, Watchdog& watchdog, const LoopEvents& events)
        : groups_(groups),
          job_(job),
          input_(input),
          engine_(engine),
          clock_(clock),
          ledger_(ledger),
          watchdog_(watchdog),
          events_(events),
          claims_(session, group_leaders(job.layout), static_cast<std::int64_t>(input.entries.size()),
                  run_minimum(static_cast<std::int64_t>(input.entries.size()), job.layout.groups())) {}

    bool run() {
        bool stopped = false;
        while (!stopped) {
            events_.step_begins(step_);
            const std::vector<StepWord> words = agree();
            if (all_done(words)) break;
            stopped = any_flag(words, kStepStop);
            if (!stopped) step(words);
        }
        finish_claims();
        return !stopped;
    }

  private:
    const StepWord& leaders_word(const std::vector<StepWord>& words) const {
        return words[static_cast<std::size_t>(job_.place.dp_rank * job_.layout.tp)];
    }

    // What this rank wants to do next, and what all ranks of the stage said.
    std::vector<StepWord> agree() {
        clock_.switch_to(Account::step_control);
        watchdog_.progress(Account::step_control, step_);
        claims_.serve();
        const StepDemand demand = engine_.demand();
        StepWord word;
        word.decode_rows = demand.decode_rows;
        word.prefill_rows = static_cast<std::int32_t>(std::min<std::int64_t>(demand.prefill_rows, INT32_MAX));
        word.waiting = demand.waiting;
        word.finished = engine_.last_finished();
        word.plan_hash = engine_.last_plan_hash();
        word.step = step_++;
        if (events_.stop_asked()) word.flags |= kStepStop;
        if (job_.place.leads_group()) claim(demand, word);
        std::vector<StepWord> words =
            groups_.stage->size() > 1 ? exchange_words(*groups_.stage, word) : std::vector<StepWord>{word};
        if (words.size() > 1) count(ledger_, Witness::step_words);
        share_claims(words);
        check_same_plans(words, job_.layout);
        return words;
    }

    void claim(const StepDemand& demand, StepWord& word) {
        if (demand.waiting < std::min(kWaitingMinimum, job_.max_rows)) claims_.ask(engine_.unfinished());
        if (const auto run = claims_.poll(); run && !run->empty()) {
            word.claim_begin = run->begin;
            word.claim_end = run->end;
            count(ledger_, Witness::work_claims);
        }
        if (claims_.exhausted() && engine_.idle() && word.claim_begin == word.claim_end) word.flags |= kStepDone;
    }

    // Only leaders claim: their members take over claim and verdict, so that all words of a group agree.
    void share_claims(std::vector<StepWord>& words) const {
        for (std::size_t i = 0; i < words.size(); ++i) {
            const StepWord& leader =
                words[i / static_cast<std::size_t>(job_.layout.tp) * static_cast<std::size_t>(job_.layout.tp)];
            words[i].claim_begin = leader.claim_begin;
            words[i].claim_end = leader.claim_end;
            words[i].flags = (words[i].flags & ~static_cast<std::uint32_t>(kStepDone)) | (leader.flags & kStepDone);
        }
    }

    void take_claim(const StepWord& word) {
        std::vector<Request> requests;
        std::vector<std::string> metadata;
        for (std::int64_t i = word.claim_begin; i < word.claim_end; ++i) {
            PreparedRequest next = input_.prepare(input_.entries[static_cast<std::size_t>(i)].line, job_.tokenizer);
            requests.push_back(std::move(next.request));
            metadata.push_back(std::move(next.metadata));
        }
        engine_.add(std::move(requests), std::move(metadata));
    }

    void step(const std::vector<StepWord>& words) {
        const StepWord& mine = leaders_word(words);
        if (mine.claim_begin < mine.claim_end) take_claim(mine);
        const bool active = std::any_of(words.begin(), words.end(), [](const StepWord& w) {
            return w.rows() > 0 || w.waiting > 0 || w.claim_begin < w.claim_end;
        });
        if (!active) {  // an answer to a claim is on its way
            clock_.switch_to(Account::output);
            events_.tend();
            clock_.switch_to(Account::no_work);
            pause_briefly();
            return;
        }
        engine_.step(agree_limits(words, job_.max_rows), true);
        deliver();
        for (std::size_t i = 0; i < words.size(); i += static_cast<std::size_t>(job_.layout.tp))
            answered_ += words[i].finished;
        if (job_.place.world_rank == 0) events_.progress(answered_ + engine_.last_finished());
        events_.step_ends(words.front().step,
                          std::accumulate(words.begin(), words.end(), std::int64_t{0},
                                          [](std::int64_t sum, const StepWord& w) { return sum + w.rows(); }));
    }

    void deliver() {
        clock_.switch_to(Account::output);
        const std::vector<RequestResult> finished = engine_.take_finished();
        const std::vector<LineError> refused = engine_.take_refused();
        if (job_.place.leads_group()) events_.answers(finished, refused);
    }

    // World rank 0 answers until every leader knows that nothing is left; a run that comes after a stop is dropped.
    void finish_claims() {
        clock_.switch_to(Account::no_work);
        claims_.stop();
        while (true) {
            watchdog_.progress(Account::no_work, step_);
            claims_.serve();
            events_.tend();
            if (job_.place.leads_group() && !claims_.exhausted()) {
                claims_.ask(0);
                claims_.poll();
            } else if (claims_.all_told()) {
                break;
            }
            pause_briefly();
        }
        deliver();
    }

    Groups& groups_;
    const JobSetup& job_;
    JobInput& input_;
    Engine& engine_;
    AccountClock& clock_;
    RankLedger& ledger_;
    Watchdog& watchdog_;
    const LoopEvents& events_;
    ClaimCounter claims_;
    std::uint64_t step_ = 0;
    std::int64_t answered_ = 0;
};

}  // namespace

bool run_steps(MpiSession& session, Groups& groups, const JobSetup& job, JobInput& input, Engine& engine,
               AccountClock& clock, RankLedger& ledger, Watchdog& watchdog, const LoopEvents& events) {
    Loop loop(session, groups, job, input, engine, clock, ledger, watchdog, events);
    return loop.run();
}

}  // namespace argosy
