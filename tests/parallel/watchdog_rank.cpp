// A rank under a watchdog with a short limit that misbehaves on request: watchdog_rank stop|stick|well RANK
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "parallel/node_memory.hpp"
#include "parallel/watchdog.hpp"

int main(int argc, char** argv) {
    if (argc != 3) return 64;
    argosy::MpiSession session;
    argosy::NodeMemory memory(session);
    const int ranks = session.node().ranks;
    const argosy::SharedBlock block = memory.allocate_for_node(argosy::Watchdog::bytes_for(ranks));
    argosy::Watchdog::Options options;
    options.limit_ns = 1'500'000'000;
    options.node = session.node_name();
    argosy::Watchdog watchdog(argosy::Watchdog::slots_in(block.data, ranks), session.node().rank, session.rank(),
                              options);
    const bool culprit = session.rank() == std::atoi(argv[2]);
    for (std::uint64_t step = 0; step < 40; ++step) {
        watchdog.progress(argosy::Account::experts, step);
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        if (culprit && step == 20 && std::strcmp(argv[1], "stop") == 0) std::raise(SIGSTOP);
        if (culprit && step == 20 && std::strcmp(argv[1], "stick") == 0)
            std::this_thread::sleep_for(std::chrono::minutes(10));
        watchdog.progress(argosy::Account::step_control, step);
        session.world().barrier();
    }
    if (session.rank() == 0) std::puts("all went well");
    return 0;
}
