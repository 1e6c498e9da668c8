// Finding a model's chat template, learning what it wants, and rendering with it.
#include "runtime/text/chat_template.hpp"

#include <charconv>
#include <fstream>
#include <sstream>

#include "kernels/base/error.hpp"
#include "runtime/text/jinja_eval.hpp"
#include "runtime/text/jinja_json.hpp"
#include "runtime/text/jinja_template.hpp"
#include "runtime/text/utf8.hpp"

namespace argosy {

namespace {

constexpr std::size_t kTemplateBytesMax = 4 << 20;

std::string what_failed(const JinjaFailure& failure) {
    switch (failure.kind) {
        case JinjaFailure::raised:
            return "the template refuses it: " + failure.text;
        case JinjaFailure::unsupported:
            return failure.text + " is not supported";
        default:
            return failure.text;
    }
}

std::set<std::string, std::less<>> words_of(const JinjaTemplate& parsed) {
    std::set<std::string, std::less<>> words(parsed.names.begin(), parsed.names.end());
    for (const JinjaNode& node : parsed.nodes) {
        if (node.kind == JinjaKind::data) continue;
        if (const std::string* text = node.constant.text()) words.insert(*text);
    }
    return words;
}

// The text that a small conversation becomes; empty when the template refuses it.
std::string rendered(const ChatTemplate& chat, const ChatVariables& special_tokens, std::string_view messages) {
    ChatConversation conversation;
    conversation.messages = jinja_from_json(messages);
    conversation.add_generation_prompt = false;
    conversation.date = JinjaDate{2000, 1, 1};
    const auto outcome = render_chat(chat, special_tokens, conversation);
    const auto* text = std::get_if<std::string>(&outcome);
    return text ? *text : std::string();
}

// Lists of parts are taken when their text comes out and the list itself does not. Arguments of tool calls are wanted
// as text by templates that join them to text: those fail on an object, or print it as Python would.
void learn_wishes(ChatTemplate& chat, const ChatVariables& special_tokens) {
    const auto holds = [](const std::string& text, const char* part) { return text.find(part) != text.npos; };
    constexpr std::string_view kParts = R"([{"type":"text","text":"ahoy-sailor"}])";
    const std::pair<const char*, std::string> kProbes[] = {
        {"user", fmt::format(R"([{{"role":"user","content":{}}}])", kParts)},
        {"system", fmt::format(R"([{{"role":"system","content":{}}},{{"role":"user","content":"a"}}])", kParts)},
        {"assistant", fmt::format(R"([{{"role":"user","content":"a"}},{{"role":"assistant","content":{}}}])", kParts)}};
    for (const auto& [role, messages] : kProbes) {
        const std::string parts = rendered(chat, special_tokens, messages);
        if (holds(parts, "ahoy-sailor") && !holds(parts, "'text'") && !holds(parts, "\"text\""))
            chat.part_roles.insert(role);
    }
    const auto call = [](const char* arguments) {
        return fmt::format(R"([{{"role":"user","content":"ahoy"}},{{"role":"assistant","content":"","tool_calls":[)"
                           R"({{"id":"call00001","type":"function","function":{{"name":"row","arguments":{}}}}}]}}])",
                           arguments);
    };
    const std::string object = rendered(chat, special_tokens, call(R"({"oar-blade":"port-side"})"));
    const std::string text = rendered(chat, special_tokens, call(R"("{\"oar-blade\":\"port-side\"}")"));
    const bool object_works = holds(object, "oar-blade") && !holds(object, "'oar-blade'");
    const bool text_works = holds(text, "\"oar-blade\"") && !holds(text, "\\\"oar-blade");
    chat.takes_argument_text = text_works && !object_works;
}

std::optional<std::string> file_text(const std::filesystem::path& path) {
    std::ifstream stream(path, std::ios::binary);
    if (!stream) return std::nullopt;
    std::ostringstream text;
    text << stream.rdbuf();
    return std::move(text).str();
}

// The members of a tokenizer_config.json that are special tokens; newer files write them as objects.
ChatVariables special_tokens_of(const JinjaDict& config) {
    ChatVariables tokens;
    for (const char* name :
         {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}) {
        const JinjaValue* value = config.find(name);
        if (value && value->dict()) value = value->dict()->find("content");
        if (value && value->text()) tokens.emplace_back(name, *value);
    }
    return tokens;
}

// The source of a named template of the config; null when there is none.
const std::string* source_of(const JinjaDict& config, std::string_view wanted) {
    const JinjaValue* given = config.find("chat_template");
    if (!given) return nullptr;
    if (const std::string* text = given->text()) return wanted == "default" ? text : nullptr;
    const JinjaList* list = given->list();
    if (!list) return nullptr;
    for (const JinjaValue& entry : list->items) {
        const JinjaDict* named = entry.dict();
        const JinjaValue* name = named ? named->find("name") : nullptr;
        const JinjaValue* source = named ? named->find("template") : nullptr;
        if (name && name->text() && *name->text() == wanted && source) return source->text();
    }
    return nullptr;
}

}  // namespace

ChatTemplate parse_chat_template(std::string_view source, const ChatVariables& special_tokens) {
    if (source.size() > kTemplateBytesMax) {
        fail(ErrorKind::input, "The chat template has {} bytes; at most {} are read.", source.size(),
             kTemplateBytesMax);
    }
    if (!is_valid_utf8(source)) fail(ErrorKind::input, "The chat template is not UTF-8. Convert the file.");
    ChatTemplate chat;
    try {
        chat.parsed = std::make_shared<const JinjaTemplate>(parse_jinja(source));
    } catch (const JinjaFailure& failure) {
        fail(ErrorKind::input, "The chat template cannot be used: line {}: {}.", failure.line, what_failed(failure));
    }
    chat.words = words_of(*chat.parsed);
    const auto has = [&](std::string_view text) { return source.find(text) != source.npos; };
    chat.think_tags = has("</think>");
    // Others put XML (Qwen3-Coder, Nemotron) or pairs of tags (GLM) between the same tags.
    chat.json_calls = has("<tool_call>") && !has("<function=") && !has("<arg_key>");
    chat.channels = has("<|channel|>");
    learn_wishes(chat, special_tokens);
    return chat;
}

ChatTemplates read_chat_templates(std::string_view tokenizer_config, const std::optional<std::string>& jinja_file) {
    ChatTemplates templates;
    try {
        JinjaValue config;
        if (!tokenizer_config.empty()) config = jinja_from_json(tokenizer_config);
        const JinjaDict* members = config.dict();
        if (members) templates.special_tokens = special_tokens_of(*members);
        const std::string* normal = jinja_file ? &*jinja_file : members ? source_of(*members, "default") : nullptr;
        const std::string* with_tools = members ? source_of(*members, "tool_use") : nullptr;
        if (normal) templates.normal = parse_chat_template(*normal, templates.special_tokens);
        if (with_tools && !jinja_file)
            templates.with_tools = parse_chat_template(*with_tools, templates.special_tokens);
        if (!templates.normal) {
            templates.trouble =
                "The model has no chat template: its folder has neither chat_template.jinja nor a chat_template in "
                "tokenizer_config.json. Write the conversation as a prompt, or add the template of the model's "
                "authors.";
        }
    } catch (const Error& error) {
        templates.normal.reset();
        templates.trouble = error.what();
    }
    return templates;
}

ChatTemplates load_chat_templates(const std::filesystem::path& folder) {
    return read_chat_templates(file_text(folder / "tokenizer_config.json").value_or(""),
                               file_text(folder / "chat_template.jinja"));
}

const ChatTemplate& template_for(const ChatTemplates& templates, bool tools) {
    if (!templates.normal) fail(ErrorKind::internal, "There is no chat template to render with. {}", templates.trouble);
    return tools && templates.with_tools ? *templates.with_tools : *templates.normal;
}

std::variant<std::string, ChatFailure> render_chat(const ChatTemplate& chat, const ChatVariables& special_tokens,
                                                   const ChatConversation& conversation) {
    std::vector<std::pair<std::string_view, JinjaValue>> variables;
    for (const auto& [name, value] : special_tokens) variables.emplace_back(name, value);
    variables.emplace_back("messages", conversation.messages);
    variables.emplace_back("tools", conversation.tools);
    variables.emplace_back("documents", jinja_none());
    variables.emplace_back("add_generation_prompt", jinja_bool(conversation.add_generation_prompt));
    for (const auto& [name, value] : conversation.variables) variables.emplace_back(name, value);
    JinjaContext context;
    context.date = conversation.date;
    try {
        return JinjaRun(*chat.parsed, context).render(variables);
    } catch (const JinjaFailure& failure) {
        if (failure.kind == JinjaFailure::raised) return ChatFailure{true, failure.line, failure.text};
        return ChatFailure{false, failure.line, what_failed(failure)};
    }
}

std::string describe(const ChatFailure& failure) {
    if (failure.raised) return fmt::format("The model's chat template refuses the conversation: {}", failure.text);
    return fmt::format("The model's chat template cannot render the conversation: its line {}: {}.", failure.line,
                       failure.text);
}

std::optional<JinjaDate> parse_date(std::string_view text) {
    if (text.size() != 10 || text[4] != '-' || text[7] != '-') return std::nullopt;
    JinjaDate date;
    const auto number = [&](std::size_t from, std::size_t size, int& value) {
        const char* end = text.data() + from + size;
        return text[from] != '-' && std::from_chars(text.data() + from, end, value).ptr == end;
    };
    if (!number(0, 4, date.year) || !number(5, 2, date.month) || !number(8, 2, date.day)) return std::nullopt;
    constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (date.year < 1 || date.month < 1 || date.month > 12 || date.day < 1) return std::nullopt;
    const bool leap = (date.year % 4 == 0 && date.year % 100 != 0) || date.year % 400 == 0;
    const int days = kDays[date.month - 1] + (leap && date.month == 2 ? 1 : 0);
    return date.day <= days ? std::optional(date) : std::nullopt;
}

}  // namespace argosy
