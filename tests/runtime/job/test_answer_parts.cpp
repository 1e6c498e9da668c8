// Answers taken apart: reasoning, content and calls, in every style; and texts that keep to none.
#include <catch2/catch.hpp>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "runtime/job/answer_parts.hpp"
#include "runtime/job/chat_request.hpp"
#include "runtime/job/request_file.hpp"
#include "runtime/job/response.hpp"
#include "tests/support/shared_data.hpp"

using namespace argosy;

namespace {

constexpr AnswerMarks kThinks{.think = true};
constexpr AnswerMarks kOpen{.think = true, .think_open = true};
constexpr AnswerMarks kCalls{.think = true, .tool_calls = true};
constexpr AnswerMarks kChannels{.channels = true};

AnswerParts content(const std::string& text) { return {.content = text}; }

std::string file_text(const std::filesystem::path& path) {
    std::ifstream stream(path);
    REQUIRE(stream);
    return {std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace

TEST_CASE("reasoning between tags, which the prompt may have opened") {
    CHECK(answer_parts({}, "<think>a</think>b") == content("<think>a</think>b"));
    CHECK(answer_parts(kThinks, "<think>\na\nb\n</think>\n\nc\n") ==
          AnswerParts{.reasoning = "a\nb", .content = "c\n"});
    CHECK(answer_parts(kThinks, " \n<think>a</think>") == AnswerParts{.reasoning = "a", .content = ""});
    CHECK(answer_parts(kThinks, "plain </think> text") == content("plain </think> text"));
    CHECK(answer_parts(kThinks, "b <think>a</think>") == content("b <think>a</think>"));
    CHECK(answer_parts(kThinks, "<think>cut off") == AnswerParts{.reasoning = "cut off"});
    CHECK(answer_parts(kOpen, "a</think>b") == AnswerParts{.reasoning = "a", .content = "b"});
    CHECK(answer_parts(kOpen, "cut off") == AnswerParts{.reasoning = "cut off"});
    CHECK(answer_parts(kOpen, "<think>twice</think>b") == AnswerParts{.reasoning = "twice", .content = "b"});
    CHECK(answer_parts(kThinks, "") == content(""));
}

TEST_CASE("calls of tools as JSON between tags") {
    const std::string call =
        "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": 1.0, \"y\": [\"é\", null]}}\n</tool_call>";
    const ToolCall f{"f", "{\"x\": 1.0, \"y\": [\"é\", null]}"};
    CHECK(answer_parts(kCalls, call) == AnswerParts{.tool_calls = {f}});
    CHECK(answer_parts(kCalls, "So:\n\n" + call + "\n" + call + " \n") ==
          AnswerParts{.content = "So:", .tool_calls = {f, f}});
    CHECK(answer_parts(kCalls, "<think>I call</think>\n" + call) ==
          AnswerParts{.reasoning = "I call", .tool_calls = {f}});
    CHECK(answer_parts(kThinks, call) == content(call));  // no tools were offered
    for (const std::string& text : std::vector<std::string>{
             call + " and more", "<tool_call>{\"name\": \"f\"}</tool_call>",
             "<tool_call>{\"name\": 1, \"arguments\": {}}</tool_call>",
             "<tool_call>{\"name\": \"f\", \"arguments\": \"x\"}</tool_call>", "<tool_call>[1]</tool_call>",
             "<tool_call>{\"name\": \"f\", \"arguments\": {}}", "<tool_call>not JSON</tool_call>", call + "<tool_call>",
             "<tool_call>" + std::string(5000, '[') + "</tool_call>"}) {
        INFO(text.substr(0, 200));
        CHECK(answer_parts(kCalls, text) == content(text));
    }
}

TEST_CASE("channels") {
    const std::string analysis = "<|channel|>analysis<|message|>hm<|end|><|start|>assistant";
    CHECK(answer_parts(kChannels, analysis + "<|channel|>final<|message|>Hi") ==
          AnswerParts{.reasoning = "hm", .content = "Hi"});
    CHECK(answer_parts(kChannels, "<|channel|>final<|message|>Hi<|return|>") == content("Hi"));
    CHECK(answer_parts(kChannels, "<|channel|>analysis<|message|>cut") == AnswerParts{.reasoning = "cut"});
    CHECK(answer_parts(kChannels, analysis + "<|channel|>fin") == AnswerParts{.reasoning = "hm"});
    CHECK(answer_parts(kChannels, analysis + analysis + "<|channel|>final<|message|>Hi").reasoning == "hm\nhm");
    const AnswerParts called{.reasoning = "hm", .content = {}, .tool_calls = {{"f", "{\"x\": 1}"}}};
    CHECK(answer_parts(kChannels, analysis + "<|channel|>commentary to=functions.f <|constrain|>json<|message|>"
                                             "{\"x\": 1}<|call|>") == called);
    CHECK(answer_parts(kChannels, analysis + " to=functions.f<|channel|>commentary json<|message|>{\"x\": 1}") ==
          called);
    CHECK(answer_parts(kChannels,
                       "<|channel|>commentary<|message|>I look<|end|><|start|>assistant<|channel|>final"
                       "<|message|>done") == content("I look\ndone"));
    CHECK(answer_parts(kChannels, "no channels") == content("no channels"));
    CHECK(answer_parts(kChannels, "") == content(""));
}

TEST_CASE("any text has parts, and nothing of it is made up") {
    std::mt19937 random(4);
    const std::vector<std::string> pieces = {"<think>",     "</think>",       "<tool_call>", "</tool_call>",
                                             "<|channel|>", "final",          "<|message|>", "<|end|>",
                                             "<|start|>",   "assistant",      "\n",          " to=functions",
                                             ".f",          "{\"name\":",     "\"a\",",      "\xff",
                                             "\xc3",        "\"arguments\":", "{}}",         "x"};
    for (int i = 0; i < 20000; ++i) {
        std::string text;
        for (unsigned n = random() % 12; n > 0; --n) text += pieces[random() % pieces.size()];
        const unsigned bits = static_cast<unsigned>(random());
        const AnswerMarks marks{(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, (bits & 8) != 0};
        const AnswerParts parts = answer_parts(marks, text);
        std::size_t size = parts.content.value_or("").size() + parts.reasoning.value_or("").size();
        for (const ToolCall& call : parts.tool_calls) size += call.name.size() + call.arguments.size();
        REQUIRE(size <= text.size() + 12);  // calls' arguments may be spelt with blanks, parts joined by line ends
        REQUIRE((parts.content || parts.reasoning || !parts.tool_calls.empty() || marks.channels));
    }
}

TEST_CASE("a message with reasoning and calls, byte for byte") {
    RequestResult result{.line = 3, .id = "c", .model = "m", .chat = true, .marks = kCalls};
    result.choices = {{.index = 1,
                       .text = "<think>a</think><tool_call>{\"name\":\"f\",\"arguments\":{\"x\":1}}</tool_call>",
                       .finish = FinishReason::stop}};
    CHECK_THAT(
        response_line(result),
        Catch::Contains(
            R"("message":{"role":"assistant","content":null,"reasoning_content":"a","tool_calls":[{"id":"call-c-1-0",)"
            R"("type":"function","function":{"name":"f","arguments":"{\"x\": 1}"}}]},"logprobs":null,)"
            R"("finish_reason":"tool_calls")"));
    CHECK(nlohmann::json::accept(response_line(result)));
    result.choices[0].finish = FinishReason::length;
    CHECK_THAT(response_line(result), Catch::Contains(R"("finish_reason":"length")"));
}

