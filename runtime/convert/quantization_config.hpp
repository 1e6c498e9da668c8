// What a model's folder says of the format of its matrices to programs that go by it; this one goes by the tensors.
#pragma once

#include <string>
#include <vector>

#include "kernels/base/dtype.hpp"

namespace argosy {

// The "quantization_config" that the format's usual writer puts into config.json, as JSON text; "null" for a plain
// format. plain_modules: names of those whose matrix stays as it was.
std::string quantization_config(DType format, const std::vector<std::string>& plain_modules);

// ModelOpt's hf_quant_config.json for nvfp4; empty for the others.
std::string hf_quant_config(DType format, const std::vector<std::string>& plain_modules);

}  // namespace argosy
