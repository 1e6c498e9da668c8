// What users get wrong on the command line and in config files, and run directories that cannot be used: one sentence,
// a status that says whose turn it is, nothing left behind.
#include <catch2/catch.hpp>

#include "tests/launch/mistakes.hpp"

using namespace argosy;
using namespace argosy::test;
namespace fs = std::filesystem;

namespace {

// A config file of this text.
std::function<void(const Place&)> config_file(const std::string& text) {
    return [text](const Place& place) { write_text(place.work / "file.cfg", text); };
}

std::vector<Mistake> mistakes() {
    const std::vector<std::string> with_file = run_with({"--config", "{file.cfg}"});
    return {
        {"a subcommand that is none", {"rum", "--run-dir", "{run}"}, 64, {"rum", "Did you mean run?"}},
        {"an unknown option", run_with({"--modle", "x"}), 64, {"modle", "Did you mean model?"}},
        {"an option cut short", run_with({"--max-row", "8"}), 64, {"max-row", "Did you mean max-rows?"}},
        {"an option with one dash", run_with({"-tp", "2"}), 64, {"-tp", "--help"}},
        {"a word that stands alone", run_with({"requests.jsonl"}), 64, {"a word stands alone", "--help"}},
        {"an option given twice", run_with({"--tp", "1", "--tp", "2"}), 64, {"tp"}},
        {"an option without its value", run_with({"--tp"}), 64, {"tp"}},
        {"an unknown key in the config file",
         with_file,
         64,
         {"file.cfg", "kv-memori", "Did you mean kv-memory?"},
         config_file("kv-memori = 1GiB\n")},
        {"a config file that is none", with_file, 64, {"file.cfg", "NAME = VALUE"}, config_file("dp 2\n")},
        {"a value in the config file that is none", with_file, 64, {"tp", "two"}, config_file("tp = two\n")},
        {"a config file that names another",
         with_file,
         64,
         {"file.cfg", "config"},
         config_file("config = other.cfg\n")},
        {"a config file that is not there", run_with({"--config", "{none.cfg}"}), 64, {"none.cfg", "--config"}},
        {"a number that is none", run_with({"--tp", "two"}), 64, {"tp", "two"}},
        {"a size that is none", run_with({"--kv-memory", "12Quarts"}), 64, {"--kv-memory", "12Quarts", "GiB"}},
        {"a size that is negative", run_with({"--kv-memory", "-5MiB"}), 64, {"--kv-memory", "-5MiB"}},
        {"a number format that is none", run_with({"--kv-dtype", "f33"}), 64, {"--kv-dtype", "f33", "bf16"}},
        {"a backend that is none", run_with({"--backend", "abacus"}), 64, {"abacus"}},
        {"an instruction set that is none", run_with({"--isa", "mmx"}), 64, {"mmx", "avx2"}},
        {"tp 3", run_with({"--tp", "3"}), 64, {"tp", "3", "1, 2, 4"}},
        {"more ranks than there are",
         run_with({"--tp", "4", "--dp", "2"}),
         64,
         {"This layout cannot be", "8 does not divide"}},
        {"replicas that ranks do not divide into", run_with({"--replicas", "3"}), 64, {"This layout cannot be", "3"}},
        {"groups that ranks do not divide into", run_with({"--dp", "5"}), 64, {"This layout cannot be", "5"}},
        {"experts over more than there are", run_with({"--ep", "7"}), 64, {"This layout cannot be", "7"}},
        {"more pipeline stages than one", run_with({"--pp", "2"}), 64, {"--pp"}},
        {"a KV pool of less than a block", run_with({"--kv-memory", "1KiB"}), 64, {"--kv-memory", "1024"}},
        {"a cost profile that is none", run_with({"--cost-profile", "gold"}), 64, {"gold"}},
        {"a cluster profile that is none", run_with({"--cluster", "{none.json}"}), 64, {"none.json", "argosy probe"}},
        {"a run directory that cannot be made",
         {"run", "--run-dir", "/proc/argosy-run"},
         70,
         {"/proc/argosy-run cannot be made", "--run-dir"}},
    };
}

}  // namespace

