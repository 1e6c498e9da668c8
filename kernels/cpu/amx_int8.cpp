// The AMX products with int8 activations: qkv, leaf projection, gate-up, logits.
#include "kernels/cpu/dot16_avx512.hpp"
#include "kernels/cpu/generic/int8_ops.hpp"
#include "kernels/cpu/isa_parts.hpp"
#include "kernels/cpu/mxfp4_avx512.hpp"
#include "kernels/cpu/rows_amx.hpp"

namespace argosy::cpu_amx {

namespace {

using cpu_avx512::Vec16;

// Few rows are multiplied as AVX-512 does.
struct Dot16 : cpu_avx512::Mxfp4Dot16 {
    static constexpr std::int64_t kManyRows = 6;
    static constexpr int kManyTileRows = argosy::cpu_amx::kTileRows;
    static bool many_rows_task(const ProductJob& job, const Int8Rows& x, const PanelBlock& block,
                               std::int64_t row_begin, std::int64_t row_end, FetchAhead ahead) {
        return amx_task(job, x, block, row_begin, row_end, ahead);
    }
};

}  // namespace

void add_int8_products(Ops& ops) {
    ops.qkv = int8_qkv_op<Vec16, Dot16>;
    ops.leaf_projection = int8_leaf_projection_op<Vec16, Dot16>;
    ops.gate_up = int8_gate_up_op<Vec16, Dot16>;
    ops.logits = int8_logits_op<Vec16, Dot16>;
}

}  // namespace argosy::cpu_amx
