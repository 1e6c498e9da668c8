// Published chat templates against the strings and errors that the reference renderer gives for them.
#include <catch2/catch.hpp>
#include <chrono>
#include <fstream>
#include <map>
#include <sstream>

#include "runtime/text/chat_template.hpp"
#include "runtime/text/jinja_json.hpp"
#include "tests/support/shared_data.hpp"

namespace argosy::test {

namespace {

namespace fs = std::filesystem;

std::string read_text(const fs::path& path) {
    std::ifstream stream(path, std::ios::binary);
    REQUIRE(stream);
    std::ostringstream text;
    text << stream.rdbuf();
    return std::move(text).str();
}

struct GoldenChat {
    std::string id;
    ChatConversation conversation;
    std::string rendered, error;
};

struct GoldenFile {
    ChatTemplates templates;
    std::vector<GoldenChat> chats;
};

GoldenChat golden_chat(const JinjaDict& line) {
    GoldenChat chat;
    chat.id = *line.find("id")->text();
    chat.conversation.messages = *line.find("messages");
    chat.conversation.tools = *line.find("tools");
    chat.conversation.add_generation_prompt = jinja_truth(*line.find("add_generation_prompt"));
    for (const auto& [name, value] : line.find("extra")->dict()->members) {
        if (*name == "strftime_now")
            chat.conversation.date = parse_date(*value.text());
        else
            chat.conversation.variables.emplace_back(*name, value);
    }
    if (const JinjaValue* tokens = line.find("special_tokens")) {
        for (const auto& [name, value] : tokens->dict()->members)
            chat.conversation.variables.emplace_back(*name, value);
    }
    if (const JinjaValue* rendered = line.find("rendered")) chat.rendered = *rendered->text();
    if (const JinjaValue* error = line.find("error")) chat.error = *error->text();
    return chat;
}

GoldenFile golden_file(const fs::path& path) {
    GoldenFile file;
    std::ifstream stream(path);
    for (std::string text; std::getline(stream, text);) {
        const JinjaValue line = jinja_from_json(text);
        if (file.chats.empty()) {
            const fs::path from =
                *shared_dir() / fs::path(*line.dict()->find("template_file")->text()).lexically_relative("shared");
            const std::string source = read_text(from);
            file.templates = from.extension() == ".jinja" ? read_chat_templates("", source)
                                                          : read_chat_templates(source, std::nullopt);
        }
        file.chats.push_back(golden_chat(*line.dict()));
    }
    return file;
}

std::vector<fs::path> golden_paths() {
    std::vector<fs::path> paths;
    for (const auto& entry : fs::directory_iterator(*shared_dir() / "chat-templates")) {
        if (entry.path().extension() == ".jsonl") paths.push_back(entry.path());
    }
    std::sort(paths.begin(), paths.end());
    return paths;
}

}  // namespace

TEST_CASE("published templates render as the reference does") {
    if (!have_shared("chat-templates", "chat template golden values")) return;
    int conversations = 0, errors = 0;
    for (const fs::path& path : golden_paths()) {
        const GoldenFile file = golden_file(path);
        INFO(path.filename().string() << ": " << file.templates.trouble);
        REQUIRE(file.templates.normal);
        for (const GoldenChat& chat : file.chats) {
            INFO(chat.id);
            ++conversations;
            const auto outcome = render_chat(*file.templates.normal, file.templates.special_tokens, chat.conversation);
            if (chat.error.empty()) {
                const auto* failure = std::get_if<ChatFailure>(&outcome);
                CHECK((failure ? describe(*failure) : std::get<std::string>(outcome)) == chat.rendered);
            } else {
                ++errors;
                REQUIRE(std::holds_alternative<ChatFailure>(outcome));
                CHECK(std::get<ChatFailure>(outcome).raised);
                CHECK(std::get<ChatFailure>(outcome).text == chat.error);
            }
        }
    }
    CHECK(conversations == 454);
    CHECK(errors == 20);
}

// Not a test of speed: prints conversations per second of each template when run by its tag.
TEST_CASE("rendering speed", "[.speed]") {
    if (!have_shared("chat-templates", "chat template golden values")) return;
    for (const fs::path& path : golden_paths()) {
        const GoldenFile file = golden_file(path);
        const auto start = std::chrono::steady_clock::now();
        int rendered = 0;
        double seconds = 0;
        while (seconds < 0.3) {
            for (const GoldenChat& chat : file.chats) {
                const auto outcome =
                    render_chat(*file.templates.normal, file.templates.special_tokens, chat.conversation);
                rendered += outcome.index() < 2 ? 1 : 0;
            }
            seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        }
        WARN(path.stem().string() << ": " << static_cast<int>(rendered / seconds) << " conversations/s");
    }
}

}  // namespace argosy::test
