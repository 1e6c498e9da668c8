// Recognising the formats of matrices.
#include "runtime/model/stored_format.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <optional>

#include "kernels/base/error.hpp"
#include "kernels/quant/block_format.hpp"

namespace argosy {

namespace {

std::string path_of(const Checkpoint& checkpoint, const StoredTensor& tensor) {
    return checkpoint.files[static_cast<std::size_t>(tensor.file)].path.string();
}

struct Where {
    const StoredByName& by_name;
    const Checkpoint& checkpoint;
    std::vector<std::string_view>& used;
};

std::string sibling(const std::string& weight, std::string_view last_part) {
    const std::size_t dot = weight.rfind('.');
    return weight.substr(0, dot == std::string::npos ? 0 : dot + 1) + std::string(last_part);
}

const StoredTensor* find_sibling(const StoredTensor& weight, std::string_view last_part, const Where& where) {
    const auto found = where.by_name.find(sibling(weight.name, last_part));
    if (found == where.by_name.end()) return nullptr;
    where.used.push_back(found->second->name);
    return found->second;
}

void check_shape(const StoredTensor& stored, const std::vector<std::int64_t>& shape, const Checkpoint& checkpoint) {
    if (stored.shape == shape) return;
    fail(ErrorKind::input,
         "{}: the tensor {} has the shape [{}]; config.json makes it [{}]. They belong to different models.",
         path_of(checkpoint, stored), stored.name, fmt::join(stored.shape, ", "), fmt::join(shape, ", "));
}

// Codes or scales, as the shape in config.json and the format make them.
void check_blocks(const StoredTensor& stored, DType dtype, const std::vector<std::int64_t>& shape,
                  const Checkpoint& checkpoint) {
    if (stored.shape == shape) return;
    const BlockFormat format = block_format(dtype);
    fail(ErrorKind::input,
         "{}: the tensor {} has the shape [{}]; by config.json {} needs [{}], in blocks of {} x {}. Other sizes of "
         "blocks cannot be read.",
         path_of(checkpoint, stored), stored.name, fmt::join(stored.shape, ", "), name_of(dtype),
         fmt::join(shape, ", "), format.rows, format.columns);
}

// Which format codes of that type with these scales are; nothing: none that is known.
std::optional<DType> format_of(DType codes, const StoredTensor& scales) {
    const bool real = scales.dtype == DType::f32 || scales.dtype == DType::bf16;
    if (codes == DType::f8_e4m3 && real) return DType::fp8;
    if (codes == DType::i8 && real) return DType::int8;
    if (codes == DType::u8 && scales.dtype == DType::u8) return DType::mxfp4;
    if (codes == DType::u8 && scales.dtype == DType::f8_e4m3) return DType::nvfp4;
    return std::nullopt;
}

StoredScales place_of(const StoredTensor& scales, std::int64_t rows, std::int64_t columns) {
    return {scales.file, scales.dtype, rows, columns, scales.offset};
}

StoredTensor recognise_blocks(const TensorSpec& wanted, const StoredTensor& found, const Where& where) {
    const StoredTensor* scales = find_sibling(found, "weight_scale_inv", where);
    if (scales == nullptr) scales = find_sibling(found, "weight_scale", where);
    if (scales == nullptr) {
        fail(ErrorKind::input, "{}: the tensor {} is stored as {}, but there is neither {} nor {}, its scales.",
             path_of(where.checkpoint, found), found.name, name_of(found.dtype),
             sibling(found.name, "weight_scale_inv"), sibling(found.name, "weight_scale"));
    }
    const std::optional<DType> dtype = format_of(found.dtype, *scales);
    if (!dtype) {
        fail(ErrorKind::input, "{}: {} as {} with scales as {} is no format that can be read: fp8, int8, mxfp4, nvfp4.",
             path_of(where.checkpoint, found), found.name, name_of(found.dtype), name_of(scales->dtype));
    }
    const BlockFormat format = block_format(*dtype);
    const std::int64_t n = wanted.shape[0], k = wanted.shape[1];
    const std::int64_t rows = (n + format.rows - 1) / format.rows;
    check_blocks(found, *dtype, {n, code_bytes(*dtype, k)}, where.checkpoint);
    check_blocks(*scales, *dtype, {rows, block_count(*dtype, k)}, where.checkpoint);
    StoredTensor tensor = found;
    tensor.dtype = *dtype;
    tensor.shape = wanted.shape;
    tensor.scales = place_of(*scales, rows, block_count(*dtype, k));
    if (format.of_matrix) {
        const StoredTensor* one = find_sibling(found, "weight_scale_2", where);
        if (one == nullptr || one->dtype != DType::f32 || one->bytes != 4) {
            fail(ErrorKind::input, "{}: {}, the scale of an nvfp4 matrix, is missing or not one F32 number.",
                 path_of(where.checkpoint, found), sibling(found.name, "weight_scale_2"));
        }
        tensor.matrix_scales = place_of(*one, 1, 1);
    }
    return tensor;
}

}  // namespace

bool may_stand_in_blocks(TensorRole role) {
    switch (role) {
        case TensorRole::q_proj:
        case TensorRole::k_proj:
        case TensorRole::v_proj:
        case TensorRole::o_proj:
        case TensorRole::gate_proj:
        case TensorRole::up_proj:
        case TensorRole::down_proj:
        case TensorRole::gate_up_proj:
        case TensorRole::q_a_proj:
        case TensorRole::q_b_proj:
        case TensorRole::kv_a_proj:
        case TensorRole::kv_b_proj:
        case TensorRole::shared_gate_proj:
        case TensorRole::shared_up_proj:
        case TensorRole::shared_down_proj:
            return true;
        default:
            return false;
    }
}

StoredTensor recognise_weights(const TensorSpec& wanted, const StoredTensor& found, const StoredByName& by_name,
                               const Checkpoint& checkpoint, std::vector<std::string_view>& used) {
    const bool plain = found.dtype == DType::bf16 || found.dtype == DType::f16 || found.dtype == DType::f32;
    const bool codes = found.dtype == DType::f8_e4m3 || found.dtype == DType::i8 || found.dtype == DType::u8;
    if (codes && may_stand_in_blocks(wanted.role)) return recognise_blocks(wanted, found, {by_name, checkpoint, used});
    if (!plain) {
        fail(ErrorKind::input, "{}: the tensor {} is stored as {}; {} must be bf16, f16 or f32{}.",
             path_of(checkpoint, found), found.name, name_of(found.dtype),
             may_stand_in_blocks(wanted.role) ? "weights" : "tensors of this kind",
             may_stand_in_blocks(wanted.role) ? ", or codes with scales" : "");
    }
    check_shape(found, wanted.shape, checkpoint);
    return found;
}

void fail_missing(const TensorSpec& wanted, const Checkpoint& checkpoint) {
    fail(ErrorKind::input, "The tensor {} ({}) is in none of the {} files of {}. Fetch the model again.", wanted.name,
         name_of(wanted.role), checkpoint.files.size(),
         checkpoint.files.empty() ? std::string("the model") : checkpoint.files.front().path.parent_path().string());
}

bool is_fused(const TensorSpec& wanted) { return wanted.experts > 0; }

namespace {

// The wanted expert's part of a tensor, which must have the shape [experts, part...].
StoredTensor part_of_expert(const TensorSpec& wanted, const StoredTensor& all, std::vector<std::int64_t> part,
                            const Checkpoint& checkpoint) {
    std::vector<std::int64_t> shape = part;
    shape.insert(shape.begin(), wanted.experts);
    check_shape(all, shape, checkpoint);
    StoredTensor one = all;
    one.shape = std::move(part);
    one.bytes = all.bytes / wanted.experts;
    one.offset = all.offset + wanted.expert * one.bytes;
    return one;
}

const StoredTensor* find_with(const TensorSpec& wanted, std::string_view ending, const Where& where) {
    const auto found = where.by_name.find(wanted.name + std::string(ending));
    if (found == where.by_name.end()) return nullptr;
    where.used.push_back(found->second->name);
    return found->second;
}

StoredTensor fused_mxfp4(const TensorSpec& wanted, const StoredTensor& blocks, const Where& where) {
    const StoredTensor* scales = find_with(wanted, "_scales", where);
    if (scales == nullptr) {
        fail(ErrorKind::input, "{}: the tensor {} has no scales; {}_scales is missing.",
             path_of(where.checkpoint, blocks), blocks.name, wanted.name);
    }
    if (blocks.dtype != DType::u8 || scales->dtype != DType::u8) {
        fail(ErrorKind::input, "{}: {} as {} with scales as {} is no format that can be read; mxfp4 has U8 for both.",
             path_of(where.checkpoint, blocks), blocks.name, name_of(blocks.dtype), name_of(scales->dtype));
    }
    const std::int64_t n = wanted.shape[0], groups = block_count(DType::mxfp4, wanted.shape[1]);
    StoredTensor tensor = part_of_expert(wanted, blocks, {n, groups, 16}, where.checkpoint);
    const StoredTensor part = part_of_expert(wanted, *scales, {n, groups}, where.checkpoint);
    tensor.dtype = DType::mxfp4;
    tensor.shape = wanted.shape;
    tensor.scales = place_of(part, n, groups);
    return tensor;
}

}  // namespace

StoredTensor recognise_fused(const TensorSpec& wanted, const StoredByName& by_name, const Checkpoint& checkpoint,
                             std::vector<std::string_view>& used) {
    const Where where{by_name, checkpoint, used};
    if (wanted.shape.size() == 2) {
        if (const StoredTensor* blocks = find_with(wanted, "_blocks", where))
            return fused_mxfp4(wanted, *blocks, where);
    }
    const StoredTensor* all = find_with(wanted, "", where);
    if (all == nullptr) fail_missing(wanted, checkpoint);
    if (all->dtype != DType::bf16 && all->dtype != DType::f16 && all->dtype != DType::f32) {
        fail(ErrorKind::input, "{}: the tensor {} is stored as {}; it must be bf16, f16 or f32.",
             path_of(checkpoint, *all), all->name, name_of(all->dtype));
    }
    if (wanted.shape.size() == 1) return part_of_expert(wanted, *all, wanted.shape, checkpoint);
    StoredTensor tensor = part_of_expert(wanted, *all, {wanted.shape[1], wanted.shape[0]}, checkpoint);
    tensor.shape = wanted.shape;
    tensor.transposed = true;
    return tensor;
}

}  // namespace argosy
