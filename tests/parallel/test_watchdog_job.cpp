// Jobs under mpirun whose rank is stopped or stuck: they end soon, with status 70 and the name of the rank.
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>

#include "tests/support/shared_data.hpp"

using Catch::Matchers::Contains;

namespace {

struct Ended {
    int status = -1;
    std::string text;
    double seconds = 0;
};

Ended run_job(const std::string& arguments) {
    const std::string command = (argosy::test::source_dir() / "tests/support/mpirun.sh").string() + " 60 3 " +
                                WATCHDOG_RANK + " " + arguments + " 2>&1";
    const auto start = std::chrono::steady_clock::now();
    FILE* pipe = popen(command.c_str(), "r");
    REQUIRE(pipe != nullptr);
    Ended ended;
    char line[512];
    while (std::fgets(line, sizeof line, pipe) != nullptr) ended.text += line;
    const int status = pclose(pipe);
    ended.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    ended.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return ended;
}

std::size_t count(const std::string& text, const std::string& word) {
    std::size_t n = 0;
    for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++n;
    return n;
}

}  // namespace

TEST_CASE("a healthy job is left alone") {
    const Ended ended = run_job("well 0");
    INFO(ended.text);
    CHECK(ended.status == 0);
    CHECK_THAT(ended.text, Contains("all went well"));
    CHECK(count(ended.text, "The job ends here") == 0);
}

TEST_CASE("a stopped rank ends the job with its name") {
    const Ended ended = run_job("stop 1");
    INFO(ended.text);
    CHECK(ended.status == 70);
    CHECK_THAT(ended.text, Contains("Rank 1 (process") && Contains("has not been heard of") && Contains("of step 20"));
    CHECK(count(ended.text, "The job ends here") == 1);
    CHECK(ended.seconds < 40);
}

TEST_CASE("a stuck rank ends the job with its name and what it did") {
    const Ended ended = run_job("stick 2");
    INFO(ended.text);
    CHECK(ended.status == 70);
    CHECK_THAT(ended.text,
               Contains("Rank 2 (process") && Contains("has stood still") && Contains("'experts' of step 20"));
    CHECK(count(ended.text, "The job ends here") == 1);
}
