// The main of every test binary that runs under mpirun: each rank runs all cases, in one order, and a failure on any
// rank ends all.
#define CATCH_CONFIG_RUNNER
#define CATCH_CONFIG_NO_POSIX_SIGNALS
#include <mpi.h>

#include <catch2/catch.hpp>
#include <cstdio>

#include "tests/support/shared_data.hpp"

int main(int argc, char** argv) {
    int provided = 0;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    int rank = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    const int failed = Catch::Session().run(argc, argv);
    if (failed != 0) {
        // Others may wait in a collective for a rank that left its case early: end them all.
        std::fprintf(stderr, "rank %d: %d test cases failed\n", rank, failed);
        std::fflush(nullptr);
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    MPI_Finalize();
    return argosy::test::skipped_count() > 0 ? 77 : 0;
}
