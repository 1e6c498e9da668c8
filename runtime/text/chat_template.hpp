// The chat template of a model: a conversation becomes the text that the model's authors defined for it.
//
// Rendering is a function of the conversation alone: the day that some templates print is an input, never the clock's.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "runtime/text/jinja_builtins.hpp"
#include "runtime/text/jinja_value.hpp"

namespace argosy {

// A template that was parsed, and what it wants of a conversation, found by rendering small ones.
struct ChatTemplate {
    std::shared_ptr<const JinjaTemplate> parsed{};
    std::set<std::string, std::less<>> words{};       // every variable, member and text that its tags name
    std::set<std::string, std::less<>> part_roles{};  // roles whose content may be a list of parts
    bool takes_argument_text = false;                 // arguments of tool calls are JSON as text, not objects
    // What its text shows of how the model writes answers.
    bool think_tags = false;  // reasoning between <think> and </think>
    bool json_calls = false;  // calls as JSON between <tool_call> and </tool_call>, as Hermes and Qwen write them
    bool channels = false;    // messages with channels (Harmony)
};

using ChatVariables = std::vector<std::pair<std::string, JinjaValue>>;

// What a model's folder says about chats. A model without a usable template has a sentence instead.
struct ChatTemplates {
    std::optional<ChatTemplate> normal{};
    std::optional<ChatTemplate> with_tools{};  // where the model has one of its own for conversations with tools
    ChatVariables special_tokens{};            // bos_token, eos_token, ... as text
    std::string trouble{};                     // why there is no template; empty: there is one
};

// A conversation on its way to text.
struct ChatConversation {
    JinjaValue messages{};
    JinjaValue tools = jinja_none();
    bool add_generation_prompt = true;
    ChatVariables variables{};        // further variables of the template, as enable_thinking
    std::optional<JinjaDate> date{};  // what strftime_now reads; nothing: the function is undefined
};

// Why a conversation has no text.
struct ChatFailure {
    bool raised = false;  // the template's own refusal (raise_exception): `text` is its message
    int line = 0;         // of the template
    std::string text{};
    bool operator==(const ChatFailure&) const = default;
};

// Parses one template; Error(input) names line and construct when it cannot be.
ChatTemplate parse_chat_template(std::string_view source, const ChatVariables& special_tokens);

// The templates in the text of a tokenizer_config.json (member chat_template: a text, or a list of named ones of which
// default and tool_use count) and of a chat_template.jinja, which goes first. Nothing in either: trouble says so.
ChatTemplates read_chat_templates(std::string_view tokenizer_config, const std::optional<std::string>& jinja_file);
// The same from the files of a model's folder; files that are not there are empty.
ChatTemplates load_chat_templates(const std::filesystem::path& folder);

// The template that a conversation with or without tools is rendered by.
const ChatTemplate& template_for(const ChatTemplates& templates, bool tools);

// The text of a conversation. Never throws for what the conversation holds; time, depth and length are bounded.
std::variant<std::string, ChatFailure> render_chat(const ChatTemplate& chat, const ChatVariables& special_tokens,
                                                   const ChatConversation& conversation);

// A failure as a sentence.
std::string describe(const ChatFailure& failure);

// "2026-01-02"; nothing when the text is no day of the calendar.
std::optional<JinjaDate> parse_date(std::string_view text);

}  // namespace argosy
