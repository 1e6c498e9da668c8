// The passes over a row of logits that the sampler (kernels/cpu/sampling.hpp) is made of.
#pragma once

#include <cstdint>

#include "kernels/base/elementary.hpp"
#include "kernels/cpu/sampling.hpp"

namespace argosy {

// 16 logits from x + i, -inf where they are NaN or beyond n.
template <class V>
[[gnu::always_inline]] static inline V clean_logits(const float* x, int i, int n) {
    const V lowest = V::set(-__builtin_inff());
    if (i + 16 <= n) return vmax(V::load(x + i), lowest);
    return vselect(V::first(n - i), vmax(V::load_first(x + i, n - i), lowest), lowest);
}

template <class V>
static RowEnds row_ends(const float* x, int n) {
    const V lowest = V::set(-__builtin_inff());
    V largest = lowest;
    V second = lowest;
    V smallest = V::set(__builtin_inff());
    for (int i = 0; i < n; i += 16) {
        const V value = clean_logits<V>(x, i, n);
        second = vmax(second, vmin(largest, value));
        largest = vmax(largest, value);
        smallest = vselect(vless(lowest, value), vmin(smallest, value), smallest);
    }
    float best[16];
    float next[16];
    float least[16];
    largest.store(best);
    second.store(next);
    smallest.store(least);
    RowEnds ends{best[0], next[0], least[0], 0};
    for (int lane = 1; lane < 16; ++lane) {
        const float lower = ends.largest < best[lane] ? ends.largest : best[lane];
        if (lower > ends.second) ends.second = lower;
        if (next[lane] > ends.second) ends.second = next[lane];
        if (best[lane] > ends.largest) ends.largest = best[lane];
        if (least[lane] < ends.smallest_finite) ends.smallest_finite = least[lane];
    }
    const V most = V::set(ends.largest);
    for (int i = 0; i < n; i += 16) {
        const std::uint32_t found = lane_bits(vless_equal(most, clean_logits<V>(x, i, n)));
        if (found == 0) continue;
        ends.first = i + __builtin_ctz(found);
        break;
    }
    return ends;
}

// A rule's numbers in every lane.
template <class V>
struct WeightLanes {
    V max;
    V temperature;
    V min_p;
    bool divide;
    bool drop;

    [[gnu::always_inline]] explicit WeightLanes(const WeightRule& rule)
        : max(V::set(rule.max)),
          temperature(V::set(rule.temperature)),
          min_p(V::set(rule.min_p)),
          divide(rule.temperature != 1),
          drop(rule.min_p > 0) {}
    [[gnu::always_inline]] V operator()(V x) const {
        V distance = vsub(x, max);
        if (divide) distance = vdiv(distance, temperature);
        const V w = exp_lanes(distance);
        return drop ? vselect(vless(w, min_p), V::zero(), w) : w;
    }
};

template <class V>
static void sample_weights(const float* x, int n, const WeightRule& rule, float* w) {
    const WeightLanes<V> weight(rule);
    int i = 0;
    for (; i + 16 <= n; i += 16) weight(clean_logits<V>(x, i, n)).store(w + i);
    if (i < n) weight(clean_logits<V>(x, i, n)).store_first(w + i, n - i);
}

template <class V>
static void sample_block_sums(const float* x, int n, const WeightRule& rule, float* sum) {
    const WeightLanes<V> weight(rule);
    for (int begin = 0; begin < n; begin += kSampleBlockIds) {
        const int end = n - begin < kSampleBlockIds ? n : begin + kSampleBlockIds;
        V lanes = V::zero();
        for (int i = begin; i < end; i += 16) lanes = vadd(lanes, weight(clean_logits<V>(x, i, n)));
        *sum++ = sum_lanes(lanes);
    }
}

template <class V>
static void sample_buckets(const float* x, int n, float max, float limit, float scale, std::uint16_t* bucket) {
    const V most = V::set(max);
    const V farthest = V::set(limit);
    const V per_bucket = V::set(scale);
    const V last = V::set(kSampleBuckets - 1);
    const V beyond = V::set(kSampleBuckets);
    for (int i = 0; i < n; i += 16) {
        const V distance = vsub(most, clean_logits<V>(x, i, n));
        const V index = vselect(vless_equal(distance, farthest), vmin(vmul(distance, per_bucket), last), beyond);
        if (i + 16 <= n) {
            store_u16(index, bucket + i);
        } else {
            std::uint16_t rest[16];
            store_u16(index, rest);
            for (int j = 0; i + j < n; ++j) bucket[i + j] = rest[j];
        }
    }
}

template <class V>
static std::int32_t sample_next_above(const float* x, int n, std::int32_t start, float threshold) {
    const V least = V::set(threshold);
    for (std::int32_t i = start; i < n; i += 16) {
        const std::uint32_t above = lane_bits(vless(least, clean_logits<V>(x, i, n)));
        if (above != 0) return i + __builtin_ctz(above);
    }
    return n;
}

template <class V>
static void sample_op(const SampleArgs& args, const Stream& stream) {
    static constexpr SamplePasses kPasses{row_ends<V>, sample_weights<V>, sample_block_sums<V>, sample_buckets<V>,
                                          sample_next_above<V>};
    cpu_sample(args, stream, kPasses);
}

}  // namespace argosy
