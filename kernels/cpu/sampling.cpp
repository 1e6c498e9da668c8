// Choosing tokens from rows of logits, step by step as kernels/numerics.md, "Sampling", says, without sorting the
// vocabulary.
//
// top_k and top_p look at tokens in falling order from the top. They rarely get far, so tokens are put into buckets by
// their distance from the largest logit (equal logits share a bucket, a smaller logit is never in an earlier one), and
// only as many buckets are collected and sorted as the cut asks for.
#include "kernels/cpu/sampling.hpp"

#include <omp.h>

#include <algorithm>

#include "kernels/base/elementary.hpp"
#include "kernels/base/philox.hpp"

namespace argosy {

namespace {

constexpr float kInfinity = __builtin_inff();

int block_count(int vocab) { return (vocab + kSampleBlockIds - 1) / kSampleBlockIds; }

// One thread's memory.
struct Scratch {
    std::uint64_t* key = nullptr;         // [vocab] listed tokens: order in the upper half, id in the lower
    float* weight = nullptr;              // [vocab] of the listed tokens
    double* prefix = nullptr;             // [blocks]
    float* block_sum = nullptr;           // [blocks]
    std::uint16_t* bucket = nullptr;      // [vocab]
    std::int32_t* bucket_size = nullptr;  // [kSampleBuckets + 1]
    float* adjusted = nullptr;            // [vocab] logits after penalties and bias
};

std::size_t rounded_up(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

// Places the parts one after the other from `base`; returns the bytes taken.
std::size_t place_scratch(std::byte* base, int vocab, Scratch& scratch) {
    std::size_t at = 0;
    const auto take = [&](auto*& part, std::size_t count) {
        part = reinterpret_cast<std::remove_reference_t<decltype(part)>>(base + at);
        at += rounded_up(count * sizeof(*part));
    };
    const auto tokens = static_cast<std::size_t>(vocab);
    const auto blocks = static_cast<std::size_t>(block_count(vocab));
    take(scratch.key, tokens);
    take(scratch.weight, tokens);
    take(scratch.prefix, blocks);
    take(scratch.block_sum, blocks);
    take(scratch.bucket, tokens);
    take(scratch.bucket_size, kSampleBuckets + 1);
    take(scratch.adjusted, tokens);
    return at;
}

float clean(float x) { return vmax(x, -kInfinity); }  // NaN becomes -inf

// Ascending keys are falling logits, equal ones by rising id.
std::uint64_t order_key(float x, std::int32_t id) {
    const std::uint32_t bits = __builtin_bit_cast(std::uint32_t, clean(x) + 0.0F);  // -0 and +0 are one value
    const std::uint32_t rising = bits & 0x80000000U ? ~bits : bits | 0x80000000U;
    return static_cast<std::uint64_t>(~rising) << 32 | static_cast<std::uint32_t>(id);
}
std::int32_t id_of(std::uint64_t key) { return static_cast<std::int32_t>(key & 0xffffffffU); }

// One row's work.
struct Row {
    const float* x;
    int vocab;
    const SampleRow& want;
    const SamplePasses& passes;
    Scratch& scratch;
    RowEnds ends;
};

// prefix[b] = blocks 0 to b in f64; returns the last.
double vocabulary_sum(const Row& row, const WeightRule& rule) {
    row.passes.block_sums(row.x, row.vocab, rule, row.scratch.block_sum);
    double sum = 0;
    for (int b = 0; b < block_count(row.vocab); ++b) {
        sum += row.scratch.block_sum[b];
        row.scratch.prefix[b] = sum;
    }
    return sum;
}

// The tokens of weight > 0 in order, as far as they were asked for.
class OrderedTokens {
  public:
    OrderedTokens(const Row& row, const WeightRule& rule) : row_(row), rule_(rule) {
        // Beyond this distance a weight is certainly 0: exp(-87.34) is, and min_p cuts earlier (exp and log are within
        // 1 ulp).
        float reach = 87.5F;
        if (rule.min_p >= 1e-30F) reach = std::min(reach, 0.01F - log_lanes(rule.min_p));
        const float limit = reach * rule.temperature * 1.0001F;
        const float spread = std::min(limit, rule.max - row.ends.smallest_finite);
        const float scale = std::min(kSampleBuckets / std::max(spread, 1e-30F), 1e30F);
        row.passes.buckets(row.x, row.vocab, rule.max, limit, scale, row.scratch.bucket);
        std::fill_n(row.scratch.bucket_size, kSampleBuckets + 1, 0);
        for (int id = 0; id < row.vocab; ++id) ++row.scratch.bucket_size[row.scratch.bucket[id]];
    }

    std::size_t size() const { return size_; }
    std::int32_t id(std::size_t i) const { return id_of(row_.scratch.key[i]); }
    float weight(std::size_t i) const { return row_.scratch.weight[i]; }

    // Makes at least `count` tokens known, or all there are.
    void extend_to(std::size_t count) {
        while (size_ < count && next_bucket_ < kSampleBuckets) add_buckets(static_cast<std::int64_t>(count - size_));
    }

  private:
    // The next buckets that together hold at least `count` tokens.
    void add_buckets(std::int64_t count) {
        const int begin = next_bucket_;
        for (; next_bucket_ < kSampleBuckets && count > 0; ++next_bucket_)
            count -= row_.scratch.bucket_size[next_bucket_];
        const auto width = static_cast<unsigned>(next_bucket_ - begin);
        std::uint64_t* const first = row_.scratch.key + size_;
        std::uint64_t* last = first;
        for (std::int32_t id = 0; id < row_.vocab; ++id) {
            if (static_cast<unsigned>(row_.scratch.bucket[id] - begin) < width) *last++ = order_key(row_.x[id], id);
        }
        std::sort(first, last);
        float* weight = row_.scratch.weight + size_;
        const auto found = last - first;
        for (std::ptrdiff_t i = 0; i < found; ++i) weight[i] = row_.x[id_of(first[i])];
        row_.passes.weights(weight, static_cast<int>(found), rule_, weight);
        std::ptrdiff_t kept = 0;
        for (std::ptrdiff_t i = 0; i < found; ++i) {
            if (!(weight[i] > 0)) continue;
            weight[kept] = weight[i];
            first[kept++] = first[i];
        }
        size_ += static_cast<std::size_t>(kept);
    }

    const Row& row_;
    WeightRule rule_;
    std::size_t size_ = 0;
    int next_bucket_ = 0;
};

constexpr std::size_t kFirstTokens = 256;  // how many tokens top_p looks at before it asks for more

// Steps 5 to 7 where top_k or top_p is active.
std::int32_t choose_restricted(const Row& row, const WeightRule& rule, double u) {
    const bool top_k = row.want.top_k > 0 && row.want.top_k < row.vocab;
    double total = top_k ? 0 : vocabulary_sum(row, rule);
    OrderedTokens tokens(row, rule);
    std::size_t most = static_cast<std::size_t>(row.vocab);
    if (top_k) {
        most = static_cast<std::size_t>(row.want.top_k);
        tokens.extend_to(most);
        most = std::min(most, tokens.size());
        for (std::size_t i = 0; i < most; ++i) total += tokens.weight(i);
    }
    std::size_t count = most;
    if (row.want.top_p < 1) {
        const double enough = static_cast<double>(row.want.top_p) * total;
        double sum = 0;
        count = 0;
        while (count < most) {
            if (count == tokens.size()) tokens.extend_to(std::max(kFirstTokens, 4 * count));
            if (count == tokens.size()) break;
            sum += tokens.weight(count++);
            if (sum >= enough) break;
        }
        total = sum;
    }
    if (count == 0) return row.ends.first;
    const double target = u * total;
    double sum = 0;
    for (std::size_t i = 0; i < count; ++i) {
        sum += tokens.weight(i);
        if (sum > target) return tokens.id(i);
    }
    return tokens.id(count - 1);
}

// Step 7 over the whole vocabulary: the block first, then the token within it.
std::int32_t choose_of_all(const Row& row, const WeightRule& rule, double u) {
    const double target = u * vocabulary_sum(row, rule);
    const double* prefix = row.scratch.prefix;
    int block = 0;
    while (block + 1 < block_count(row.vocab) && !(prefix[block] > target)) ++block;
    const int begin = block * kSampleBlockIds;
    const int count = std::min(kSampleBlockIds, row.vocab - begin);
    float w[kSampleBlockIds];
    row.passes.weights(row.x + begin, count, rule, w);
    double sum = block == 0 ? 0 : prefix[block - 1];
    std::int32_t last = -1;
    for (int i = 0; i < count; ++i) {
        sum += w[i];
        if (!(w[i] > 0)) continue;
        last = begin + i;
        if (sum > target) break;
    }
    return last >= 0 ? last : row.ends.first;
}

std::int32_t choose(const Row& row) {
    const SampleRow& want = row.want;
    const bool proper = row.ends.largest > -kInfinity && row.ends.largest < kInfinity;
    if (want.temperature == 0 || !proper) return row.ends.first;
    const WeightRule rule{row.ends.largest, want.temperature, want.min_p};
    const double u = uniform_f64(want.seed, want.request, want.sample, want.position);
    const bool restricted = want.top_p < 1 || (want.top_k > 0 && want.top_k < row.vocab);
    return restricted ? choose_restricted(row, rule, u) : choose_of_all(row, rule, u);
}

// The logit of a token as penalties and bias leave it.
float adjusted_logit(float x, const SampleRow& want, const AdjustedToken& token) {
    x = clean(x);
    const bool seen = token.in_prompt || token.generated > 0;
    if (seen && want.repetition_penalty != 1) x = x > 0 ? x / want.repetition_penalty : x * want.repetition_penalty;
    if (token.generated > 0) {
        const float frequency = want.frequency_penalty * static_cast<float>(token.generated);
        x -= frequency;
        x -= want.presence_penalty;
    }
    return x + token.bias;
}

// Chooses from a changed copy of the row; the row itself stays for its log probabilities.
std::int32_t choose_adjusted(const Row& row) {
    float* x = row.scratch.adjusted;
    std::copy_n(row.x, row.vocab, x);
    for (int i = 0; i < row.want.adjusted_count; ++i) {
        const AdjustedToken& token = row.want.adjusted[i];
        x[token.id] = adjusted_logit(x[token.id], row.want, token);
    }
    return choose({x, row.vocab, row.want, row.passes, row.scratch, row.passes.ends(x, row.vocab)});
}

// The first `count` ids in order. Ids rise as the row is read, so an equal logit never displaces one that is already
// there.
void largest_tokens(const Row& row, int count, std::int32_t* out) {
    int held = 0;
    float least = 0;
    std::int32_t id = 0;
    while (id < row.vocab) {
        if (held == count) {
            id = row.passes.next_above(row.x, row.vocab, id, least);
            if (id == row.vocab) break;
        }
        int at = held < count ? held++ : count - 1;
        for (; at > 0 && clean(row.x[out[at - 1]]) < clean(row.x[id]); --at) out[at] = out[at - 1];
        out[at] = id++;
        least = clean(row.x[out[held - 1]]);
    }
}

void sample_row(const Row& row, SampleResult& result) {
    const float max = row.ends.largest;
    const bool proper = max > -kInfinity && max < kInfinity;
    result = SampleResult{};
    result.token = row.want.forced_token >= 0    ? row.want.forced_token
                   : row.want.adjusted_count > 0 ? choose_adjusted(row)
                                                 : choose(row);
    if (proper) result.top_gap = max - row.ends.second;
    if (row.want.top_logprobs < 0) return;

    const float log_sum = proper ? log_lanes(static_cast<float>(vocabulary_sum(row, {max, 1, 0}))) : 0.0F;
    const auto logprob = [&](std::int32_t id) { return proper ? (clean(row.x[id]) - max) - log_sum : -kInfinity; };
    result.logprob = logprob(result.token);
    result.top_count = std::min({row.want.top_logprobs, kTopLogprobsMax, row.vocab});
    if (result.top_count > 0) largest_tokens(row, result.top_count, result.top_token);
    for (int i = 0; i < result.top_count; ++i) result.top_logprob[i] = logprob(result.top_token[i]);
}

}  // namespace

std::size_t cpu_sample_scratch_bytes(int vocab, int threads) {
    Scratch scratch;
    return place_scratch(nullptr, vocab, scratch) * static_cast<std::size_t>(std::max(threads, 1));
}

void cpu_sample(const SampleArgs& args, const Stream& stream, const SamplePasses& passes) {
    const std::size_t bytes = cpu_sample_scratch_bytes(args.vocab, 1);
    const auto run = [&](int index, int thread) {
        Scratch scratch;
        place_scratch(args.scratch + bytes * static_cast<std::size_t>(thread), args.vocab, scratch);
        const float* x = args.logits + static_cast<std::int64_t>(index) * args.vocab;
        sample_row({x, args.vocab, args.row[index], passes, scratch, passes.ends(x, args.vocab)}, args.result[index]);
    };
    if (stream.threads <= 1 || args.rows <= 1) {
        for (int i = 0; i < args.rows; ++i) run(i, 0);
        return;
    }
#pragma omp parallel for schedule(dynamic, 1) num_threads(stream.threads)
    for (int i = 0; i < args.rows; ++i) run(i, omp_get_thread_num());
}

}  // namespace argosy
