// Chats end to end: the demo model answers them by its own template, with the same bytes however the job is split.
#include <catch2/catch.hpp>

#include "tests/launch/run_program.hpp"
#include "tests/support/shared_data.hpp"

using namespace argosy;
using namespace argosy::test;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

std::string chat_line(const std::string& id, const json& body) {
    return json{{"custom_id", id}, {"method", "POST"}, {"url", "/v1/chat/completions"}, {"body", body}}.dump() + "\n";
}

json user(const std::string& text) { return json::array({{{"role", "user"}, {"content", text}}}); }

constexpr const char* kQuestion = "What comes next: 33, 30, 27, 24?";
constexpr const char* kRendered =
    "<|im_start|>user\nWhat comes next: 33, 30, 27, 24?<|im_end|>\n<|im_start|>assistant\n";

std::string requests() {
    json opened = user(kQuestion);
    opened.push_back({{"role", "assistant"}, {"content", "2"}});
    const json parts = json::array({{{"type", "text"}, {"text", kQuestion}}});
    std::string text;
    text += chat_line(
        "plain", {{"messages", user(kQuestion)}, {"return_token_ids", true}, {"logprobs", true}, {"top_logprobs", 2}});
    text += json{{"id", "text"}, {"prompt", kRendered}, {"max_tokens", 200}, {"return_token_ids", true}}.dump() + "\n";
    text += chat_line(
        "parts", {{"messages", json::array({{{"role", "user"}, {"content", parts}}})}, {"return_token_ids", true}});
    text += chat_line("opened", {{"messages", opened}, {"continue_final_message", true}, {"return_token_ids", true}});
    text += chat_line("two", {{"messages", user("Tell me a story.")},
                              {"n", 2},
                              {"temperature", 0.9},
                              {"seed", 3},
                              {"max_completion_tokens", 20}});
    text += chat_line("tools", {{"messages", user("a")},
                                {"tools", json::array({{{"type", "function"}, {"function", {{"name", "f"}}}}})}});
    text += chat_line("misspelt", {{"messages", user("a")}, {"max_token", 3}});
    return text;
}

std::string responses_of(int ranks, const std::vector<std::string>& layout, const fs::path& folder) {
    ProgramCall call;
    call.ranks = ranks;
    call.arguments = {"run", "--input", (folder / "requests.jsonl").string(), "--run-dir",
                      (folder / ("run" + std::to_string(ranks))).string()};
    call.arguments.insert(call.arguments.end(), layout.begin(), layout.end());
    const ProgramResult result = run_program(call);
    INFO(result.err);
    REQUIRE(result.status == 0);
    return read_text(folder / ("run" + std::to_string(ranks)) / "responses.jsonl");
}

ProgramResult run_words(const std::vector<std::string>& arguments) {
    ProgramCall call;
    call.arguments = arguments;
    return run_program(call);
}

const json& body_of(const std::map<std::string, json>& responses, const std::string& id) {
    return responses.at(id).at("response").at("body");
}

}  // namespace

