// Fuzzes chat templates: a template, a zero byte, and the JSON of a conversation (messages, tools,
// add_generation_prompt, further variables). What parses is rendered; both may refuse, and rendering must end within
// its bounds.
#include <string>

#include "runtime/text/chat_template.hpp"
#include "runtime/text/jinja_json.hpp"
#include "tests/fuzz/fuzz_input.hpp"

using namespace argosy;

namespace {

ChatConversation conversation_of(std::string_view json) {
    ChatConversation conversation;
    conversation.date = JinjaDate{2026, 3, 1};
    conversation.messages = jinja_list({});
    if (json.empty()) return conversation;
    const JinjaValue whole = jinja_from_json(json);
    if (!whole.dict()) return conversation;
    for (const auto& [name, value] : whole.dict()->members) {
        if (*name == "messages")
            conversation.messages = value;
        else if (*name == "tools")
            conversation.tools = value;
        else if (*name == "add_generation_prompt")
            conversation.add_generation_prompt = jinja_truth(value);
        else
            conversation.variables.emplace_back(*name, value);
    }
    return conversation;
}

// A failure is an answer too, if it is a sentence or the template's own.
void check(const std::variant<std::string, ChatFailure>& outcome) {
    if (const auto* failure = std::get_if<ChatFailure>(&outcome)) {
        const std::string sentence = describe(*failure);
        if (!failure->raised && (failure->line < 1 || sentence.empty() || !sentence.ends_with('.'))) {
            std::fprintf(stderr, "no sentence of a failure: line %d, '%s'\n", failure->line, sentence.c_str());
            std::abort();
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = fuzz::text_of(data, size);
    const std::size_t zero = text.find('\0');
    const std::string_view source = text.substr(0, zero);
    const std::string_view json = zero == text.npos ? std::string_view() : text.substr(zero + 1);
    fuzz::answers_or_refuses([&] {
        const ChatTemplate chat = parse_chat_template(source, {});
        check(render_chat(chat, {}, conversation_of(json)));
    });
    fuzz::answers_or_refuses([&] { read_chat_templates(text, std::nullopt); });
    return 0;
}
