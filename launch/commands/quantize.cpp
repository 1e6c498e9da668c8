// argosy quantize: a model written anew with its matrices in another number format. Needs no MPI.
#include "runtime/convert/quantize.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <sstream>

#include "kernels/backend.hpp"
#include "kernels/base/account_clock.hpp"
#include "kernels/base/error.hpp"
#include "launch/commands/commands.hpp"
#include "launch/first_process.hpp"
#include "launch/option_reading.hpp"

namespace argosy {

namespace {

struct QuantizeArguments {
    std::string model;
    std::string weights_as;
    std::string output;
    std::string weights;
    bool help = false;
};

po::options_description quantize_table(QuantizeArguments& a) {
    po::options_description table(kHelpColumns);
    table.add_options()                                                           //
        ("model", po::value(&a.model)->value_name("DIR"), "Hugging Face folder")  //
        ("weights-as", po::value(&a.weights_as)->value_name("FORMAT"),
         "format of the matrices, the router's and the vocabulary's apart: f32, bf16, f16, fp8, int8, mxfp4 or "
         "nvfp4")  //
        ("output", po::value(&a.output)->value_name("DIR"),
         "folder to write, which does not exist yet; it appears when it is whole")  //
        ("weights", po::value(&a.weights)->value_name("random:SEED"),
         "random weights: a config.json is enough as --model")  //
        ("help", po::bool_switch(&a.help), "this text");
    return table;
}

std::string quantize_help() {
    QuantizeArguments arguments;
    std::ostringstream text;
    text << "argosy quantize: a model written anew with its matrices in another number format\n\n"
            "  argosy quantize --model Qwen3-30B-A3B --weights-as nvfp4 --output Qwen3-30B-A3B-nvfp4\n\n"
            "What it writes is what --weights-as makes when argosy run loads the model: answers are the same bits. "
            "f32\nof a model in blocks is its decoded twin. Threads: OMP_NUM_THREADS.\n\n"
         << quantize_table(arguments);
    return text.str();
}

QuantizeSettings settings_of(const QuantizeArguments& a) {
    for (const auto& [value, name] :
         {std::pair{a.model, "--model"}, {a.weights_as, "--weights-as"}, {a.output, "--output"}}) {
        if (value.empty()) fail(ErrorKind::usage, "argosy quantize wants {}. See --help.", name);
    }
    QuantizeSettings settings;
    settings.model = a.model;
    settings.output = a.output;
    settings.format = parse_weight_format(a.weights_as);
    if (!a.weights.empty()) settings.random_seed = parse_random_seed(a.weights);
    return settings;
}

// A line every few seconds: rewritten on a terminal, one after the other in a file.
class ProgressLine {
  public:
    void show(double part) {
        constexpr std::int64_t kPause_ns = 3'000'000'000;
        if (monotonic_ns() - last_ns_ < kPause_ns) return;
        last_ns_ = monotonic_ns();
        shown_ = true;
        std::fprintf(stderr, "%sargosy: %.0f %%%s", terminal_ ? "\r" : "", 100 * part, terminal_ ? "" : "\n");
    }
    ~ProgressLine() {
        if (shown_ && terminal_) std::fputc('\n', stderr);
    }

  private:
    std::int64_t last_ns_ = monotonic_ns();
    bool terminal_ = ::isatty(2) == 1;
    bool shown_ = false;
};

}  // namespace

int quantize_command(const std::vector<std::string>& words) {
    if (!is_first_process()) return 0;
    QuantizeArguments arguments;
    read_arguments(words, quantize_table(arguments), "argosy quantize");
    if (arguments.help) {
        std::fputs(quantize_help().c_str(), stdout);
        return 0;
    }
    const QuantizeSettings settings = settings_of(arguments);
    prepare_threads(1);  // rounding as everywhere
    QuantizeResult result;
    {
        ProgressLine line;
        result = quantize(settings, [&](double part) { line.show(part); });
    }
    constexpr double kMiB = 1 << 20;
    const double bits = result.converted_weights > 0 ? 8.0 * static_cast<double>(result.converted_bytes) /
                                                           static_cast<double>(result.converted_weights)
                                                     : 0;
    fmt::print(
        "{}: {} matrices as {} ({:.3f} bits per weight), {} tensors as they were, {} other files; {:.1f} MiB read, "
        "{:.1f} MiB of weights written\n",
        settings.output.string(), result.converted, name_of(settings.format), bits, result.copied, result.files_copied,
        static_cast<double>(result.bytes_read) / kMiB, static_cast<double>(result.bytes_written) / kMiB);
    return 0;
}

}  // namespace argosy
