// The AMX products of bf16: qkv, leaf projection, gate-up, logits. Rows are rounded once, however many products and
// experts read them.
#include "kernels/cpu/bf16_tiles_amx.hpp"
#include "kernels/cpu/generic/pairs16.hpp"
#include "kernels/cpu/generic/product_ops.hpp"
#include "kernels/cpu/generic/qkv.hpp"
#include "kernels/cpu/isa_parts.hpp"
#include "kernels/cpu/pairs16_avx512.hpp"

namespace argosy::cpu_amx {
namespace {

// 32 columns of a row, of which `columns` > 0 exist.
void round_tile_row(const float* x, std::int64_t columns, std::byte* to) {
    for (std::int64_t k = 0; k < kTileColumns; k += 16) {
        const std::int64_t left = columns - k;
        const Vec16 values = left >= 16 ? Vec16::load(x + k)
                             : left > 0 ? Vec16::load_first(x + k, static_cast<int>(left))
                                        : Vec16::zero();
        cpu_avx512::Pairs16::store(values, reinterpret_cast<float*>(to + k * 2));
    }
}

// Rows [begin, end) of x [*, spec.k] to `to` [tiles][rows][64 bytes].
void round_some_rows(const float* x, std::int64_t begin, std::int64_t end, std::int64_t rows, const MatrixSpec& spec,
                     std::byte* to) {
    for (int i = 0; i < leaf_parts(spec); ++i) {
        const std::int64_t leaf_end = leaf_part_begin(spec, i + 1);
        for (std::int64_t k = leaf_part_begin(spec, i); k < leaf_end; k += kTileColumns, to += rows * kTileRowBytes) {
            for (std::int64_t row = begin; row < end; ++row)
                round_tile_row(x + row * spec.k + k, leaf_end - k, to + row * kTileRowBytes);
        }
    }
}

// Rows of x [rows, spec.k] into `scratch` of product_scratch_bytes, 16 at a time, so that what is read of them by one
// tile of columns is still in the cache for the next.
Bf16Rows round_rows(const float* x, int rows, const MatrixSpec& spec, std::byte* scratch, const Stream& stream) {
    parallel_rows(stream, rows, static_cast<int>(16384 / (spec.k + 1)) + 1, [&](int begin, int end) {
        for (int row = begin; row < end; row += kTileRows)
            round_some_rows(x, row, row + kTileRows < end ? row + kTileRows : end, rows, spec, scratch);
    });
    return {scratch, rows};
}

// job.x has x_rows rows. Matrices whose leaves end in several ways, for which there are too few tile registers, are
// multiplied as AVX-512 does.
template <class Finish = NoFinish>
void run_tile_product(const ProductJob& job, int x_rows, std::byte* scratch, const Stream& stream,
                      const Finish& finish = {}) {
    const MatrixSpec& spec = job.weight[0].spec;
    const int last = last_pairs(spec);
    if (last < 0) return run_product<Vec16, EmulatedTiles16<Vec16>>(job, stream, finish);
    const Bf16Rows x = round_rows(job.x, x_rows, spec, scratch, stream);
    for_product_tasks(
        job, kTileRows, panel_bytes(decoded_spec(spec)), stream, [&](const ProductTask& task, const FetchAhead& next) {
            const PanelBlock block = panel_block(job, task);
            run_task(job, task, next, kPassRows, finish,
                     [&](const ProductJob& part, std::int64_t begin, std::int64_t end, const FetchAhead& ahead) {
                         tile_task(part, x, block, last, begin, end, ahead);
                     });
        });
}

void plain_product(const WeightMatrix& weight, int rows, const float* x, float* out, std::int64_t out_stride,
                   std::byte* scratch, const Stream& stream) {
    const std::int32_t group_begin[2] = {0, rows};
    run_tile_product(plain_job(weight, group_begin, x, out, out_stride), rows, scratch, stream);
}

void tile_qkv_op(const QkvArgs& args, const Stream& stream) {
    run_qkv<Vec16>(args, stream, [&]<class Finish>(const ProductJob& job, const Finish& finish) {
        run_tile_product(job, args.rows, args.scratch, stream, finish);
    });
}

void tile_leaf_projection_op(const LeafProjectionArgs& args, const Stream& stream) {
    if (args.groups == 0) return;
    run_tile_product(leaf_projection_job(args), args.group_begin[args.groups], args.scratch, stream);
}

void tile_gate_up_op(const GateUpArgs& args, const Stream& stream) {
    if (args.groups > 0) run_tile_product(gate_up_job(args), args.x_rows, args.scratch, stream);
}

void tile_logits_op(const LogitsArgs& args, const Stream& stream) {
    plain_product(args.weight, args.rows, args.x, args.out, args.out_stride, args.scratch, stream);
}

}  // namespace

void add_bf16_tile_products(Ops& ops) {
    ops.qkv = tile_qkv_op;
    ops.leaf_projection = tile_leaf_projection_op;
    ops.gate_up = tile_gate_up_op;
    ops.logits = tile_logits_op;
}

}  // namespace argosy::cpu_amx
