// Error records as bytes between ranks.
#include "runtime/gather_errors.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>
#include <string_view>

namespace argosy {

namespace {

// Error records on their way to world rank 0.
std::string pack_errors(const std::vector<LineError>& errors) {
    std::string bytes;
    const auto add = [&](const std::string& text) {
        const auto size = static_cast<std::int64_t>(text.size());
        bytes.append(reinterpret_cast<const char*>(&size), sizeof size);
        bytes += text;
    };
    for (const LineError& error : errors) {
        bytes.append(reinterpret_cast<const char*>(&error.line), sizeof error.line);
        for (const std::string* text : {&error.id, &error.code, &error.sentence, &error.metadata}) add(*text);
    }
    return bytes;
}

std::vector<LineError> unpack_errors(std::string_view bytes) {
    std::vector<LineError> errors;
    const auto number = [&] {
        std::int64_t value = 0;
        std::memcpy(&value, bytes.data(), sizeof value);
        bytes.remove_prefix(sizeof value);
        return value;
    };
    while (!bytes.empty()) {
        LineError& error = errors.emplace_back();
        error.line = number();
        for (std::string* text : {&error.id, &error.code, &error.sentence, &error.metadata}) {
            const auto size = static_cast<std::size_t>(number());
            *text = bytes.substr(0, size);
            bytes.remove_prefix(size);
        }
    }
    return errors;
}

}  // namespace

std::vector<LineError> gather_errors(Communicator& world, const std::vector<LineError>& mine) {
    const std::string packed = pack_errors(mine);
    const auto bytes = static_cast<std::int64_t>(packed.size());
    std::vector<std::int64_t> counts(static_cast<std::size_t>(world.size()));
    world.all_gather(&bytes, sizeof bytes, counts.data());
    std::string all(static_cast<std::size_t>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0})), '\0');
    world.all_gather_v(packed.data(), all.data(), counts);
    std::vector<LineError> errors = unpack_errors(all);
    std::sort(errors.begin(), errors.end(), [](const LineError& a, const LineError& b) { return a.line < b.line; });
    return errors;
}

}  // namespace argosy
