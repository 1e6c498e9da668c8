// Many small matrix products at once, each computed by one chosen instruction in one chosen way.
#pragma once

#include <cstdint>

namespace argosy::device {

inline constexpr int kRows = 64;  // rows of A in a problem: those of one wgmma

// A batch of problems D = C + A * B^T. A row may be longer than the part of it that is used.
template <class Code>
struct Problems {
    const Code* a;   // [problems, 64, stride]
    const Code* b;   // [problems, columns, stride]
    const float* c;  // [problems, 64, columns]; null: the first instruction has no accumulator
    float* d;        // [problems, 64, columns]
    int problems;
    int columns;
    int k;       // codes of a row that are multiplied; 32 bytes or a multiple of 128
    int stride;  // codes from one row to the next, a multiple of 16 bytes
};

enum class Unit : std::uint8_t {
    wgmma,       // one warpgroup, m64 n8 to n256, 32 bytes of K
    mma,         // mma.sync, m16n8, 32 bytes of K
    mma_half_k,  // mma.sync, m16n8, 16 bytes of K (bf16 only)
};

// Everything that may be chosen and should not change a bit, except `unit` and `promotes`.
struct Way {
    Unit unit = Unit::wgmma;
    int n = 256;               // of wgmma
    bool a_registers = false;  // A comes from registers, not from shared memory
    int group = 4;             // instructions in one commit group: 1, 2 or 4
    bool promotes = false;     // after each group the sum moves to another f32 (n = 64)
    int row_shift = 0;         // row r of a problem stands in row (r - row_shift) mod 64 of the instruction
    int column_shift = 0;      // the same for columns
};

// Launches and waits. Throws where the way is not built: N is a multiple of 8; groups other than 4 and promotion are
// built for N = 64 and 256.
void multiply(const Problems<std::uint16_t>& problems, const Way& way);  // bf16
void multiply(const Problems<std::uint8_t>& problems, const Way& way);   // fp8 E4M3

}  // namespace argosy::device
