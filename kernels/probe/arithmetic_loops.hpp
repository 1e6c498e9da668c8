// Loops of arithmetic that touch registers only: what each instruction set can do at most on the machine at hand.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace argosy {

// Which limit a loop measures. One multiplication with its addition is 2 operations.
enum class ArithmeticKind : std::uint8_t { f32, int8, bf16 };
inline constexpr int kArithmeticKindCount = static_cast<int>(ArithmeticKind::bf16) + 1;
std::string_view name_of(ArithmeticKind kind);  // "f32", as in profiles

struct ArithmeticLoop {
    ArithmeticKind kind;
    std::string_view isa;          // "amx", "avx512", "avx2", "portable": as --isa names them
    std::string_view instruction;  // what it is made of
    double operations_per_step;    // of run(1)
    bool (*runs_here)();
    float (*run)(std::int64_t steps);  // result is for the compiler's sake
};

// Every loop that exists; of one kind the widest first.
std::span<const ArithmeticLoop> arithmetic_loops();

}  // namespace argosy
