// The sampler: every backend gives the reference's bits; and the tokens drawn have the exact probabilities
// (chi-square).
#include <cmath>

#include "tests/kernels/sample_case.hpp"

namespace argosy::test {
namespace {

Floats flat(const SampleResult& result) {
    Floats out{static_cast<float>(result.token), result.logprob, result.top_gap, static_cast<float>(result.top_count)};
    for (int i = 0; i < kTopLogprobsMax; ++i) {
        out.push_back(i < result.top_count ? static_cast<float>(result.top_token[i]) : 0);
        out.push_back(i < result.top_count ? result.top_logprob[i] : 0);
    }
    return out;
}

// Logits with exact ties, a wide range, and a few -inf.
Floats hard_logits(std::uint64_t seed, int rows, int vocab) {
    Random random(seed);
    Floats logits(static_cast<std::size_t>(rows) * static_cast<std::size_t>(vocab));
    for (int row = 0; row < rows; ++row) {
        const float spread = row % 4 == 0 ? 0.5F : row % 4 == 1 ? 4.0F : row % 4 == 2 ? 12.0F : 60.0F;
        for (int id = 0; id < vocab; ++id) {
            float value = random.real(-spread, spread);
            if (row % 3 == 0) value = std::round(value * 4) / 4;  // many ties
            if (random.between(0, 40) == 0) value = -INFINITY;
            logits[static_cast<std::size_t>(row) * vocab + id] = value;
        }
        logits[static_cast<std::size_t>(row) * vocab + random.between(0, vocab - 1)] = spread;
    }
    return logits;
}

TEST_CASE("sample: any rows, all settings, vocabularies of many sizes") {
    for (const int vocab : {1, 2, 5, 17, 500, 1023, 1024, 1025, 3000, 50257}) {
        const int count = vocab > 10000 ? 15 : 60;
        const Floats logits = hard_logits(static_cast<std::uint64_t>(vocab), count, vocab);
        const std::vector<SampleSetting> settings = sample_settings();
        std::vector<SampleRow> rows;
        for (int row = 0; row < count; ++row) {
            SampleRow setting = settings[static_cast<std::size_t>(row) % settings.size()].row;
            if (row % 11 == 10) setting.temperature = 0;
            if (row % 13 == 12) setting.forced_token = (row * 31) % vocab;
            setting.seed = 5 + static_cast<std::uint64_t>(row);
            setting.request = static_cast<std::uint64_t>(row) << 35;
            setting.sample = static_cast<std::uint32_t>(row % 3);
            setting.position = static_cast<std::uint32_t>(row * 17);
            setting.top_logprobs = row % 5 == 4 ? 20 : row % 5 - 1;
            rows.push_back(setting);
        }
        check_rows(
            "sample, vocabulary " + std::to_string(vocab), count, [&](const Ops& ops, int threads, const Rows& some) {
                std::vector<SampleRow> picked;
                for (const int row : some) picked.push_back(rows[row]);
                Floats out;
                for (const SampleResult& result :
                     run_sample(ops, gather(logits, some, static_cast<std::size_t>(vocab)), vocab, picked, threads)) {
                    const Floats values = flat(result);
                    out.insert(out.end(), values.begin(), values.end());
                }
                return out;
            });
    }
}

TEST_CASE("sample: greedy takes the lowest id, logprobs are of the raw distribution, a forced token is only scored") {
    const Floats logits{1.0F, 3.0F, NAN, 3.0F, -INFINITY, 2.0F};
    const double sum = std::exp(1.0) + 2 * std::exp(3.0) + std::exp(2.0);
    for (const Ops* ops : runnable_ops()) {
        INFO(ops->name);
        SampleRow row;
        row.top_logprobs = 20;
        const SampleResult greedy = run_sample(*ops, logits, 6, {row}, 1)[0];
        REQUIRE(greedy.token == 1);
        REQUIRE(greedy.top_gap == 0.0F);
        REQUIRE(greedy.top_count == 6);
        REQUIRE(greedy.logprob == Approx(3 - std::log(sum)).epsilon(1e-6));
        const int order[] = {1, 3, 5, 0, 2, 4};  // NaN counts as -inf, ties by id
        for (int i = 0; i < 6; ++i) REQUIRE(greedy.top_token[i] == order[i]);
        REQUIRE(greedy.top_logprob[2] == Approx(2 - std::log(sum)).epsilon(1e-6));
        REQUIRE(greedy.top_logprob[5] == -INFINITY);
        row.forced_token = 5;
        row.temperature = 0.3F;
        row.top_logprobs = 0;
        const SampleResult forced = run_sample(*ops, logits, 6, {row}, 1)[0];
        REQUIRE(forced.token == 5);
        REQUIRE(forced.logprob == greedy.top_logprob[2]);
        REQUIRE(forced.top_count == 0);
    }
}

TEST_CASE("sample: rows without a distribution take the first token in order") {
    for (const Ops* ops : runnable_ops()) {
        INFO(ops->name);
        SampleRow row;
        row.temperature = 1;
        row.top_logprobs = 2;
        const SampleResult none = run_sample(*ops, Floats(37, -INFINITY), 37, {row}, 1)[0];
        REQUIRE(none.token == 0);
        REQUIRE(none.logprob == -INFINITY);
        REQUIRE(none.top_gap == 0.0F);
        Floats logits(37, 1.0F);
        logits[30] = logits[20] = INFINITY;
        const SampleResult infinite = run_sample(*ops, logits, 37, {row}, 1)[0];
        REQUIRE(infinite.token == 20);
        REQUIRE(infinite.top_token[1] == 30);
        REQUIRE(infinite.logprob == -INFINITY);
        row.min_p = 2;  // drops everything
        logits[20] = logits[30] = 0.0F;
        logits[9] = 2.0F;
        REQUIRE(run_sample(*ops, logits, 37, {row}, 1)[0].token == 9);
    }
}

// The probabilities by definition, in f64 and without any thought of order of sums.
std::vector<double> exact_probabilities(const Floats& logits, const SampleRow& row) {
    std::vector<double> p(logits.size());
    const double max = *std::max_element(logits.begin(), logits.end());
    for (std::size_t i = 0; i < p.size(); ++i) p[i] = std::exp((logits[i] - max) / row.temperature);
    for (double& value : p) value = value < row.min_p ? 0 : value;
    Rows order = all_rows(static_cast<int>(p.size()));
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return p[a] > p[b]; });
    for (std::size_t i = 0; row.top_k > 0 && i < order.size(); ++i) {
        if (static_cast<int>(i) >= row.top_k) p[order[i]] = 0;
    }
    double total = 0, sum = 0;
    for (const double value : p) total += value;
    for (const int id : order) {
        if (row.top_p < 1 && sum >= row.top_p * total) p[id] = 0;
        sum += p[id];
    }
    total = 0;
    for (const double value : p) total += value;
    for (double& value : p) value /= total;
    return p;
}

