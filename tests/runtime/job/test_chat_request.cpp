// Bodies of chat requests: what each member does to the prompt, and a sentence for everything that is not honoured.
#include <catch2/catch.hpp>
#include <limits>
#include <nlohmann/json.hpp>

#include "runtime/job/chat_request.hpp"
#include "runtime/job/request_file.hpp"

using namespace argosy;
using Catch::Matchers::Contains;

namespace {

// Prints what it is given; arguments as JSON, so it wants objects; parts of user messages, of nobody else's.
constexpr const char* kTemplate =
    "{{ bos_token }}{% if tools %}[{{ tools | map(attribute='function') | map(attribute='name') | join(',') }}"
    "{{ '!' ~ tool_choice if tool_choice is defined }}]{% endif %}"
    "{% for m in messages %}<{{ m.role }}>{% if m.content is string %}{{ m.content | trim }}"
    "{% elif m.role == 'user' %}{% for p in m.content %}({{ p.text }}){% endfor %}{% endif %}"
    "{% for c in m.tool_calls %}{{ c.function.name }}{{ c.function.arguments | tojson }}{% endfor %}"
    "{{ m.reasoning_content }}<end>{% endfor %}"
    "{% if mood is defined %}{{ mood | tojson }}{% endif %}{% if messages[0].role == 'king' %}{{ raise_exception('no "
    "kings') }}"
    "{% elif messages[0].role == 'clock' %}{{ strftime_now('%d %b %Y') }}{% endif %}{% if add_generation_prompt "
    "%}<assistant>{% endif %}";

ChatContext context(const std::string& source = kTemplate) {
    const nlohmann::json config = {
        {"bos_token", {{"content", "<s>"}}}, {"eos_token", "</s>"}, {"chat_template", source}};
    return {read_chat_templates(config.dump(), std::nullopt)};
}

std::variant<ParsedRequest, LineError> read(const std::string& body, const ChatContext& chat = context()) {
    return parse_request_line(R"({"custom_id":"c","method":"POST","url":"/v1/chat/completions","body":)" + body + "}",
                              1, InputFormat::jsonl, {}, &chat);
}

ParsedRequest good(const std::string& body, const ChatContext& chat = context()) {
    const auto outcome = read(body, chat);
    if (const auto* error = std::get_if<LineError>(&outcome)) FAIL(body << ": " << error->sentence);
    return std::get<ParsedRequest>(outcome);
}
std::string text(const std::string& body, const ChatContext& chat = context()) { return *good(body, chat).text; }

LineError bad(const std::string& body, const ChatContext& chat = context()) {
    const auto outcome = read(body, chat);
    INFO(body);
    REQUIRE(std::holds_alternative<LineError>(outcome));
    CHECK(std::get<LineError>(outcome).id == "c");
    return std::get<LineError>(outcome);
}

// A body with one user message and more members.
std::string with(const std::string& members) {
    return R"({"messages":[{"role":"user","content":"Hi"}],)" + members + "}";
}
std::string message(const std::string& one) { return R"({"messages":[)" + one + "]}"; }

}  // namespace

TEST_CASE("a conversation becomes the template's text, which holds its own first token") {
    const ParsedRequest parsed =
        good(R"({"messages":[{"role":"system","content":"S"},{"role":"user","content":" Hi "}]})");
    CHECK(*parsed.text == "<s><system>S<end><user>Hi<end><assistant>");
    CHECK_FALSE(parsed.add_special);
    CHECK(parsed.request.chat);
    CHECK(parsed.request.max_tokens == std::numeric_limits<int>::max());  // as far as the context reaches
    CHECK(good(with(R"("max_tokens":7)")).request.max_tokens == 7);
    CHECK(good(with(R"("max_completion_tokens":8)")).request.max_tokens == 8);
    CHECK(good(with(R"("logprobs":true,"top_logprobs":3)")).request.logprobs == 3);
    CHECK(good(with(R"("logprobs":true)")).request.logprobs == 0);
    CHECK(good(with(R"("logprobs":false)")).request.logprobs == -1);
    const auto completion = parse_request_line(R"({"prompt":"a"})", 1, InputFormat::jsonl, {}, nullptr);
    CHECK(std::get<ParsedRequest>(completion).add_special);
    CHECK_FALSE(std::get<ParsedRequest>(completion).request.chat);
}

