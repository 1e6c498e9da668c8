// What a run's answers are worth: questions with known answers, and texts whose probability was asked for.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace argosy {

// A folder to judge by: tasks.jsonl and texts.jsonl are request lines, the latter with "echo", "max_tokens": 0 and
// "logprobs", and answers.jsonl has {"custom_id": .., "answer": ..} for each of the tasks.
inline constexpr const char* kQualityTasks = "tasks.jsonl";
inline constexpr const char* kQualityTexts = "texts.jsonl";
inline constexpr const char* kQualityAnswers = "answers.jsonl";

struct Quality {
    std::int64_t tasks = 0;   // with a known answer
    std::int64_t solved = 0;  // whose text is the answer, blanks around it apart
    std::int64_t tokens = 0;  // of the other requests, with a log probability: all but the first of each text
    double loss = 0;          // the sum of their negative log probabilities
    bool operator==(const Quality&) const = default;
};

// responses: responses.jsonl of the run. A task without an answer there counts as not solved. Error(input) for a line
// that is no answer, or an answers file that has none.
Quality quality_of(const std::filesystem::path& responses, const std::filesystem::path& answers);

// "quality  600 tasks 61.50 % solved   perplexity 6.9232 of 29946 tokens\n"
std::string describe(const Quality& quality);

}  // namespace argosy
