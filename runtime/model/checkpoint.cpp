// A checkpoint as a whole: its files' headers put together, held against the index, and matched with a plan's tensors.
#include "runtime/model/checkpoint.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <unordered_set>

#include "kernels/base/error.hpp"
#include "runtime/model/json_file.hpp"
#include "runtime/model/safetensors.hpp"
#include "runtime/model/stored_format.hpp"

namespace argosy {

namespace fs = std::filesystem;

namespace {

using ByName = StoredByName;

// Buffers of the rotation that early exports saved beside the weights: they follow from config.json. Scales for
// quantised activations, which are not used here.
bool harmless(std::string_view name) { return name.ends_with("rotary_emb.inv_freq") || name.ends_with(".input_scale"); }

ByName index_by_name(const Checkpoint& checkpoint) {
    ByName by_name;
    for (const StoredTensor& tensor : checkpoint.tensors) {
        const auto [place, fresh] = by_name.emplace(tensor.name, &tensor);
        if (!fresh) {
            fail(ErrorKind::input, "The tensor {} is stored twice, in {} and in {}. Fetch the model again.",
                 tensor.name, checkpoint.files[static_cast<std::size_t>(place->second->file)].path.string(),
                 checkpoint.files[static_cast<std::size_t>(tensor.file)].path.string());
        }
    }
    return by_name;
}

// What the index says is in a file must be there, and nothing else.
void check_index(const Checkpoint& checkpoint, const CheckpointHeaders& headers, const ByName& by_name) {
    const std::string index_path = (fs::path(headers.folder) / kCheckpointIndex).string();
    const JsonObject map = JsonObject::parse(headers.index, index_path).object("weight_map");
    for (const std::string& name : map.keys()) {
        const std::string file = map.text(name);
        const auto found = by_name.find(name);
        if (found == by_name.end()) {
            fail(ErrorKind::input, "{} says that the tensor {} is in {}, but no file holds it. Fetch the model again.",
                 index_path, name, file);
        }
        const fs::path& holder = checkpoint.files[static_cast<std::size_t>(found->second->file)].path;
        if (holder.filename() != file) {
            fail(ErrorKind::input, "{} says that the tensor {} is in {}, but it is in {}. Fetch the model again.",
                 index_path, name, file, holder.filename().string());
        }
    }
    for (const StoredTensor& tensor : checkpoint.tensors) {
        if (map.has(tensor.name) || harmless(tensor.name)) continue;
        fail(ErrorKind::input, "{} holds the tensor {}, which {} does not name. Fetch the model again.",
             checkpoint.files[static_cast<std::size_t>(tensor.file)].path.string(), tensor.name, index_path);
    }
}

}  // namespace

Checkpoint parse_checkpoint(const CheckpointHeaders& headers) {
    Checkpoint checkpoint;
    for (const CheckpointHeaders::File& file : headers.files) {
        const fs::path path = fs::path(headers.folder) / file.name;
        std::int64_t data_begin = 0;
        std::vector<StoredTensor> tensors =
            parse_safetensors(file, path.string(), static_cast<int>(checkpoint.files.size()), data_begin);
        checkpoint.files.push_back({path, file.bytes, data_begin});
        checkpoint.tensors.insert(checkpoint.tensors.end(), std::make_move_iterator(tensors.begin()),
                                  std::make_move_iterator(tensors.end()));
    }
    const ByName by_name = index_by_name(checkpoint);
    if (!headers.index.empty()) check_index(checkpoint, headers, by_name);
    return checkpoint;
}

std::int64_t total_bytes(const Checkpoint& checkpoint) {
    std::int64_t bytes = 0;
    for (const Checkpoint::File& file : checkpoint.files) bytes += file.bytes;
    return bytes;
}

namespace {

std::string path_of(const Checkpoint& checkpoint, const StoredTensor& tensor) {
    return checkpoint.files[static_cast<std::size_t>(tensor.file)].path.string();
}

// Which matrices of a layer must have one number format: 0: q, k and v, packed as one matrix; 1: gate and up, 2: down,
// each one grouped product over all experts; -1: no such rule.
int pack_group(TensorRole role) {
    switch (role) {
        case TensorRole::q_proj:
        case TensorRole::k_proj:
        case TensorRole::v_proj:
            return 0;
        case TensorRole::gate_proj:
        case TensorRole::up_proj:
        case TensorRole::gate_up_proj:
            return 1;
        case TensorRole::down_proj:
            return 2;
        default:
            return -1;
    }
}

void check_formats(std::span<const TensorSpec> wanted, const std::vector<StoredTensor>& stored,
                   const Checkpoint& checkpoint) {
    std::map<std::pair<int, int>, const StoredTensor*> first;  // of (layer, group)
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        const int group = pack_group(wanted[i].role);
        if (group < 0) continue;
        const StoredTensor& other = *first.emplace(std::pair(wanted[i].layer, group), &stored[i]).first->second;
        if (other.dtype == stored[i].dtype) continue;
        fail(ErrorKind::input,
             "{}: the tensor {} is stored as {}, but {}, which is used together with it, as {}; they must agree.",
             path_of(checkpoint, stored[i]), stored[i].name, name_of(stored[i].dtype), other.name,
             name_of(other.dtype));
    }
}

// The wanted tensors; names of those that belong to a matrix of theirs go to `scales`.
std::vector<StoredTensor> find_tensors(std::span<const TensorSpec> wanted, const ByName& by_name,
                                       const Checkpoint& checkpoint, std::vector<std::string_view>& scales) {
    std::vector<StoredTensor> stored;
    stored.reserve(wanted.size());
    for (const TensorSpec& tensor : wanted) {
        if (is_fused(tensor)) {
            stored.push_back(recognise_fused(tensor, by_name, checkpoint, scales));
            continue;
        }
        const auto found = by_name.find(tensor.name);
        if (found == by_name.end()) fail_missing(tensor, checkpoint);
        stored.push_back(recognise_weights(tensor, *found->second, by_name, checkpoint, scales));
    }
    check_formats(wanted, stored, checkpoint);
    return stored;
}

void refuse_strangers(std::span<const TensorSpec> wanted, std::span<const TensorSpec> spare,
                      const std::vector<std::string_view>& scales, const Checkpoint& checkpoint) {
    std::unordered_set<std::string_view> known(scales.begin(), scales.end());
    for (const TensorSpec& tensor : wanted) known.insert(tensor.name);
    for (const TensorSpec& tensor : spare) known.insert(tensor.name);
    for (const StoredTensor& tensor : checkpoint.tensors) {
        if (known.contains(tensor.name) || harmless(tensor.name)) continue;
        // With tied embeddings: a copy of the embedding, which some exporters store all the same.
        if (tensor.name == "lm_head.weight") continue;
        fail(ErrorKind::input, "{} holds the tensor {}, which the model described by config.json does not have.",
             path_of(checkpoint, tensor), tensor.name);
    }
}

}  // namespace

bool holds_any(const Checkpoint& checkpoint, std::span<const TensorSpec> tensors) {
    const ByName by_name = index_by_name(checkpoint);
    return std::any_of(tensors.begin(), tensors.end(),
                       [&](const TensorSpec& tensor) { return by_name.contains(tensor.name); });
}

std::vector<StoredTensor> match_tensors(std::span<const TensorSpec> wanted, const Checkpoint& checkpoint,
                                        std::span<const TensorSpec> spare) {
    const ByName by_name = index_by_name(checkpoint);
    std::vector<std::string_view> scales;
    std::vector<StoredTensor> stored = find_tensors(wanted, by_name, checkpoint, scales);
    if (holds_any(checkpoint, spare)) find_tensors(spare, by_name, checkpoint, scales);
    refuse_strangers(wanted, spare, scales, checkpoint);
    return stored;
}

}  // namespace argosy
