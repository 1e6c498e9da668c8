// argosy probe: what this machine can do, measured and written as a cluster profile.
#include <cstdio>
#include <fstream>
#include <sstream>

#include "kernels/backend.hpp"
#include "kernels/base/error.hpp"
#include "launch/commands/commands.hpp"
#include "launch/commands/job_command.hpp"
#include "launch/option_reading.hpp"
#include "launch/version.hpp"
#include "runtime/memory_budget.hpp"
#include "runtime/placement.hpp"
#include "runtime/probe/machine_probe.hpp"

namespace argosy {

namespace fs = std::filesystem;

namespace {

struct ProbeArguments {
    int threads = 0;
    bool quick = false;
    bool help = false;
    std::string disk = "on";
    std::string path = ".";
    std::string output;
};

po::options_description probe_table(ProbeArguments& a) {
    po::options_description table(kHelpColumns);
    table.add_options()  //
        ("threads", number(a.threads),
         "threads of one rank (default: OMP_NUM_THREADS, else its share of the cores it may run on)")  //
        ("path", po::value(&a.path)->value_name("DIR"),
         "folder whose disk is measured, with a file that has no name and leaves nothing (default: where you are)")  //
        ("disk", po::value(&a.disk)->value_name("on|off"), "measure the disk (default on)")                          //
        ("output", po::value(&a.output)->value_name("FILE"),
         "where the profile is written (default: argosy-cluster-HOST.json where you are)")  //
        ("quick", po::bool_switch(&a.quick),
         "few and short rounds: less than 5 s on an idle machine instead of less than 30, and a wider spread")  //
        ("help", po::bool_switch(&a.help), "this text");
    return table;
}

std::string probe_help() {
    ProbeArguments arguments;
    std::ostringstream text;
    text
        << "argosy probe: measures this machine and writes a cluster profile\n\n"
           "  mpirun -n 2 argosy probe --output cluster.json\n"
           "  argosy run --cluster cluster.json ...\n\n"
           "All ranks of a node measure at once, since that is what a job gets, and then one thread alone: arithmetic\n"
           "of every instruction set that the CPU has (f32 multiply-add, int8 and bf16 dot products), caches, memory,\n"
           "messages between ranks of one node and of two, the collectives of a step, and the disk. Start it as the\n"
           "job will be started: with the same ranks per node and threads.\n\n"
        << probe_table(arguments);
    return text.str();
}

ProbeArguments parse(const std::vector<std::string>& words) {
    ProbeArguments a;
    read_arguments(words, probe_table(a), "argosy probe");
    check_number(a.threads, 0, 4096, "--threads");
    if (!parse_switch(a.disk, "--disk")) a.path.clear();
    return a;
}

// Written whole or not at all; what stood there is replaced.
void write_profile(const fs::path& path, const std::string& text) {
    const fs::path part = path.string() + ".tmp";
    std::ofstream file(part, std::ios::binary);
    file << text;
    file.close();
    std::error_code error;
    if (file) fs::rename(part, path, error);
    if (!file || error) {
        fs::remove(part, error);
        fail(ErrorKind::usage, "The profile cannot be written to {}. Check --output.", path.string());
    }
}

// Says early what would be said after half a minute.
void check_output(const fs::path& path) {
    const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
    if (fs::is_directory(path) || !fs::is_directory(folder))
        fail(ErrorKind::usage, "The profile cannot be written to {}. Check --output.", path.string());
}

int probe(MpiSession& session, const ProbeArguments& arguments) {
    fs::path output = arguments.output;
    if (output.empty()) output = "argosy-cluster-" + session.node_names()[0] + ".json";
    ProbeOptions options;
    options.threads = choose_threads(session.node(), arguments.threads);
    options.quick = arguments.quick;
    options.path = arguments.path;
    options.memory_bytes = available_memory_bytes();
    options.program = kVersion;
    session.run_agreed([&] {
        if (session.rank() == 0) check_output(output);
    });
    const auto spots =
        gather_spots(session, spot_of_this_rank(session, options.threads, options.memory_bytes / session.node().ranks));
    prepare_threads(options.threads);
    const ClusterProfile profile = probe_machine(session, options);
    session.run_agreed([&] {
        if (session.rank() == 0) write_profile(output, to_json(profile));
    });
    if (session.rank() != 0) return 0;
    for (const std::string& warning : placement_warnings(spots))
        std::fprintf(stderr, "argosy: warning: %s\n", warning.c_str());
    std::fputs(describe(profile).c_str(), stdout);
    std::printf(" profile: %s   (argosy run --cluster %s)\n", output.c_str(), output.c_str());
    return 0;
}

}  // namespace

int probe_command(const std::vector<std::string>& words) {
    return run_on_ranks([&]() -> RankWork {
        const ProbeArguments arguments = parse(words);
        if (arguments.help) return {.help = probe_help(), .run = {}};
        return {.help = {}, .run = [arguments](MpiSession& session, const StopSignals&, AccountClock&) {
                    return probe(session, arguments);
                }};
    });
}

}  // namespace argosy
