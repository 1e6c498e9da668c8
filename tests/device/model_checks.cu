// Models against units: on every pattern one sum per output, and on plain data a long chain; then the search for all
// candidates that fit; then what promotion changes.
#include <cmath>

#include "tests/device/batch.cuh"
#include "tests/device/bit_checks.hpp"
#include "tests/device/model_check.hpp"
#include "tests/device/unit_models.hpp"

namespace argosy::device {

namespace {

// Completes a check with the first check.on_host outputs, on this processor.
template <class Code>
void check_on_host(ModelCheck& check, const Batch<Code>& batch, const MmaModel& model) {
    const auto count = static_cast<std::size_t>(check.on_host), k = static_cast<std::size_t>(batch.k);
    const auto columns = static_cast<std::size_t>(batch.columns);
    const std::size_t problems = (count + kRows * columns - 1) / (kRows * columns);
    const std::vector<Code> a = batch.a.to_host(problems * kRows * k), b = batch.b.to_host(problems * columns * k);
    const std::vector<float> c = batch.c.to_host(count), d = batch.d.to_host(count);
    check.digest = kDigestStart;
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t row = i / columns, column = row / kRows * columns + i % columns;
        const float value = mma_chain(model, &a[row * k], &b[column * k], batch.k, c[i]);
        check.differing_on_host +=
            __builtin_bit_cast(std::uint32_t, value) != __builtin_bit_cast(std::uint32_t, d[i]) ? 1 : 0;
        check.numbers_on_host += std::isfinite(d[i]) ? 1 : 0;
        check.digest = digest_with(check.digest, d[i]);
    }
}

template <class Code>
ModelCheck check_model(const Batch<Code>& batch, Unit unit, Pattern pattern, std::int64_t on_host) {
    const MmaModel model = unit_model(sizeof(Code), unit);
    Way way;
    way.unit = unit;
    batch.d.poison();
    multiply(batch.view(), way);
    ModelCheck check;
    check.unit = unit_name(sizeof(Code), unit);
    check.pattern = kPatternNames[static_cast<int>(pattern)];
    check.k = batch.k;
    check.outputs = static_cast<std::int64_t>(batch.outputs());
    check.differing = count_differing(batch.view(), {model})[0];
    check.on_host = on_host;
    check_on_host(check, batch, model);
    return check;
}

template <class Code>
std::vector<ModelCheck> all_models() {
    std::vector<ModelCheck> checks;
    constexpr int kSum = 32 / static_cast<int>(sizeof(Code));
    const Batch<Code> sums(1056, 256, kSum), chains(33, 256, 128 * kSum);
    for (int pattern = 0; pattern < kPatterns; ++pattern) {
        fill(sums.view(), static_cast<Pattern>(pattern));
        for (const Unit unit : units_of(sizeof(Code)))
            checks.push_back(check_model(sums, unit, static_cast<Pattern>(pattern), 16'384));
    }
    for (const Pattern pattern : {Pattern::unit, Pattern::wide, Pattern::cancel}) {
        fill(chains.view(), pattern);
        for (const Unit unit : units_of(sizeof(Code))) checks.push_back(check_model(chains, unit, pattern, 2'048));
    }
    return checks;
}

template <class Code>
std::vector<ModelFit> fit_all() {
    const std::vector<MmaModel> models = candidate_models(sizeof(Code));
    const Batch<Code> sums(16, 64, 32 / static_cast<int>(sizeof(Code)));
    std::vector<ModelFit> fits;
    for (const Unit unit : units_of(sizeof(Code))) {
        ModelFit fit;
        fit.unit = unit_name(sizeof(Code), unit);
        fit.differing.assign(models.size(), 0);
        for (int pattern = 0; pattern < kPatterns; ++pattern) {
            fill(sums.view(), static_cast<Pattern>(pattern));
            Way way;
            way.unit = unit;
            way.n = 64;
            sums.d.poison();
            multiply(sums.view(), way);
            const std::vector<std::int64_t> counts = count_differing(sums.view(), models);
            for (std::size_t i = 0; i < models.size(); ++i) fit.differing[i] += counts[i];
            fit.outputs += static_cast<std::int64_t>(sums.outputs());
        }
        for (std::size_t i = 0; i < models.size(); ++i)
            if (fit.differing[i] == 0) fit.fitting.push_back(static_cast<int>(i));
        fits.push_back(fit);
    }
    return fits;
}

float decode(std::uint16_t code) { return decode_bf16(code); }
float decode(std::uint8_t code) { return decode_e4m3(code); }

// The sums of a batch in f64.
template <class Code>
std::vector<double> exact_sums(const Batch<Code>& batch) {
    const std::vector<Code> a = batch.a.to_host(), b = batch.b.to_host();
    const auto columns = static_cast<std::size_t>(batch.columns), k = static_cast<std::size_t>(batch.k);
    std::vector<double> sums(batch.outputs());
    for (std::size_t i = 0; i < sums.size(); ++i) {
        const std::size_t row = i / columns, column = row / kRows * columns + i % columns;
        for (std::size_t j = 0; j < k; ++j)
            sums[i] += static_cast<double>(decode(a[row * k + j])) * static_cast<double>(decode(b[column * k + j]));
    }
    return sums;
}

template <class Code>
std::vector<Promotion> promotions() {
    const Batch<Code> batch(4, 64, 4096 / static_cast<int>(sizeof(Code)));
    fill(batch.view(), Pattern::unit);
    Problems<Code> view = batch.view();
    view.c = nullptr;
    const std::vector<double> exact = exact_sums(batch);
    const auto error_of = [&](const std::vector<float>& values) {
        double errors = 0, squares = 0;
        for (std::size_t i = 0; i < values.size(); ++i) {
            errors += std::pow(static_cast<double>(values[i]) - exact[i], 2);
            squares += exact[i] * exact[i];
        }
        return std::sqrt(errors / squares);
    };
    Way way;
    way.n = 64;
    multiply(view, way);
    const std::vector<float> plain = batch.d.to_host();
    std::vector<Promotion> result = {{0, static_cast<std::int64_t>(plain.size()), 0, error_of(plain)}};
    way.promotes = true;
    for (way.group = 1; way.group <= 4; way.group *= 2) {
        multiply(view, way);
        const std::vector<float> values = batch.d.to_host();
        Promotion promotion{way.group * 32 / static_cast<int>(sizeof(Code)), static_cast<std::int64_t>(values.size()),
                            0, error_of(values)};
        for (std::size_t i = 0; i < values.size(); ++i) promotion.differing += values[i] != plain[i] ? 1 : 0;
        result.push_back(promotion);
    }
    return result;
}

}  // namespace

std::vector<ModelCheck> check_models(int code_bytes) {
    return code_bytes == 2 ? all_models<std::uint16_t>() : all_models<std::uint8_t>();
}

std::vector<ModelFit> fit_models(int code_bytes) {
    return code_bytes == 2 ? fit_all<std::uint16_t>() : fit_all<std::uint8_t>();
}

std::vector<Promotion> measure_promotion(int code_bytes) {
    return code_bytes == 2 ? promotions<std::uint16_t>() : promotions<std::uint8_t>();
}

}  // namespace argosy::device
