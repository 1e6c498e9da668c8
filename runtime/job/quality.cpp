// Counting solved tasks and adding up log probabilities.
#include "runtime/job/quality.hpp"

#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string_view>
#include <unordered_map>

#include "kernels/base/error.hpp"

namespace argosy {

namespace {

using Json = nlohmann::json;

// Calls work with every line's object.
void each_line(const std::filesystem::path& path, const std::function<void(const Json&)>& work) {
    std::ifstream file(path);
    if (!file) fail(ErrorKind::input, "{} cannot be read.", path.string());
    std::int64_t number = 0;
    for (std::string line; std::getline(file, line);) {
        ++number;
        if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
        try {
            work(Json::parse(line));
        } catch (const Json::exception& error) {
            fail(ErrorKind::input, "{}, line {}: {}.", path.string(), number, error.what());
        }
    }
}

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view kBlanks = " \t\r\n";
    const std::size_t begin = text.find_first_not_of(kBlanks);
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

void add_text(const Json& choice, Quality& quality) {
    if (!choice.at("logprobs").is_object()) return;
    for (const Json& logprob : choice.at("logprobs").at("token_logprobs")) {
        if (logprob.is_null()) continue;
        ++quality.tokens;
        quality.loss -= logprob.get<double>();
    }
}

}  // namespace

Quality quality_of(const std::filesystem::path& responses, const std::filesystem::path& answers) {
    std::unordered_map<std::string, std::string> wanted;
    each_line(answers, [&](const Json& line) {
        wanted[line.at("custom_id").get<std::string>()] = line.at("answer").get<std::string>();
    });
    if (wanted.empty()) fail(ErrorKind::input, "{} has no answers.", answers.string());
    Quality quality;
    quality.tasks = static_cast<std::int64_t>(wanted.size());
    each_line(responses, [&](const Json& line) {
        if (line.at("response").is_null()) return;
        const Json& choice = line.at("response").at("body").at("choices").at(0);
        const auto task = wanted.find(line.at("custom_id").get<std::string>());
        if (task == wanted.end()) return add_text(choice, quality);
        if (trimmed(choice.at("text").get_ref<const std::string&>()) == trimmed(task->second)) ++quality.solved;
    });
    return quality;
}

std::string describe(const Quality& quality) {
    std::string text = fmt::format("quality  {} tasks {:.2f} % solved", quality.tasks,
                                   100.0 * static_cast<double>(quality.solved) / static_cast<double>(quality.tasks));
    if (quality.tokens > 0) {
        text += fmt::format("   perplexity {:.4f} of {} tokens",
                            std::exp(quality.loss / static_cast<double>(quality.tokens)), quality.tokens);
    }
    return text + "\n";
}

}  // namespace argosy
