// Whether this process may use AMX: the processor has it, the operating system keeps its registers, and gave them to
// this process.
#pragma once

#include <string>

namespace argosy {

// Asks Linux for the tile registers, which a process has only after asking; threads that exist get them too. "" if
// products of int8 can run on AMX, else a sentence that says why not.
std::string amx_int8_missing();

}  // namespace argosy
