// Errors: where they are thrown, so that a debugger can stop in one place, and made fit for a terminal.
#include "kernels/base/error.hpp"

namespace argosy {

namespace {

// Sentences quote what others wrote: bytes that would end the text or move a cursor are spelt out. Line ends stay.
std::string printable(const std::string& sentence) {
    std::string out;
    for (const char c : sentence) {
        const auto byte = static_cast<unsigned char>(c);
        if ((byte < 0x20 && c != '\n') || byte == 0x7f) {
            out += fmt::format("\\x{:02x}", byte);
        } else {
            out += c;
        }
    }
    return out;
}

}  // namespace

int exit_status(ErrorKind kind) { return kind == ErrorKind::usage || kind == ErrorKind::input ? 64 : 70; }

void throw_error(ErrorKind kind, std::string sentence) { throw Error(kind, printable(sentence)); }

}  // namespace argosy
