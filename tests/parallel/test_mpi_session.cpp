// The session: what it knows about the node, and how ranks agree on an error.
#include <sched.h>

#include <catch2/catch.hpp>
#include <map>
#include <thread>

#include "kernels/base/account_clock.hpp"
#include "parallel/mpi_session.hpp"
#include "parallel/numa.hpp"
#include "parallel/step_control.hpp"

using namespace argosy;
using Catch::Matchers::Contains;

TEST_CASE("session: places and names") {
    MpiSession session;
    CHECK(session.world().size() == session.size());
    CHECK(session.world().rank() == session.rank());
    CHECK_THAT(session.mpi_version(), Contains("MPI"));
    CHECK(static_cast<int>(session.node_names().size()) == session.size());
    CHECK_FALSE(session.node_name().empty());
    // Tests run on one machine.
    CHECK(session.node_count() == 1);
    CHECK(session.node().ranks == session.size());
    CHECK(session.node().rank == session.rank());
    CHECK(session.node().cores_all >= session.node().cores);
    CHECK(session.node().shared_cores == (session.size() > 1));  // started without binding: all ranks may use all cores
    CHECK(session.world().traffic() == TrafficCounters{});
    CHECK_FALSE(session.launcher_complaint());
    CHECK(numa_place().cores == session.node().cores);
}

TEST_CASE("session: the process began before this test, and not long ago") {
    MpiSession session;
    const std::int64_t age_ns = monotonic_ns() - session.process_start_ns();
    CHECK(age_ns > 0);
    CHECK(age_ns < 600'000'000'000);
    // The start stands still while time goes on.
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    MpiSession later;
    CHECK(std::abs(later.process_start_ns() - session.process_start_ns()) < 50'000'000);
}

TEST_CASE("session: the lowest rank's error is everyone's error") {
    MpiSession session;
    CHECK_FALSE(session.agree(std::nullopt));
    for (int lowest = 0; lowest < session.size(); ++lowest) {
        std::optional<ErrorReport> mine;
        if (session.rank() >= lowest)
            mine = ErrorReport{lowest % 2 == 0 ? ErrorKind::input : ErrorKind::system,
                               "rank " + std::to_string(session.rank()), 99};
        const auto agreed = session.agree(mine);
        REQUIRE(agreed);
        CHECK(*agreed == ErrorReport{lowest % 2 == 0 ? ErrorKind::input : ErrorKind::system,
                                     "rank " + std::to_string(lowest), lowest});
    }
}

TEST_CASE("session: work that fails anywhere fails everywhere, with one sentence") {
    MpiSession session;
    CHECK_NOTHROW(session.run_agreed([] {}));
    const int culprit = session.size() - 1;
    const auto caught = [&](auto&& work) {
        try {
            session.run_agreed(work);
        } catch (const Error& error) {
            return std::pair(error.kind(), std::string(error.what()));
        }
        return std::pair(ErrorKind::usage, std::string("nothing was thrown"));
    };
    const auto user = caught([&] {
        if (session.rank() == culprit) fail(ErrorKind::input, "Line {} is bad.", 17);
    });
    CHECK(user == std::pair(ErrorKind::input, std::string("Line 17 is bad.")));
    const auto machine = caught([&] {
        if (session.rank() == culprit) throw std::bad_alloc();
    });
    CHECK(machine.first == ErrorKind::system);
    CHECK_THAT(machine.second, Contains("not enough memory"));
    if (session.size() > 1) CHECK_THAT(machine.second, Contains("Rank " + std::to_string(culprit) + " on "));
}

TEST_CASE("session: a launcher that started many jobs of one rank is recognised") {
    const auto complaint = [](int world, const std::map<std::string, std::string>& environment) {
        return launcher_complaint_of(world, [&](const char* name) -> const char* {
            const auto found = environment.find(name);
            return found == environment.end() ? nullptr : found->second.c_str();
        });
    };
    CHECK_FALSE(complaint(1, {}));
    CHECK_FALSE(complaint(4, {{"SLURM_NTASKS", "4"}}));
    CHECK_FALSE(complaint(1, {{"SLURM_NTASKS", "1"}}));
    CHECK_FALSE(complaint(1, {{"SLURM_NTASKS", "4"}, {"OMPI_COMM_WORLD_SIZE", "1"}}));  // mpirun -n 1 in a batch script
    for (const char* name : {"SLURM_NTASKS", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE"}) {
        const auto said = complaint(1, {{name, "4"}});
        REQUIRE(said);
        CHECK_THAT(*said, Contains("srun --mpi=pmix") && Contains("4 ranks") && Contains(name));
    }
}

TEST_CASE("session: MPI's own errors become sentences") {
    CHECK_NOTHROW(check_mpi(0, "doing nothing"));
    CHECK_THROWS_WITH(check_mpi(5, "trying it"), Contains("MPI failed while trying it: "));
}

TEST_CASE("step words travel as they are") {
    MpiSession session;
    StepWord mine;
    mine.prefill_rows = session.rank() + 1;
    mine.plan_hash = 0x1234567890abcdefULL + static_cast<unsigned>(session.rank());
    mine.flags = session.rank() == session.size() - 1 ? static_cast<std::uint32_t>(kStepStop) : 0U;
    const std::vector<StepWord> words = exchange_words(session.world(), mine);
    REQUIRE(static_cast<int>(words.size()) == session.size());
    CHECK(words[static_cast<std::size_t>(session.rank())] == mine);
    CHECK(total_rows(words) == session.size() * (session.size() + 1) / 2);
    CHECK(first_with_flag(words, kStepStop) == session.size() - 1);
    CHECK(session.world().traffic().of(Verb::all_gather).bytes_sent == 64 * (session.size() - 1));
}
