// The communicator over MPI. Every verb is bytes; whatever does not fit MPI's int counts is cut into pieces.
#include <fmt/format.h>
#include <mpi.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "parallel/communicator.hpp"
#include "parallel/mpi_session.hpp"

namespace argosy {

namespace {

constexpr std::int64_t kPieceBytes = std::int64_t{1} << 30;       // one message; MPI's counts are int
constexpr std::int64_t kCollectiveBytes = std::int64_t{1} << 30;  // largest result that is left to MPI's own gather
constexpr int kTag = 1;

class MpiCommunicator final : public Communicator {
  public:
    MpiCommunicator(MPI_Comm comm, bool owned, int rank, int size, std::string name)
        : Communicator(rank, size, std::move(name)), comm_(comm), owned_(owned) {}
    ~MpiCommunicator() override {
        if (!owned_) return;
        int finalized = 0;
        MPI_Finalized(&finalized);
        if (finalized == 0) MPI_Comm_free(&comm_);
    }

  private:
    void check(int code, Verb verb) const {
        if (code != MPI_SUCCESS)
            check_mpi(code, fmt::format("in {} of group {} on its rank {}", name_of(verb), name(), rank()));
    }

    void do_barrier() override { check(MPI_Barrier(comm_), Verb::barrier); }

    void do_broadcast(void* data, std::int64_t bytes, int root) override {
        auto* at = static_cast<std::byte*>(data);
        for (std::int64_t done = 0; done < bytes; done += kPieceBytes) {
            const int piece = static_cast<int>(std::min(bytes - done, kPieceBytes));
            check(MPI_Bcast(at + done, piece, MPI_BYTE, root, comm_), Verb::broadcast);
        }
    }

    void do_all_gather(const void* send, std::int64_t bytes, void* recv) override {
        if (bytes * size() <= kCollectiveBytes) {
            const bool in_place = send == static_cast<std::byte*>(recv) + bytes * rank();
            check(MPI_Allgather(in_place ? MPI_IN_PLACE : send, static_cast<int>(bytes), MPI_BYTE, recv,
                                static_cast<int>(bytes), MPI_BYTE, comm_),
                  Verb::all_gather);
            return;
        }
        gather_pairwise(send, recv, std::vector<std::int64_t>(static_cast<std::size_t>(size()), bytes),
                        Verb::all_gather);
    }

    void do_all_gather_v(const void* send, void* recv, std::span<const std::int64_t> counts_bytes) override {
        std::vector<int> counts;
        std::vector<int> displacements;
        std::int64_t total = 0;
        for (const std::int64_t count : counts_bytes) {
            counts.push_back(static_cast<int>(count));
            displacements.push_back(static_cast<int>(total));
            total += count;
        }
        if (total == 0) return;  // all ranks know the counts, so all leave
        if (total > kCollectiveBytes) {
            gather_pairwise(send, recv, counts_bytes, Verb::all_gather_v);
            return;
        }
        const auto self = static_cast<std::size_t>(rank());
        const bool in_place = send == static_cast<std::byte*>(recv) + displacements[self];
        check(MPI_Allgatherv(in_place ? MPI_IN_PLACE : send, counts[self], MPI_BYTE, recv, counts.data(),
                             displacements.data(), MPI_BYTE, comm_),
              Verb::all_gather_v);
    }

    void do_all_to_all(const void* send, std::int64_t bytes_each, void* recv) override {
        if (bytes_each * size() <= kCollectiveBytes) {
            check(MPI_Alltoall(send, static_cast<int>(bytes_each), MPI_BYTE, recv, static_cast<int>(bytes_each),
                               MPI_BYTE, comm_),
                  Verb::all_to_all);
            return;
        }
        std::vector<SendPart> sends;
        std::vector<ReceivePart> receives;
        for (int r = 0; r < size(); ++r) {
            sends.push_back({static_cast<const std::byte*>(send) + r * bytes_each, bytes_each});
            receives.push_back({static_cast<std::byte*>(recv) + r * bytes_each, bytes_each});
        }
        exchange(sends, receives, Verb::all_to_all);
    }

    void do_all_to_all_v(std::span<const SendPart> send, std::span<const ReceivePart> recv) override {
        exchange(send, recv, Verb::all_to_all_v);
    }

    void gather_pairwise(const void* send, void* recv, std::span<const std::int64_t> counts_bytes, Verb verb) {
        std::vector<SendPart> sends(static_cast<std::size_t>(size()),
                                    SendPart{send, counts_bytes[static_cast<std::size_t>(rank())]});
        std::vector<ReceivePart> receives;
        auto* to = static_cast<std::byte*>(recv);
        for (const std::int64_t count : counts_bytes) {
            receives.push_back({to, count});
            to += count;
        }
        exchange(sends, receives, verb);
    }

    // Pairs of non-blocking messages. Empty parts cost nothing: both sides know the counts. Rank r starts with its
    // upper neighbour, so that not all begin at the same rank.
    void exchange(std::span<const SendPart> send, std::span<const ReceivePart> recv, Verb verb) {
        requests_.clear();
        for (int step = 1; step < size(); ++step) {
            const int from = (rank() - step + size()) % size();
            const ReceivePart& part = recv[static_cast<std::size_t>(from)];
            for (std::int64_t done = 0; done < part.bytes; done += kPieceBytes) {
                const int piece = static_cast<int>(std::min(part.bytes - done, kPieceBytes));
                requests_.push_back(MPI_REQUEST_NULL);
                check(MPI_Irecv(static_cast<std::byte*>(part.data) + done, piece, MPI_BYTE, from, kTag, comm_,
                                &requests_.back()),
                      verb);
            }
        }
        for (int step = 1; step < size(); ++step) {
            const int to = (rank() + step) % size();
            const SendPart& part = send[static_cast<std::size_t>(to)];
            for (std::int64_t done = 0; done < part.bytes; done += kPieceBytes) {
                const int piece = static_cast<int>(std::min(part.bytes - done, kPieceBytes));
                requests_.push_back(MPI_REQUEST_NULL);
                check(MPI_Isend(static_cast<const std::byte*>(part.data) + done, piece, MPI_BYTE, to, kTag, comm_,
                                &requests_.back()),
                      verb);
            }
        }
        const auto self = static_cast<std::size_t>(rank());
        if (recv[self].bytes > 0 && recv[self].data != send[self].data) {
            std::memmove(recv[self].data, send[self].data, static_cast<std::size_t>(recv[self].bytes));
        }
        check(MPI_Waitall(static_cast<int>(requests_.size()), requests_.data(), MPI_STATUSES_IGNORE), verb);
    }

    MPI_Comm comm_;
    bool owned_;
    std::vector<MPI_Request> requests_;
};

}  // namespace

std::unique_ptr<Communicator> make_mpi_communicator(int handle, bool owned, std::string name) {
    MPI_Comm comm = MPI_Comm_f2c(handle);
    int rank = 0;
    int size = 0;
    check_mpi(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN), "choosing how a group reports errors");
    check_mpi(MPI_Comm_rank(comm, &rank), "asking for the rank in a group");
    check_mpi(MPI_Comm_size(comm, &size), "asking for the size of a group");
    return std::make_unique<MpiCommunicator>(comm, owned, rank, size, std::move(name));
}

}  // namespace argosy
