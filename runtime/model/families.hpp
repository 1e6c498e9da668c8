// The model families that Argosy knows: one list, one file per family, each turning config.json into a ModelPlan.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "runtime/model/model_plan.hpp"
#include "runtime/model/tensors.hpp"

namespace argosy {

class JsonObject;  // runtime/model/json_file.hpp

struct Family {
    std::string_view name;          // what plans, reports and errors call it
    std::string_view architecture;  // entry of config.json's "architectures"
    std::string_view model_type;    // config.json's "model_type", asked when "architectures" is absent
    ModelPlan (*plan)(const JsonObject& config);
    std::span<const TensorName> names;  // where they differ from the usual ones (tensors.cpp)
    bool embedding_active = true;       // its authors count the embedding among the active parameters
};

// All families, in the order in which errors list them.
std::span<const Family> families();

// The family of a plan. Throws Error(internal) for a name that is not in the list.
const Family& family_of(const ModelPlan& plan);

// The text of a model's two configuration files, so that one rank can read them for all.
struct ConfigText {
    std::string config_path;      // for error sentences
    std::string config;           // text of config.json
    std::string generation_path;  // for error sentences
    std::string generation;       // text of generation_config.json; empty: the model has none
    bool operator==(const ConfigText&) const = default;
};

// Reads config.json and, beside it, generation_config.json where there is one. `model` is a model's folder or a
// config.json itself (any file name; generation_config.json is looked for only beside a file called config.json).
ConfigText read_config_text(const std::filesystem::path& model);

// Pure: turns the text into a plan. Throws Error(input), naming file and key, for a family that is not in the list (and
// lists those that are), for a key that is missing, of the wrong type or out of range, and for a property that the
// engine does not offer (unknown rope scaling, activation other than silu).
ModelPlan plan_model(const ConfigText& text);

// read_config_text, then plan_model.
ModelPlan plan_model(const std::filesystem::path& model);

}  // namespace argosy
