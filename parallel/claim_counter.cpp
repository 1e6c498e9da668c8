// The claim counter's messages: a question to world rank 0 with what the asker holds, a run as the answer.
#include "parallel/claim_counter.hpp"

#include <mpi.h>

#include <algorithm>
#include <exception>
#include <list>
#include <numeric>

#include "kernels/base/error.hpp"

namespace argosy {

namespace {
constexpr int kAskTag = 1;
constexpr int kAnswerTag = 2;
constexpr ClaimRun kLater{-1, -1};
}  // namespace

std::int64_t guided_run_length(std::int64_t remaining, int groups, std::int64_t minimum) {
    return std::min(remaining, std::max(minimum, remaining / (3 * static_cast<std::int64_t>(groups))));
}

std::optional<ClaimRun> hand_out(ClaimBook& book, int leader, std::int64_t unfinished) {
    const auto groups = static_cast<std::int64_t>(book.unfinished.size());
    std::int64_t& held = book.unfinished[static_cast<std::size_t>(leader)];
    held = unfinished;
    const std::int64_t remaining = book.total - book.next;
    const std::int64_t all = std::accumulate(book.unfinished.begin(), book.unfinished.end(), remaining);
    const std::int64_t room = (all + groups - 1) / groups - held;
    if (remaining > 0 && room <= 0) return std::nullopt;
    const std::int64_t length = std::min(guided_run_length(remaining, static_cast<int>(groups), book.minimum), room);
    const ClaimRun run{book.next, book.next + std::max<std::int64_t>(length, 0)};
    held += run.count();
    book.next = run.end;
    return run;
}

struct ClaimCounter::State {
    MPI_Comm comm = MPI_COMM_NULL;
    int rank = 0;
    int exceptions_at_start = 0;
    std::vector<int> leaders;

    // World rank 0's side.
    ClaimBook book;
    int told = 0;  // leaders that were answered 'nothing left'
    struct Answer {
        ClaimRun run;
        MPI_Request request = MPI_REQUEST_NULL;
    };
    std::list<Answer> answers;  // under way; a list, because MPI reads them where they stand

    // A leader's side.
    bool asked = false;
    bool exhausted = false;
    ClaimRun run;
    std::int64_t unfinished = 0;  // as sent with the question
    MPI_Request question = MPI_REQUEST_NULL;
    MPI_Request answer = MPI_REQUEST_NULL;  // null on rank 0: it answers itself

