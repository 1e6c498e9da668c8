// New checkpoints: files and headers that the reader of checkpoints accepts, rule by rule, and what they say of the
// format.
#include <catch2/catch.hpp>

#include <nlohmann/json.hpp>
#include <random>

#include "runtime/convert/checkpoint_layout.hpp"
#include "runtime/convert/quantization_config.hpp"
#include "runtime/model/checkpoint.hpp"

using namespace argosy;

namespace {

std::int64_t pick(std::mt19937_64& random, std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random);
}

struct Case {
    std::vector<NewTensor> tensors;
    std::vector<std::size_t> groups{0};
};

Case random_case(std::mt19937_64& random) {
    constexpr DType kTypes[] = {DType::f32, DType::bf16, DType::f16, DType::f8_e4m3, DType::i8, DType::u8};
    Case c;
    const std::int64_t groups = pick(random, 1, 12);
    for (std::int64_t g = 0; g < groups; ++g) {
        const std::int64_t members = pick(random, 1, 3);
        for (std::int64_t i = 0; i < members; ++i) {
            NewTensor tensor{"t" + std::to_string(c.tensors.size()), kTypes[pick(random, 0, 5)], {}};
            for (std::int64_t d = pick(random, 0, 2); d > 0; --d) tensor.shape.push_back(pick(random, 1, 9));
            c.tensors.push_back(tensor);
        }
        c.groups.push_back(c.tensors.size());
    }
    return c;
}

// As read_checkpoint_headers would find it on the disk.
CheckpointHeaders headers_of(const CheckpointLayout& layout) {
    CheckpointHeaders headers;
    headers.folder = "folder";
    headers.index = layout.index;
    for (const NewFile& file : layout.files) headers.files.push_back({file.name, file.bytes, file.header});
    return headers;
}

}  // namespace

TEST_CASE("what is laid out is read back: every tensor where it was placed, in as many files as the limit asks") {
    std::mt19937_64 random(3);
    int several = 0;
    for (int round = 0; round < 500; ++round) {
        const Case c = random_case(random);
        const std::int64_t most = pick(random, 1, 600);
        const CheckpointLayout layout = lay_out_checkpoint(c.tensors, c.groups, most);
        const Checkpoint read = parse_checkpoint(headers_of(layout));  // gaps, overlaps, alignment, names, index
        REQUIRE(read.tensors.size() == layout.tensors.size());
        REQUIRE(layout.tensors.size() == c.tensors.size());
        for (const NewTensor& tensor : layout.tensors) {
            const auto found = std::find_if(read.tensors.begin(), read.tensors.end(),
                                            [&](const StoredTensor& t) { return t.name == tensor.name; });
            REQUIRE(found != read.tensors.end());
            REQUIRE(found->dtype == tensor.dtype);
            REQUIRE(found->shape == tensor.shape);
            REQUIRE(found->offset == tensor.offset);
            REQUIRE(found->bytes == tensor.bytes());
            REQUIRE(read.files[static_cast<std::size_t>(found->file)].path.filename() ==
                    layout.files[static_cast<std::size_t>(tensor.file)].name);
        }
        for (std::size_t g = 0; g + 1 < c.groups.size(); ++g) {
            for (std::size_t i = c.groups[g]; i < c.groups[g + 1]; ++i)
                REQUIRE(layout.tensors[i].file == layout.tensors[c.groups[g]].file);
        }
        for (std::size_t f = 0; f < layout.files.size(); ++f) {
            std::int64_t bytes = 0;
            int groups = 0;
            for (std::size_t g = 0; g + 1 < c.groups.size(); ++g) {
                if (layout.tensors[c.groups[g]].file != static_cast<int>(f)) continue;
                ++groups;
                for (std::size_t i = c.groups[g]; i < c.groups[g + 1]; ++i) bytes += layout.tensors[i].bytes();
            }
            REQUIRE((bytes <= most || groups == 1));
        }
        REQUIRE(layout.index.empty() == (layout.files.size() == 1));
        several += layout.files.size() > 1 ? 1 : 0;
    }
    CHECK(several > 100);
}

TEST_CASE("config.json names the format as its usual writer does") {
    const auto config = [](DType format) {
        return nlohmann::json::parse(quantization_config(format, {"lm_head", "model.layers.0.mlp.gate"}));
    };
    CHECK(config(DType::bf16).is_null());
    CHECK(config(DType::fp8)["weight_block_size"] == nlohmann::json{128, 128});
    CHECK(config(DType::fp8)["quant_method"] == "fp8");
    CHECK(config(DType::nvfp4)["quant_algo"] == "NVFP4");
    CHECK(config(DType::nvfp4)["ignore"][0] == "lm_head");
    CHECK(config(DType::int8)["config_groups"]["group_0"]["weights"]["group_size"] == 128);
    CHECK(config(DType::mxfp4)["global_quant_config"]["weight"]["group_size"] == 32);
    CHECK(hf_quant_config(DType::fp8, {}).empty());
    CHECK(nlohmann::json::parse(hf_quant_config(DType::nvfp4, {"lm_head"}))["quantization"]["exclude_modules"][0] ==
          "lm_head");
}
