// Whether this process may use AMX: the processor has it, the operating system keeps its registers, and gave them to
// this process.
#pragma once

#include <string>

namespace argosy {

enum class AmxProducts { int8, bf16 };

// Asks Linux for the tile registers, which a process has only after asking; threads that exist get them too. "" if
// such products can run on AMX, else a sentence that says why not.
std::string amx_missing(AmxProducts products);

}  // namespace argosy
