// Rope's inverse frequencies against the definition with the C library's pow, in long double.
#include <catch2/catch.hpp>
#include <cmath>
#include <random>

#include "kernels/base/error.hpp"
#include "runtime/model/model_plan.hpp"
#include "tests/runtime/model/model_samples.hpp"

using namespace argosy;

namespace {

// Llama 3.1 as the authors write it (llama-models, apply_scaling), in long double.
long double expected(const RopePlan& rope, int i) {
    const long double frequency = 1.0L / std::pow(static_cast<long double>(rope.theta), 2.0L * i / rope.rotary_dim);
    if (rope.scaling.kind == RopeScalingKind::none) return frequency;
    const long double wavelength = 2.0L * std::acos(-1.0L) / frequency;
    const long double old = rope.scaling.original_max_positions;
    if (wavelength < old / rope.scaling.high_freq_factor) return frequency;
    if (wavelength > old / rope.scaling.low_freq_factor) return frequency / rope.scaling.factor;
    const long double smooth = (old / wavelength - rope.scaling.low_freq_factor) /
                               (rope.scaling.high_freq_factor - rope.scaling.low_freq_factor);
    return (1.0L - smooth) * frequency / rope.scaling.factor + smooth * frequency;
}

// YaRN as transformers writes it (modeling_rope_utils, _compute_yarn_parameters), in long double.
long double expected_yarn(const RopePlan& rope, int i) {
    const long double pi = std::acos(-1.0L);
    const RopeScaling& scaling = rope.scaling;
    const auto correction = [&](double turns) {
        return rope.rotary_dim * std::log(scaling.original_max_positions / (turns * 2 * pi)) /
               (2 * std::log(static_cast<long double>(rope.theta)));
    };
    long double low = correction(scaling.beta_fast), high = correction(scaling.beta_slow);
    if (scaling.truncate) {
        low = std::floor(low);
        high = std::ceil(high);
    }
    low = std::max(low, 0.0L);
    high = std::min(high, rope.rotary_dim - 1.0L);
    const long double kept = 1 - std::clamp((i - low) / (high - low), 0.0L, 1.0L);
    const long double frequency = 1.0L / std::pow(static_cast<long double>(rope.theta), 2.0L * i / rope.rotary_dim);
    return frequency / scaling.factor * (1 - kept) + frequency * kept;
}

void check_against_pow(const RopePlan& rope, int head_dim) {
    const std::vector<float> frequencies = rope_inverse_frequencies(rope, head_dim);
    REQUIRE(frequencies.size() == static_cast<std::size_t>(rope.rotary_dim / 2));
    for (int i = 0; i < rope.rotary_dim / 2; ++i) {
        const long double want =
            rope.scaling.kind == RopeScalingKind::yarn ? expected_yarn(rope, i) : expected(rope, i);
        INFO("theta " << rope.theta << ", width " << rope.rotary_dim << ", pair " << i);
        CHECK(std::abs(frequencies[static_cast<std::size_t>(i)] - want) <= 1e-7L * want);
    }
}

}  // namespace

TEST_CASE("rope's inverse frequencies are powers of theta, within 1e-7, for any theta and width") {
    std::mt19937 random(7);
    check_against_pow({10000.0, 128, {}, {}}, 128);
    check_against_pow({1e6, 64, {}, {}}, 64);
    check_against_pow({1.0, 6, {}, {}}, 6);
    check_against_pow({1e30, 256, {}, {}}, 256);
    for (int trial = 0; trial < 200; ++trial) {
        const double theta = std::exp(std::uniform_real_distribution<double>(0.0, 25.0)(random));
        const int width = 2 * std::uniform_int_distribution<int>(1, 150)(random);
        check_against_pow({theta, width, {}, {}}, width + 3);
    }
}

