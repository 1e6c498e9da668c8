// Errors: one exception type whose text is a full sentence (what, where, what to do) and whose kind decides the exit
// status.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>

namespace argosy {

enum class ErrorKind {
    usage,     // the command line, a config key, a layout that cannot be          -> exit status 64
    input,     // a file that the user gave: model, requests, tokenizer            -> exit status 64
    system,    // the machine said no: disk full, out of memory, a dead rank       -> exit status 70
    internal,  // a promise inside the program was broken; never the user's fault  -> exit status 70
};

class Error : public std::runtime_error {
  public:
    Error(ErrorKind kind, const std::string& sentence) : std::runtime_error(sentence), kind_(kind) {}
    ErrorKind kind() const { return kind_; }

  private:
    ErrorKind kind_;
};

// Exit status for an error kind: 64 for usage and input, 70 for the rest.
int exit_status(ErrorKind kind);

[[noreturn]] void throw_error(ErrorKind kind, std::string sentence);

// fail(ErrorKind::input, "{} ends after {} bytes; its header announces {}. Fetch the file again.", path, have, want);
template <class... Args>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
    throw_error(kind, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace argosy
