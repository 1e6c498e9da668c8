// Formats of matrices are recognised by their tensors, and each thing that is wrong with scales has its sentence.
#include "kernels/quant/block_format.hpp"
#include "runtime/model/stored_format.hpp"
#include "tests/runtime/model/model_samples.hpp"

using namespace argosy;
using test::sentence_of;

namespace {

// What stands in a checkpoint's one file: names, formats and shapes.
struct Sample {
    TensorSpec wanted{TensorRole::q_proj, 0, -1, "layers.0.q.weight", {130, 200}};
    Checkpoint checkpoint;

    Sample() { checkpoint.files.push_back({"some/model.safetensors", 1 << 20, 100}); }
    Sample& with(const std::string& last_part, DType dtype, std::vector<std::int64_t> shape) {
        std::int64_t bytes = static_cast<std::int64_t>(size_of(dtype));
        for (const std::int64_t extent : shape) bytes *= extent;
        const auto offset = static_cast<std::int64_t>(1000 * checkpoint.tensors.size());
        checkpoint.tensors.push_back({"layers.0.q." + last_part, 0, dtype, std::move(shape), offset, bytes});
        return *this;
    }
    StoredTensor recognise(std::vector<std::string_view>* names = nullptr) const {
        StoredByName by_name;
        for (const StoredTensor& tensor : checkpoint.tensors) by_name.emplace(tensor.name, &tensor);
        std::vector<std::string_view> used;
        StoredTensor tensor = recognise_weights(wanted, checkpoint.tensors[0], by_name, checkpoint, used);
        if (names != nullptr) *names = used;
        return tensor;
    }
    std::string sentence() const {
        return sentence_of([&] { recognise(); });
    }
};

void check_format(const Sample& sample, DType dtype, std::size_t scales) {
    std::vector<std::string_view> used;
    const StoredTensor tensor = sample.recognise(&used);
    CHECK(tensor.dtype == dtype);
    CHECK(tensor.shape == sample.wanted.shape);
    CHECK(tensor.bytes == 130 * code_bytes(dtype, 200));
    CHECK(used.size() == scales);
    REQUIRE(tensor.scales.has_value());
    CHECK(tensor.scales->offset == 1000);
    CHECK(tensor.scales->rows == (dtype == DType::fp8 ? 2 : 130));
    CHECK(tensor.scales->columns == block_count(dtype, 200));
    CHECK(tensor.matrix_scales.has_value() == (dtype == DType::nvfp4));
}

}  // namespace

TEST_CASE("each format of blocks is known by its codes and scales") {
    check_format(Sample().with("weight", DType::f8_e4m3, {130, 200}).with("weight_scale_inv", DType::f32, {2, 2}),
                 DType::fp8, 1);
    check_format(Sample().with("weight", DType::f8_e4m3, {130, 200}).with("weight_scale_inv", DType::bf16, {2, 2}),
                 DType::fp8, 1);
    check_format(Sample().with("weight", DType::i8, {130, 200}).with("weight_scale", DType::bf16, {130, 2}),
                 DType::int8, 1);
    check_format(Sample().with("weight", DType::u8, {130, 100}).with("weight_scale", DType::u8, {130, 7}), DType::mxfp4,
                 1);
    check_format(Sample()
                     .with("weight", DType::u8, {130, 100})
                     .with("weight_scale", DType::f8_e4m3, {130, 13})
                     .with("weight_scale_2", DType::f32, {}),
                 DType::nvfp4, 2);
}

TEST_CASE("a plain matrix is what it was") {
    const StoredTensor tensor = Sample().with("weight", DType::f16, {130, 200}).recognise();
    CHECK(tensor.dtype == DType::f16);
    CHECK_FALSE(tensor.scales.has_value());
}

