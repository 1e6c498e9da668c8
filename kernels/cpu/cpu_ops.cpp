// The CPU backend's tables, put together from what each instruction set contributes.
#include "kernels/cpu/cpu_ops.hpp"

#include <algorithm>

#include "kernels/base/error.hpp"
#include "kernels/base/numerics_id.hpp"
#include "kernels/cpu/bf16_rows.hpp"
#include "kernels/cpu/code_tiles.hpp"
#include "kernels/cpu/generic/attention_limits.hpp"
#include "kernels/cpu/int8_blocks.hpp"
#include "kernels/cpu/isa_parts.hpp"
#include "kernels/cpu/kv_block.hpp"
#include "kernels/cpu/mxfp4_panels.hpp"
#include "kernels/cpu/panels.hpp"
#include "kernels/cpu/sampling.hpp"

namespace argosy {

namespace {

std::size_t kv_block_bytes(const KvSpec& spec) {
    if (spec.head_dim > kHeadDimMax) {
        fail(ErrorKind::input, "the model's heads have {} dimensions; attention on the CPU holds at most {}.",
             spec.head_dim, kHeadDimMax);
    }
    if (spec.latent_dim > 0 && spec.dtype == DType::int8) {
        fail(ErrorKind::input,
             "latents cannot be kept as int8; give --kv-dtype bf16 or f32 for a model with latent attention.");
    }
    return static_cast<std::size_t>(kv_bytes(spec));
}

using AddPart = void (*)(Ops&);

Ops make_ops(std::string_view name, AddPart products, AddPart attention, AddPart row_ops, AddPart sampler) {
    Ops ops{};
    ops.name = name;
    ops.numerics_id = kNumericsId;
    ops.packed_bytes = cpu_packed_bytes;
    ops.pack = cpu_pack;
    ops.product_scratch_bytes = [](const MatrixSpec&, std::int64_t, int) { return std::size_t{0}; };
    ops.kv_block_bytes = kv_block_bytes;
    ops.sample_scratch_bytes = cpu_sample_scratch_bytes;
    for (const AddPart add : {products, attention, row_ops, sampler}) add(ops);
    return ops;
}

std::size_t int8_scratch_bytes(const MatrixSpec& spec, std::int64_t rows, int threads) {
    const std::int64_t decoded = spec.dtype == DType::mxfp4_int8 ? threads * decoded_bytes(spec) : 0;
    return static_cast<std::size_t>(rows * int8_row_shape(spec).row_bytes + decoded);
}

// Of whichever way rows are kept: as records, or as tiles of codes.
std::size_t int8_tile_scratch_bytes(const MatrixSpec& spec, std::int64_t rows, int threads) {
    const std::int64_t decoded = spec.dtype == DType::mxfp4_int8 ? threads * decoded_bytes(spec) : 0;
    const auto tiles = static_cast<std::size_t>(code_tile_shape(spec, rows).bytes + decoded);
    return std::max(tiles, int8_scratch_bytes(spec, rows, threads));
}

std::size_t bf16_scratch_bytes(const MatrixSpec& spec, std::int64_t rows, int) {
    return static_cast<std::size_t>(bf16_rows_bytes(spec, rows));
}

// The same table but for its products.
Ops with_bf16_products(Ops ops, AddPart products) {
    ops.numerics_id = kBf16NumericsId;
    ops.products = Products::bf16;
    products(ops);
    return ops;
}

Ops with_bf16_tile_products(Ops ops, AddPart products) {
    ops.numerics_id = kBf16AmxNumericsId;
    ops.products = Products::bf16_tiles;
    products(ops);
    return ops;
}

Ops with_int8_products(Ops ops, AddPart products) {
    ops.numerics_id = kInt8NumericsId;
    ops.products = Products::int8;
    ops.product_scratch_bytes = int8_scratch_bytes;
    products(ops);
    return ops;
}

}  // namespace

const Ops& cpu_portable_ops() {
    using namespace cpu_portable;
    static const Ops ops = make_ops("cpu-portable", add_products, add_attention, add_row_ops, add_sampler);
    return ops;
}

const Ops& cpu_avx2_ops() {
    using namespace cpu_avx2;
    static const Ops ops = make_ops("cpu-avx2", add_products, add_attention, add_row_ops, add_sampler);
    return ops;
}

const Ops& cpu_avx512_ops() {
    using namespace cpu_avx512;
    static const Ops ops = make_ops("cpu-avx512", add_products, add_attention, add_row_ops, add_sampler);
    return ops;
}

const Ops& cpu_portable_bf16_ops() {
    static const Ops ops = with_bf16_products(cpu_portable_ops(), cpu_portable::add_bf16_products);
    return ops;
}

const Ops& cpu_avx2_bf16_ops() {
    static const Ops ops = with_bf16_products(cpu_avx2_ops(), cpu_avx2::add_bf16_products);
    return ops;
}

const Ops& cpu_avx512_bf16_ops() {
    static const Ops ops = with_bf16_products(cpu_avx512_ops(), cpu_avx512::add_bf16_products);
    return ops;
}

const Ops& cpu_portable_bf16_amx_ops() {
    static const Ops ops = with_bf16_tile_products(cpu_portable_ops(), cpu_portable::add_bf16_tile_products);
    return ops;
}

const Ops& cpu_avx2_bf16_amx_ops() {
    static const Ops ops = with_bf16_tile_products(cpu_avx2_ops(), cpu_avx2::add_bf16_tile_products);
    return ops;
}

const Ops& cpu_avx512_bf16_amx_ops() {
    static const Ops ops = with_bf16_tile_products(cpu_avx512_ops(), cpu_avx512::add_bf16_tile_products);
    return ops;
}

const Ops& cpu_amx_bf16_amx_ops() {
    static const Ops ops = [] {
        Ops amx = with_bf16_tile_products(cpu_avx512_ops(), cpu_amx::add_bf16_tile_products);
        amx.name = "cpu-amx";
        amx.product_scratch_bytes = bf16_scratch_bytes;
        return amx;
    }();
    return ops;
}

const Ops& cpu_portable_int8_ops() {
    static const Ops ops = with_int8_products(cpu_portable_ops(), cpu_portable::add_int8_products);
    return ops;
}

const Ops& cpu_avx2_int8_ops() {
    static const Ops ops = with_int8_products(cpu_avx2_ops(), cpu_avx2::add_int8_products);
    return ops;
}

const Ops& cpu_avx512_int8_ops() {
    static const Ops ops = with_int8_products(cpu_avx512_ops(), cpu_avx512::add_int8_products);
    return ops;
}

const Ops& cpu_amx_int8_ops() {
    static const Ops ops = [] {
        Ops amx = with_int8_products(cpu_avx512_int8_ops(), cpu_amx::add_int8_products);
        amx.name = "cpu-amx";
        amx.product_scratch_bytes = int8_tile_scratch_bytes;
        return amx;
    }();
    return ops;
}

}  // namespace argosy
