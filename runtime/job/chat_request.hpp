// Bodies of /v1/chat/completions: a conversation, checked and rendered to the text that is the prompt.
#pragma once

#include <optional>
#include <string_view>

#include "runtime/job/line_json.hpp"
#include "runtime/job/request_file.hpp"
#include "runtime/text/chat_template.hpp"

namespace argosy {

// What the meaning of a chat line depends on, beside the line.
struct ChatContext {
    ChatTemplates templates;
};

// Reads messages, tools, tool_choice, chat_template_kwargs, add_generation_prompt and continue_final_message of `body`
// into parsed.text, and marks the request as a chat. `line` is the text that `body` was parsed from: the order of its
// members and the spelling of its numbers show in the prompt, and the parsed body keeps neither. Without limit of its
// own the answer may fill the model's context, as in OpenAI's interface. What is wrong is thrown as BadLine.
void read_conversation(const Json& body, std::string_view line, const ChatContext* chat, ParsedRequest& parsed);

}  // namespace argosy
