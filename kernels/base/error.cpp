// Errors: where they are thrown, so that a debugger can stop in one place.
#include "kernels/base/error.hpp"

namespace argosy {

int exit_status(ErrorKind kind) { return kind == ErrorKind::usage || kind == ErrorKind::input ? 64 : 70; }

void throw_error(ErrorKind kind, std::string sentence) { throw Error(kind, sentence); }

}  // namespace argosy
