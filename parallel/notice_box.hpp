// Short texts from any rank to world rank 0, without waiting: for what one rank keeps the books of.
//
// A notice is one message; there is no thread. World rank 0 takes what has come whenever it likes, and all that was
// ever sent in take_all().
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "parallel/mpi_session.hpp"

namespace argosy {

class NoticeBox {
  public:
    explicit NoticeBox(MpiSession& session);  // collective over the world
    ~NoticeBox();                             // collective, unless an exception unwinds it
    NoticeBox(const NoticeBox&) = delete;
    NoticeBox& operator=(const NoticeBox&) = delete;

    // Any rank, world rank 0 too. Returns at once; the text is kept until it has left.
    void send(std::string notice);

    // World rank 0: notices that have come since the last call, those of one rank in the order in which they were sent.
    // Empty on other ranks.
    std::vector<std::string> take();

    // Collective: everything that was sent before, on world rank 0.
    std::vector<std::string> take_all();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace argosy
