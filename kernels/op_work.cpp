// Formulas of op_work.hpp.
#include "kernels/op_work.hpp"

#include <iterator>

#include "kernels/quant/block_format.hpp"

namespace argosy {

namespace {

// A product of `rows` rows with one matrix.
void add_product(OpWork& work, const MatrixSpec& spec, std::int64_t rows) {
    if (rows == 0) return;
    work.rows += rows;
    work.operations += 2 * rows * spec.n * spec.k;
    work.bytes += weights_bytes(spec.dtype, spec.n * spec.k);
    work.f32 = false;
}

// Keys that the rows of a span see, all together.
std::int64_t seen_keys(const AttentionSpan& span, int window) {
    std::int64_t pairs = 0;
    for (int i = 0; i < span.rows; ++i) {
        const int keys = span.first_position + i + 1;
        pairs += window > 0 && keys > window ? window : keys;
    }
    return pairs;
}

std::int64_t rows_of_group(const std::int32_t* group_begin, int group) {
    return group_begin[group + 1] - group_begin[group];
}

}  // namespace

std::string_view name_of(Kernel kernel) {
    constexpr std::string_view kNames[] = {"embed",     "rms norm",        "qkv",       "latent",
                                           "attention", "leaf projection", "leaf join", "route",
                                           "gate-up",   "combine",         "logits",    "sample"};
    static_assert(std::size(kNames) == kKernelCount);
    return kNames[static_cast<std::size_t>(kernel)];
}

OpWork work_of(const EmbedArgs& args) {
    const auto element = static_cast<std::int64_t>(size_of(args.dtype));
    return {.kernel = Kernel::embed, .rows = args.rows, .bytes = std::int64_t{args.rows} * args.hidden * element};
}

OpWork work_of(const RmsNormArgs& args) { return {.kernel = Kernel::rms_norm, .rows = args.rows}; }

OpWork work_of(const QkvArgs& args) {
    OpWork work{.kernel = Kernel::qkv};
    if (!args.summed) add_product(work, args.weight.spec, args.rows);
    if (args.wide != nullptr && !args.summed) return work;
    work.bytes += args.rows * kv_token_bytes(args.kv.spec);
    return work;
}

OpWork work_of(const LatentArgs& args) {
    return {.kernel = Kernel::latent, .rows = args.rows, .bytes = args.rows * kv_token_bytes(args.kv.spec)};
}

OpWork work_of(const AttentionArgs& args) {
    OpWork work{.kernel = Kernel::attention, .f32 = args.kv.spec.dtype != DType::int8};
    for (int s = 0; s < args.spans; ++s) {
        const AttentionSpan& span = args.span[s];
        work.rows += span.rows;
        work.operations +=
            2 * seen_keys(span, args.window) * args.q_heads * (args.head_dim + kv_value_dim(args.kv.spec));
        std::int64_t own = std::int64_t{span.first_position} + span.rows;
        if (args.window > 0 && own > args.window + span.rows - 1) own = args.window + span.rows - 1;
        if (args.window == 0) own -= std::int64_t{span.shared_blocks} * kKvBlockTokens;
        work.bytes += (own > 0 ? own : 0) * kv_token_bytes(args.kv.spec);
    }
    return work;
}

OpWork work_of(const LeafProjectionArgs& args) {
    OpWork work{.kernel = Kernel::leaf_projection};
    for (int g = 0; g < args.groups; ++g) add_product(work, args.weight[g].spec, rows_of_group(args.group_begin, g));
    return work;
}

OpWork work_of(const LeafJoinArgs& args) { return {.kernel = Kernel::leaf_join, .rows = args.rows}; }

OpWork work_of(const RouteArgs& args) {
    OpWork work{.kernel = Kernel::route};
    add_product(work, args.weight.spec, args.rows);
    work.f32 = true;
    return work;
}

OpWork work_of(const GateUpArgs& args) {
    OpWork work{.kernel = Kernel::gate_up};
    for (int g = 0; g < args.groups; ++g) {
        MatrixSpec both = args.gate[g].spec;
        both.n *= 2;
        add_product(work, both, rows_of_group(args.group_begin, g));
    }
    return work;
}

OpWork work_of(const CombineArgs& args) { return {.kernel = Kernel::combine, .rows = args.rows}; }

OpWork work_of(const LogitsArgs& args) {
    OpWork work{.kernel = Kernel::logits};
    add_product(work, args.weight.spec, args.rows);
    return work;
}

OpWork work_of(const SampleArgs& args) { return {.kernel = Kernel::sample, .rows = args.rows}; }

}  // namespace argosy
