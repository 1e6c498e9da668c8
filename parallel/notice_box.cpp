// The notice box's messages: bytes under one tag, found by probing.
#include "parallel/notice_box.hpp"

#include <mpi.h>

#include <exception>
#include <list>
#include <thread>
#include <utility>

#include "kernels/base/error.hpp"

namespace argosy {

namespace {
constexpr int kNoticeTag = 1;
}

struct NoticeBox::State {
    explicit State(MpiSession& the_session) : session(the_session) {}

    MpiSession& session;
    MPI_Comm comm = MPI_COMM_NULL;
    int exceptions_at_start = 0;
    std::int64_t sent = 0;
    struct Message {
        std::string text;
        MPI_Request request = MPI_REQUEST_NULL;
    };
    std::list<Message> leaving;  // a list, because MPI reads them where they stand

    // World rank 0's side.
    std::vector<std::int64_t> received;  // [ranks] since the beginning, its own too
    std::vector<std::string> own;

    void drop_left() {
        for (auto message = leaving.begin(); message != leaving.end();) {
            int left = 0;
            check_mpi(MPI_Test(&message->request, &left, MPI_STATUS_IGNORE), "sending a notice");
            message = left != 0 ? leaving.erase(message) : std::next(message);
        }
    }
};

NoticeBox::NoticeBox(MpiSession& session) : state_(std::make_unique<State>(session)) {
    State& s = *state_;
    s.exceptions_at_start = std::uncaught_exceptions();
    s.received.resize(static_cast<std::size_t>(session.size()));
    check_mpi(MPI_Comm_dup(MPI_Comm_f2c(session.world_handle()), &s.comm), "making the group that sends notices");
    check_mpi(MPI_Comm_set_errhandler(s.comm, MPI_ERRORS_RETURN), "choosing how a group reports errors");
}

NoticeBox::~NoticeBox() {
    State& s = *state_;
    if (std::uncaught_exceptions() > s.exceptions_at_start) return;  // the others may not come: freeing is collective
    for (State::Message& message : s.leaving) {
        MPI_Cancel(&message.request);  // nobody took it
        MPI_Wait(&message.request, MPI_STATUS_IGNORE);
    }
    MPI_Comm_free(&s.comm);
}

void NoticeBox::send(std::string notice) {
    State& s = *state_;
    ++s.sent;
    if (s.session.rank() == 0) {
        s.own.push_back(std::move(notice));
        return;
    }
    s.drop_left();
    State::Message& message = s.leaving.emplace_back();
    message.text = std::move(notice);
    check_mpi(MPI_Isend(message.text.data(), static_cast<int>(message.text.size()), MPI_BYTE, 0, kNoticeTag, s.comm,
                        &message.request),
              "sending a notice");
}

std::vector<std::string> NoticeBox::take() {
    State& s = *state_;
    std::vector<std::string> notices = std::exchange(s.own, {});
    s.received[0] += static_cast<std::int64_t>(notices.size());
    while (s.session.rank() == 0) {
        int waiting = 0;
        MPI_Message message = MPI_MESSAGE_NULL;
        MPI_Status status;
        check_mpi(MPI_Improbe(MPI_ANY_SOURCE, kNoticeTag, s.comm, &waiting, &message, &status), "looking for notices");
        if (waiting == 0) break;
        int bytes = 0;
        check_mpi(MPI_Get_count(&status, MPI_BYTE, &bytes), "measuring a notice");
        std::string& text = notices.emplace_back(static_cast<std::size_t>(bytes), '\0');
        check_mpi(MPI_Mrecv(text.data(), bytes, MPI_BYTE, &message, MPI_STATUS_IGNORE), "receiving a notice");
        ++s.received[static_cast<std::size_t>(status.MPI_SOURCE)];
    }
    return notices;
}

std::vector<std::string> NoticeBox::take_all() {
    State& s = *state_;
    std::vector<std::int64_t> sent(static_cast<std::size_t>(s.session.size()));
    s.session.world().all_gather(&s.sent, sizeof s.sent, sent.data());
    std::vector<std::string> notices;
    // Rank by rank: one that is through may already be sending the next.
    const auto some_missing = [&] {
        for (std::size_t rank = 0; rank < sent.size(); ++rank) {
            if (s.received[rank] < sent[rank]) return true;
        }
        return false;
    };
    while (s.session.rank() == 0 && some_missing()) {
        for (std::string& notice : take()) notices.push_back(std::move(notice));
        std::this_thread::yield();
    }
    for (State::Message& message : s.leaving)
        check_mpi(MPI_Wait(&message.request, MPI_STATUS_IGNORE), "sending a notice");
    s.leaving.clear();
    return notices;
}

}  // namespace argosy
