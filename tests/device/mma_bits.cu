// mma_bits: which freedoms of a tensor core's products change bits, whether the model of kernels/cuda/mma_model.hpp
// says those bits, and how fast each instruction is. See README.md. Exit status: 0 all that must agree does, 1
// something does not, 64 bad usage, 69 there is no GPU of the kind it needs, 70 the GPU failed.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <exception>

#include "tests/device/device_array.cuh"
#include "tests/device/mma_report.hpp"

namespace {

using namespace argosy::device;

FormatFindings examine(const char* name, int code_bytes) {
    FormatFindings format;
    format.format = name;
    format.code_bytes = code_bytes;
    format.probes = hand_made_probes(code_bytes);
    for (const Unit unit : units_of(code_bytes)) {
        UnitBits bits{unit_name(code_bytes, unit), run_probes(code_bytes, format.probes, unit),
                      model_probes(code_bytes, format.probes, unit), depth_rows(code_bytes)};
        find_depths(code_bytes, bits.depths, unit);
        format.units.push_back(bits);
    }
    for (const Pattern pattern : kWayPatterns) format.ways.push_back(check_ways(code_bytes, pattern));
    format.models = check_models(code_bytes);
    format.fits = fit_models(code_bytes);
    format.promotions = measure_promotion(code_bytes);
    return format;
}

// Empty when there is a GPU that this check is for, else a sentence.
std::string refusal(cudaDeviceProp& properties) {
    int devices = 0;
    const cudaError_t status = cudaGetDeviceCount(&devices);
    if (status != cudaSuccess || devices == 0)
        return std::string("There is no GPU that can be used here (") +
               cudaGetErrorString(status == cudaSuccess ? cudaErrorNoDevice : status) +
               "). Run this on a machine with a Hopper GPU and its driver.";
    checked(cudaGetDeviceProperties(&properties, 0), "tell what it is");
    if (properties.major == 9 && properties.minor == 0) return "";
    return std::string("The GPU here, ") + properties.name + ", has compute capability " +
           std::to_string(properties.major) + "." + std::to_string(properties.minor) +
           ". This check is built for 9.0 (Hopper).";
}

std::string today() {
    const std::time_t now = std::time(nullptr);
    char text[32] = {};
    std::strftime(text, sizeof(text), "%Y-%m-%d", std::gmtime(&now));
    return text;
}

int run(const char* path) {
    cudaDeviceProp properties{};
    const std::string sentence = refusal(properties);
    if (!sentence.empty()) {
        std::fprintf(stderr, "%s\n", sentence.c_str());
        return 69;
    }
    const auto start = std::chrono::steady_clock::now();
    Findings findings;
    findings.device = properties.name;
    findings.version = ARGOSY_VERSION;
    findings.date = today();
    findings.multiprocessors = properties.multiProcessorCount;
    checked(cudaDriverGetVersion(&findings.driver), "tell its driver's version");
    checked(cudaRuntimeGetVersion(&findings.runtime), "tell the runtime's version");
    findings.copy = measure_copy();
    findings.rates = measure_wgmma();
    findings.formats.push_back(examine("bf16", 2));
    findings.formats.push_back(examine("e4m3", 1));
    findings.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    print_table(findings);
    write_json(findings, path);
    return failures(findings).empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3 || std::strcmp(argv[1], "--out") != 0) {
        std::fprintf(stderr, "Say where the findings go: %s --out FILE.json\n", argv[0]);
        return 64;
    }
    try {
        return run(argv[2]);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 70;
    }
}
