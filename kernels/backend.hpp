// The list of backends, chosen by name once at start: each is a table of ops, or a sentence that says why it is not
// here.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/ops.hpp"

namespace argosy {

struct BackendEntry {
    std::string_view name;      // "cpu-avx512", "reference", "cuda"
    std::string_view numerics;  // "exact", "bf16", "bf16-amx" or "int8"
    const Ops* ops = nullptr;   // null: this machine or this build cannot run it
    std::string reason;         // why ops is null; a sentence
};

// Every backend that exists, best first, each with its verdict for the machine at hand.
std::vector<BackendEntry> backends();

// `backend` is "auto", "cpu", "reference" or "cuda"; `isa` is "auto", "amx", "avx512", "avx2" or "portable" and matters
// for the CPU only; `numerics` is "exact", "bf16", "bf16-amx" or "int8". Error(usage) when the name is unknown (with
// the nearest one) or cannot run here (with the reason and what can).
const Ops& select_backend(std::string_view backend, std::string_view isa, std::string_view numerics = "exact");

// Which of the two orders of bf16 this machine's instructions have, where these ops have the other; else "".
std::string bf16_advice(const Ops& ops);

// The plain backend of the same numerics.
const Ops& reference_of(const Ops& ops);

// Puts the calling thread and every OpenMP thread into the floating-point environment of rule R10 (round to nearest,
// denormals kept); call once per process, before the first op, with the number of threads that ops will use.
void prepare_threads(int threads);

}  // namespace argosy