TEST_CASE("what published templates teach of answers") {
    if (!test::have_shared("chat-templates", "marks of published templates")) return;
    struct Expected {
        const char* template_file;
        bool think, think_open, tool_calls, channels;
    };
    const Expected published[] = {
        {"tokenizers/qwen3/tokenizer_config.Qwen3-30B-A3B.json", true, false, true, false},
        {"tokenizers/qwen3/tokenizer_config.Qwen3-30B-A3B-Thinking-2507.json", true, true, true, false},
        {"tokenizers/qwen3/tokenizer_config.Qwen3-Coder.json", false, false, false, false},
        {"tokenizers/deepseek-v3/tokenizer_config.DeepSeek-V3.1.json", true, false, false, false},
        {"chat-templates/templates/deepseek-ai-DeepSeek-R1.jinja", true, false, false, false},
        {"chat-templates/templates/openai-gpt-oss-120b.jinja", false, false, false, true},
        {"chat-templates/templates/NousResearch-Hermes-3-Llama-3.1-8B-tool_use.jinja", false, false, true, false},
        {"chat-templates/templates/GLM-4.6.jinja", true, false, false, false},
        {"chat-templates/templates/mistralai-Mixtral-8x7B-Instruct-v0.1.jinja", false, false, false, false},
        {"chat-templates/templates/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16.jinja", true, true, false, false},
    };
    for (const Expected& expected : published) {
        INFO(expected.template_file);
        const std::filesystem::path path = *test::shared_dir() / expected.template_file;
        const std::string text = file_text(path);
        const ChatContext chat{path.extension() == ".json" ? read_chat_templates(text, std::nullopt)
                                                           : read_chat_templates("", text)};
        nlohmann::json body = {{"messages", {{{"role", "user"}, {"content", "Hi"}}}},
                               {"chat_template_kwargs", nlohmann::json::object()}};
        const nlohmann::json tools = {
            {{"type", "function"},
             {"function",
              {{"name", "f"},
               {"description", "d"},
               {"parameters", {{"type", "object"}, {"properties", nlohmann::json::object()}}}}}}};
        if (chat.templates.normal->words.contains("tools")) body["tools"] = tools;
        if (chat.templates.normal->words.contains("strftime_now"))
            body["chat_template_kwargs"]["strftime_now"] = "2026-01-31";
        const auto outcome = parse_request_line(
            nlohmann::json{{"custom_id", "c"}, {"method", "POST"}, {"url", "/v1/chat/completions"}, {"body", body}}
                .dump(),
            1, InputFormat::jsonl, {}, &chat);
        if (const auto* error = std::get_if<LineError>(&outcome)) FAIL(error->sentence);
        CHECK(std::get<ParsedRequest>(outcome).request.marks ==
              AnswerMarks{expected.think, expected.think_open, expected.tool_calls, expected.channels});
    }
}
