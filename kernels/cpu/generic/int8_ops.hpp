// The ops that are products, with int8 activations and weights: quantise the rows once, then multiply.
#pragma once

#include "kernels/cpu/generic/int8_product.hpp"
#include "kernels/cpu/generic/product_ops.hpp"
#include "kernels/cpu/generic/qkv.hpp"
#include "kernels/ops.hpp"

namespace argosy {

template <class V, class D>
static void int8_plain_product(const WeightMatrix& weight, int rows, const float* x, float* out,
                               std::int64_t out_stride, std::byte* scratch, const Stream& stream) {
    const std::int32_t group_begin[2] = {0, rows};
    run_int8_product<V, D>(plain_job(weight, group_begin, nullptr, out, out_stride),
                           quantise_rows<V>(x, rows, weight.spec, scratch, stream), stream);
}

template <class V, class D>
static void int8_qkv_op(const QkvArgs& args, const Stream& stream) {
    run_qkv<V>(args, stream, [&]<class Finish>(const ProductJob& job, const Finish& finish) {
        const Int8Rows x = quantise_rows<V>(args.x, args.rows, args.weight.spec, args.scratch, stream);
        run_int8_product<V, D>(job, x, stream, finish);
    });
}

template <class V, class D>
static void int8_leaf_projection_op(const LeafProjectionArgs& args, const Stream& stream) {
    if (args.groups == 0) return;
    const int rows = args.group_begin[args.groups];
    const Int8Rows x = quantise_rows<V>(args.x, rows, args.weight[0].spec, args.scratch, stream);
    run_int8_product<V, D>(leaf_projection_job(args), x, stream);
}

template <class V, class D>
static void int8_gate_up_op(const GateUpArgs& args, const Stream& stream) {
    if (args.groups == 0) return;
    const Int8Rows x = quantise_rows<V>(args.x, args.x_rows, args.gate[0].spec, args.scratch, stream);
    run_int8_product<V, D>(gate_up_job(args), x, stream);
}

template <class V, class D>
static void int8_logits_op(const LogitsArgs& args, const Stream& stream) {
    int8_plain_product<V, D>(args.weight, args.rows, args.x, args.out, args.out_stride, args.scratch, stream);
}

}  // namespace argosy