TEST_CASE("llama3 scaling keeps short waves, stretches long ones and blends between") {
    const RopePlan llama31{500000.0, 128, {}, {RopeScalingKind::llama3, 8.0, 1.0, 4.0, 8192}};
    check_against_pow(llama31, 128);
    check_against_pow({500000.0, 16, {}, {RopeScalingKind::llama3, 8.0, 1.0, 4.0, 256}}, 16);
    // All three ranges occur: the first pair is kept, the last stretched by 8, some pair lies strictly between.
    const auto scaled = rope_inverse_frequencies(llama31, 128);
    const auto plain = rope_inverse_frequencies({500000.0, 128, {}, {}}, 128);
    CHECK(scaled.front() == plain.front());
    CHECK(scaled.back() == plain.back() / 8.0f);
    int between = 0;
    for (std::size_t i = 0; i < scaled.size(); ++i)
        between += scaled[i] < plain[i] * 0.99f && scaled[i] > plain[i] / 7.9f;
    CHECK(between > 3);
}

TEST_CASE("a rope that cannot be is refused in words") {
    const auto sentence = [](const RopePlan& rope, int head_dim) {
        return test::sentence_of([&] { rope_inverse_frequencies(rope, head_dim); });
    };
    CHECK_THAT(sentence({10000.0, 7, {}, {}}, 8), Catch::Contains("7 elements of a head of 8"));
    CHECK_THAT(sentence({10000.0, 10, {}, {}}, 8), Catch::Contains("10 elements of a head of 8"));
    CHECK_THAT(sentence({0.5, 8, {}, {}}, 8), Catch::Contains("theta is 0.5"));
    CHECK_THAT(sentence({std::nan(""), 8, {}, {}}, 8), Catch::Contains("theta is nan"));
    CHECK_THAT(sentence({10000.0, 8, {}, {RopeScalingKind::llama3, 8.0, 4.0, 4.0, 256}}, 8),
               Catch::Contains("0 < low_freq_factor < high"));
}

TEST_CASE("yarn keeps pairs that turn often, stretches those that turn little, with a ramp between") {
    const auto yarn = [](double factor, int original, double fast, double slow, bool truncate) {
        return RopeScaling{.kind = RopeScalingKind::yarn,
                           .factor = factor,
                           .original_max_positions = original,
                           .beta_fast = fast,
                           .beta_slow = slow,
                           .truncate = truncate};
    };
    const RopePlan gpt_oss{150000.0, 64, {}, yarn(32, 4096, 32, 1, false)};
    check_against_pow(gpt_oss, 64);
    check_against_pow({10000.0, 64, {}, yarn(40, 4096, 32, 1, true)}, 64);  // DeepSeek-V3
    check_against_pow({50000.0, 64, {}, yarn(32, 4096, 1.5, 1, true)}, 64);
    check_against_pow({1e6, 128, {}, yarn(4, 32768, 32, 1, true)}, 128);  // Qwen3 as its card advises
    const auto scaled = rope_inverse_frequencies(gpt_oss, 64);
    const auto plain = rope_inverse_frequencies({150000.0, 64, {}, {}}, 64);
    CHECK(scaled.front() == plain.front());
    CHECK(scaled.back() == plain.back() / 32.0f);
    RopePlan truncated = gpt_oss;
    truncated.scaling.truncate = true;
    CHECK(rope_inverse_frequencies(truncated, 64) != scaled);
    CHECK(yarn_magnitude(32, 1) == Approx(1.3465735902799727));
    CHECK(yarn_magnitude(40, 0.707) == Approx(1 + 0.0707 * std::log(40.0)));
    CHECK(yarn_magnitude(1, 1) == 1);
}

TEST_CASE("yarn's amplitude follows from mscale, or stands in the configuration") {
    const auto amplitude = [](const std::string& more) {
        test::ConfigKeys keys = test::sample_config("llama");
        keys["rope_scaling"] =
            R"({"rope_type":"yarn","factor":32.0,"original_max_position_embeddings":64)" + more + "}";
        return test::plan_of(keys).attention.rope.amplitude;
    };
    CHECK(amplitude("") == Approx(0.1 * std::log(32.0) + 1));
    CHECK(amplitude(R"(,"mscale":1.0,"mscale_all_dim":1.0)") == 1.0);
    CHECK(amplitude(R"(,"mscale":1.0,"mscale_all_dim":0)") == Approx(0.1 * std::log(32.0) + 1));
    CHECK(amplitude(R"(,"attention_factor":1.5)") == 1.5);
}
