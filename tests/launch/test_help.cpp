// A walk through --help and the README as a new user takes it: every option has its sentence, every option that the
// README names exists, what --help lists for run may stand in a config file, and a slip of the keys is recognised.
#include <algorithm>
#include <catch2/catch.hpp>
#include <iostream>
#include <regex>
#include <set>
#include <sstream>

#include "tests/launch/mistakes.hpp"

using namespace argosy;
using namespace argosy::test;
using nlohmann::json;

namespace {

const std::vector<std::string> kCommands = {"run", "bench", "report", "export", "probe", "inspect", "quantize"};

ProgramResult argosy_with(std::vector<std::string> arguments) {
    ProgramCall call;
    call.arguments = std::move(arguments);
    return run_program(call);
}

std::string help_of(const std::string& command) {
    const ProgramResult result = argosy_with({command, "--help"});
    INFO(command << ": " << result.err);
    REQUIRE(result.status == 0);
    CHECK(result.err.empty());
    return result.out;
}

struct Option {
    std::string name;
    std::string value;     // NAME, FILE, on|off; "" for a switch
    std::string sentence;  // of one line
};

// "  --tp N     ranks that share ..." with lines that go on below.
std::vector<Option> options_in(const std::string& help) {
    std::vector<Option> options;
    const std::regex head(R"(^  --([a-z-]+) ?([^ ]*) *(.*)$)");
    std::istringstream lines(help);
    bool open = false;
    for (std::string line; std::getline(lines, line);) {
        std::smatch match;
        if (std::regex_match(line, match, head)) {
            options.push_back({match[1], match[2], match[3]});
            open = true;
        } else if (open && line.rfind("      ", 0) == 0) {
            std::string& sentence = options.back().sentence;
            sentence += (sentence.empty() ? "" : " ") + line.substr(line.find_first_not_of(' '));
        } else {
            open = false;
        }
    }
    return options;
}

std::set<std::string> names_of(const std::vector<Option>& options) {
    std::set<std::string> names;
    for (const Option& option : options) names.insert(option.name);
    return names;
}

}  // namespace

TEST_CASE("--help lists the subcommands, and each explains every option it takes") {
    const std::string all = argosy_with({"--help"}).out;
    std::set<std::string> listed;
    const std::regex line(R"(argosy ([a-z]+) +[a-z])");
    for (std::sregex_iterator it(all.begin(), all.end(), line), end; it != end; ++it) listed.insert((*it)[1]);
    for (const std::string& command : kCommands) CHECK(listed.count(command) == 1);
    CHECK(listed.size() == kCommands.size());  // whoever adds a command adds it here

    for (const std::string& command : kCommands) {
        const std::vector<Option> options = options_in(help_of(command));
        INFO(command);
        CHECK(options.size() >= 3);
        for (const Option& option : options) {
            INFO("--" << option.name << " " << option.value << ": " << option.sentence);
            CHECK(option.sentence.size() >= 9);
            CHECK(std::count(option.sentence.begin(), option.sentence.end(), ' ') >= 1);
            CHECK(option.value != "arg");  // what kind of value, in a word of ours
        }
        std::cout << command << ": " << options.size() << " options\n";
        // What the program accepts, as its own complaint about a near miss shows, is what is listed: each name with a
        // letter too many is told apart from it.
        std::vector<ProgramResult> misses(options.size());
        several_at_a_time(options.size(), [&](std::size_t n) {
            misses[n] = argosy_with({command, "--" + options[n].name + "q", "1"});
        });
        for (std::size_t n = 0; n < options.size(); ++n) {
            INFO("--" << options[n].name << "q: " << misses[n].err);
            CHECK(misses[n].status == 64);
            CHECK(misses[n].err.find("Did you mean " + options[n].name + "?") != std::string::npos);
        }
    }
}

