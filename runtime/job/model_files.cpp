// Digests of small files, sizes and times of large ones.
#include "runtime/job/model_files.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "kernels/base/error.hpp"
#include "runtime/job/file_writer.hpp"
#include "runtime/schedule/token_hash.hpp"

namespace argosy {

namespace fs = std::filesystem;

namespace {

constexpr const char* kBesideConfig[] = {"generation_config.json", "tokenizer.json", "tokenizer_config.json",
                                         "chat_template.jinja"};

}  // namespace

ModelFiles look_at_model_files(const fs::path& config, std::span<const fs::path> weights) {
    ModelFiles seen;
    Digest128 digest = chain_digest_bytes({.low = 5, .high = 0}, read_whole_file(config));
    for (const char* name : kBesideConfig) {
        const fs::path path = config.parent_path() / name;
        std::error_code error;
        digest = chain_digest_bytes(digest, name);  // the same text under another name is another model
        if (fs::exists(path, error)) digest = chain_digest_bytes(digest, read_whole_file(path));
    }
    seen.digest = to_string(digest);
    for (const fs::path& path : weights) {
        struct stat state {};
        if (::stat(path.c_str(), &state) != 0)
            fail(ErrorKind::input, "{} cannot be looked at: {}.", path.string(), std::strerror(errno));
        seen.weights +=
            fmt::format("{}{} {} {}", seen.weights.empty() ? "" : ", ", path.filename().string(), state.st_size,
                        state.st_mtim.tv_sec * std::int64_t{1'000'000'000} + state.st_mtim.tv_nsec);
    }
    return seen;
}

}  // namespace argosy
