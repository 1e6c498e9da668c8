// What a model wrote in a chat, taken apart: reasoning, content, calls of tools, by the marks that its chat template
// taught it to write.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/schedule/request.hpp"

namespace argosy {

struct ToolCall {
    std::string name{};
    std::string arguments{};  // JSON as text
    bool operator==(const ToolCall&) const = default;
};

struct AnswerParts {
    std::optional<std::string> reasoning{};
    std::optional<std::string> content{};  // nothing: the answer has reasoning or calls alone
    std::vector<ToolCall> tool_calls{};
    bool operator==(const AnswerParts&) const = default;
};

// Tags (DeepSeek-R1, Qwen3 and others): reasoning stands between <think>, which the prompt may have brought already,
// and
// </think>; without the latter, as where the answer was cut, all is reasoning. Line ends around it belong to neither
// part.
// Calls as Hermes and Qwen write them: <tool_call>{"name": ..., "arguments": {...}}</tool_call>, any number of them
// behind the content; content and white space alone may stand outside.
// Channels (Harmony, gpt-oss): messages <|channel|>CHANNEL[ to=RECIPIENT][ <|constrain|>json]<|message|>BODY, between
// <|start|>assistant and <|end|> or <|call|>. analysis is reasoning; what goes to functions.NAME is a call; all else is
// content. A message whose header was cut is left out.
// What does not keep to this is content, as it is. Never fails: the text is any text.
AnswerParts answer_parts(const AnswerMarks& marks, std::string_view text);

}  // namespace argosy