TEST_CASE("chats are answered by the model's template, with the same bytes on one rank and on two") {
    const TempDir temp;
    write_text(temp.path() / "requests.jsonl", requests());
    const std::string alone = responses_of(1, {}, temp.path());
    CHECK((responses_of(2, {"--tp", "2"}, temp.path()) == alone));
    const auto responses = read_responses(temp.path() / "run1");
    REQUIRE(responses.size() == 7);

    const json& plain = body_of(responses, "plain");
    CHECK(plain.at("object") == "chat.completion");
    CHECK(plain.at("id") == "chatcmpl-plain");
    const json& choice = plain.at("choices").at(0);
    CHECK(choice.at("message") == json{{"role", "assistant"}, {"content", "21"}});
    CHECK(choice.at("finish_reason") == "stop");
    const json& entries = choice.at("logprobs").at("content");
    REQUIRE(entries.size() == choice.at("token_ids").size());
    CHECK(entries.at(0).at("token") == entries.at(0).at("top_logprobs").at(0).at("token"));
    CHECK(entries.at(0).at("top_logprobs").size() == 2);
    CHECK(entries.at(0).at("bytes") == json::array({'2'}));

    // The rendered text as a completion is the same prompt and has the same answer.
    const json& text = body_of(responses, "text").at("choices").at(0);
    CHECK(text.at("prompt_token_ids") == choice.at("prompt_token_ids"));
    CHECK(text.at("token_ids") == choice.at("token_ids"));
    CHECK(text.at("text") == "21");
    CHECK(plain.at("usage").at("prompt_tokens") == choice.at("prompt_token_ids").size());
    CHECK(body_of(responses, "parts").at("choices").at(0).at("token_ids") == choice.at("token_ids"));

    const json& opened = body_of(responses, "opened").at("choices").at(0);
    CHECK(opened.at("prompt_token_ids").size() == choice.at("prompt_token_ids").size() + 1);
    CHECK(opened.at("message").at("content") == "1");
    const json& two = body_of(responses, "two").at("choices");
    REQUIRE(two.size() == 2);
    CHECK(two.at(0).at("message") != two.at(1).at("message"));
    CHECK(responses.at("tools").at("error").at("code") == "unsupported_field");
    CHECK(responses.at("misspelt").at("error").at("message").get<std::string>().find("nearest that is: max_tokens") !=
          std::string::npos);
}

TEST_CASE("inspect --render shows what chats become, and a model without a template says so") {
    const TempDir temp;
    write_text(temp.path() / "requests.jsonl", requests());
    const std::string file = (temp.path() / "requests.jsonl").string();
    const ProgramResult shown = run_words({"inspect", "--render", file});
    CHECK(shown.status == 0);
    CHECK(shown.out.find(std::string("--- line 1 plain\n") + kRendered + "\n--- line 2 text\n") == 0);
    CHECK(shown.out.find("--- line 4 opened\n<|im_start|>user\n" + std::string(kQuestion) +
                         "<|im_end|>\n<|im_start|>assistant\n2\n--- line 5 two\n") != std::string::npos);
    CHECK(shown.out.find("--- line 6 tools: unsupported_field: ") != std::string::npos);

    const fs::path bare = temp.path() / "model";
    fs::create_directory(bare);
    for (const char* part : {"config.json", "model.safetensors", "tokenizer.json"})
        fs::create_symlink(source_dir() / "configs/demo" / part, bare / part);
    const ProgramResult none =
        run_words({"run", "--model", bare.string(), "--input", file, "--run-dir", (temp.path() / "out").string()});
    CHECK(none.status == 0);
    const auto responses = read_responses(temp.path() / "out");
    CHECK(responses.at("plain").at("error").at("code") == "no_chat_template");
    CHECK(responses.at("text").at("error").is_null());
}

TEST_CASE("reasoning that the prompt has opened stands apart from the content") {
    const TempDir temp;
    fs::copy(source_dir() / "configs/demo", temp.path() / "model");
    const json config = json::parse(read_text(source_dir() / "configs/demo/tokenizer_config.json"));
    write_text(temp.path() / "model/chat_template.jinja",
               config.at("chat_template").get<std::string>() +
                   "{# until </think> #}{% if add_generation_prompt %}{{ '<think>' }}{% endif %}");
    write_text(temp.path() / "requests.jsonl",
               chat_line("open", {{"messages", user(kQuestion)}, {"max_tokens", 6}, {"ignore_eos", true}}) +
                   chat_line("goes on", {{"messages", json::array({{{"role", "user"}, {"content", "a"}},
                                                                   {{"role", "assistant"}, {"content", "b"}}})},
                                         {"continue_final_message", true},
                                         {"max_tokens", 6},
                                         {"ignore_eos", true}}));
    responses_of(1, {"--model", (temp.path() / "model").string()}, temp.path());
    const auto responses = read_responses(temp.path() / "run1");
    const json& open = body_of(responses, "open").at("choices").at(0).at("message");
    CHECK(open.at("content").is_null());
    CHECK_FALSE(open.at("reasoning_content").get<std::string>().empty());
    const json& goes_on = body_of(responses, "goes on").at("choices").at(0).at("message");
    CHECK_FALSE(goes_on.at("content").get<std::string>().empty());
    CHECK_FALSE(goes_on.contains("reasoning_content"));
}
