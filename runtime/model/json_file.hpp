// The door to JSON files that describe a model: typed getters whose errors are full sentences naming file and key.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace argosy {

// One JSON object of a file. Copies are cheap: they share the parsed file. A key whose value is null counts as absent,
// but see is_null. Every getter throws Error(input) naming the file and the key when the value is missing (where no
// fallback is given), of another type or outside [least, most].
class JsonObject {
  public:
    // Parses `text`; `path` is what error sentences call it. A key that appears twice in one object is an error: which
    // one counts would be up to the parser.
    static JsonObject parse(std::string_view text, const std::string& path);

    bool has(std::string_view key) const;      // there, and not null
    bool is_null(std::string_view key) const;  // there, and null
    std::vector<std::string> keys() const;     // in order of name

    std::int64_t integer(std::string_view key, std::int64_t least, std::int64_t most) const;
    std::int64_t integer_or(std::string_view key, std::int64_t fallback, std::int64_t least, std::int64_t most) const;
    double number(std::string_view key, double least, double most) const;
    double number_or(std::string_view key, double fallback, double least, double most) const;
    bool boolean_or(std::string_view key, bool fallback) const;
    std::string text(std::string_view key) const;
    std::string text_or(std::string_view key, std::string_view fallback) const;
    JsonObject object(std::string_view key) const;

    std::vector<std::string> texts(std::string_view key) const;  // an array of strings
    std::vector<std::int64_t> integers(std::string_view key, std::int64_t least,
                                       std::int64_t most) const;  // an array of integers
    // One integer or an array of them; absent: none.
    std::vector<std::int64_t> integer_list(std::string_view key, std::int64_t least, std::int64_t most) const;

    // Throws Error(input): `FILE: "KEY" PREDICATE.` For checks that need more than one key: reject("head_dim", "is 33;
    // it must be even").
    [[noreturn]] void reject(std::string_view key, std::string_view predicate) const;
    const std::string& path() const { return path_; }

  private:
    JsonObject(std::shared_ptr<const void> node, std::string path, std::string prefix);

    std::shared_ptr<const void> node_;  // a JSON value of the parser's, alive as long as the file is
    std::string path_;
    std::string prefix_;  // "rope_scaling." inside that object
};

// The whole text of a file. Throws Error(input) when it cannot be read or is larger than bytes_max.
std::string read_text_file(const std::filesystem::path& path, std::int64_t bytes_max);

}  // namespace argosy
