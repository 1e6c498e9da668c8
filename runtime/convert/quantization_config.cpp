// fp8 as DeepSeek and Qwen have it, int8 as compressed-tensors, mxfp4 as Quark, nvfp4 as ModelOpt.
#include "runtime/convert/quantization_config.hpp"

#include <nlohmann/json.hpp>

namespace argosy {

using Json = nlohmann::ordered_json;

std::string quantization_config(DType format, const std::vector<std::string>& plain_modules) {
    switch (format) {
        case DType::fp8:
            return Json{{"quant_method", "fp8"},
                        {"fmt", "e4m3"},
                        {"activation_scheme", "dynamic"},
                        {"weight_block_size", {128, 128}},
                        {"modules_to_not_convert", plain_modules}}
                .dump();
        case DType::int8:
            return Json{{"quant_method", "compressed-tensors"},
                        {"format", "naive-quantized"},
                        {"quantization_status", "compressed"},
                        {"config_groups",
                         {{"group_0",
                           {{"targets", {"Linear"}},
                            {"weights",
                             {{"num_bits", 8},
                              {"type", "int"},
                              {"symmetric", true},
                              {"strategy", "group"},
                              {"group_size", 128}}}}}}},
                        {"ignore", plain_modules}}
                .dump();
        case DType::mxfp4:
            return Json{{"quant_method", "quark"},
                        {"global_quant_config",
                         {{"weight",
                           {{"dtype", "fp4"},
                            {"qscheme", "per_group"},
                            {"group_size", 32},
                            {"scale_format", "e8m0"},
                            {"ch_axis", -1},
                            {"is_dynamic", false}}}}},
                        {"exclude", plain_modules}}
                .dump();
        case DType::nvfp4:
            return Json{{"quant_method", "modelopt"},
                        {"quant_algo", "NVFP4"},
                        {"kv_cache_quant_algo", nullptr},
                        {"group_size", 16},
                        {"ignore", plain_modules}}
                .dump();
        default:
            return "null";
    }
}

std::string hf_quant_config(DType format, const std::vector<std::string>& plain_modules) {
    if (format != DType::nvfp4) return "";
    const Json about = {{"producer", {{"name", "argosy"}}},
                        {"quantization",
                         {{"quant_algo", "NVFP4"},
                          {"kv_cache_quant_algo", nullptr},
                          {"group_size", 16},
                          {"exclude_modules", plain_modules}}}};
    return about.dump(2) + "\n";
}

}  // namespace argosy