TEST_CASE("a mistake in the command gets one sentence, status 64, and leaves nothing") { check_mistakes(mistakes()); }

TEST_CASE("run directories that cannot be used are refused and not touched") {
    for (const int ranks : {0, 2}) {
        INFO("ranks " << ranks);
        const Place place;
        write_text(place.work / "a.jsonl", steady_requests(4));
        write_text(place.work / "b.jsonl", steady_requests(5));

        SECTION("below a file, ranks " + std::to_string(ranks)) {
            write_text(place.work / "file", "x");
            const ProgramResult result = run_at(place, ranks, run_words(place, "file/run", "a.jsonl"));
            INFO(result.err);
            CHECK(result.status == 70);  // the machine said no
            REQUIRE(sentences_of(result).size() == 1);
            CHECK(sentences_of(result)[0].find("file/run") != std::string::npos);
            CHECK(read_text(place.work / "file") == "x");
        }
        SECTION("a file, ranks " + std::to_string(ranks)) {
            write_text(place.work / "file", "x");
            const ProgramResult result = run_at(place, ranks, run_words(place, "file", "a.jsonl"));
            INFO(result.err);
            CHECK(result.status == 64);
            REQUIRE(sentences_of(result).size() == 1);
            CHECK(read_text(place.work / "file") == "x");
        }
        SECTION("somebody's folder, ranks " + std::to_string(ranks)) {
            fs::create_directories(place.work / "home");
            write_text(place.work / "home/thesis.tex", "\\begin{document}");
            const std::string before = fingerprint(place.work / "home");
            const ProgramResult result = run_at(place, ranks, run_words(place, "home", "a.jsonl"));
            INFO(result.err);
            CHECK(result.status == 64);
            REQUIRE(sentences_of(result).size() == 1);
            CHECK(sentences_of(result)[0].find("holds no Argosy run") != std::string::npos);
            CHECK(fingerprint(place.work / "home") == before);
        }
        SECTION("another job's, or this job's when it is done, ranks " + std::to_string(ranks)) {
            const ProgramResult first = run_at(place, ranks, run_words(place, "run", "a.jsonl"));
            INFO(first.err);
            REQUIRE(first.status == 0);
            const std::string before =
                fingerprint(place.work / "run/shards") + read_text(place.work / "run/responses.jsonl");

            const ProgramResult other = run_at(place, ranks, run_words(place, "run", "b.jsonl"));
            INFO(other.err);
            CHECK(other.status == 64);
            REQUIRE(sentences_of(other).size() == 1);
            CHECK(sentences_of(other)[0].find("another job") != std::string::npos);
            CHECK(sentences_of(other)[0].find("input_digest") != std::string::npos);

            const ProgramResult seed = run_at(place, ranks, run_words(place, "run", "a.jsonl", {"--seed", "7"}));
            CHECK(seed.status == 64);
            REQUIRE(sentences_of(seed).size() == 1);
            CHECK(sentences_of(seed)[0].find("seed") != std::string::npos);

            const auto written = fs::last_write_time(place.work / "run/responses.jsonl");
            const ProgramResult again = run_at(place, ranks, run_words(place, "run", "a.jsonl"));
            CHECK(again.status == 0);
            CHECK(again.out == read_text(place.work / "run/report.txt"));
            CHECK(again.out.find("COST") != std::string::npos);
            CHECK(sentences_of(again).empty());
            CHECK(fs::last_write_time(place.work / "run/responses.jsonl") == written);
            CHECK(fingerprint(place.work / "run/shards") + read_text(place.work / "run/responses.jsonl") == before);
        }
        check_nothing_left(place);
    }
}