TEST_CASE("the README names no option that does not exist, and its commands are recognised with a slip") {
    std::set<std::string> known = {"version"};
    for (const std::string& command : kCommands) known.merge(names_of(options_in(help_of(command))));
    // Of other programs, in the README's lines about them.
    for (const char* other :
         {"oversubscribe", "map-by", "bind-to", "mpi", "preset", "build", "install", "prefix", "export"})
        known.insert(other);
    std::string readme;  // without what it says is not there yet
    std::istringstream lines(read_text(source_dir() / "README.md"));
    for (std::string line; std::getline(lines, line);) {
        if (line.find("not yet |") == std::string::npos) readme += line + "\n";
    }
    const std::regex option(R"((?:^|[\s`(\[])--([a-z][a-z-]*))");
    std::set<std::string> named;
    for (std::sregex_iterator it(readme.begin(), readme.end(), option), end; it != end; ++it) named.insert((*it)[1]);
    CHECK(named.size() > 30);
    for (const std::string& name : named) {
        INFO("--" << name);
        CHECK(known.count(name) == 1);
    }

    // "argosy run --run-dir one ..." in the README, with two letters of one option exchanged.
    const std::regex command(R"(argosy (run|bench|report|export|probe|inspect)( [^\n`(]*))");
    std::set<std::string> tried;
    for (std::sregex_iterator it(readme.begin(), readme.end(), command), end; it != end; ++it) {
        const std::string subcommand = (*it)[1], rest = (*it)[2];
        for (std::sregex_iterator word(rest.begin(), rest.end(), option); word != end; ++word) {
            const std::string name = (*word)[1];
            if (name.size() < 4 || !tried.insert(subcommand + name).second) continue;
            std::string slip = name;
            std::swap(slip[1], slip[2]);
            const ProgramResult result = argosy_with({subcommand, "--" + slip});
            INFO(subcommand << " --" << slip << ": " << result.err);
            CHECK(result.status == 64);
            CHECK(result.err.find("Did you mean " + name + "?") != std::string::npos);
        }
    }
    CHECK(tried.size() >= 6);
}

TEST_CASE("every option that run lists may stand in a config file") {
    const Place place;
    const std::vector<Option> options = options_in(help_of("run"));
    const json values = {{"model", demo().string()},
                         {"input", (demo() / "requests.jsonl").string()},
                         {"input-format", "jsonl"},
                         {"run-dir", place.at("run")},
                         {"limit", "5"},
                         {"slice", "1/3"},
                         {"seed", "4"},
                         {"record", "logits,router"},
                         {"replicas", "1"},
                         {"dp", "1"},
                         {"tp", "1"},
                         {"ep", "1"},
                         {"etp", "1"},
                         {"pp", "1"},
                         {"backend", "cpu"},
                         {"isa", "portable"},
                         {"numerics", "exact"},
                         {"weights-as", "nvfp4"},
                         {"kv-dtype", "f32"},
                         {"kv-memory", "4MiB"},
                         {"prefix-cache", "off"},
                         {"max-rows", "32"},
                         {"exchange-rows", "16"},
                         {"threads", "1"},
                         {"cost-profile", (source_dir() / "configs/costs").string()},
                         {"cluster", ""},
                         {"watchdog", "60"},
                         {"ledger", "measure"},
                         {"dry-run", "true"}};
    std::string config;
    for (const Option& option : options) {
        if (option.name == "help" || option.name == "config") continue;  // of the command line alone
        INFO("--" << option.name << ": no value in this test");
        REQUIRE(values.contains(option.name));
        // Profiles are files: they are read by the job, not by the config file.
        if (option.name == "cost-profile" || option.name == "cluster") continue;
        config += option.name + " = " + values.at(option.name).get<std::string>() + "\n";
    }
    write_text(place.work / "job.cfg", config);
    const ProgramResult plan = run_at(place, 0, {"run", "--config", place.at("job.cfg")});
    INFO(config << plan.err);
    CHECK(plan.status == 0);
    CHECK(plan.out.find("work      5 requests") != std::string::npos);  // limit and dry-run
    CHECK(plan.out.find("cpu-portable") != std::string::npos);
    CHECK(plan.out.find("KV pool") != std::string::npos);
    write_text(place.work / "one.jsonl", "{\"prompt\": \"a\"}\n");
    const ProgramResult other =
        run_at(place, 0, {"run", "--config", place.at("job.cfg"), "--slice", "0/1", "--input", place.at("one.jsonl")});
    INFO(other.err);
    CHECK(other.out.find("work      1 requests") != std::string::npos);  // the command line goes first
    for (const auto& [name, word] : std::vector<std::pair<std::string, std::string>>{{"cost-profile", "nowhere.ini"},
                                                                                     {"cluster", "nowhere.json"}}) {
        write_text(place.work / "job.cfg", config + name + " = " + word + "\n");
        const ProgramResult refused = run_at(place, 0, {"run", "--config", place.at("job.cfg")});
        INFO(refused.err);
        CHECK(refused.status == 64);
        CHECK(refused.err.find(word) != std::string::npos);  // the key was taken: its value is what is wrong
    }
}
