// argosy export: the answers of a run as one file, whole or as far as they are there. Needs no MPI and no model.
#include <cstdio>
#include <sstream>

#include "kernels/base/error.hpp"
#include "launch/commands/commands.hpp"
#include "launch/first_process.hpp"
#include "launch/option_reading.hpp"
#include "runtime/job/result_join.hpp"

namespace argosy {

namespace {

struct ExportArguments {
    std::string run_dir;
    std::string format = "jsonl";
    std::string output;
    bool partial = false;
    bool help = false;
};

po::options_description export_table(ExportArguments& a) {
    po::options_description table(kHelpColumns);
    table.add_options()  //
        ("run-dir", po::value(&a.run_dir)->value_name("DIR"),
         "folder that argosy run was given as --run-dir; may stand without --run-dir")  //
        ("format", po::value(&a.format)->value_name("FORMAT"),
         "jsonl: the lines of responses.jsonl; hdf5: tokens, texts, log probabilities, counts as data sets (default "
         "jsonl)")  //
        ("output", po::value(&a.output)->value_name("FILE"),
         "file to write; it appears when it is whole (default for jsonl: stdout)")  //
        ("partial", po::bool_switch(&a.partial),
         "export what is there, at any time, also while the job runs; without it an unfinished run is an error")  //
        ("help", po::bool_switch(&a.help), "this text");
    return table;
}

std::string export_help() {
    ExportArguments arguments;
    std::ostringstream text;
    text << "argosy export RUN_DIR: the answers of a run in input order, as one file\n\n"
            "  argosy export out --partial --output so-far.jsonl\n"
            "  argosy export out --format hdf5 --output answers.h5\n\n"
            "Reads only the shards that the run's manifest.jsonl lists, and touches nothing in the run directory.\n\n"
         << export_table(arguments);
    return text.str();
}

// The word that stands alone is the run directory.
std::vector<std::string> with_named_directory(std::vector<std::string> words) {
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (words[i] == "--format" || words[i] == "--output" || words[i] == "--run-dir") {
            ++i;
        } else if (!words[i].empty() && words[i][0] != '-') {
            words.insert(words.begin() + static_cast<std::ptrdiff_t>(i), "--run-dir");
            break;
        }
    }
    return words;
}

ExportArguments parse(const std::vector<std::string>& words) {
    ExportArguments arguments;
    read_arguments(with_named_directory(words), export_table(arguments), "argosy export");
    if (arguments.help) return arguments;
    check_word(arguments.format, {"jsonl", "hdf5"}, "--format");
    if (arguments.run_dir.empty())
        fail(ErrorKind::usage, "argosy export wants the run directory: argosy export RUN_DIR. See --help.");
    return arguments;
}

}  // namespace

int export_command(const std::vector<std::string>& words) {
    if (!is_first_process()) return 0;
    const ExportArguments arguments = parse(words);
    if (arguments.help) {
        std::fputs(export_help().c_str(), stdout);
        return 0;
    }
    const ExportOutcome outcome =
        export_results({.run_dir = arguments.run_dir,
                        .format = arguments.format == "hdf5" ? ExportFormat::hdf5 : ExportFormat::jsonl,
                        .output = arguments.output,
                        .partial = arguments.partial});
    for (const std::string& sentence : outcome.damaged)
        std::fprintf(stderr, "argosy: %s It is left out.\n", sentence.c_str());
    std::fprintf(stderr, "argosy: exported %lld answers and %lld error records of %lld requests.\n",
                 static_cast<long long>(outcome.written.answers), static_cast<long long>(outcome.written.errors),
                 static_cast<long long>(outcome.requests));
    return 0;
}

}  // namespace argosy
