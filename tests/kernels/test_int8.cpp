// int8 products (rule R9): codes and blocks, and what products of codes amount to.
#include <cmath>

#include "kernels/quant/int8.hpp"
#include "tests/kernels/op_cases.hpp"

namespace argosy::test {
namespace {

TEST_CASE("int8 codes: nearest, ties to even, never beyond 127, zeros for what is too small") {
    Random random(1);
    for (int round = 0; round < 2000; ++round) {
        const int count = random.between(1, kInt8Block);
        const float scale = std::ldexp(1.0F, random.between(-90, 90));
        Floats x = random.reals(static_cast<std::size_t>(count), -scale, scale);
        if (round % 7 == 0) x[0] = -scale;
        std::int8_t code[kInt8Block];
        const float step = int8_quantise(x.data(), count, code);
        float largest = 0;
        for (const float value : x) largest = std::max(largest, std::fabs(value));
        REQUIRE(step == largest / 127.0F);
        bool reached = false;
        for (int i = 0; i < count; ++i) {
            REQUIRE(code[i] >= -127);
            reached = reached || std::abs(code[i]) == 127;
            // Half a step, and what x * (127 / largest) may be off by.
            REQUIRE(std::fabs(static_cast<double>(x[i]) - static_cast<double>(code[i]) * step) <= 0.50002 * step);
        }
        REQUIRE(reached);
    }
    const float ties[] = {127, 2.5F, 3.5F, -2.5F, -0.5F, 0.5F, 1.5F};
    std::int8_t code[7];
    REQUIRE(int8_quantise(ties, 7, code) == 1.0F);
    const std::int8_t even[] = {127, 2, 4, -2, 0, 0, 2};
    for (int i = 0; i < 7; ++i) CHECK(code[i] == even[i]);
    const float tiny[] = {0x1p-101F, -0x1p-126F, 0};
    REQUIRE(int8_quantise(tiny, 3, code) == 0.0F);
    for (int i = 0; i < 3; ++i) CHECK(code[i] == 0);
}

TEST_CASE("int8 products are what their codes say, and near the exact ones") {
    const int n = 70, k = 600;
    const Stored weights = random_weights(11, n, k, DType::bf16);
    const Floats x = Random(12).reals(k, -2, 2);
    const MatrixSpec spec{n, k, DType::int8, {}};
    const Ops& ops = select_backend("cpu", "auto", "int8");
    const Packed packed = pack(ops, spec, weights, k);
    Scratch scratch(ops, spec, 1);
    Floats out(n);
    ops.logits({1, x.data(), packed.matrix, out.data(), n, scratch.data()}, {});
    double error = 0, size = 0;
    for (int i = 0; i < n; ++i) {
        double from_codes = 0, exact = 0;
        for (int begin = 0; begin < k; begin += kInt8Block) {
            const int count = std::min(kInt8Block, k - begin);
            std::int8_t x_code[kInt8Block], w_code[kInt8Block];
            const double x_scale = int8_quantise(x.data() + begin, count, x_code);
            const double w_scale = int8_quantise(weights.values.data() + i * k + begin, count, w_code);
            for (int j = 0; j < count; ++j) {
                from_codes += x_code[j] * x_scale * (w_code[j] * w_scale);
                exact += static_cast<double>(x[begin + j]) * weights.values[i * k + begin + j];
            }
        }
        CHECK(out[i] == Approx(from_codes).epsilon(1e-5).margin(1e-5));
        error += (out[i] - exact) * (out[i] - exact);
        size += exact * exact;
    }
    CHECK(std::sqrt(error / size) < 0.015);
    CHECK(error > 0);
}

}  // namespace
}  // namespace argosy::test
