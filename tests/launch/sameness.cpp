// Running a job in several ways and comparing.
#include "tests/launch/sameness.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <iostream>
#include <sstream>

#include "tests/launch/run_program.hpp"

namespace argosy::test {

namespace fs = std::filesystem;
using nlohmann::json;

std::int64_t value(const json& witness, const char* key) { return witness.at(key).get<std::int64_t>(); }

std::function<bool(const json&)> above(const char* key, std::int64_t least) {
    return [=](const json& witness) { return value(witness, key) > least; };
}
std::function<bool(const json&)> equals(const char* key, std::int64_t wanted) {
    return [=](const json& witness) { return value(witness, key) == wanted; };
}

std::string run_way(const std::string& requests, const Way& way, const fs::path& model) {
    INFO("way: " << way.ranks << " ranks " << way.options);
    const TempDir temp;
    ProgramCall call = run_call(temp.path(), model, requests, way.options, way.ranks);
    call.timeout_s = 400;
    call.before = way.before;
    call.environment = {"OMP_NUM_THREADS=1"};
    const ProgramResult result = run_program(call);
    INFO(result.err);
    REQUIRE(result.status == 0);
    const json witness = read_report(temp.path() / "run").at("witness");
    INFO(witness.dump());
    CHECK(way.happened(witness));
    std::cout << way.ranks << " ranks " << way.options << ": " << result.seconds << " s\n" << std::flush;
    return read_text(temp.path() / "run/responses.jsonl");
}

namespace {

std::string demo_model() { return (source_dir() / "configs/demo").string(); }

// Fails with the first line that differs, not with two files of a megabyte.
void check_same(const std::string& got, const std::string& wanted, const Way& way) {
    INFO("way: " << way.ranks << " ranks " << way.options);
    if (got == wanted) {
        SUCCEED();
        return;
    }
    std::istringstream a(got), b(wanted);
    std::string line_a, line_b;
    while (std::getline(a, line_a) && std::getline(b, line_b) && line_a == line_b) {
    }
    FAIL("responses differ: " << line_a << "\nbut alone:        " << line_b);
}

}  // namespace

std::string run_way(const std::string& requests, const Way& way) { return run_way(requests, way, demo_model()); }

void check_all_same(const std::string& requests, const Way& alone, const std::vector<Way>& ways) {
    check_all_same(requests, alone, ways, demo_model());
}

void check_all_same(const std::string& requests, const Way& alone, const std::vector<Way>& ways,
                    const fs::path& model) {
    const std::string wanted = run_way(requests, alone, model);
    REQUIRE(std::count(wanted.begin(), wanted.end(), '\n') == std::count(requests.begin(), requests.end(), '\n'));
    REQUIRE(wanted.find("\"error\":{") == std::string::npos);
    for (const Way& way : ways) check_same(run_way(requests, way, model), wanted, way);
}

}  // namespace argosy::test
