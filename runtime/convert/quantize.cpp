// Reading tensors piece by piece, converting and writing them.
#include "runtime/convert/quantize.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "kernels/base/error.hpp"
#include "kernels/quant/block_format.hpp"
#include "runtime/convert/checkpoint_layout.hpp"
#include "runtime/convert/output_file.hpp"
#include "runtime/convert/quantization_config.hpp"
#include "runtime/forward/load_plan.hpp"
#include "runtime/forward/piece_rows.hpp"
#include "runtime/forward/weight_source.hpp"
#include "runtime/job/file_writer.hpp"
#include "runtime/model/families.hpp"
#include "runtime/model/safetensors.hpp"
#include "runtime/model/stored_format.hpp"

namespace argosy {

namespace fs = std::filesystem;

namespace {

using Json = nlohmann::ordered_json;

// Where the model's bytes come from.
struct Source {
    WeightSource weights;
    std::map<int, CheckpointFile> open;

    CheckpointFile& file(int number) {
        return open.try_emplace(number, weights.files[static_cast<std::size_t>(number)].path).first->second;
    }
    void read(const LoadPiece& piece, std::vector<std::byte>& into) {
        const StoredTensor& tensor = weights.stored[static_cast<std::size_t>(piece.tensor)];
        if (weights.random_seed) {
            into.resize(static_cast<std::size_t>(piece_code_bytes(piece, tensor)));
            fill_random(piece, weights, into.data());
            return;
        }
        read_piece(piece, tensor, file(tensor.file), file(tensor.scales ? tensor.scales->file : tensor.file), into);
    }
    std::int64_t bytes_read() const {
        std::int64_t bytes = 0;
        for (const auto& [number, file] : open) bytes += file.bytes_read();
        return bytes;
    }
};

Source open_source(const QuantizeSettings& settings, const ModelPlan& plan) {
    Source source;
    if (settings.random_seed) {
        source.weights = random_weights(plan, *settings.random_seed);
        return source;
    }
    const Checkpoint checkpoint = open_checkpoint(settings.model);
    const bool predicts = holds_any(checkpoint, spare_tensors(plan));
    source.weights.tensors = tensor_list(predicts ? with_predictor(plan) : plan);
    source.weights.stored = match_tensors(source.weights.tensors, checkpoint);
    source.weights.files = checkpoint.files;
    for (StoredTensor& tensor : source.weights.stored) {
        if (!tensor.matrix_scales) continue;
        auto* scale = reinterpret_cast<std::byte*>(&tensor.matrix_scale);
        source.file(tensor.matrix_scales->file).read(tensor.matrix_scales->offset, {scale, sizeof(float)});
    }
    source.weights.sent = source.weights.stored;
    return source;
}

std::string module_of(const std::string& tensor) { return tensor.substr(0, tensor.rfind('.')); }

DType element_of(DType format) {
    switch (format) {
        case DType::fp8:
            return DType::f8_e4m3;
        case DType::int8:
            return DType::i8;
        case DType::mxfp4:
        case DType::nvfp4:
            return DType::u8;
        default:
            return format;
    }
}

// The tensors of a file that one of the model becomes: codes (or elements), scales, the scale of the matrix, as
// stored_format.hpp names them.
std::vector<NewTensor> file_tensors(const StoredTensor& as) {
    std::vector<NewTensor> tensors{{as.name, element_of(as.dtype), as.shape}};
    if (!as.scales) return tensors;
    tensors[0].shape.back() = code_bytes(as.dtype, columns_of(as));
    const std::string scale = module_of(as.name) + (as.dtype == DType::fp8 ? ".weight_scale_inv" : ".weight_scale");
    tensors.push_back({scale, as.scales->dtype, {as.scales->rows, as.scales->columns}});
    if (block_format(as.dtype).of_matrix) tensors.push_back({scale + "_2", DType::f32, {}});
    return tensors;
}

// Everything that is to be written.
struct Plan {
    Source source;
    CheckpointLayout layout;
    std::vector<std::size_t> first;  // [tensors + 1] of layout.tensors
    LoadPlan pieces;
    QuantizeResult result;
};

Plan make_plan(const QuantizeSettings& settings) {
    Plan plan;
    plan.source = open_source(settings, plan_model(settings.model));
    WeightSource& weights = plan.source.weights;
    const auto fused = std::find_if(weights.tensors.begin(), weights.tensors.end(), is_fused);
    if (fused != weights.tensors.end()) {
        fail(ErrorKind::input,
             "{}: the tensor {} holds all experts of a layer, and such are not written in another format. Convert it "
             "when it is loaded: argosy run --weights-as.",
             settings.model.string(), fused->name);
    }
    send_as(weights, settings.format);
    std::vector<NewTensor> tensors;
    plan.first.push_back(0);
    for (std::size_t t = 0; t < weights.sent.size(); ++t) {
        StoredTensor& as = weights.sent[t];
        const bool converted = may_stand_in_blocks(weights.tensors[t].role);
        if (!converted && as.scales) fail(ErrorKind::internal, "{} stands in blocks and may not.", as.name);
        std::int64_t bytes = 0;
        for (NewTensor& tensor : file_tensors(as)) {
            bytes += tensor.bytes();
            tensors.push_back(std::move(tensor));
        }
        plan.first.push_back(tensors.size());
        ++(converted ? plan.result.converted : plan.result.copied);
        if (!converted) continue;
        plan.result.converted_weights += rows_of(as) * columns_of(as);
        plan.result.converted_bytes += bytes;
    }
    plan.layout = lay_out_checkpoint(std::move(tensors), plan.first, settings.file_bytes_max);
    for (const NewFile& file : plan.layout.files) plan.result.bytes_written += file.bytes;
    plan.pieces = plan_load(weights.stored, 1, block_format(settings.format).rows);
    return plan;
}

// One number for each matrix of a format that has one: from the largest magnitude of all its pieces.
void find_matrix_scales(Plan& plan, DType format, const std::function<void(double)>& progress) {
    if (!block_format(format).of_matrix) return;
    WeightSource& weights = plan.source.weights;
    std::vector<float> largest(weights.stored.size(), 0.0F);
    std::vector<std::byte> bytes;
    double done = 0;
    for (const LoadPiece& piece : plan.pieces.pieces) {
        const auto t = static_cast<std::size_t>(piece.tensor);
        progress(0.3 * ++done / static_cast<double>(plan.pieces.pieces.size()));
        if (!may_stand_in_blocks(weights.tensors[t].role)) continue;
        plan.source.read(piece, bytes);
        largest[t] = std::max(largest[t], largest_of_piece(piece, weights.stored[t], bytes));
    }
    for (std::size_t t = 0; t < largest.size(); ++t) {
        if (may_stand_in_blocks(weights.tensors[t].role))
            weights.sent[t].matrix_scale = matrix_scale(format, largest[t]);
    }
}

void write_piece(const Plan& plan, const LoadPiece& piece, const std::vector<std::byte>& bytes,
                 std::vector<OutputFile>& files) {
    const auto t = static_cast<std::size_t>(piece.tensor);
    const StoredTensor& as = plan.source.weights.sent[t];
    const NewTensor* to = plan.layout.tensors.data() + plan.first[t];
    OutputFile& file = files[static_cast<std::size_t>(to->file)];
    const auto codes = static_cast<std::size_t>(piece_code_bytes(piece, as));
    file.write(to->offset + piece.row_begin * code_bytes(as.dtype, columns_of(as)), bytes.data(), codes);
    if (!as.scales) return;
    const std::int64_t row_bytes = to[1].bytes() / as.scales->rows;
    file.write(to[1].offset + piece.row_begin / block_format(as.dtype).rows * row_bytes, bytes.data() + codes,
               bytes.size() - codes);
    if (block_format(as.dtype).of_matrix) file.write(to[2].offset, &as.matrix_scale, sizeof(float));
}

void write_tensors(Plan& plan, const fs::path& folder, DType format, const std::function<void(double)>& progress) {
    std::vector<OutputFile> files;
    for (const NewFile& file : plan.layout.files) {
        files.emplace_back(folder / file.name);
        files.back().write(0, file.header.data(), file.header.size());
    }
    find_matrix_scales(plan, format, progress);
    const double begin = block_format(format).of_matrix ? 0.3 : 0;
    std::vector<std::byte> bytes, converted;
    double done = 0;
    for (const LoadPiece& piece : plan.pieces.pieces) {
        const auto t = static_cast<std::size_t>(piece.tensor);
        plan.source.read(piece, bytes);
        if (may_stand_in_blocks(plan.source.weights.tensors[t].role)) {
            convert_piece(piece, plan.source.weights.stored[t], plan.source.weights.sent[t], bytes, converted);
            std::swap(bytes, converted);
        }
        write_piece(plan, piece, bytes, files);
        progress(begin + (1 - begin) * ++done / static_cast<double>(plan.pieces.pieces.size()));
    }
    for (OutputFile& file : files) file.close();
}

// Modules with a matrix that stays as it was.
std::vector<std::string> plain_modules(const WeightSource& weights) {
    std::vector<std::string> modules;
    for (std::size_t t = 0; t < weights.tensors.size(); ++t) {
        if (weights.stored[t].shape.size() == 2 && !may_stand_in_blocks(weights.tensors[t].role) &&
            weights.tensors[t].role != TensorRole::embedding &&
            weights.tensors[t].role != TensorRole::predictor_embedding)
            modules.push_back(module_of(weights.tensors[t].name));
    }
    return modules;
}

void write_config(const fs::path& from, const fs::path& folder, DType format, const WeightSource& weights) {
    Json config = Json::parse(read_whole_file(from));
    config.erase("quantization_config");
    const std::vector<std::string> modules = plain_modules(weights);
    const Json about = Json::parse(quantization_config(format, modules));
    if (!about.is_null()) config["quantization_config"] = about;
    replace_file(folder / "config.json", config.dump(2) + "\n", true);
    const std::string extra = hf_quant_config(format, modules);
    if (!extra.empty()) replace_file(folder / "hf_quant_config.json", extra, true);
}

// Tokenizer, templates, licences: everything but weights, in any of the formats that stand beside them.
bool belongs_to_model(const fs::path& file) {
    static const std::set<std::string> kWeights = {".safetensors", ".bin", ".pt",      ".pth", ".gguf",
                                                   ".onnx",        ".h5",  ".msgpack", ".ot",  ".npz"};
    const std::string name = file.filename().string();
    return !kWeights.contains(file.extension().string()) && name[0] != '.' && name != "config.json" &&
           name != "hf_quant_config.json" && name != kCheckpointIndex;
}

int copy_files(const fs::path& from, const fs::path& folder) {
    int copied = 0;
    for (const fs::directory_entry& entry : fs::directory_iterator(from)) {
        if (!entry.is_regular_file() || !belongs_to_model(entry.path())) continue;
        replace_file(folder / entry.path().filename(), read_whole_file(entry.path()), true);
        ++copied;
    }
    return copied;
}

fs::path partial_of(const fs::path& output) {
    fs::path partial = output;
    if (!partial.has_filename()) partial = partial.parent_path();  // "folder/"
    partial += ".partial";
    return partial;
}

void make_partial(const fs::path& output, const fs::path& partial) {
    if (fs::exists(output)) fail(ErrorKind::usage, "{} exists. Choose another --output.", output.string());
    std::error_code error;
    if (fs::create_directory(partial, error)) return;
    if (!error) {
        fail(ErrorKind::usage,
             "{} exists: the same is being written, or was when it was interrupted. Remove it if nothing works there.",
             partial.string());
    }
    fail(ErrorKind::usage, "{} cannot be made: {}. Check --output.", partial.string(), error.message());
}

}  // namespace

QuantizeResult quantize(const QuantizeSettings& settings, const std::function<void(double)>& progress) {
    Plan plan = make_plan(settings);
    const fs::path partial = partial_of(settings.output);
    make_partial(settings.output, partial);
    try {
        write_tensors(plan, partial, settings.format, progress);
        if (!plan.layout.index.empty()) replace_file(partial / kCheckpointIndex, plan.layout.index, true);
        const bool folder = fs::is_directory(settings.model);
        write_config(folder ? settings.model / "config.json" : settings.model, partial, settings.format,
                     plan.source.weights);
        if (folder) plan.result.files_copied = copy_files(settings.model, partial);
        publish_file(partial, settings.output);
    } catch (...) {
        std::error_code ignored;
        fs::remove_all(partial, ignored);
        throw;
    }
    plan.result.bytes_read = plan.source.bytes_read();
    return plan.result;
}

}  // namespace argosy
