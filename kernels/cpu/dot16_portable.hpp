// Sixteen int8 dot products of 4 in plain loops. Included by portable_int8.cpp alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/cpu/vec16_portable.hpp"
#include "kernels/quant/mxfp4_int8.hpp"

namespace argosy::cpu_portable {
namespace {

struct Dot16 {
    struct Sum {
        std::int32_t lane[16];
    };
    struct Weights {
        std::uint8_t code[64];
    };
    struct SignedWeights {
        std::int8_t code[64];
    };
    struct Codes {
        std::int32_t code[4];
    };
    static constexpr int kTileRows = 2;
    static constexpr int kTileUnits = 4;

    [[gnu::always_inline]] static Sum set(std::int32_t value) {
        Sum sum;
        for (std::int32_t& lane : sum.lane) lane = value;
        return sum;
    }
    [[gnu::always_inline]] static Weights load(const std::byte* p) {
        Weights w;
        std::memcpy(w.code, p, sizeof w.code);
        return w;
    }
    [[gnu::always_inline]] static Codes broadcast(const std::int8_t* four) {
        return {{four[0], four[1], four[2], four[3]}};
    }
    [[gnu::always_inline]] static Sum dot(Sum sum, const Weights& w, const Codes& x) {
        for (int j = 0; j < 16; ++j) {
            for (int i = 0; i < 4; ++i) sum.lane[j] += w.code[4 * j + i] * x.code[i];
        }
        return sum;
    }

    // The same with signed weights and codes without sign.
    [[gnu::always_inline]] static SignedWeights load_signed(const std::byte* p) {
        SignedWeights w;
        std::memcpy(w.code, p, sizeof w.code);
        return w;
    }
    [[gnu::always_inline]] static Codes broadcast_unsigned(const std::uint8_t* four) {
        return {{four[0], four[1], four[2], four[3]}};
    }
    [[gnu::always_inline]] static Sum dot_signed(Sum sum, const SignedWeights& w, const Codes& x) {
        for (int j = 0; j < 16; ++j) {
            for (int i = 0; i < 4; ++i) sum.lane[j] += w.code[4 * j + i] * x.code[i];
        }
        return sum;
    }
    [[gnu::always_inline]] static Vec16 to_f32(const Sum& sum) {
        alignas(16) float lane[16];
        for (int j = 0; j < 16; ++j) lane[j] = static_cast<float>(sum.lane[j]);
        return Vec16::load(lane);
    }

    static void decode_mxfp4(const std::uint8_t* table, const std::byte* from, std::byte* to) {
        for (int output = 0; output < 16; ++output) {
            const std::byte* lane = from + output % 4 * 64 + output / 4 * 16;
            const std::uint8_t* of = kMxfp4CodeTables.code[table[output]];
            for (int i = 0; i < 16; ++i) {
                const auto codes = static_cast<unsigned>(lane[i]);
                std::byte* low = to + i / 4 * 64 + output * 4 + i % 4;
                low[0] = static_cast<std::byte>(of[codes & 15U]);
                low[256] = static_cast<std::byte>(of[codes >> 4]);
            }
        }
    }
};

}  // namespace
}  // namespace argosy::cpu_portable
