// The list of subcommands.
#include "launch/commands/commands.hpp"

namespace argosy {

namespace {
constexpr Command kCommands[] = {
    {"run", "runs a job to its end under mpirun or srun, or alone as one rank; the same command line resumes it",
     run_command},
    {"bench", "fixed-length synthetic work, with real or random weights: tokens per second", bench_command},
    {"report", "the stored report of a run, as text or JSON", report_command},
    {"export", "the answers of a run as one file, JSON lines or HDF5, at any time", export_command},
    {"probe", "measures this machine (arithmetic, memory, messages, disk) and writes a cluster profile", probe_command},
    {"inspect", "what a model is: family, parameters, KV bytes per token, bytes per rank", inspect_command},
    {"quantize", "a model written anew with its matrices in another number format", quantize_command},
};
}  // namespace

std::span<const Command> commands() { return kCommands; }

}  // namespace argosy
