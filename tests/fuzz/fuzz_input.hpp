// What all fuzzers share: bytes as text, and calls that may refuse their input with a sentence but in no other way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "kernels/base/error.hpp"

namespace argosy::fuzz {

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
    return {reinterpret_cast<const char*>(data), size};
}

// Runs `work`. An Error of the kind that bad input has is an answer; any other kind, or another exception, is a
// finding, and so is a sentence that does not end like one.
template <class Work>
void answers_or_refuses(const Work& work) {
    try {
        work();
    } catch (const Error& error) {
        const std::string_view sentence = error.what();
        const bool ends = sentence.ends_with('.') || sentence.ends_with('?') || sentence.ends_with(')');
        if ((error.kind() == ErrorKind::input || error.kind() == ErrorKind::usage) && ends) return;
        std::fprintf(stderr, "not a refusal of bad input: %s\n", error.what());
        std::abort();
    }
}

}  // namespace argosy::fuzz
