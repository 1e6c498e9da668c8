// What tells two model folders apart before weights are read.
#pragma once

#include <filesystem>
#include <span>
#include <string>

namespace argosy {

struct ModelFiles {
    // Of everything beside the weights that answers hang on (config.json, generation_config.json, tokenizer.json,
    // tokenizer_config.json, chat_template.jinja), as far as it is there: 32 hex digits.
    std::string digest{};
    // "NAME BYTES NANOSECONDS" of every weight file, with the time of its last change; "" without files. Equal for
    // files that nobody has touched; says nothing when it differs.
    std::string weights{};
    bool operator==(const ModelFiles&) const = default;
};

// `config` is the model's config.json, in the folder of the others. Error(input) for a file that cannot be read.
ModelFiles look_at_model_files(const std::filesystem::path& config, std::span<const std::filesystem::path> weights);

}  // namespace argosy
