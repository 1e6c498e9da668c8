// Probes run 64 at a time: probe i is row i of A and row i of B, its result the element (i, i) of D.
#include "tests/device/mma_probes.hpp"

#include <cmath>

#include "kernels/quant/bf16.hpp"
#include "kernels/quant/fp8.hpp"
#include "tests/device/device_array.cuh"
#include "tests/device/unit_models.hpp"

namespace argosy::device {

namespace {

constexpr int kDepths = 34;  // t = 0 ... 33

std::uint16_t encode(const std::uint16_t*, float value) { return encode_bf16(value); }
std::uint8_t encode(const std::uint8_t*, float value) { return encode_e4m3(value); }

template <class Code>
constexpr int kProducts = 32 / static_cast<int>(sizeof(Code));

// The codes of the factors of one side.
template <class Code>
std::vector<Code> codes_of(const std::vector<Probe>& probes, float Factor::*side) {
    std::vector<Code> codes(probes.size() * kProducts<Code>, 0);
    for (std::size_t i = 0; i < probes.size(); ++i)
        for (const Factor& factor : probes[i].factors)
            codes[i * kProducts<Code> + static_cast<std::size_t>(factor.k)] =
                encode(static_cast<const Code*>(nullptr), factor.*side);
    return codes;
}

template <class Code>
std::vector<std::uint32_t> run(std::vector<Probe> probes, Unit unit) {
    const std::size_t count = probes.size(), problems = (count + kRows - 1) / kRows;
    probes.resize(problems * kRows, Probe{"", 0, {}});
    std::vector<float> c(problems * kRows * kRows);
    for (std::size_t i = 0; i < probes.size(); ++i) c[i * kRows + i % kRows] = probes[i].c;
    const DeviceArray<Code> a(codes_of<Code>(probes, &Factor::a)), b(codes_of<Code>(probes, &Factor::b));
    const DeviceArray<float> c_there(c), d(c.size());
    const Problems<Code> batch = {a.data(), b.data(),        c_there.data(), d.data(), static_cast<int>(problems),
                                  kRows,    kProducts<Code>, kProducts<Code>};
    Way way;
    way.unit = unit;
    way.n = kRows;
    multiply(batch, way);
    const std::vector<float> values = d.to_host();
    std::vector<std::uint32_t> bits(count);
    for (std::size_t i = 0; i < count; ++i) bits[i] = __builtin_bit_cast(std::uint32_t, values[i * kRows + i % kRows]);
    return bits;
}

template <class Code>
std::vector<std::uint32_t> model(const std::vector<Probe>& probes, Unit unit) {
    const std::vector<Code> a = codes_of<Code>(probes, &Factor::a), b = codes_of<Code>(probes, &Factor::b);
    std::vector<std::uint32_t> bits;
    for (std::size_t i = 0; i < probes.size(); ++i) {
        const std::size_t at = i * kProducts<Code>;
        const float value = mma_chain(unit_model(sizeof(Code), unit), &a[at], &b[at], kProducts<Code>, probes[i].c);
        bits.push_back(__builtin_bit_cast(std::uint32_t, value));
    }
    return bits;
}

}  // namespace

std::vector<std::uint32_t> run_probes(int code_bytes, const std::vector<Probe>& probes, Unit unit) {
    return code_bytes == 2 ? run<std::uint16_t>(probes, unit) : run<std::uint8_t>(probes, unit);
}

std::vector<std::uint32_t> model_probes(int code_bytes, const std::vector<Probe>& probes, Unit unit) {
    return code_bytes == 2 ? model<std::uint16_t>(probes, unit) : model<std::uint8_t>(probes, unit);
}

void find_depths(int code_bytes, std::vector<DepthRow>& rows, Unit unit) {
    const int products = 32 / code_bytes;
    // 256 * 256 and 2^-17 are the ends of what two fp8 give; the same values serve bf16.
    const auto small = [](int t) { return Factor{0, std::ldexp(1.0F, 8 - t / 2), std::ldexp(1.0F, 8 - (t - t / 2))}; };
    for (DepthRow& row : rows) {
        std::vector<Probe> probes;
        for (int k = 0; k < products; ++k)
            for (int t = 0; t < kDepths; ++t) {
                Probe probe{"", row.plus < 0 ? 65536.0F : 0.0F, {}};
                if (row.plus >= 0) probe.factors.push_back({row.plus, 256, 256});
                probe.factors.push_back({row.minus, -256, 256});
                Factor factor = small(t);
                factor.k = k;
                if (k != row.plus && k != row.minus) probe.factors.push_back(factor);
                probes.push_back(probe);
            }
        const std::vector<std::uint32_t> bits = run_probes(code_bytes, probes, unit);
        row.depth.assign(static_cast<std::size_t>(products), -1);
        for (std::size_t i = 0; i < bits.size(); ++i)
            if (bits[i] << 1 != 0) row.depth[i / kDepths] = static_cast<int>(i % kDepths);
    }
}

}  // namespace argosy::device
