// Small templates against what the reference implementation makes of them (jinja_cases.jsonl, made by
// make_jinja_cases.py): expressions, filters, tests, methods, white space, scopes, loops, macros and refusals.
#include <catch2/catch.hpp>
#include <fstream>

#include "kernels/base/error.hpp"
#include "runtime/text/chat_template.hpp"
#include "runtime/text/jinja_json.hpp"
#include "tests/support/shared_data.hpp"

namespace argosy::test {

namespace {

// The text, or "refused: " and why.
std::string render(const std::string& source, const ChatVariables& variables) {
    ChatConversation conversation;
    conversation.variables = variables;
    conversation.date = JinjaDate{2026, 3, 1};
    try {
        const auto outcome = render_chat(parse_chat_template(source, {}), {}, conversation);
        if (const auto* failure = std::get_if<ChatFailure>(&outcome)) return "refused: " + describe(*failure);
        return std::get<std::string>(outcome);
    } catch (const Error& error) {
        return std::string("refused: ") + error.what();
    }
}

}  // namespace

TEST_CASE("small templates render as the reference does") {
    std::ifstream stream(source_dir() / "tests/runtime/text/jinja_cases.jsonl");
    ChatVariables variables;
    int rendered = 0, refused = 0;
    for (std::string line; std::getline(stream, line);) {
        const JinjaValue value = jinja_from_json(line);
        if (const JinjaValue* given = value.dict()->find("variables")) {
            for (const auto& [name, member] : given->dict()->members) variables.emplace_back(*name, member);
            continue;
        }
        const std::string& source = *value.dict()->find("template")->text();
        INFO(source);
        const std::string text = render(source, variables);
        if (const JinjaValue* wanted = value.dict()->find("rendered")) {
            CHECK(text == *wanted->text());
            ++rendered;
        } else {
            CHECK(text.starts_with("refused: "));
            ++refused;
        }
    }
    CHECK(rendered > 400);
    CHECK(refused > 60);
}

}  // namespace argosy::test
