// Checking what one safetensors header, or an index over several, says.
#include "runtime/model/safetensors.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <tuple>

#include "kernels/base/error.hpp"
#include "runtime/model/json_file.hpp"

namespace argosy {

namespace {

struct FormatName {
    std::string_view name;
    DType dtype;
};
constexpr std::array<FormatName, 11> kFormats = {{{"F32", DType::f32},
                                                  {"BF16", DType::bf16},
                                                  {"F16", DType::f16},
                                                  {"F64", DType::f64},
                                                  {"I64", DType::i64},
                                                  {"I32", DType::i32},
                                                  {"I16", DType::i16},
                                                  {"I8", DType::i8},
                                                  {"U8", DType::u8},
                                                  {"BOOL", DType::boolean},
                                                  {"F8_E4M3", DType::f8_e4m3}}};

// The length word, whatever it says.
std::uint64_t announced_length(std::string_view bytes) {
    std::uint64_t length = 0;
    for (int i = 7; i >= 0; --i) length = length << 8 | static_cast<unsigned char>(bytes[static_cast<std::size_t>(i)]);
    return length;
}

// The header's text, checked for length.
std::string_view header_text(const CheckpointHeaders::File& file, const std::string& path) {
    if (file.bytes < kSafetensorsLengthBytes ||
        file.prefix.size() < static_cast<std::size_t>(kSafetensorsLengthBytes)) {
        fail(ErrorKind::input,
             "{} has {} bytes; a safetensors file begins with 8 that say how long its header is. Fetch the file again.",
             path, file.bytes);
    }
    const std::uint64_t announced = announced_length(file.prefix);
    if (announced > static_cast<std::uint64_t>(kSafetensorsHeaderBytesMax)) {
        fail(ErrorKind::input,
             "{} announces a header of {} bytes; at most {} can be. It is not a safetensors file, or it is damaged.",
             path, announced, kSafetensorsHeaderBytesMax);
    }
    const auto header_bytes = static_cast<std::int64_t>(announced);
    if (header_bytes > file.bytes - kSafetensorsLengthBytes) {
        fail(ErrorKind::input, "{} has {} bytes, but announces a header of {} after the first 8. Fetch the file again.",
             path, file.bytes, header_bytes);
    }
    if (static_cast<std::int64_t>(file.prefix.size()) != kSafetensorsLengthBytes + header_bytes) {
        fail(ErrorKind::internal, "Of the header of {} {} bytes were passed on; it has {}.", path, file.prefix.size(),
             kSafetensorsLengthBytes + header_bytes);
    }
    return std::string_view(file.prefix).substr(kSafetensorsLengthBytes);
}

// Elements of a shape times bytes of one; nothing when 64 bits do not hold it.
std::optional<std::int64_t> bytes_of(const std::vector<std::int64_t>& shape, DType dtype) {
    std::int64_t product = static_cast<std::int64_t>(size_of(dtype));
    for (const std::int64_t extent : shape) {
        if (__builtin_mul_overflow(product, extent, &product)) return std::nullopt;
    }
    return product;
}

StoredTensor parse_entry(const JsonObject& entry, const std::string& name, const std::string& path, int file_id,
                         std::int64_t data_bytes) {
    StoredTensor tensor;
    tensor.name = name;
    tensor.file = file_id;
    const std::string format = entry.text("dtype");
    const auto known =
        std::find_if(kFormats.begin(), kFormats.end(), [&](const FormatName& f) { return f.name == format; });
    if (known == kFormats.end()) {
        fail(ErrorKind::input, "{}: the tensor {} is stored as \"{}\", a number format that is not known here.", path,
             name, format);
    }
    tensor.dtype = known->dtype;
    tensor.shape = entry.integers("shape", 0, INT64_MAX);
    const auto bytes = bytes_of(tensor.shape, tensor.dtype);
    if (!bytes) {
        fail(ErrorKind::input,
             "{}: the tensor {} has the shape [{}], whose size in bytes is beyond 64 bits. Fetch the file again.", path,
             name, fmt::join(tensor.shape, ", "));
    }
    tensor.bytes = *bytes;
    const std::vector<std::int64_t> offsets = entry.integers("data_offsets", 0, INT64_MAX);
    if (offsets.size() != 2 || offsets[1] < offsets[0]) {
        fail(ErrorKind::input,
             "{}: the tensor {} has the data_offsets [{}]; they must be two numbers, begin and end. Fetch the file "
             "again.",
             path, name, fmt::join(offsets, ", "));
    }
    if (offsets[1] > data_bytes) {
        fail(ErrorKind::input,
             "{}: the tensor {} ends at byte {} of the data, but the file has only {}. It was cut off; fetch it again.",
             path, name, offsets[1], data_bytes);
    }
    if (offsets[1] - offsets[0] != tensor.bytes) {
        fail(ErrorKind::input,
             "{}: the tensor {} has {} bytes, but its shape [{}] in {} needs {}. Fetch the file again.", path, name,
             offsets[1] - offsets[0], fmt::join(tensor.shape, ", "), name_of(tensor.dtype), tensor.bytes);
    }
    if (offsets[0] % static_cast<std::int64_t>(size_of(tensor.dtype)) != 0) {
        fail(ErrorKind::input,
             "{}: the tensor {} begins at byte {} of the data, which is not a multiple of the {} bytes of {}.", path,
             name, offsets[0], size_of(tensor.dtype), name_of(tensor.dtype));
    }
    tensor.offset = offsets[0];
    return tensor;
}

// The format leaves no byte to two tensors and none to nobody.
void check_cover(const std::vector<StoredTensor>& tensors, const std::string& path, std::int64_t data_bytes) {
    std::int64_t end = 0;
    const std::string* last = nullptr;
    for (const StoredTensor& tensor : tensors) {
        if (tensor.offset < end) {
            fail(ErrorKind::input, "{}: the tensors {} and {} overlap at byte {} of the data. Fetch the file again.",
                 path, *last, tensor.name, tensor.offset);
        }
        if (tensor.offset > end) {
            fail(ErrorKind::input,
                 "{}: bytes {} to {} of the data, before the tensor {}, belong to no tensor. Fetch the file again.",
                 path, end, tensor.offset, tensor.name);
        }
        end = tensor.offset + tensor.bytes;
        last = &tensor.name;
    }
    if (end != data_bytes) {
        fail(ErrorKind::input, "{}: the last {} bytes belong to no tensor. Fetch the file again.", path,
             data_bytes - end);
    }
}

JsonObject weight_map(const std::string& index, const std::string& index_path) {
    return JsonObject::parse(index, index_path).object("weight_map");
}

}  // namespace

std::int64_t safetensors_header_bytes(std::string_view first_bytes, std::int64_t file_bytes) {
    if (first_bytes.size() < static_cast<std::size_t>(kSafetensorsLengthBytes)) return 0;
    const std::uint64_t length = announced_length(first_bytes);
    const std::int64_t room = std::min(file_bytes - kSafetensorsLengthBytes, kSafetensorsHeaderBytesMax);
    return length <= static_cast<std::uint64_t>(room) ? static_cast<std::int64_t>(length) : 0;
}

std::vector<std::string> files_of_index(const std::string& index, const std::string& index_path) {
    const JsonObject map = weight_map(index, index_path);
    std::set<std::string> files;
    for (const std::string& tensor : map.keys()) {
        const std::string file = map.text(tensor);
        if (file.empty() || file == "." || file == ".." || file.find('/') != std::string::npos ||
            file.find('\0') != std::string::npos) {
            map.reject(tensor, fmt::format("is in \"{}\"; it must be the name of a file beside the index", file));
        }
        files.insert(file);
    }
    if (files.empty())
        fail(ErrorKind::input, "{}: \"weight_map\" is empty; a model has tensors. Fetch the file again.", index_path);
    return {files.begin(), files.end()};
}

std::vector<StoredTensor> parse_safetensors(const CheckpointHeaders::File& file, const std::string& path, int file_id,
                                            std::int64_t& data_begin) {
    const std::string_view text = header_text(file, path);
    data_begin = kSafetensorsLengthBytes + static_cast<std::int64_t>(text.size());
    const JsonObject header = JsonObject::parse(text, path);
    std::vector<StoredTensor> tensors;
    for (const std::string& name : header.keys()) {
        if (name == "__metadata__") continue;
        tensors.push_back(parse_entry(header.object(name), name, path, file_id, file.bytes - data_begin));
    }
    std::sort(tensors.begin(), tensors.end(), [](const StoredTensor& a, const StoredTensor& b) {
        // An empty tensor stands before the one whose first byte it shares.
        return std::tie(a.offset, a.bytes, a.name) < std::tie(b.offset, b.bytes, b.name);
    });
    check_cover(tensors, path, file.bytes - data_begin);
    for (StoredTensor& tensor : tensors) tensor.offset += data_begin;
    return tensors;
}

}  // namespace argosy
