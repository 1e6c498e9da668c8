// The main of every test binary that runs as one process. Exit status 77 means: nothing failed, but something was
// skipped.
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>

#include "tests/support/shared_data.hpp"

int main(int argc, char** argv) {
    const int failed = Catch::Session().run(argc, argv);
    if (failed != 0) return 1;
    return argosy::test::skipped_count() > 0 ? 77 : 0;
}
