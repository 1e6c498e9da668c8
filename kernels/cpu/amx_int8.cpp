// The AMX products with int8 activations: qkv, leaf projection, gate-up, logits. Few rows are multiplied as AVX-512
// does.
#include "kernels/cpu/generic/int8_ops.hpp"
#include "kernels/cpu/int8_tiles_amx.hpp"
#include "kernels/cpu/isa_parts.hpp"
#include "kernels/cpu/mxfp4_avx512.hpp"

namespace argosy::cpu_amx {
namespace {

using Dot16 = cpu_avx512::Mxfp4Dot16;

constexpr std::int64_t kManyRows = 6;  // of a group on average, from which on tiles are faster

// Whether tiles multiply a matrix: blocks that end in several ways would need more shapes than there are registers.
bool by_tiles(const MatrixSpec& spec, std::int64_t rows, int groups) {
    return rows >= kManyRows * groups && tail_codes(spec) >= 0;
}

void quantise_tile_row(const float* x, const MatrixSpec& spec, std::int64_t row, const CodeTileShape& shape,
                       std::byte* scratch) {
    auto* scale = reinterpret_cast<float*>(scratch) + row;
    auto* correction = reinterpret_cast<std::int32_t*>(scratch) + shape.blocks * shape.stride + row;
    auto* code = reinterpret_cast<std::int8_t*>(scratch) + 8 * shape.blocks * shape.stride + row * kTileCodes;
    const std::int64_t tile_bytes = shape.stride * kTileCodes;
    for (int i = 0; i < leaf_parts(spec); ++i) {
        const std::int64_t end = leaf_part_begin(spec, i + 1);
        for (std::int64_t k = leaf_part_begin(spec, i); k < end; k += kInt8Block) {
            const int count = static_cast<int>(end - k < kInt8Block ? end - k : kInt8Block);
            const auto code_at = [&](int at) { return code + at / kTileCodes * tile_bytes + at % kTileCodes; };
            quantise_block<Vec16>(x + k, count, code_at, scale, correction);
            scale += shape.stride;
            correction += shape.stride;
            code += (count + kTileCodes - 1) / kTileCodes * tile_bytes;
        }
    }
}

// Rows of x [rows, spec.k] into `scratch` of product_scratch_bytes.
CodeTiles quantise_tile_rows(const float* x, int rows, const MatrixSpec& spec, std::byte* scratch,
                             const Stream& stream) {
    const CodeTileShape shape = code_tile_shape(spec, rows);
    parallel_rows(stream, rows, static_cast<int>(16384 / (spec.k + 1)) + 1, [&](int begin, int end) {
        for (int row = begin; row < end; ++row) quantise_tile_row(x + row * spec.k, spec, row, shape, scratch);
    });
    return code_tiles_at(scratch, shape);
}

// job.x has x_rows rows.
template <class Finish = NoFinish>
void run_tile_product(const ProductJob& job, int x_rows, std::byte* scratch, const Stream& stream,
                      const Finish& finish = {}) {
    const MatrixSpec& spec = job.weight[0].spec;
    const CodeTiles x = quantise_tile_rows(job.x, x_rows, spec, scratch, stream);
    const int tail = tail_codes(spec);
    for_product_tasks(job, kTileRows, panel_bytes(decoded_spec(spec)), stream,
                      [&](const ProductTask& task, const FetchAhead& next) {
                          PanelBlock block = panel_block(job, task);
                          if (spec.dtype == DType::mxfp4_int8) decode_panels<Dot16>(spec, x.decoded, block);
                          run_task(job, task, next, kFinishRowsMax, finish,
                                   [&](const ProductJob& part, std::int64_t begin, std::int64_t end,
                                       const FetchAhead& ahead) { amx_task(part, x, block, tail, begin, end, ahead); });
                      });
}

void qkv_op(const QkvArgs& args, const Stream& stream) {
    if (!by_tiles(args.weight.spec, args.rows, 1)) return int8_qkv_op<Vec16, Dot16>(args, stream);
    run_qkv<Vec16>(args, stream, [&]<class Finish>(const ProductJob& job, const Finish& finish) {
        run_tile_product(job, args.rows, args.scratch, stream, finish);
    });
}

void leaf_projection_op(const LeafProjectionArgs& args, const Stream& stream) {
    if (args.groups == 0) return;
    const int rows = args.group_begin[args.groups];
    if (!by_tiles(args.weight[0].spec, rows, args.groups)) return int8_leaf_projection_op<Vec16, Dot16>(args, stream);
    run_tile_product(leaf_projection_job(args), rows, args.scratch, stream);
}

void gate_up_op(const GateUpArgs& args, const Stream& stream) {
    if (args.groups == 0) return;
    if (!by_tiles(args.gate[0].spec, args.group_begin[args.groups], args.groups))
        return int8_gate_up_op<Vec16, Dot16>(args, stream);
    run_tile_product(gate_up_job(args), args.x_rows, args.scratch, stream);
}

void logits_op(const LogitsArgs& args, const Stream& stream) {
    if (!by_tiles(args.weight.spec, args.rows, 1)) return int8_logits_op<Vec16, Dot16>(args, stream);
    const std::int32_t group_begin[2] = {0, args.rows};
    run_tile_product(plain_job(args.weight, group_begin, args.x, args.out, args.out_stride), args.rows, args.scratch,
                     stream);
}

}  // namespace

void add_int8_products(Ops& ops) {
    ops.qkv = qkv_op;
    ops.leaf_projection = leaf_projection_op;
    ops.gate_up = gate_up_op;
    ops.logits = logits_op;
}

}  // namespace argosy::cpu_amx