// Chi-square exceeded with probability 1e-6 (Wilson and Hilferty 1931).
double chi_square_limit(int freedom) {
    const double f = 2.0 / (9.0 * freedom);
    return freedom * std::pow(1 - f + 4.75 * std::sqrt(f), 3);
}

void check_distribution(const Ops& ops, const Floats& logits, SampleRow setting, int samples) {
    const int vocab = static_cast<int>(logits.size());
    const std::vector<double> p = exact_probabilities(logits, setting);
    std::vector<int> count(logits.size());
    const int batch = 50;
    Floats repeated;
    for (int i = 0; i < batch; ++i) repeated.insert(repeated.end(), logits.begin(), logits.end());
    for (int done = 0; done < samples; done += batch) {
        std::vector<SampleRow> rows;
        for (int i = 0; i < batch; ++i) {
            SampleRow row = setting;
            row.seed = 3;
            row.request = static_cast<std::uint64_t>((done + i) / 100);
            row.sample = static_cast<std::uint32_t>(i % 2);
            row.position = static_cast<std::uint32_t>(done + i);
            rows.push_back(row);
        }
        for (const SampleResult& result : run_sample(ops, repeated, vocab, rows, 1)) ++count[result.token];
    }
    // Neighbouring ids share a bin until a bin expects 8; what is left over joins the last bin.
    double chi_square = 0, expected = 0, observed = 0;
    int bins = 0;
    double last_expected = 0, last_observed = 0;
    for (std::size_t id = 0; id < p.size(); ++id) {
        if (p[id] == 0) REQUIRE(count[id] == 0);
        expected += p[id] * samples;
        observed += count[id];
        if (expected < 8) continue;
        if (bins > 0) chi_square += (last_observed - last_expected) * (last_observed - last_expected) / last_expected;
        ++bins;
        last_expected = expected;
        last_observed = observed;
        expected = observed = 0;
    }
    last_expected += expected;
    last_observed += observed;
    chi_square += (last_observed - last_expected) * (last_observed - last_expected) / last_expected;
    INFO("chi-square " << chi_square << " in " << bins << " bins");
    if (bins > 1) REQUIRE(chi_square < chi_square_limit(bins - 1));
    if (bins == 1) REQUIRE(last_observed == samples);
}

TEST_CASE("sample: 10,000 draws per setting agree with the exact probabilities") {
    for (const Ops* ops : runnable_ops()) {
        for (const SampleSetting& setting : sample_settings()) {
            INFO(ops->name << ", " << setting.name);
            check_distribution(*ops, Random(21).reals(41, -2, 2), setting.row, 10000);
        }
        for (const int i : {0, 3, 7}) {  // several blocks of ids
            const SampleSetting setting = sample_settings()[static_cast<std::size_t>(i)];
            INFO(ops->name << ", " << setting.name << ", vocabulary 2500");
            check_distribution(*ops, Random(22).reals(2500, -3, 3), setting.row, 10000);
        }
    }
}

}  // namespace
}  // namespace argosy::test
