// The one list of backends: what each is, and whether the machine at hand can run it.
#include "kernels/backend.hpp"

#include <immintrin.h>
#include <omp.h>

#include <array>

#include "kernels/base/amx_permission.hpp"
#include "kernels/base/error.hpp"
#include "kernels/base/nearest.hpp"
#include "kernels/cpu/cpu_ops.hpp"
#include "kernels/reference/reference_ops.hpp"

namespace argosy {
namespace {

// Each answers with the reason why this machine cannot run it; "" if it can.
std::string missing_for_avx2() {
    __builtin_cpu_init();
    const bool here = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    return here ? "" : "This CPU lacks AVX2, FMA or F16C.";
}
std::string missing_for_avx512() {
    if (std::string reason = missing_for_avx2(); !reason.empty()) return reason;
    const bool here = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    return here ? "" : "This CPU lacks AVX-512 (F, BW, VL and DQ are needed).";
}
std::string missing_for_avx512_vnni() {
    if (std::string reason = missing_for_avx512(); !reason.empty()) return reason;
    return __builtin_cpu_supports("avx512vnni") ? "" : "This CPU lacks AVX512-VNNI.";
}
std::string missing_for_avx512_bf16() {
    if (std::string reason = missing_for_avx512(); !reason.empty()) return reason;
    return __builtin_cpu_supports("avx512bf16") ? "" : "This CPU lacks AVX512-BF16.";
}
std::string missing_for_amx_int8() {
    if (std::string reason = missing_for_avx512_vnni(); !reason.empty()) return reason;
    return amx_missing(AmxProducts::int8);
}
std::string missing_for_amx_bf16() {
    if (std::string reason = missing_for_avx512_bf16(); !reason.empty()) return reason;
    return amx_missing(AmxProducts::bf16);
}
std::string missing_for_any() { return ""; }
std::string missing_for_cuda() { return "This build holds no CUDA backend."; }

const Ops& no_ops() { fail(ErrorKind::internal, "A backend was asked for its ops although it cannot run here."); }

struct Known {
    std::string_view name;
    std::string_view backend;  // what the user types as backend
    std::string_view isa;      // and as isa, where it matters
    std::string_view numerics;
    std::string (*missing)();
    const Ops& (*ops)();
};
constexpr std::array kKnown{
    Known{"cpu-avx512", "cpu", "avx512", "exact", missing_for_avx512, cpu_avx512_ops},
    Known{"cpu-avx2", "cpu", "avx2", "exact", missing_for_avx2, cpu_avx2_ops},
    Known{"cpu-portable", "cpu", "portable", "exact", missing_for_any, cpu_portable_ops},
    Known{"reference", "reference", "", "exact", missing_for_any, reference_ops},
    Known{"cpu-avx512", "cpu", "avx512", "bf16", missing_for_avx512_bf16, cpu_avx512_bf16_ops},
    Known{"cpu-avx2", "cpu", "avx2", "bf16", missing_for_avx2, cpu_avx2_bf16_ops},
    Known{"cpu-portable", "cpu", "portable", "bf16", missing_for_any, cpu_portable_bf16_ops},
    Known{"reference", "reference", "", "bf16", missing_for_any, reference_bf16_ops},
    Known{"cpu-amx", "cpu", "amx", "bf16-amx", missing_for_amx_bf16, cpu_amx_bf16_amx_ops},
    Known{"cpu-avx512", "cpu", "avx512", "bf16-amx", missing_for_avx512, cpu_avx512_bf16_amx_ops},
    Known{"cpu-avx2", "cpu", "avx2", "bf16-amx", missing_for_avx2, cpu_avx2_bf16_amx_ops},
    Known{"cpu-portable", "cpu", "portable", "bf16-amx", missing_for_any, cpu_portable_bf16_amx_ops},
    Known{"reference", "reference", "", "bf16-amx", missing_for_any, reference_bf16_amx_ops},
    Known{"cpu-amx", "cpu", "amx", "int8", missing_for_amx_int8, cpu_amx_int8_ops},
    Known{"cpu-avx512", "cpu", "avx512", "int8", missing_for_avx512_vnni, cpu_avx512_int8_ops},
    Known{"cpu-avx2", "cpu", "avx2", "int8", missing_for_avx2, cpu_avx2_int8_ops},
    Known{"cpu-portable", "cpu", "portable", "int8", missing_for_any, cpu_portable_int8_ops},
    Known{"reference", "reference", "", "int8", missing_for_any, reference_int8_ops},
    Known{"cuda", "cuda", "", "exact", missing_for_cuda, no_ops},
};

[[noreturn]] void fail_unknown(std::string_view what, std::string_view word, std::span<const std::string_view> names) {
    std::string list;
    for (const std::string_view name : names) list += fmt::format("{}{}", list.empty() ? "" : ", ", name);
    const std::string near = nearest(word, names);
    fail(ErrorKind::usage, "There is no {} '{}'.{} Known: {}.", what, word,
         near.empty() ? "" : fmt::format(" Did you mean '{}'?", near), list);
}

void check_word(std::string_view what, std::string_view word, std::span<const std::string_view> names) {
    for (const std::string_view name : names) {
        if (name == word) return;
    }
    fail_unknown(what, word, names);
}

std::string runnable_names(std::string_view numerics) {
    std::string list;
    for (const BackendEntry& entry : backends()) {
        if (entry.ops != nullptr && entry.numerics == numerics)
            list += fmt::format("{}{}", list.empty() ? "" : ", ", entry.name);
    }
    return list;
}

// MXCSR: round to nearest, no flush of denormal results, denormal operands taken as they are. The sticky exception
// flags stay.
void set_environment() { _mm_setcsr(_mm_getcsr() & ~(_MM_ROUND_MASK | _MM_FLUSH_ZERO_MASK | 0x0040U)); }

}  // namespace

std::vector<BackendEntry> backends() {
    std::vector<BackendEntry> list;
    for (const Known& known : kKnown) {
        std::string reason = known.missing();
        const Ops* ops = reason.empty() ? &known.ops() : nullptr;
        list.push_back({known.name, known.numerics, ops, std::move(reason)});
    }
    return list;
}

const Ops& select_backend(std::string_view backend, std::string_view isa, std::string_view numerics) {
    constexpr std::array<std::string_view, 4> kBackends{"auto", "cpu", "reference", "cuda"};
    constexpr std::array<std::string_view, 5> kIsas{"auto", "amx", "avx512", "avx2", "portable"};
    constexpr std::array<std::string_view, 4> kNumerics{"exact", "bf16", "bf16-amx", "int8"};
    check_word("backend", backend, kBackends);
    check_word("isa", isa, kIsas);
    check_word("numerics", numerics, kNumerics);
    const std::string_view wanted = backend == "auto" ? "cpu" : backend;
    std::string reason = "There is none of these numerics.";
    for (const Known& known : kKnown) {
        if (known.backend != wanted || known.numerics != numerics) continue;
        if (wanted == "cpu" && isa != "auto" && known.isa != isa) continue;
        reason = known.missing();
        if (reason.empty()) return known.ops();
    }
    fail(ErrorKind::usage, "Backend '{}' with isa '{}' and numerics '{}' cannot run here. {} These can: {}.", backend,
         isa, numerics, reason, runnable_names(numerics));
}

std::string bf16_advice(const Ops& ops) {
    const bool tiles = missing_for_amx_bf16().empty();
    if (ops.products == Products::bf16 && tiles)
        return "This CPU has AMX, which multiplies bf16 many times faster in its own order: --numerics bf16-amx.";
    if (ops.products == Products::bf16_tiles && !tiles)
        return "This CPU lacks AMX-BF16, whose order of sums is emulated: --numerics bf16 or exact are faster.";
    return "";
}

const Ops& reference_of(const Ops& ops) {
    switch (ops.products) {
        case Products::int8:
            return reference_int8_ops();
        case Products::bf16:
            return reference_bf16_ops();
        case Products::bf16_tiles:
            return reference_bf16_amx_ops();
        case Products::f32:
            return reference_ops();
    }
    return reference_ops();
}

void prepare_threads(int threads) {
    set_environment();
#pragma omp parallel num_threads(threads)
    set_environment();
}

}  // namespace argosy
