// Files, offsets and headers of a new checkpoint.
#include "runtime/convert/checkpoint_layout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "kernels/base/error.hpp"
#include "runtime/model/safetensors.hpp"

namespace argosy {

namespace {

using Json = nlohmann::ordered_json;

std::string_view format_word(DType dtype) {
    switch (dtype) {
        case DType::f32:
            return "F32";
        case DType::bf16:
            return "BF16";
        case DType::f16:
            return "F16";
        case DType::f8_e4m3:
            return "F8_E4M3";
        case DType::i8:
            return "I8";
        case DType::u8:
            return "U8";
        default:
            fail(ErrorKind::internal, "A tensor of {} was to be written to a safetensors file.", name_of(dtype));
    }
}

// Sets offsets of one file's tensors, at first from the end of the header, and returns the header.
std::string place(std::vector<NewTensor*>& tensors, std::int64_t& file_bytes) {
    std::sort(tensors.begin(), tensors.end(), [](const NewTensor* a, const NewTensor* b) {
        const std::size_t a_size = size_of(a->dtype), b_size = size_of(b->dtype);
        return a_size != b_size ? a_size > b_size : a->name < b->name;
    });
    Json json;
    json["__metadata__"] = {{"format", "pt"}};  // what other programs ask for
    std::int64_t end = 0;
    for (NewTensor* tensor : tensors) {
        tensor->offset = end;
        end += tensor->bytes();
        json[tensor->name] = {
            {"dtype", format_word(tensor->dtype)}, {"shape", tensor->shape}, {"data_offsets", {tensor->offset, end}}};
    }
    std::string text = json.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');
    std::string header(kSafetensorsLengthBytes, '\0');
    for (int byte = 0; byte < 8; ++byte)
        header[static_cast<std::size_t>(byte)] = static_cast<char>(text.size() >> 8 * byte);
    header += text;
    for (NewTensor* tensor : tensors) tensor->offset += static_cast<std::int64_t>(header.size());
    file_bytes = static_cast<std::int64_t>(header.size()) + end;
    return header;
}

}  // namespace

std::int64_t NewTensor::bytes() const {
    auto bytes = static_cast<std::int64_t>(size_of(dtype));
    for (const std::int64_t extent : shape) bytes *= extent;
    return bytes;
}

CheckpointLayout lay_out_checkpoint(std::vector<NewTensor> tensors, std::span<const std::size_t> groups,
                                    std::int64_t file_bytes_max) {
    CheckpointLayout layout;
    layout.tensors = std::move(tensors);
    int files = 0;
    std::int64_t in_file = 0;
    for (std::size_t g = 0; g + 1 < groups.size(); ++g) {
        std::int64_t bytes = 0;
        for (std::size_t i = groups[g]; i < groups[g + 1]; ++i) bytes += layout.tensors[i].bytes();
        if (files == 0 || (in_file > 0 && in_file + bytes > file_bytes_max)) ++files, in_file = 0;
        in_file += bytes;
        for (std::size_t i = groups[g]; i < groups[g + 1]; ++i) layout.tensors[i].file = files - 1;
    }
    Json weight_map = Json::object();
    std::int64_t total_bytes = 0;
    for (int f = 0; f < files; ++f) {
        NewFile file;
        file.name =
            files == 1 ? std::string(kCheckpointSingle) : fmt::format("model-{:05}-of-{:05}.safetensors", f + 1, files);
        std::vector<NewTensor*> own;
        for (NewTensor& tensor : layout.tensors) {
            if (tensor.file != f) continue;
            own.push_back(&tensor);
            weight_map[tensor.name] = file.name;
            total_bytes += tensor.bytes();
        }
        file.header = place(own, file.bytes);
        layout.files.push_back(std::move(file));
    }
    if (files > 1) {
        const Json index = {{"metadata", {{"total_size", total_bytes}}}, {"weight_map", weight_map}};
        layout.index = index.dump(1) + "\n";
    }
    return layout;
}

}  // namespace argosy