TEST_CASE("switches of the prompt's end") {
    CHECK(text(with(R"("add_generation_prompt":false)")) == "<s><user>Hi<end>");
    CHECK(
        text(
            R"({"continue_final_message":true,"messages":[{"role":"user","content":"Q"},{"role":"assistant","content":"It is"}]})") ==
        "<s><user>Q<end><assistant>It is");
    // The template trims contents: the blank at the end goes, as it does in any message.
    CHECK(text(R"({"continue_final_message":true,"messages":[{"role":"assistant","content":"It is "}]})") ==
          "<s><assistant>It is");
    const ChatContext keeps = context("{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}");
    CHECK(text(R"({"continue_final_message":true,"messages":[{"role":"assistant","content":"It is "}]})", keeps) ==
          "assistant:It is ");
    CHECK(text(R"({"continue_final_message":false,"messages":[{"role":"user","content":"a"}]})", keeps) == "user:a;");
    CHECK_THAT(bad(with(R"("continue_final_message":true,"add_generation_prompt":true)")).sentence,
               Contains("both true"));
    CHECK_THAT(bad(R"({"continue_final_message":true,"messages":[{"role":"assistant","content":" "}]})").sentence,
               Contains("no text to continue"));
    const ChatContext hides = context("{{ messages | length }}{{ messages[0].content | length }}");
    CHECK_THAT(bad(with(R"("continue_final_message":true)"), hides).sentence, Contains("does not stand in"));
}

TEST_CASE("parts of a content stay parts where the template reads them") {
    const std::string parts = R"("content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]})";
    CHECK(text(message(R"({"role":"user",)" + parts)) == "<s><user>(a)(b)<end><assistant>");
    CHECK(text(message(R"({"role":"system",)" + parts)) == "<s><system>a\nb<end><assistant>");
    CHECK(text(message(R"({"role":"user",)" + parts), context("{{ messages[0]['content'] + '.' }}")) == "a\nb.");
    CHECK_THAT(bad(message(R"({"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]})")).sentence,
               Contains("only parts"));
    CHECK(bad(message(R"({"role":"user","content":5})")).code == "invalid_type");
    CHECK(bad(message(R"({"role":"user","content":{}})")).code == "invalid_type");
}