TEST_CASE(
    "an expert's part of a tensor that holds all of them: blocks with scales, or a transposed matrix, or a vector") {
    const TensorSpec matrix{TensorRole::gate_up_proj, 0, 2, "experts.gate_up_proj", {12, 64}, 4};
    const TensorSpec bias{TensorRole::gate_up_bias, 0, 2, "experts.gate_up_proj_bias", {12}, 4};
    Checkpoint checkpoint;
    checkpoint.files.push_back({"some/model.safetensors", 1 << 20, 100});
    checkpoint.tensors = {{"experts.gate_up_proj_blocks", 0, DType::u8, {4, 12, 2, 16}, 1000, 4 * 12 * 32},
                          {"experts.gate_up_proj_scales", 0, DType::u8, {4, 12, 2}, 5000, 4 * 12 * 2},
                          {"experts.gate_up_proj_bias", 0, DType::bf16, {4, 12}, 6000, 4 * 12 * 2}};
    const auto recognise = [&](const TensorSpec& wanted, std::size_t names) {
        StoredByName by_name;
        for (const StoredTensor& tensor : checkpoint.tensors) by_name.emplace(tensor.name, &tensor);
        std::vector<std::string_view> used;
        const StoredTensor tensor = recognise_fused(wanted, by_name, checkpoint, used);
        CHECK(used.size() == names);
        return tensor;
    };
    const StoredTensor blocks = recognise(matrix, 2);
    CHECK(blocks.dtype == DType::mxfp4);
    CHECK(blocks.shape == matrix.shape);
    CHECK(blocks.offset == 1000 + 2 * 12 * 32);
    CHECK(blocks.bytes == 12 * 32);
    CHECK(blocks.scales == StoredScales{0, DType::u8, 12, 2, 5000 + 2 * 12 * 2});
    CHECK_FALSE(blocks.transposed);
    CHECK(recognise(bias, 1).offset == 6000 + 2 * 12 * 2);
    CHECK(recognise(bias, 1).shape == bias.shape);

    using Catch::Contains;
    const auto sentence = [&] { return sentence_of([&] { recognise(matrix, 0); }); };
    checkpoint.tensors[1].shape = {4, 12, 3};
    CHECK_THAT(sentence(),
               Contains("experts.gate_up_proj_scales has the shape [4, 12, 3]; config.json makes it [4, 12, 2]"));
    checkpoint.tensors[1].dtype = DType::f32;
    CHECK_THAT(sentence(), Contains("gate_up_proj_blocks as u8 with scales as f32 is no format that can be read"));
    checkpoint.tensors[1].name = "other";
    CHECK_THAT(sentence(), Contains("experts.gate_up_proj_scales is missing"));
    checkpoint.tensors[0] = {"experts.gate_up_proj", 0, DType::bf16, {4, 64, 12}, 1000, 4 * 64 * 24};
    const StoredTensor plain = recognise(matrix, 1);
    CHECK(plain.transposed);
    CHECK(plain.shape == matrix.shape);
    CHECK(plain.offset == 1000 + 2 * 64 * 24);
    checkpoint.tensors[0].shape = {4, 12, 64};
    CHECK_THAT(sentence(), Contains("config.json makes it [4, 64, 12]"));
    checkpoint.tensors[0].name = "another";
    CHECK_THAT(sentence(), Contains("The tensor experts.gate_up_proj (gate_up_proj) is in none of the 1 files"));
}

TEST_CASE("what is wrong with codes or scales has its sentence") {
    using Catch::Contains;
    CHECK_THAT(
        Sample().with("weight", DType::f8_e4m3, {130, 200}).sentence(),
        Contains("layers.0.q.weight is stored as f8_e4m3, but there is neither layers.0.q.weight_scale_inv nor"));
    CHECK_THAT(Sample().with("weight", DType::f8_e4m3, {130, 200}).with("weight_scale", DType::f32, {}).sentence(),
               Contains("layers.0.q.weight_scale has the shape []") && Contains("fp8 needs [2, 2]"));
    CHECK_THAT(Sample().with("weight", DType::u8, {130, 200}).with("weight_scale", DType::u8, {130, 7}).sentence(),
               Contains("layers.0.q.weight has the shape [130, 200]") && Contains("mxfp4 needs [130, 100]"));
    CHECK_THAT(Sample().with("weight", DType::u8, {130, 100}).with("weight_scale", DType::f16, {130, 7}).sentence(),
               Contains("u8 with scales as f16 is no format that can be read"));
    Sample nvfp4;
    nvfp4.with("weight", DType::u8, {130, 100}).with("weight_scale", DType::f8_e4m3, {130, 13});
    CHECK_THAT(nvfp4.sentence(), Contains("layers.0.q.weight_scale_2, the scale of an nvfp4 matrix, is missing"));
    CHECK_THAT(nvfp4.with("weight_scale_2", DType::f32, {2}).sentence(), Contains("not one F32 number"));
    Sample router;
    router.wanted.role = TensorRole::router;
    CHECK_THAT(router.with("weight", DType::i8, {130, 200}).with("weight_scale", DType::f32, {130, 2}).sentence(),
               Contains("is stored as i8; tensors of this kind must be bf16, f16 or f32."));
}
