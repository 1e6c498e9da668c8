// Finding a checkpoint's weights, or making them up.
#include "runtime/forward/weight_source.hpp"

#include <algorithm>
#include <map>

#include "kernels/base/error.hpp"
#include "kernels/base/philox.hpp"
#include "kernels/quant/bf16.hpp"
#include "runtime/forward/piece_rows.hpp"
#include "runtime/model/stored_format.hpp"
#include "runtime/schedule/token_hash.hpp"

namespace argosy {

namespace {

// Of nvfp4: one number per matrix. World rank 0 reads them all.
void share_matrix_scales(MpiSession& session, WeightSource& source) {
    std::vector<float> scales;
    for (const StoredTensor& tensor : source.stored) {
        if (tensor.matrix_scales) scales.push_back(0);
    }
    if (scales.empty()) return;
    session.run_agreed([&] {
        if (session.rank() != 0) return;
        std::map<int, CheckpointFile> files;
        auto* next = reinterpret_cast<std::byte*>(scales.data());
        for (const StoredTensor& tensor : source.stored) {
            if (!tensor.matrix_scales) continue;
            const int file = tensor.matrix_scales->file;
            const auto [open, added] = files.try_emplace(file, source.files[static_cast<std::size_t>(file)].path);
            open->second.read(tensor.matrix_scales->offset, {next, sizeof(float)});
            next += sizeof(float);
        }
    });
    session.world().broadcast(scales.data(), static_cast<std::int64_t>(scales.size() * sizeof(float)), 0);
    std::size_t next = 0;
    for (StoredTensor& tensor : source.stored) {
        if (tensor.matrix_scales) tensor.matrix_scale = scales[next++];
    }
}

bool is_norm(TensorRole role) {
    return role == TensorRole::attn_norm || role == TensorRole::ffn_norm || role == TensorRole::final_norm ||
           role == TensorRole::q_norm || role == TensorRole::k_norm || role == TensorRole::q_a_norm ||
           role == TensorRole::kv_a_norm || role == TensorRole::predictor_token_norm ||
           role == TensorRole::predictor_state_norm || role == TensorRole::predictor_norm;
}

}  // namespace

WeightSource open_weights(MpiSession& session, const ModelPlan& plan, const std::filesystem::path& folder) {
    std::string wire;
    session.run_agreed([&] {
        if (session.rank() == 0) wire = to_wire(read_checkpoint_headers(folder));
    });
    auto bytes = static_cast<std::int64_t>(wire.size());
    session.world().broadcast(&bytes, sizeof bytes, 0);
    wire.resize(static_cast<std::size_t>(bytes));
    session.world().broadcast(wire.data(), bytes, 0);
    WeightSource source;
    session.run_agreed([&] {
        const Checkpoint checkpoint = parse_checkpoint(checkpoint_headers_from_wire(wire));
        source.tensors = tensor_list(plan);
        source.stored = match_tensors(source.tensors, checkpoint, spare_tensors(plan));
        source.files = checkpoint.files;
    });
    share_matrix_scales(session, source);
    source.sent = source.stored;
    return source;
}

WeightSource random_weights(const ModelPlan& plan, std::uint64_t seed) {
    WeightSource source;
    source.tensors = tensor_list(plan);
    source.random_seed = seed;
    std::int64_t offset = 0;
    for (const TensorSpec& tensor : source.tensors) {
        std::int64_t bytes = 2;
        for (const std::int64_t extent : tensor.shape) bytes *= extent;
        source.stored.push_back({.name = tensor.name,
                                 .file = 0,
                                 .dtype = DType::bf16,
                                 .shape = tensor.shape,
                                 .offset = offset,
                                 .bytes = bytes});
        offset += bytes;
    }
    source.sent = source.stored;
    return source;
}

void send_as(WeightSource& source, DType dtype) {
    for (std::size_t t = 0; t < source.stored.size(); ++t) {
        if (may_stand_in_blocks(source.tensors[t].role)) source.sent[t] = in_format(source.stored[t], dtype);
    }
}

void fill_random(const LoadPiece& piece, const WeightSource& source, std::byte* into) {
    const StoredTensor& tensor = source.stored[static_cast<std::size_t>(piece.tensor)];
    const bool norm = is_norm(source.tensors[static_cast<std::size_t>(piece.tensor)].role);
    const std::uint64_t seed = *source.random_seed;
    auto* element = reinterpret_cast<std::uint16_t*>(into);
    const std::uint64_t name = hash64(tensor.name, seed);
    const std::int64_t begin = piece.row_begin * columns_of(tensor);
    const std::int64_t end = piece.row_end * columns_of(tensor);
    constexpr float kDeviation = 0.02f;
    constexpr float kByteSumMean = 510.0f;       // of four numbers from 0 to 255
    constexpr float kByteSumDeviation = 147.8f;  // sqrt(4 * (256^2 - 1) / 12)
#pragma omp parallel for schedule(static)
    for (std::int64_t block = begin / 4; block < (end + 3) / 4; ++block) {
        const PhiloxWords random =
            philox4x32_10({{static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32),
                            static_cast<std::uint32_t>(name), static_cast<std::uint32_t>(name >> 32)}},
                          static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32));
        for (std::int64_t i = std::max(begin, 4 * block); i < std::min(end, 4 * block + 4); ++i) {
            const std::uint32_t word = random.word[i - 4 * block];
            const auto sum =
                static_cast<float>((word & 255u) + (word >> 8 & 255u) + (word >> 16 & 255u) + (word >> 24));
            element[i - begin] = encode_bf16(norm ? 1.0f : (sum - kByteSumMean) * (kDeviation / kByteSumDeviation));
        }
    }
}

}  // namespace argosy
