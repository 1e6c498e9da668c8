// The communicator of a group of one rank: what is sent is received at once.
#include <cstring>

#include "parallel/communicator.hpp"

namespace argosy {

namespace {

void copy(void* to, const void* from, std::int64_t bytes) {
    if (bytes > 0 && to != from) std::memmove(to, from, static_cast<std::size_t>(bytes));
}

class SelfCommunicator final : public Communicator {
  public:
    explicit SelfCommunicator(std::string name) : Communicator(0, 1, std::move(name)) {}

  private:
    void do_barrier() override {}
    void do_broadcast(void*, std::int64_t, int) override {}
    void do_all_gather(const void* send, std::int64_t bytes, void* recv) override { copy(recv, send, bytes); }
    void do_all_gather_v(const void* send, void* recv, std::span<const std::int64_t> counts_bytes) override {
        copy(recv, send, counts_bytes[0]);
    }
    void do_all_to_all(const void* send, std::int64_t bytes_each, void* recv) override { copy(recv, send, bytes_each); }
    void do_all_to_all_v(std::span<const SendPart> send, std::span<const ReceivePart> recv) override {
        copy(recv[0].data, send[0].data, send[0].bytes);
    }
};

}  // namespace

std::unique_ptr<Communicator> make_self_communicator(std::string name) {
    return std::make_unique<SelfCommunicator>(std::move(name));
}

}  // namespace argosy
