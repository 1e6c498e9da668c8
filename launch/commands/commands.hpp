// The subcommands of argosy, each in a file of its own.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace argosy {

struct Command {
    std::string_view name;
    std::string_view summary;                               // one line of `argosy --help`
    int (*run)(const std::vector<std::string>& arguments);  // returns the exit status; may throw Error
};

int run_command(const std::vector<std::string>& arguments);
int bench_command(const std::vector<std::string>& arguments);
int report_command(const std::vector<std::string>& arguments);
int export_command(const std::vector<std::string>& arguments);
int probe_command(const std::vector<std::string>& arguments);
int inspect_command(const std::vector<std::string>& arguments);
int quantize_command(const std::vector<std::string>& arguments);

// The list, in the order of --help. A new subcommand is one file and one line there.
std::span<const Command> commands();

}  // namespace argosy
