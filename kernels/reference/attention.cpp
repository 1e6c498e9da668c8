// Paged attention over the stored keys and values (rule R5).
#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/base/elementary.hpp"
#include "kernels/quant/int8.hpp"
#include "kernels/reference/kv_block.hpp"
#include "kernels/reference/matrix.hpp"
#include "kernels/reference/reference_ops.hpp"
#include "kernels/reference/row_sum.hpp"

namespace argosy::reference {
namespace {

constexpr int kSegmentKeys = 64;  // keys are cut at absolute multiples of this

// What is known of a set of keys: the largest score m, l = sum of exp(score - m), o[d] = sum of exp(score - m) * v[d].
struct Partial {
    float m = 0;
    float l = 0;
    std::vector<float> o;  // [head_dim]
};

// One query head: its vector, and where its keys stand.
struct Query {
    const float* q;
    const KvLayer* kv;
    const std::int32_t* blocks;
    int kv_head;
    float scale;
};

std::int64_t slot_of(const Query& query, int key) {
    return std::int64_t{query.blocks[key / kKvBlockTokens]} * kKvBlockTokens + key % kKvBlockTokens;
}

// q . k: a chain, or over latents the row sum of rule R6.
float dot_key(const Query& query, const std::byte* k) {
    const KvSpec& spec = query.kv->spec;
    if (spec.latent_dim > 0) {
        RowSum sum;
        for (int d = 0; d < spec.head_dim; ++d) sum.add_product(d, query.q[d], load(k, spec.dtype, d));
        return sum.join();
    }
    float sum = 0;
    for (int d = 0; d < spec.head_dim; ++d) sum = fma_f32(query.q[d], load(k, spec.dtype, d), sum);
    return sum;
}

// Keys [begin, end) of one segment.
Partial attend_segment(const Query& query, int begin, int end) {
    const int dim = kv_value_dim(query.kv->spec);
    const DType dtype = query.kv->spec.dtype;
    float p[kSegmentKeys];
    Partial part;
    part.m = -__builtin_inff();
    for (int key = begin; key < end; ++key) {
        const std::byte* k = kv_vector(*query.kv, slot_of(query, key), 0, query.kv_head);
        p[key - begin] = dot_key(query, k) * query.scale;
        part.m = vmax(p[key - begin], part.m);
    }
    RowSum sum;
    part.o.assign(static_cast<std::size_t>(dim), 0.0F);
    for (int key = begin; key < end; ++key) {
        const float weight = exp_lanes(p[key - begin] - part.m);
        const std::byte* v = kv_vector(*query.kv, slot_of(query, key), 1, query.kv_head);
        sum.add(key, weight);
        for (int d = 0; d < dim; ++d) part.o[d] = fma_f32(weight, load(v, dtype, d), part.o[d]);
    }
    part.l = sum.join();
    return part;
}

// A key's or value's codes and their scale.
struct Codes {
    const std::int8_t* code;
    float scale;
};

Codes codes_at(const Query& query, int key, int what) {
    const std::byte* at = kv_vector(*query.kv, slot_of(query, key), what, query.kv_head);
    Codes codes{reinterpret_cast<const std::int8_t*>(at), 0};
    std::memcpy(&codes.scale, at + query.kv->spec.head_dim, sizeof codes.scale);
    return codes;
}

// attend_segment over keys and values kept as codes of int8 (rule R13).
Partial attend_segment_codes(const Query& query, int begin, int end) {
    const int dim = query.kv->spec.head_dim;
    std::vector<std::int8_t> q(static_cast<std::size_t>(dim));
    const float q_scale = int8_quantise(query.q, dim, q.data()) * query.scale;
    float p[kSegmentKeys];
    Partial part;
    part.m = -__builtin_inff();
    for (int key = begin; key < end; ++key) {
        const Codes k = codes_at(query, key, 0);
        std::int32_t sum = 0;
        for (int d = 0; d < dim; ++d) sum += q[static_cast<std::size_t>(d)] * k.code[d];
        p[key - begin] = static_cast<float>(sum) * (k.scale * q_scale);
        part.m = vmax(p[key - begin], part.m);
    }
    RowSum sum;
    float largest = 0;
    for (int key = begin; key < end; ++key) {
        float& weight = p[key - begin];
        weight = exp_lanes(weight - part.m);
        sum.add(key, weight);
        weight *= codes_at(query, key, 1).scale;
        largest = vmax(weight, largest);
    }
    part.l = sum.join();
    const Int8Scale by = uint8_scale(largest);
    std::vector<std::int32_t> o(static_cast<std::size_t>(dim));
    for (int key = begin; key < end; ++key) {
        const auto weight = static_cast<std::uint8_t>(int8_code(p[key - begin], by.inverse));
        const Codes v = codes_at(query, key, 1);
        for (int d = 0; d < dim; ++d) o[static_cast<std::size_t>(d)] += weight * v.code[d];
    }
    for (const std::int32_t value : o) part.o.push_back(static_cast<float>(value) * by.scale);
    return part;
}

Partial attend(const Query& query, int begin, int end) {
    return query.kv->spec.dtype == DType::int8 ? attend_segment_codes(query, begin, end)
                                               : attend_segment(query, begin, end);
}

void merge(Partial& whole, const Partial& next) {
    const float m = vmax(whole.m, next.m);
    const float a = exp_lanes(whole.m - m);
    const float b = exp_lanes(next.m - m);
    whole.l = fma_f32(next.l, b, whole.l * a);
    for (std::size_t d = 0; d < whole.o.size(); ++d) whole.o[d] = fma_f32(next.o[d], b, whole.o[d] * a);
    whole.m = m;
}

}  // namespace

void attention(const AttentionArgs& args, const Stream&) {
    const int value_dim = kv_value_dim(args.kv.spec);
    for (int s = 0; s < args.spans; ++s) {
        const AttentionSpan& span = args.span[s];
        for (int i = 0; i < span.rows; ++i) {
            for (int head = 0; head < args.q_heads; ++head) {
                const std::int64_t row = span.row_begin + i;
                const std::int64_t place =
                    args.rows_by_head > 0 ? std::int64_t{head} * args.rows_by_head + row : row * args.q_heads + head;
                const int per_kv_head = args.q_to_kv != nullptr ? 1 : args.q_heads / args.kv.spec.kv_heads;
                const int kv_head = args.q_to_kv != nullptr ? args.q_to_kv[head] : head / per_kv_head;
                const Query query{args.q + place * args.head_dim, &args.kv, span.blocks, kv_head, args.scale};
                const int keys = span.first_position + i + 1;
                const int first = args.window > 0 ? std::max(0, keys - args.window) : 0;
                Partial whole;
                for (int begin = first, end = 0; begin < keys; begin = end) {
                    end = std::min((begin / kSegmentKeys + 1) * kSegmentKeys, keys);
                    const Partial next = attend(query, begin, end);
                    if (begin == first) {
                        whole = next;
                    } else {
                        merge(whole, next);
                    }
                }
                if (args.sink != nullptr) {
                    const std::vector<float> zeros(static_cast<std::size_t>(value_dim));
                    merge(whole, {args.sink[head], 1, zeros});
                }
                for (int d = 0; d < value_dim; ++d) args.out[place * value_dim + d] = whole.o[d] / whole.l;
            }
        }
    }
}

}  // namespace argosy::reference
