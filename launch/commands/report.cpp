// argosy report: the stored report of a run, as text or JSON. Needs no MPI and no model.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "kernels/base/error.hpp"
#include "launch/commands/commands.hpp"
#include "launch/option_reading.hpp"

namespace argosy {

namespace {

struct ReportArguments {
    std::string run_dir;
    bool json = false;
    bool help = false;
};

po::options_description report_table(ReportArguments& a) {
    po::options_description table(kHelpColumns);
    table.add_options()  //
        ("run-dir", po::value(&a.run_dir)->value_name("DIR"),
         "folder that argosy run was given as --run-dir; may stand without --run-dir")  //
        ("json", po::bool_switch(&a.json),
         "report.json instead of the text; its schema is configs/report.schema.json")  //
        ("help", po::bool_switch(&a.help), "this text");
    return table;
}

std::string read_stored(const std::string& run_dir, const char* name) {
    const std::filesystem::path path = std::filesystem::path(run_dir) / name;
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        fail(
            ErrorKind::usage,
            "There is no report {}: a run writes it when it ends or is stopped. While it runs, status.json in the same "
            "folder says how far it is.",
            path.string());
    }
    return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

int report_command(const std::vector<std::string>& given) {
    std::vector<std::string> words = given;
    if (!words.empty() && !words[0].empty() && words[0][0] != '-') words.insert(words.begin(), "--run-dir");
    ReportArguments arguments;
    const po::options_description table = report_table(arguments);
    read_arguments(words, table, "argosy report");
    if (arguments.help) {
        std::ostringstream text;
        text << "argosy report RUN_DIR: the report of a run that has ended or was stopped\n\n" << table;
        std::fputs(text.str().c_str(), stdout);
        return 0;
    }
    if (arguments.run_dir.empty())
        fail(ErrorKind::usage, "argosy report wants the run directory: argosy report RUN_DIR. See --help.");
    const std::string text = read_stored(arguments.run_dir, arguments.json ? "report.json" : "report.txt");
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
        fail(ErrorKind::system, "The report could not be written to the standard output.");
    return 0;
}

}  // namespace argosy
