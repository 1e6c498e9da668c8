// From the messages of a chat body to the conversation that a template renders.
//
// Codes beside those of request_file.cpp: no_chat_template, chat_template (the template refuses the conversation).
#include "runtime/job/chat_request.hpp"

#include <limits>
#include <nlohmann/json.hpp>

#include "kernels/base/error.hpp"
#include "runtime/text/jinja_json.hpp"
#include "runtime/text/jinja_strings.hpp"

namespace argosy {

namespace {

using Members = std::vector<std::pair<JinjaText, JinjaValue>>;

std::string shown_member(const JinjaValue& value) {
    JinjaBudget budget;
    std::string json;
    append_json(json, value, {}, budget);
    return shown(json);
}

const JinjaValue* member(const JinjaValue& object, std::string_view name) {
    const JinjaDict* dict = object.dict();
    const JinjaValue* found = dict ? dict->find(name) : nullptr;
    return found && !found->is_none() ? found : nullptr;
}

// The object with one member's value replaced.
JinjaValue replaced(const JinjaValue& object, std::string_view name, const JinjaValue& value) {
    Members members = object.dict()->members;
    for (auto& [known, held] : members) {
        if (*known == name) held = value;
    }
    return jinja_dict(std::move(members));
}

const std::string& wanted_text(const JinjaValue& value, const std::string& where) {
    if (!value.text()) bad("invalid_type", "{} must be a string; it is {}.", where, shown_member(value));
    return *value.text();
}

// ---- messages
// ----------------------------------------------------------------------------------------------------------------------

// Lists of text parts stay lists where the template reads them; elsewhere they become one text, a line per part.
JinjaValue content_of(const JinjaValue& content, const std::string& where, bool takes_parts) {
    if (content.text() || content.is_none()) return content;
    const JinjaList* parts = content.list();
    if (!parts) bad("invalid_type", "{} must be a string or a list of parts; it is {}.", where, shown_member(content));
    std::string joined;
    for (const JinjaValue& part : parts->items) {
        const JinjaValue *type = member(part, "type"), *text = member(part, "text");
        if (!type || !type->text() || *type->text() != "text" || !text || !text->text()) {
            bad("invalid_value",
                "{} has the part {}; only parts {{\"type\": \"text\", \"text\": ...}} are read, models take text here.",
                where, shown_member(part));
        }
        if (&part != &parts->items.front()) joined += '\n';
        joined += *text->text();
    }
    return takes_parts ? content : jinja_text(std::move(joined));
}

// Arguments of a tool call: OpenAI writes JSON as text, templates want an object or a text.
JinjaValue arguments_of(const JinjaValue& arguments, const std::string& where, bool as_text) {
    if (arguments.dict() && as_text) {
        JinjaBudget budget;
        std::string json;
        append_json(json, arguments, {}, budget);
        return jinja_text(std::move(json));
    }
    if (arguments.dict() || (arguments.text() && as_text)) return arguments;
    if (!arguments.text()) {
        bad("invalid_type", "{} must be a JSON object, as text or as it is; it is {}.", where, shown_member(arguments));
    }
    JinjaValue parsed;
    try {
        parsed = jinja_from_json(arguments.text()->empty() ? "{}" : *arguments.text());
    } catch (const Error&) {
        parsed = {};
    }
    if (!parsed.dict()) bad("invalid_value", "{} is no JSON object: {}.", where, shown(*arguments.text()));
    return parsed;
}

JinjaValue tool_calls_of(const JinjaValue& calls, const std::string& where, bool arguments_as_text) {
    if (!calls.list()) bad("invalid_type", "{} must be a list; it is {}.", where, shown_member(calls));
    std::vector<JinjaValue> items;
    for (const JinjaValue& call : calls.list()->items) {
        const std::string place = fmt::format("{}[{}]", where, items.size());
        const JinjaValue* function = member(call, "function");
        if (!function || !function->dict() || !member(*function, "name")) {
            bad("invalid_value", "{} must be an object with a function that has a name; it is {}.", place,
                shown_member(call));
        }
        wanted_text(*member(*function, "name"), place + ".function.name");
        const JinjaValue* arguments = member(*function, "arguments");
        if (!arguments) {
            items.push_back(call);
            continue;
        }
        const JinjaValue wanted = arguments_of(*arguments, place + ".function.arguments", arguments_as_text);
        items.push_back(replaced(call, "function", replaced(*function, "arguments", wanted)));
    }
    return jinja_list(std::move(items));
}

// What OpenAI's interface has in a message whatever the template makes of it.
bool is_message_member(std::string_view name) {
    for (const std::string_view known : {"role", "content", "name", "tool_calls", "tool_call_id"}) {
        if (name == known) return true;
    }
    return false;
}

JinjaValue message_of(const JinjaValue& message, const std::string& where, const ChatTemplate& chat) {
    if (!message.dict()) bad("invalid_type", "{} must be an object; it is {}.", where, shown_member(message));
    const JinjaValue* role = member(message, "role");
    if (!role)
        bad("missing_field", "{} has no role; it may be \"user\", \"assistant\", \"system\" or \"tool\".", where);
    const std::string& role_name = wanted_text(*role, where + ".role");
    Members members;
    for (const auto& [name, value] : message.dict()->members) {
        if (*name == "content") {
            members.emplace_back(name, content_of(value, where + ".content", chat.part_roles.contains(role_name)));
        } else if (*name == "tool_calls" && !value.is_none()) {
            members.emplace_back(name, tool_calls_of(value, where + ".tool_calls", chat.takes_argument_text));
        } else if (is_message_member(*name) || chat.words.contains(*name)) {
            members.emplace_back(name, value);
        } else if (!value.is_none()) {  // as "refusal": null, which answers carry
            bad("unsupported_field", "{} has a member {}, which the model's chat template does not read. Remove it.",
                where, shown(*name));
        }
    }
    const auto has = [&](const char* name) {
        return std::any_of(members.begin(), members.end(),
                           [&](const auto& m) { return *m.first == name && !m.second.is_none(); });
    };
    if (!has("content") && role_name != "assistant" && members.size() < 2) {
        bad("missing_field", "{} has no content; give a string.", where);
    }
    return jinja_dict(std::move(members));
}

JinjaValue messages_of(const JinjaValue& body, const ChatTemplate& chat) {
    const JinjaValue* given_messages = member(body, "messages");
    if (!given_messages) bad("missing_field", "The request has no messages; give a list with at least one.");
    const JinjaList* list = given_messages->list();
    if (!list) bad("invalid_type", "messages must be a list; it is {}.", shown_member(*given_messages));
    if (list->items.empty()) bad("invalid_value", "messages is an empty list; give at least one message.");
    std::vector<JinjaValue> messages;
    for (const JinjaValue& message : list->items) {
        messages.push_back(message_of(message, fmt::format("messages[{}]", messages.size()), chat));
    }
    return jinja_list(std::move(messages));
}

// ---- around the messages
// -----------------------------------------------------------------------------------------------------------

JinjaValue tools_of(const JinjaValue& body) {
    const JinjaValue* tools = member(body, "tools");
    if (!tools) return jinja_none();
    if (!tools->list()) bad("invalid_type", "tools must be a list; it is {}.", shown_member(*tools));
    for (const JinjaValue& tool : tools->list()->items) {
        const JinjaValue* function = member(tool, "function");
        if (!function || !member(*function, "name")) {
            bad("invalid_value",
                "tools has the entry {}; each must be {{\"type\": \"function\", \"function\": {{\"name\": ...}}}}.",
                shown_member(tool));
        }
    }
    return *tools;
}

bool has_tools(const JinjaValue& tools) { return tools.list() && !tools.list()->items.empty(); }

void read_tool_choice(const JinjaValue& body, ChatConversation& conversation) {
    const JinjaValue* choice = member(body, "tool_choice");
    if (!choice) return;
    const std::string* word = choice->text();
    if (!word || (*word != "none" && *word != "auto")) {
        bad("invalid_value",
            "tool_choice is {}; only \"none\" and \"auto\" are honoured, no answer is forced into a call.",
            shown_member(*choice));
    }
    conversation.variables.emplace_back("tool_choice", *choice);
}

void read_template_variables(const JinjaValue& body, const ChatTemplate& chat, ChatConversation& conversation) {
    const JinjaValue* given_variables = member(body, "chat_template_kwargs");
    if (!given_variables) return;
    if (!given_variables->dict()) {
        bad("invalid_type", "chat_template_kwargs must be an object; it is {}.", shown_member(*given_variables));
    }
    for (const auto& [name, value] : given_variables->dict()->members) {
        for (const std::string_view own : {"messages", "tools", "add_generation_prompt", "tool_choice"}) {
            if (*name == own) bad("invalid_value", "chat_template_kwargs has {}; it is a member of the body.", *name);
        }
        if (!chat.words.contains(*name)) {
            bad("unsupported_field",
                "chat_template_kwargs has {}, which the model's chat template does not read. Remove it.", shown(*name));
        }
        if (*name == "strftime_now") {
            conversation.date = value.text() ? parse_date(*value.text()) : std::nullopt;
            if (!conversation.date) {
                bad("invalid_value", "strftime_now in chat_template_kwargs must be a day, as \"2026-01-31\"; it is {}.",
                    shown_member(value));
            }
            continue;
        }
        conversation.variables.emplace_back(*name, value);
    }
}

std::string rendered(const ChatContext& context, const ChatTemplate& chat, const ChatConversation& conversation) {
    auto outcome = render_chat(chat, context.templates.special_tokens, conversation);
    if (auto* text = std::get_if<std::string>(&outcome)) return std::move(*text);
    std::string sentence = describe(std::get<ChatFailure>(outcome));
    if (!conversation.date && sentence.find("'strftime_now' is undefined") != sentence.npos) {
        sentence +=
            " The template prints the day. Name one, so that answers do not depend on when the job runs: "
            "\"chat_template_kwargs\": {\"strftime_now\": \"2026-01-31\"}.";
    }
    throw BadLine{"chat_template", std::move(sentence)};
}

// The text up to the end of the last message's content: a mark behind the content tells where that is, whatever the
// template writes after it. A template that trims its contents trims the mark's blank, and then the text's end too.
std::string rendered_open(const ChatContext& context, const ChatTemplate& chat, ChatConversation conversation) {
    const std::string mark = "END-OF-THE-MESSAGE-THAT-GOES-ON", mark_and_blank = mark + " ";
    std::vector<JinjaValue> messages = conversation.messages.list()->items;
    const JinjaValue* content = member(messages.back(), "content");
    if (!content || !content->text() || python_strip(*content->text(), StripSides::both).empty()) {
        bad("invalid_value", "continue_final_message is true, but the last message has no text to continue.");
    }
    messages.back() = replaced(messages.back(), "content", jinja_text(*content->text() + mark_and_blank));
    conversation.messages = jinja_list(std::move(messages));
    std::string text = rendered(context, chat, conversation);
    const std::size_t place = text.rfind(mark);
    if (place == text.npos) {
        bad("invalid_value",
            "continue_final_message is true, but the last message does not stand in what the chat template makes of "
            "it.");
    }
    const bool trimmed = text.compare(place, mark_and_blank.size(), mark_and_blank) != 0;
    text.resize(place);
    if (trimmed) text.resize(python_strip(text, StripSides::right).size());
    return text;
}

// How the answer to this prompt will be marked. One that goes on with a message is content alone.
AnswerMarks marks_of(const ChatTemplate& chat, const ChatConversation& conversation, std::string_view prompt) {
    const bool calls_none = std::any_of(
        conversation.variables.begin(), conversation.variables.end(),
        [](const auto& variable) { return variable.first == "tool_choice" && *variable.second.text() == "none"; });
    return {.think = chat.think_tags,
            .think_open = chat.think_tags && python_strip(prompt, StripSides::right).ends_with("<think>"),
            .tool_calls = chat.json_calls && has_tools(conversation.tools) && !calls_none,
            .channels = chat.channels};
}

}  // namespace

void read_conversation(const Json& body, std::string_view line, const ChatContext* context, ParsedRequest& parsed) {
    if (!context) bad("no_chat_template", "No model is known here whose chat template could render the conversation.");
    if (!context->templates.normal) throw BadLine{"no_chat_template", context->templates.trouble};
    const bool goes_on = given(body, "continue_final_message") &&
                         boolean(*given(body, "continue_final_message"), "continue_final_message");
    const Json* prompt = given(body, "add_generation_prompt");
    const bool opens = prompt ? boolean(*prompt, "add_generation_prompt") : !goes_on;
    if (opens && goes_on) {
        bad("invalid_value", "add_generation_prompt and continue_final_message are both true; say one of them.");
    }
    const JinjaValue whole = jinja_from_json(line);
    const JinjaValue& ordered = *whole.dict()->find("body");
    ChatConversation conversation;
    conversation.tools = tools_of(ordered);
    const ChatTemplate& chat = template_for(context->templates, has_tools(conversation.tools));
    if (has_tools(conversation.tools) && !chat.words.contains("tools")) {
        bad("unsupported_field",
            "The request has tools, but the model's chat template has no place for them. Remove them.");
    }
    conversation.messages = messages_of(ordered, chat);
    conversation.add_generation_prompt = opens;
    read_tool_choice(ordered, conversation);
    read_template_variables(ordered, chat, conversation);
    parsed.text = goes_on ? rendered_open(*context, chat, conversation) : rendered(*context, chat, conversation);
    parsed.add_special = false;
    parsed.request.chat = true;
    if (!goes_on) parsed.request.marks = marks_of(chat, conversation, *parsed.text);
    if (!given(body, "max_tokens") && !given(body, "max_completion_tokens")) {
        parsed.request.max_tokens = std::numeric_limits<int>::max();
    }
}

}  // namespace argosy