    int leader_of(int world_rank) const {
        const auto at = std::find(leaders.begin(), leaders.end(), world_rank);
        return at == leaders.end() ? -1 : static_cast<int>(at - leaders.begin());
    }
    ClaimRun grant(int leader, std::int64_t held) {
        const std::optional<ClaimRun> granted = hand_out(book, leader, held);
        if (granted && granted->empty()) ++told;
        return granted.value_or(kLater);
    }
};

ClaimCounter::ClaimCounter(MpiSession& session, std::vector<int> leaders, std::int64_t total, std::int64_t minimum)
    : state_(std::make_unique<State>()) {
    if (leaders.empty() || total < 0 || minimum < 1) {
        fail(ErrorKind::internal, "{} requests cannot be shared by {} groups in runs of at least {}.", total,
             leaders.size(), minimum);
    }
    State& s = *state_;
    s.rank = session.rank();
    s.exceptions_at_start = std::uncaught_exceptions();
    s.leaders = std::move(leaders);
    s.book = {total, minimum, 0, std::vector<std::int64_t>(s.leaders.size())};
    const int own = s.leader_of(s.rank);
    for (int i = 0; i < static_cast<int>(s.leaders.size()); ++i) {  // every rank knows the first runs
        const ClaimRun first = s.grant(i, 0);
        if (i == own) s.run = first;
    }
    s.asked = own >= 0;
    check_mpi(MPI_Comm_dup(MPI_Comm_f2c(session.world_handle()), &s.comm), "making the group that shares the work");
    check_mpi(MPI_Comm_set_errhandler(s.comm, MPI_ERRORS_RETURN), "choosing how a group reports errors");
}

ClaimCounter::~ClaimCounter() {
    State& s = *state_;
    if (std::uncaught_exceptions() > s.exceptions_at_start) return;  // the others may not come: freeing is collective
    // Questions and answers are shorter than any eager limit, so what was sent completes; an answer that never came is
    // given up.
    if (s.question != MPI_REQUEST_NULL) MPI_Wait(&s.question, MPI_STATUS_IGNORE);
    if (s.answer != MPI_REQUEST_NULL) {
        MPI_Cancel(&s.answer);
        MPI_Wait(&s.answer, MPI_STATUS_IGNORE);
    }
    for (State::Answer& answer : s.answers) MPI_Wait(&answer.request, MPI_STATUS_IGNORE);
    MPI_Comm_free(&s.comm);
}

void ClaimCounter::ask(std::int64_t unfinished) {
    State& s = *state_;
    if (s.asked || s.exhausted) return;
    const int leader = s.leader_of(s.rank);
    if (leader < 0) fail(ErrorKind::internal, "Rank {} claims requests but leads no group.", s.rank);
    s.asked = true;
    if (s.rank == 0) {
        s.run = s.grant(leader, unfinished);
        return;
    }
    if (s.question != MPI_REQUEST_NULL) check_mpi(MPI_Wait(&s.question, MPI_STATUS_IGNORE), "asking for requests");
    check_mpi(MPI_Irecv(&s.run, sizeof s.run, MPI_BYTE, 0, kAnswerTag, s.comm, &s.answer), "waiting for requests");
    s.unfinished = unfinished;
    check_mpi(MPI_Isend(&s.unfinished, sizeof s.unfinished, MPI_BYTE, 0, kAskTag, s.comm, &s.question),
              "asking for requests");
}

std::optional<ClaimRun> ClaimCounter::poll() {
    State& s = *state_;
    if (s.exhausted) return ClaimRun{};
    if (!s.asked) return std::nullopt;
    if (s.answer != MPI_REQUEST_NULL) {
        int arrived = 0;
        check_mpi(MPI_Test(&s.answer, &arrived, MPI_STATUS_IGNORE), "waiting for requests");
        if (arrived == 0) return std::nullopt;
    }
    s.asked = false;
    if (s.run == kLater) return std::nullopt;
    s.exhausted = s.run.empty();
    return s.run;
}

bool ClaimCounter::asked() const { return state_->asked; }
bool ClaimCounter::exhausted() const { return state_->exhausted; }

void ClaimCounter::serve() {
    State& s = *state_;
    if (s.rank != 0) return;
    while (true) {
        int waiting = 0;
        MPI_Status status;
        check_mpi(MPI_Iprobe(MPI_ANY_SOURCE, kAskTag, s.comm, &waiting, &status),
                  "looking for ranks that want requests");
        if (waiting == 0) break;
        const int asker = status.MPI_SOURCE;
        std::int64_t unfinished = 0;
        check_mpi(MPI_Recv(&unfinished, sizeof unfinished, MPI_BYTE, asker, kAskTag, s.comm, MPI_STATUS_IGNORE),
                  "hearing a rank that wants requests");
        State::Answer& answer = s.answers.emplace_back();
        answer.run = s.grant(s.leader_of(asker), unfinished);
        check_mpi(MPI_Isend(&answer.run, sizeof answer.run, MPI_BYTE, asker, kAnswerTag, s.comm, &answer.request),
                  "handing out requests");
    }
    for (auto answer = s.answers.begin(); answer != s.answers.end();) {
        int left = 0;
        check_mpi(MPI_Test(&answer->request, &left, MPI_STATUS_IGNORE), "handing out requests");
        answer = left != 0 ? s.answers.erase(answer) : std::next(answer);
    }
}

bool ClaimCounter::all_told() const {
    const State& s = *state_;
    return s.rank != 0 || (s.told == static_cast<int>(s.leaders.size()) && s.answers.empty());
}

void ClaimCounter::stop() {
    // next() keeps saying what was never handed out; the end moves there instead.
    if (state_->rank == 0) state_->book.total = state_->book.next;
}

std::int64_t ClaimCounter::next() const { return state_->book.next; }

}  // namespace argosy
