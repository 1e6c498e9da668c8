// Choosing a token from a row of logits, and log probabilities; step by step as kernels/numerics.md, "Sampling", says.
#include <algorithm>
#include <numeric>
#include <vector>

#include "kernels/base/elementary.hpp"
#include "kernels/base/philox.hpp"
#include "kernels/reference/reference_ops.hpp"
#include "kernels/reference/row_sum.hpp"

namespace argosy::reference {
namespace {

constexpr int kBlockIds = 1024;  // ids of one block of a vocabulary sum

using Values = std::vector<float>;  // [vocab]
using Ids = std::vector<std::int32_t>;

// The running f64 sums over blocks: prefix[b] = blocks 0 to b.
std::vector<double> block_prefix(const Values& w) {
    std::vector<double> prefix;
    double sum = 0;
    for (std::size_t begin = 0; begin < w.size(); begin += kBlockIds) {
        const std::size_t end = std::min(begin + kBlockIds, w.size());
        RowSum block;
        for (std::size_t id = begin; id < end; ++id) block.add(static_cast<int>(id - begin), w[id]);
        sum += block.join();
        prefix.push_back(sum);
    }
    return prefix;
}

// All ids by falling logit, ties by lowest id.
Ids falling_order(const Values& x) {
    Ids order(x.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return x[a] > x[b]; });
    return order;
}

// The first token of the list whose running sum is above `target`, else the last of weight > 0; -1 if there is none.
std::int32_t pick(const Values& w, const Ids& list, double sum, double target) {
    std::int32_t last = -1;
    for (const std::int32_t id : list) {
        sum += w[id];
        if (!(w[id] > 0)) continue;
        last = id;
        if (sum > target) break;
    }
    return last;
}

// Steps 5 and 6: the tokens that top_k and top_p leave, in order, and their sum.
Ids restrict(const Values& w, const Ids& order, const SampleRow& row, double& total) {
    Ids list;
    for (const std::int32_t id : order) {
        if (w[id] > 0) list.push_back(id);
    }
    if (row.top_k > 0 && row.top_k < static_cast<int>(w.size())) {
        list.resize(std::min<std::size_t>(list.size(), static_cast<std::size_t>(row.top_k)));
        total = 0;
        for (const std::int32_t id : list) total += w[id];
    }
    if (row.top_p < 1) {
        const double enough = static_cast<double>(row.top_p) * total;
        double sum = 0;
        std::size_t count = 0;
        while (count < list.size()) {
            sum += w[list[count++]];
            if (sum >= enough) break;
        }
        list.resize(count);
        total = sum;
    }
    return list;
}

// The logits as penalties and bias leave them.
Values adjusted(Values x, const SampleRow& row) {
    for (int i = 0; i < row.adjusted_count; ++i) {
        const AdjustedToken& token = row.adjusted[i];
        float& logit = x[static_cast<std::size_t>(token.id)];
        if (row.repetition_penalty != 1 && (token.in_prompt || token.generated > 0))
            logit = logit > 0 ? logit / row.repetition_penalty : logit * row.repetition_penalty;
        if (token.generated > 0) {
            logit = logit - row.frequency_penalty * static_cast<float>(token.generated);
            logit = logit - row.presence_penalty;
        }
        logit = logit + token.bias;
    }
    return x;
}

std::int32_t choose(const Values& x, const SampleRow& row) {
    const float infinity = __builtin_inff();
    const Ids order = falling_order(x);
    const float max = x[order[0]];
    if (row.temperature == 0 || max == infinity || max == -infinity) return order[0];
    Values w(x.size());
    for (std::size_t id = 0; id < x.size(); ++id) {
        w[id] = exp_lanes((x[id] - max) / row.temperature);
        if (row.min_p > 0 && w[id] < row.min_p) w[id] = 0;
    }
    const std::vector<double> prefix = block_prefix(w);
    double total = prefix.back();
    const double u = uniform_f64(row.seed, row.request, row.sample, row.position);
    std::int32_t token = -1;
    if (row.top_p < 1 || (row.top_k > 0 && row.top_k < static_cast<int>(x.size()))) {
        const Ids list = restrict(w, order, row, total);
        token = pick(w, list, 0, u * total);
    } else {
        std::size_t block = 0;
        while (block + 1 < prefix.size() && !(prefix[block] > u * total)) ++block;
        Ids list(std::min<std::size_t>(kBlockIds, x.size() - block * kBlockIds));
        std::iota(list.begin(), list.end(), static_cast<std::int32_t>(block * kBlockIds));
        token = pick(w, list, block == 0 ? 0 : prefix[block - 1], u * total);
    }
    return token >= 0 ? token : order[0];
}

SampleResult sample_row(const float* logits, int vocab, const SampleRow& row) {
    const float infinity = __builtin_inff();
    Values x(logits, logits + vocab);
    for (float& value : x) value = vmax(value, -infinity);  // NaN becomes -inf
    const Ids order = falling_order(x);
    const float max = x[order[0]];
    const bool proper = max > -infinity && max < infinity;

    SampleResult result;
    result.token = row.forced_token >= 0 ? row.forced_token : choose(adjusted(x, row), row);
    if (proper) result.top_gap = vocab > 1 ? max - x[order[1]] : infinity;
    if (row.top_logprobs < 0) return result;

    Values w(x.size());
    for (std::size_t id = 0; id < x.size(); ++id) w[id] = exp_lanes(x[id] - max);
    const float log_sum = proper ? log_lanes(static_cast<float>(block_prefix(w).back())) : 0.0F;
    const auto logprob = [&](std::int32_t id) { return proper ? (x[id] - max) - log_sum : -infinity; };
    result.logprob = logprob(result.token);
    result.top_count = std::min({row.top_logprobs, kTopLogprobsMax, vocab});
    for (int i = 0; i < result.top_count; ++i) {
        result.top_token[i] = order[i];
        result.top_logprob[i] = logprob(order[i]);
    }
    return result;
}

}  // namespace

std::size_t sample_scratch_bytes(int, int) { return 0; }

void sample(const SampleArgs& args, const Stream&) {
    for (std::int64_t row = 0; row < args.rows; ++row) {
        args.result[row] = sample_row(args.logits + row * args.vocab, args.vocab, args.row[row]);
    }
}

}  // namespace argosy::reference
