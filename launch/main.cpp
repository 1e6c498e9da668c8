// The program: finds the subcommand and turns errors into one sentence and an exit status.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "kernels/backend.hpp"
#include "kernels/base/error.hpp"
#include "kernels/base/nearest.hpp"
#include "launch/commands/commands.hpp"
#include "launch/commands/job_command.hpp"
#include "launch/version.hpp"

namespace argosy {

namespace {

int print_help() {
    std::puts("argosy: batch inference of Mixture-of-Experts models on HPC machines\n");
    for (const Command& command : commands())
        std::printf("  argosy %-9s %s\n", std::string(command.name).c_str(), std::string(command.summary).c_str());
    std::puts(
        "\nEach has --help. `argosy run` alone runs the demo job; `mpirun -n 2 argosy run` runs it on two ranks.");
    return 0;
}

int print_version() {
    std::printf("argosy %s\n", kVersion);
    for (const BackendEntry& backend : backends()) {
        std::printf("  %-13s %s\n", std::string(backend.name).c_str(),
                    backend.ops != nullptr ? std::string(backend.ops->numerics_id).c_str() : backend.reason.c_str());
    }
    return 0;
}

// Whether a launcher started more processes than this one, as far as can be told without MPI.
bool several_ranks() {
    for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) {
        const char* ranks = std::getenv(name);
        if (ranks != nullptr && std::atoi(ranks) > 1) return true;
    }
    return false;
}

int dispatch(const std::vector<std::string>& words) {
    if (words.empty() || words[0] == "--help" || words[0] == "help") return print_help();
    if (words[0] == "--version") return print_version();
    std::vector<std::string_view> names;
    for (const Command& command : commands()) {
        if (command.name == words[0]) return command.run({words.begin() + 1, words.end()});
        names.push_back(command.name);
    }
    const auto refuse = [&]() -> JobRequest {
        const std::string near = nearest(words[0], names);
        fail(ErrorKind::usage, "There is no subcommand \"{}\".{} `argosy --help` lists them.", words[0],
             near.empty() ? "" : " Did you mean " + near + "?");
    };
    if (several_ranks()) return run_job_command(refuse);  // so that one of them speaks
    refuse();
    return exit_status(ErrorKind::internal);
}

}  // namespace

}  // namespace argosy

int main(int argc, char** argv) {
    std::signal(SIGXFSZ, SIG_IGN);  // a limit on file sizes then fails the write, which is told in a sentence
    try {
        return argosy::dispatch({argv + 1, argv + argc});
    } catch (const argosy::Error& error) {
        std::fprintf(stderr, "argosy: %s\n", error.what());
        return argosy::exit_status(error.kind());
    } catch (const std::exception& error) {
        std::fprintf(stderr, "argosy: %s\n", error.what());
        return argosy::exit_status(argosy::ErrorKind::internal);
    }
}