TEST_CASE("tools, their calls and the choice of them") {
    const std::string tools = R"("tools":[{"type":"function","function":{"name":"f"}}])";
    CHECK(text(with(tools)) == "<s>[f]<user>Hi<end><assistant>");
    CHECK(text(with(tools + R"(,"tool_choice":"none")")) == "<s>[f!none]<user>Hi<end><assistant>");
    CHECK(text(with(R"("tools":[])")) == "<s><user>Hi<end><assistant>");
    CHECK_THAT(bad(with(tools + R"(,"tool_choice":"required")")).sentence, Contains("only \"none\" and \"auto\""));
    CHECK_THAT(bad(with(tools), context("{{ messages[0].content }}")).sentence, Contains("no place for them"));
    CHECK(bad(with(R"("tools":{})")).code == "invalid_type");
    CHECK(bad(with(R"("tools":[{"name":"f"}])")).code == "invalid_value");
    const auto call = [](const std::string& arguments) {
        return message(
            R"({"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":)" +
            arguments + "}}]}");
    };
    CHECK(text(call(R"("{\"z\": 1, \"a\": 2.0}")")) == "<s><assistant>f{\"z\": 1, \"a\": 2.0}<end><assistant>");
    CHECK(text(call(R"({"z":1,"a":2.0})")) == "<s><assistant>f{\"z\": 1, \"a\": 2.0}<end><assistant>");
    CHECK(text(call(R"("")")) == "<s><assistant>f{}<end><assistant>");
    const ChatContext joins = context(
        "{% for m in messages %}{% for c in m.tool_calls %}{{ 'call ' + c.function.arguments }}{% endfor %}{% endfor "
        "%}");
    CHECK(text(call(R"("{\"z\": 1}")"), joins) == "call {\"z\": 1}");
    CHECK(text(call(R"({"z":1})"), joins) == "call {\"z\": 1}");
    CHECK_THAT(bad(call(R"("not json")")).sentence,
               Contains("messages[0].tool_calls[0].function.arguments is no JSON object"));
    CHECK(bad(call("5")).code == "invalid_type");
    CHECK(bad(message(R"({"role":"assistant","tool_calls":[{"id":"1"}]})")).code == "invalid_value");
    CHECK(bad(message(R"({"role":"assistant","tool_calls":{}})")).code == "invalid_type");
}

TEST_CASE("a template of its own for tools") {
    const nlohmann::json config = {{"chat_template",
                                    {{{"name", "default"}, {"template", "plain {{ tools }}"}},
                                     {{"name", "tool_use"}, {"template", "tools {{ tools | length }}"}}}}};
    const ChatContext two{read_chat_templates(config.dump(), std::nullopt)};
    CHECK(text(with(R"("tools":[{"function":{"name":"f"}}])"), two) == "tools 1");
    CHECK(text(with(R"("tools":[])"), two) == "plain []");
    CHECK(text(with(R"("n":1)"), two) == "plain None");
    CHECK(text(with(R"("n":1)"), {read_chat_templates(config.dump(), "file {{ messages | length }}")}) == "file 1");
}

TEST_CASE("variables of the template, and the day") {
    CHECK(text(with(R"("chat_template_kwargs":{"mood":{"b":1,"a":18446744073709551616}})")) ==
          "<s><user>Hi<end>{\"b\": 1, \"a\": 18446744073709551616}<assistant>");
    CHECK_THAT(bad(with(R"("chat_template_kwargs":{"moood":1})")).sentence,
               Contains("\"moood\", which the model's chat template"));
    CHECK_THAT(bad(with(R"("chat_template_kwargs":{"messages":[]})")).sentence, Contains("member of the body"));
    CHECK(bad(with(R"("chat_template_kwargs":[])")).code == "invalid_type");
    const std::string clock = R"({"messages":[{"role":"clock","content":""}])";
    CHECK(text(clock + R"(,"chat_template_kwargs":{"strftime_now":"2026-01-02"}})") ==
          "<s><clock><end>02 Jan 2026<assistant>");
    CHECK_THAT(bad(clock + "}").sentence, Contains("Name one, so that answers do not depend on when the job runs"));
    for (const char* day : {"\"2026-02-29\"", "\"2026-1-2\"", "\"soon\"", "5", "\"2026-13-01\"", "\"2026-00-01\""})
        CHECK_THAT(bad(clock + R"(,"chat_template_kwargs":{"strftime_now":)" + day + "}}").sentence,
                   Contains("must be a day"));
    CHECK(text(clock + R"(,"chat_template_kwargs":{"strftime_now":"2028-02-29"}})") ==
          "<s><clock><end>29 Feb 2028<assistant>");
}

TEST_CASE("what is not honoured is an error") {
    CHECK(bad("{}").code == "missing_field");
    CHECK(bad(R"({"messages":[]})").code == "invalid_value");
    CHECK(bad(R"({"messages":{}})").code == "invalid_type");
    CHECK(bad(message("5")).code == "invalid_type");
    CHECK(bad(message(R"({"content":"a"})")).code == "missing_field");
    CHECK(bad(message(R"({"role":5,"content":"a"})")).code == "invalid_type");
    CHECK(bad(message(R"({"role":"user"})")).code == "missing_field");
    CHECK(bad(with(R"("prompt":"a")")).code == "unsupported_field");
    CHECK(bad(with(R"("echo":true)")).code == "unsupported_field");
    CHECK(bad(with(R"("response_format":{"type":"json_object"})")).code == "unsupported_field");
    CHECK(bad(with(R"("logprobs":2)")).code == "invalid_type");
    CHECK(bad(with(R"("add_generation_prompt":1)")).code == "invalid_type");
    CHECK(bad(with(R"("continue_final_message":"x")")).code == "invalid_type");
    CHECK_THAT(bad(message(R"({"role":"user","content":"a","contnet":"b"})")).sentence,
               Contains("messages[0] has a member \"contnet\", which the model's chat template does not read"));
    CHECK(text(message(R"({"role":"assistant","content":"a","refusal":null,"reasoning_content":"r"})")) ==
          "<s><assistant>ar<end><assistant>");
    const LineError king = bad(message(R"({"role":"king","content":"a"})"));
    CHECK(king.code == "chat_template");
    CHECK(king.sentence == "The model's chat template refuses the conversation: no kings");
    const LineError fails =
        bad(message(R"({"role":"user","content":"a"})"), context("a\n{{ messages[0].content + 1 }}"));
    CHECK(fails.code == "chat_template");
    CHECK_THAT(fails.sentence, Contains("its line 2: + is not defined between a str object and a int object"));
}

TEST_CASE("a model without a template that can be used says so") {
    const LineError none = bad(with(R"("n":1)"), {read_chat_templates(R"({"bos_token":"<s>"})", std::nullopt)});
    CHECK(none.code == "no_chat_template");
    CHECK_THAT(none.sentence, Contains("The model has no chat template"));
    CHECK_THAT(bad(with(R"("n":1)"), {read_chat_templates("", std::nullopt)}).sentence,
               Contains("has no chat template"));
    CHECK_THAT(bad(with(R"("n":1)"), context("\n{% include 'x' %}")).sentence,
               Contains("line 2: the tag {% include %} is not supported"));
    CHECK_THAT(bad(with(R"("n":1)"), {read_chat_templates("{", std::nullopt)}).sentence, Contains("not JSON"));
    CHECK_THAT(bad(with(R"("n":1)"), {read_chat_templates("", "\xff")}).sentence, Contains("not UTF-8"));
}
