// The ops that are a product and nothing else: leaf projection, gate-up, logits.
#pragma once

#include "kernels/cpu/generic/product.hpp"
#include "kernels/ops.hpp"

namespace argosy {

// What is to be multiplied; int8 products take their rows from codes instead of `x`. groups > 0.
ARGOSY_INLINE ProductJob leaf_projection_job(const LeafProjectionArgs& args) {
    ProductJob job;
    job.groups = args.groups;
    job.group_begin = args.group_begin;
    job.weight = args.weight;
    job.x = args.x;
    job.out = args.out;
    job.out_stride = args.out_stride > 0 ? args.out_stride : args.weight[0].spec.n;
    job.out_group = args.out_group;
    job.bias = args.bias;
    return job;
}

ARGOSY_INLINE ProductJob gate_up_job(const GateUpArgs& args) {
    ProductJob job;
    job.groups = args.groups;
    job.group_begin = args.group_begin;
    job.row_index = args.row_index;
    job.weight = args.gate;
    job.up = args.up;
    job.x = args.x;
    job.out = args.h;
    job.out_stride = args.gate[0].spec.n;
    job.bias = args.gate_bias;
    job.up_bias = args.up_bias;
    job.swiglu_limit = args.swiglu_limit;
    return job;
}

template <class V, class Pairs = void>
static void leaf_projection_op(const LeafProjectionArgs& args, const Stream& stream) {
    if (args.groups > 0) run_product<V, Pairs>(leaf_projection_job(args), stream);
}

template <class V, class Pairs = void>
static void gate_up_op(const GateUpArgs& args, const Stream& stream) {
    if (args.groups > 0) run_product<V, Pairs>(gate_up_job(args), stream);
}

template <class V, class Pairs = void>
static void logits_op(const LogitsArgs& args, const Stream& stream) {
    run_plain_product<V, Pairs>(args.weight, args.rows, args.x, args.out, args.out_stride, stream);
}

}  // namespace argosy
