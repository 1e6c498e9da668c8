// The list of backends: names, choices, error sentences, and the floating-point environment of every thread.
#include <immintrin.h>
#include <omp.h>

#include "kernels/base/error.hpp"
#include "tests/kernels/op_cases.hpp"

namespace argosy::test {
namespace {

std::string sentence_of(std::string_view backend, std::string_view isa, std::string_view numerics = "exact") {
    try {
        select_backend(backend, isa, numerics);
    } catch (const Error& error) {
        REQUIRE(error.kind() == ErrorKind::usage);
        return error.what();
    }
    return "";
}

TEST_CASE("every backend has a full table or a reason, and all of one mode share one numerics_id") {
    std::vector<std::pair<std::string_view, std::string_view>> names;
    for (const BackendEntry& entry : backends()) {
        const std::pair name{entry.name, entry.numerics};
        REQUIRE(std::find(names.begin(), names.end(), name) == names.end());
        names.push_back(name);
        REQUIRE((entry.ops == nullptr) != entry.reason.empty());
        if (entry.ops == nullptr) continue;
        const Ops& ops = *entry.ops;
        REQUIRE(ops.name == entry.name);
        REQUIRE((ops.products == Products::int8) == (entry.numerics == "int8"));
        REQUIRE((ops.products == Products::bf16) == (entry.numerics == "bf16"));
        REQUIRE((ops.products == Products::bf16_tiles) == (entry.numerics == "bf16-amx"));
        REQUIRE(ops.numerics_id == "cpu-" + std::string(entry.numerics) + "-1");
        REQUIRE(reference_of(ops).name == "reference");
        REQUIRE(reference_of(ops).products == ops.products);
        REQUIRE((ops.packed_bytes && ops.pack && ops.product_scratch_bytes && ops.kv_block_bytes &&
                 ops.sample_scratch_bytes && ops.embed && ops.rms_norm && ops.qkv && ops.latent && ops.attention &&
                 ops.leaf_projection && ops.leaf_join && ops.route && ops.gate_up && ops.combine && ops.logits &&
                 ops.sample));
    }
    for (const std::string_view numerics : {"exact", "bf16", "bf16-amx", "int8"}) {
        for (const std::string_view name : {"cpu-avx512", "cpu-avx2", "cpu-portable", "reference"}) {
            INFO(name << " " << numerics);
            REQUIRE(std::find(names.begin(), names.end(), std::pair{name, numerics}) != names.end());
        }
    }
    for (const std::string_view numerics : {"int8", "bf16-amx"}) {
        const std::pair<std::string_view, std::string_view> amx{"cpu-amx", numerics};
        REQUIRE(std::find(names.begin(), names.end(), amx) != names.end());
    }
    REQUIRE(std::find(names.begin(), names.end(), std::pair<std::string_view, std::string_view>{"cuda", "exact"}) !=
            names.end());
}

TEST_CASE("select_backend takes the best that runs here, and the one asked for") {
    REQUIRE(select_backend("reference", "auto").name == "reference");
    REQUIRE(select_backend("cpu", "portable").name == "cpu-portable");
    const BackendEntry best = [] {
        for (const BackendEntry& entry : backends()) {
            if (entry.ops != nullptr) return entry;
        }
        return BackendEntry{};
    }();
    REQUIRE(select_backend("auto", "auto").name == best.name);
    REQUIRE(select_backend("cpu", "auto").name == best.name);
    for (const BackendEntry& entry : backends()) {
        if (!entry.name.starts_with("cpu-")) continue;
        const std::string_view isa = entry.name.substr(4);
        if (entry.ops != nullptr) REQUIRE(&select_backend("cpu", isa, entry.numerics) == entry.ops);
        if (entry.ops == nullptr)
            REQUIRE(sentence_of("cpu", isa, entry.numerics).find(entry.reason) != std::string::npos);
    }
}

TEST_CASE("select_backend names the nearest word, or why a backend cannot run and which can") {
    REQUIRE(sentence_of("refrence", "auto").find("Did you mean 'reference'?") != std::string::npos);
    REQUIRE(sentence_of("cpu", "avx51").find("Did you mean 'avx512'?") != std::string::npos);
    REQUIRE(sentence_of("cpu", "auto", "int4").find("Did you mean 'int8'?") != std::string::npos);
    REQUIRE(sentence_of("cpu", "amx", "exact").find("none of these numerics") != std::string::npos);
    REQUIRE(sentence_of("cuda", "auto", "int8").find("cpu-portable") != std::string::npos);
    const std::string cuda = sentence_of("cuda", "auto");
    REQUIRE(cuda.find("CUDA") != std::string::npos);
    REQUIRE(cuda.find("cpu-portable") != std::string::npos);
}

TEST_CASE("prepare_threads: every thread rounds to nearest and keeps denormals") {
    const unsigned before = _mm_getcsr();
#pragma omp parallel num_threads(3)
    _mm_setcsr(_mm_getcsr() | 0x8040U | _MM_ROUND_DOWN);
    prepare_threads(3);
    int wrong = 0;
#pragma omp parallel num_threads(3) reduction(+ : wrong)
    wrong += (_mm_getcsr() & (0x8040U | _MM_ROUND_MASK)) != 0 ? 1 : 0;
    REQUIRE(wrong == 0);
    REQUIRE((_mm_getcsr() & 0x8040U) == 0);
    _mm_setcsr(before);
}

}  // namespace
}  // namespace argosy::test
