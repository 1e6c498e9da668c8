// The command line: values reach their settings, the config file stands behind the command line, and mistakes get a
// sentence with a hint.
#include <catch2/catch.hpp>

#include "kernels/base/error.hpp"
#include "launch/options.hpp"
#include "tests/launch/run_program.hpp"
#include "tests/support/shared_data.hpp"

using namespace argosy;
using Catch::Matchers::Contains;

namespace {
std::string complaint(const std::vector<std::string>& words) {
    try {
        parse_run_options(words);
    } catch (const Error& error) {
        CHECK(error.kind() == ErrorKind::usage);
        return error.what();
    }
    return "no complaint";
}
}  // namespace

TEST_CASE("sizes are read with their units") {
    CHECK(parse_bytes("64MiB", "--kv-memory") == 64 << 20);
    CHECK(parse_bytes("1.5KiB", "--kv-memory") == 1536);
    CHECK(parse_bytes("2 GB", "--kv-memory") == 2000000000);
    CHECK(parse_bytes("4096", "--kv-memory") == 4096);
    for (const char* wrong : {"", "MiB", "12 parsecs", "-1MiB", "1e400", "nan"})
        CHECK_THROWS_AS(parse_bytes(wrong, "--kv-memory"), Error);
}

TEST_CASE("the command line goes before the config file, and that before defaults") {
    const test::TempDir temp;
    test::write_text(temp.path() / "job.cfg", "# a comment\nmax-rows = 64\ntp = 2\nkv-memory = 1MiB\n");
    const JobSettings s =
        parse_run_options({"--config", (temp.path() / "job.cfg").string(), "--max-rows", "32"}).settings;
    CHECK(s.max_rows == 32);
    CHECK(s.tp == 2);
    CHECK(s.kv_memory_bytes == 1 << 20);
    CHECK(s.seed == 0);
    CHECK(s.prefix_cache);
}

TEST_CASE("effective settings give the same settings again") {
    const JobSettings s =
        parse_run_options({"--model", "m", "--input",    "a",   "--input",     "b",    "--run-dir",      "r",
                           "--tp",    "2", "--kv-dtype", "f32", "--kv-memory", "3MiB", "--prefix-cache", "off",
                           "--seed",  "5", "--limit",    "7",   "--isa",       "avx2", "--slice",        "2/5"})
            .settings;
    const test::TempDir temp;
    test::write_text(temp.path() / "effective.cfg", effective_config(s));
    const JobSettings again = parse_run_options({"--config", (temp.path() / "effective.cfg").string()}).settings;
    CHECK(effective_config(again) == effective_config(s));
    CHECK(again.input.size() == 2);
    CHECK(again.slice == 2);
    CHECK(again.slices == 5);
    CHECK(again.kv_dtype == DType::f32);
}

TEST_CASE("mistakes name the option and what to do") {
    CHECK_THAT(complaint({"--max-row", "5"}), Contains("no option \"max-row\"") && Contains("max-rows"));
    CHECK_THAT(complaint({"--tp", "many"}), Contains("tp"));
    CHECK_THAT(complaint({"--tp", "9"}), Contains("--tp is 9"));
    CHECK_THAT(complaint({"--pp", "2"}), Contains("one pipeline stage"));
    CHECK_THAT(complaint({"--numerics", "int4"}), Contains("must be one of exact, bf16, bf16-amx, int8"));
    CHECK_THAT(complaint({"--kv-dtype", "int8"}), Contains("--kv-dtype int8 needs --numerics int8"));
    CHECK_THAT(complaint({"--numerics", "bf16", "--kv-dtype", "int8"}), Contains("with 'bf16' attention"));
    CHECK_THAT(complaint({"--record", "logit"}), Contains("logits, hidden, router"));
    CHECK_THAT(complaint({"--prefix-cache", "maybe"}), Contains("write on or off"));
    CHECK_THAT(complaint({"--ledger", "maybe"}), Contains("must be one of on, off, measure"));
    CHECK_THAT(complaint({"--config", "/nowhere/x.cfg"}), Contains("cannot be read"));
    for (const char* slice : {"5/5", "-1/5", "1", "1/", "/2", "1/0", "a/b", "1/2x", "1/2/3", "0/99999999999"})
        CHECK_THAT(complaint({"--slice", slice}), Contains(std::string("--slice is \"") + slice) && Contains("I/N"));
    CHECK_THAT(complaint({"stray"}), Contains("--help"));
    const test::TempDir temp;
    test::write_text(temp.path() / "job.cfg", "max_rows = 64\n");
    CHECK_THAT(complaint({"--config", (temp.path() / "job.cfg").string()}),
               Contains("job.cfg") && Contains("max-rows"));
}

// Boost replaces %value% in its own texts until none is left.
TEST_CASE("a value that looks like one of Boost's own marks is named like any other") {
    CHECK_THAT(complaint({"--limit", "%value%"}), Contains("'%value%'"));
    CHECK_THAT(complaint({"--tp", "50%option%"}), Contains("'50%option%'"));
    const test::TempDir temp;
    const std::string config = (temp.path() / "job.cfg").string();
    test::write_text(config, "limit = a%value%b\n");
    CHECK_THAT(complaint({"--config", config}), Contains("'a%value%b'"));
    test::write_text(config, "%invalid_line%\n");
    CHECK_THAT(complaint({"--config", config}), Contains("'%invalid_line%'"));
    test::write_text(config, "limit = 1\nlimit = %canonical_option%\n");
    CHECK_THAT(complaint({"--config", config}), Contains("limit"));
}
