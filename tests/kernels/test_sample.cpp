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

// Penalties and bias by their definitions, one token at a time and in f64.
std::vector<double> plain_adjusted(const Floats& logits, const SampleRow& row) {
    std::vector<double> x(logits.begin(), logits.end());
    for (int i = 0; i < row.adjusted_count; ++i) {
        const AdjustedToken& token = row.adjusted[i];
        double& logit = x[static_cast<std::size_t>(token.id)];
        const double repetition = token.in_prompt || token.generated > 0 ? double{row.repetition_penalty} : 1;
        logit *= logit > 0 ? 1 / repetition : repetition;
        logit -= token.generated * double{row.frequency_penalty};
        if (token.generated > 0) logit -= row.presence_penalty;
        logit += token.bias;
    }
    return x;
}

// The probabilities by definition, in f64 and without any thought of order of sums.
std::vector<double> exact_probabilities(const Floats& raw, const SampleRow& row) {
    const std::vector<double> logits = plain_adjusted(raw, row);
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

TEST_CASE("sample: penalties and bias, any rows, vocabularies of many sizes") {
    for (const int vocab : {1, 2, 17, 1025, 3000, 50257}) {
        const int count = vocab > 10000 ? 18 : 54;
        const Floats logits = hard_logits(static_cast<std::uint64_t>(vocab) + 7, count, vocab);
        const std::vector<SampleSetting> settings = penalty_settings();
        std::vector<std::vector<AdjustedToken>> tokens;
        std::vector<SampleRow> rows;
        for (int row = 0; row < count; ++row) {
            const int many = row % 4 == 0 ? vocab : row % 4 == 1 ? 1 : vocab / 9;
            tokens.push_back(adjusted_tokens(static_cast<std::uint64_t>(row), vocab, many));
            SampleRow setting = settings[static_cast<std::size_t>(row) % settings.size()].row;
            if (row % 7 == 6) setting.temperature = 0;
            if (row % 13 == 12) setting.forced_token = (row * 31) % vocab;
            setting.request = static_cast<std::uint64_t>(row) << 35;
            setting.position = static_cast<std::uint32_t>(row * 17);
            setting.top_logprobs = row % 5 == 4 ? 20 : row % 5 - 1;
            setting.adjusted = tokens.back().data();
            setting.adjusted_count = row % 10 == 9 ? 0 : static_cast<int>(tokens.back().size());
            rows.push_back(setting);
        }
        check_rows("adjusted sample, vocabulary " + std::to_string(vocab), count,
                   [&](const Ops& ops, int threads, const Rows& some) {
                       std::vector<SampleRow> picked;
                       for (const int row : some) picked.push_back(rows[row]);
                       Floats out;
                       const Floats taken = gather(logits, some, static_cast<std::size_t>(vocab));
                       for (const SampleResult& result : run_sample(ops, taken, vocab, picked, threads)) {
                           const Floats values = flat(result);
                           out.insert(out.end(), values.begin(), values.end());
                       }
                       return out;
                   });
    }
}

TEST_CASE("sample: a changed logit is what the definition says; what is reported stays raw") {
    const int vocab = 700;
    for (const Ops* ops : runnable_ops()) {
        for (const SampleSetting& setting : penalty_settings()) {
            for (const float temperature : {0.0F, 0.9F}) {
                INFO(ops->name << ", " << setting.name << ", temperature " << temperature);
                const Floats logits = Random(77).reals(vocab, -3, 3);
                const std::vector<AdjustedToken> tokens = adjusted_tokens(5, vocab, 200);
                SampleRow row = setting.row;
                row.temperature = temperature;
                row.request = 12;
                row.top_logprobs = 4;
                SampleRow plain = row;
                row.adjusted = tokens.data();
                row.adjusted_count = static_cast<int>(tokens.size());
                // The same draw from logits that were changed beforehand: the same token. Rounding moves a logit by far
                // less than what could move the draw at these seeds.
                Floats changed;
                for (const double value : plain_adjusted(logits, row)) changed.push_back(static_cast<float>(value));
                const SampleResult got = run_sample(*ops, logits, vocab, {row}, 1)[0];
                REQUIRE(got.token == run_sample(*ops, changed, vocab, {plain}, 1)[0].token);
                const SampleResult raw = run_sample(*ops, logits, vocab, {plain}, 1)[0];
                REQUIRE(got.top_gap == raw.top_gap);
                for (int i = 0; i < 4; ++i) {
                    REQUIRE(got.top_token[i] == raw.top_token[i]);
                    REQUIRE(got.top_logprob[i] == raw.top_logprob[i]);
                }
                plain.forced_token = got.token;
                REQUIRE(got.logprob == run_sample(*ops, logits, vocab, {plain}, 1)[0].logprob);
            }
        }
    }
}

TEST_CASE("sample: penalties and bias by hand") {
    const Floats logits{4.0F, 3.5F, -1.0F, -INFINITY, 2.0F};
    for (const Ops* ops : runnable_ops()) {
        const auto greedy = [&](std::vector<AdjustedToken> tokens, float repetition, float frequency, float presence) {
            SampleRow row;
            row.adjusted = tokens.data();
            row.adjusted_count = static_cast<int>(tokens.size());
            row.repetition_penalty = repetition;
            row.frequency_penalty = frequency;
            row.presence_penalty = presence;
            return run_sample(*ops, logits, 5, {row}, 1)[0].token;
        };
        INFO(ops->name);
        CHECK(greedy({{0, 1, false, 0}}, 1.125F, 0, 0) == 0);  // 4 / 1.125 = 3.556
        CHECK(greedy({{0, 1, false, 0}}, 1.25F, 0, 0) == 1);   // 3.2
        CHECK(greedy({{0, 0, true, 0}}, 1.25F, 0, 0) == 1);    // the prompt counts as well
        CHECK(greedy({{0, 0, true, 0}}, 1, 2, 2) == 0);        // for OpenAI's penalties it does not
        CHECK(greedy({{0, 2, false, 0}}, 1, 0.25F, 0) == 0);   // 3.5, and the lowest id wins
        CHECK(greedy({{0, 3, false, 0}}, 1, 0.25F, 0) == 1);   // 3.25
        CHECK(greedy({{0, 9, false, 0}}, 1, 0, 0.375F) == 0);  // once, however often: 3.625
        CHECK(greedy({{0, 9, false, 0}}, 1, 0, 0.625F) == 1);
        CHECK(greedy({{4, 1, false, 0}}, 1, -2.25F, 0) == 4);
        CHECK(greedy({{2, 0, false, 100}}, 1, 0, 0) == 2);
        CHECK(greedy({{3, 0, false, 100}}, 1, 0, 0) == 0);  // what cannot be stays so
        CHECK(greedy({{3, 4, true, 100}}, 0.5F, -2, -2) == 0);
        CHECK(greedy({{2, 0, true, 4.875F}}, 0.25F, 0, 0) == 2);  // -1 * 0.25 + 4.875: a negative logit is multiplied
        CHECK(greedy({{2, 0, true, 4.875F}}, 1, 0, 0) == 0);
        CHECK(greedy({{0, 0, false, -100}, {1, 0, false, -100}}, 1, 0, 0) == 4);
    }
}

TEST_CASE("sample: 10,000 draws with each penalty and a bias agree with the exact probabilities") {
    const std::vector<AdjustedToken> tokens = adjusted_tokens(3, 41, 20);
    const std::vector<AdjustedToken> many = adjusted_tokens(4, 2500, 300);
    for (const Ops* ops : runnable_ops()) {
        for (const SampleSetting& setting : penalty_settings()) {
            INFO(ops->name << ", " << setting.name);
            SampleRow row = setting.row;
            row.adjusted = tokens.data();
            row.adjusted_count = static_cast<int>(tokens.size());
            check_distribution(*ops, Random(21).reals(41, -2, 2), row, 10000);
            if (row.temperature < 1.5F) continue;
            row.adjusted = many.data();
            row.adjusted_count = static_cast<int>(many.size());
            check_distribution(*ops, Random(22).reals(2500, -3, 3), row, 10000);
        }
    }
}

}  // namespace
}  // namespace argosy::test
