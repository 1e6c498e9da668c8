// Error sentences quote what others wrote and must stay whole on a terminal.
#include <catch2/catch.hpp>
#include <cstring>
#include <string>

#include "kernels/base/error.hpp"

using namespace argosy;

TEST_CASE("errors: bytes that would end a sentence or move a cursor are spelt out") {
    try {
        fail(ErrorKind::usage, "There is no \"{}\".\nSee --help.", std::string("a\0b\x1b[2J\x7f\xc3\xa9", 10));
        FAIL("nothing was thrown");
    } catch (const Error& error) {
        CHECK(std::string(error.what()) == "There is no \"a\\x00b\\x1b[2J\\x7f\xc3\xa9\".\nSee --help.");
    }
}
