// Requests in full, through the whole program: penalties and biases against a plain computation from recorded logits,
// prompts that are scored, inputs of every form, and slices of them.
#include <zlib.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <set>

#include "runtime/forward/recorder.hpp"
#include "tests/launch/run_program.hpp"
#include "tests/support/shared_data.hpp"

using namespace argosy;
using namespace argosy::test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

fs::path demo() { return source_dir() / "configs/demo"; }

// Runs the demo model over the files; `options` follow.
ProgramResult run_files(const std::vector<fs::path>& files, const fs::path& run_dir, const std::string& options,
                        int ranks = 0, const fs::path& model = demo()) {
    ProgramCall call;
    call.ranks = ranks;
    call.environment = {"OMP_NUM_THREADS=1"};
    call.arguments = {"run", "--model", model.string(), "--run-dir", run_dir.string()};
    for (const fs::path& file : files) call.arguments.insert(call.arguments.end(), {"--input", file.string()});
    for (const std::string& word : words_of(options)) call.arguments.push_back(word);
    return run_program(call);
}

void run_well(const std::vector<fs::path>& files, const fs::path& run_dir, const std::string& options, int ranks = 0,
              const fs::path& model = demo()) {
    const ProgramResult result = run_files(files, run_dir, options, ranks, model);
    INFO(options << "\n" << result.err);
    REQUIRE(result.status == 0);
}

const json& choice_of(const json& response, std::size_t index = 0) {
    INFO(response.dump());
    REQUIRE(response.at("response").is_object());
    return response.at("response").at("body").at("choices").at(index);
}

void write_gzip(const fs::path& path, const std::string& text) {
    const gzFile file = gzopen(path.c_str(), "wb");
    REQUIRE(file != nullptr);
    REQUIRE(gzwrite(file, text.data(), static_cast<unsigned>(text.size())) == static_cast<int>(text.size()));
    REQUIRE(gzclose(file) == Z_OK);
}

// The token that greedy decoding takes after `before` (prompt and answer so far), from raw logits, by the definitions.
int plain_choice(const float* logits, int vocab, const json& body, const std::vector<int>& prompt,
                 const std::vector<int>& generated) {
    std::vector<float> x(logits, logits + vocab);
    std::map<int, int> count;
    for (const int id : generated) ++count[id];
    std::set<int> seen(prompt.begin(), prompt.end());
    seen.insert(generated.begin(), generated.end());
    const auto setting = [&](const char* name, float otherwise) { return body.value(name, otherwise); };
    const float repetition = setting("repetition_penalty", 1);
    for (const int id : seen) {
        float& logit = x[static_cast<std::size_t>(id)];
        logit = logit > 0 ? logit / repetition : logit * repetition;
    }
    for (const auto& [id, times] : count) {
        float& logit = x[static_cast<std::size_t>(id)];
        const float frequency = setting("frequency_penalty", 0) * static_cast<float>(times);
        logit -= frequency;
        logit -= setting("presence_penalty", 0);
    }
    const json biases = body.value("logit_bias", json::object());
    for (const auto& [id, bias] : biases.items()) x[std::stoul(id)] += bias.get<float>();
    return static_cast<int>(std::max_element(x.begin(), x.end()) - x.begin());
}

}  // namespace

TEST_CASE("penalties and biases choose what a plain computation from the raw logits chooses") {
    const std::vector<json> settings = {{{"repetition_penalty", 1.5}},
                                        {{"repetition_penalty", 0.8}},
                                        {{"frequency_penalty", 1.5}},
                                        {{"frequency_penalty", -1}},
                                        {{"presence_penalty", 2}},
                                        {{"presence_penalty", -2}},
                                        {{"logit_bias", {{"11", 4.5}, {"13", -100}, {"46", 9}, {"900", 8}}}},
                                        {{"repetition_penalty", 1.25},
                                         {"frequency_penalty", 0.5},
                                         {"presence_penalty", 0.75},
                                         {"logit_bias", {{"13", 3}, {"258", -6.5}}}}};
    const TempDir temp;
    const char* prompts[] = {"One sunny day, a girl", "Q: 74 minus 10\nA:"};
    std::string lines;
    for (std::size_t i = 0; i < 2 * settings.size(); ++i) {
        json extra = settings[i / 2];
        extra.update({{"prompt", prompts[i % 2]}, {"ignore_eos", true}});
        lines += request_line("r" + std::to_string(i), {}, 24, extra);
    }
    lines += request_line("none", {}, 24, {{"prompt", prompts[0]}, {"ignore_eos", true}});
    write_text(temp.path() / "asked.jsonl", lines);
    run_well({temp.path() / "asked.jsonl"}, temp.path() / "asked", "--tp 2", 2);
    const auto asked = read_responses(temp.path() / "asked");

    std::string scored;
    for (const auto& [id, response] : asked) {
        auto ids = choice_of(response).at("prompt_token_ids").get<std::vector<int>>();
        const auto generated = choice_of(response).at("token_ids").get<std::vector<int>>();
        ids.insert(ids.end(), generated.begin(), generated.end());
        scored += request_line(id, ids, 0);
    }
    write_text(temp.path() / "scored.jsonl", scored);
    run_well({temp.path() / "scored.jsonl"}, temp.path() / "scored", "--record logits");
    const auto record = read_record(temp.path() / "scored/record");
    int differ = 0;
    for (std::size_t i = 0; i < 2 * settings.size(); ++i) {
        const std::string id = "r" + std::to_string(i);
        const RecordedRequest& recorded = record.at(id);
        const auto prompt = choice_of(asked.at(id)).at("prompt_token_ids").get<std::vector<int>>();
        const auto ids = choice_of(asked.at(id)).at("token_ids").get<std::vector<int>>();
        REQUIRE(ids.size() == 24);
        const int vocab = static_cast<int>(recorded.logits.size() / recorded.tokens.size());
        for (std::size_t step = 0; step < ids.size(); ++step) {
            INFO(settings[i / 2].dump() << ", step " << step);
            const float* row = recorded.logits.data() + (prompt.size() + step - 1) * static_cast<std::size_t>(vocab);
            const std::vector<int> before(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(step));
            REQUIRE(ids[step] == plain_choice(row, vocab, settings[i / 2], prompt, before));
            differ += ids[step] != plain_choice(row, vocab, json::object(), prompt, before) ? 1 : 0;
        }
        // Reported is the raw distribution: what scoring the same tokens reports.
        const json& logprobs = choice_of(asked.at(id)).at("logprobs").at("token_logprobs");
        CHECK(logprobs.size() == ids.size());
    }
    CHECK(differ > 50);  // the settings are about something
}

TEST_CASE("a repetition penalty in generation_config.json is a default that a line may overrule") {
    const TempDir temp;
    fs::create_directory(temp.path() / "model");
    for (const char* file : {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"})
        fs::create_symlink(demo() / file, temp.path() / "model" / file);
    json config = json::parse(read_text(demo() / "generation_config.json"));
    config["repetition_penalty"] = 1.5;
    write_text(temp.path() / "model/generation_config.json", config.dump());
    const auto lines = [](const json& extra) {
        std::string text;
        json body = {{"prompt", "Once upon a time, a girl and a boy"}, {"logprobs", nullptr}};
        body.update(extra);
        return request_line("a", {}, 40, body);
    };
    write_text(temp.path() / "silent.jsonl", lines(json::object()));
    write_text(temp.path() / "says.jsonl", lines({{"repetition_penalty", 1.5}}));
    write_text(temp.path() / "off.jsonl", lines({{"repetition_penalty", 1}}));
    run_well({temp.path() / "silent.jsonl"}, temp.path() / "d", "", 0, temp.path() / "model");
    run_well({temp.path() / "says.jsonl"}, temp.path() / "e", "");
    run_well({temp.path() / "off.jsonl"}, temp.path() / "f", "", 0, temp.path() / "model");
    run_well({temp.path() / "silent.jsonl"}, temp.path() / "g", "");
    const auto choice = [&](const char* run) { return choice_of(read_responses(temp.path() / run).at("a")); };
    CHECK(choice("d") == choice("e"));
    CHECK(choice("f") == choice("g"));
    CHECK(choice("d") != choice("f"));
}

TEST_CASE("a scored prompt has the log probabilities that its tokens had when they were generated") {
    const TempDir temp;
    std::string lines;
    for (int i = 0; i < 6; ++i) {
        lines += request_line("g" + std::to_string(i), {}, 30,
                              {{"prompt", "One sunny day, a girl named Ruby went to the lake with her dog and"},
                               {"temperature", 1},
                               {"seed", i},
                               {"ignore_eos", true},
                               {"logprobs", 4}});
    }
    write_text(temp.path() / "asked.jsonl", lines);
    run_well({temp.path() / "asked.jsonl"}, temp.path() / "asked", "");
    const auto asked = read_responses(temp.path() / "asked");
    lines.clear();
    for (const auto& [id, response] : asked) {
        auto ids = choice_of(response).at("prompt_token_ids").get<std::vector<int>>();
        const auto generated = choice_of(response).at("token_ids").get<std::vector<int>>();
        ids.insert(ids.end(), generated.begin(), generated.end());
        lines += request_line(id + "-go", ids, 3);  // fills the prefix cache: scoring must not take from it
        lines += request_line(id, ids, 0, {{"echo", true}, {"logprobs", 4}, {"n", 2}});
        lines += request_line(id + "-quiet", ids, 0, {{"logprobs", nullptr}});
        lines += request_line(id + "-echo", ids, 0, {{"echo", true}, {"logprobs", nullptr}});
        lines += request_line(id + "-end", ids, 0);
        lines += request_line(id + "-one", {ids[0]}, 0, {{"echo", true}, {"logprobs", 2}});
    }
    write_text(temp.path() / "scored.jsonl", lines);
    std::string first;
    for (const auto& [ranks, options] : std::vector<std::pair<int, std::string>>{
             {0, "--max-rows 40"}, {2, "--tp 2"}, {2, "--dp 2 --max-rows 16"}, {0, "--prefix-cache off"}}) {
        INFO(ranks << " ranks " << options);
        const fs::path run_dir = temp.path() / ("scored" + std::to_string(ranks) + options.substr(2, 2));
        run_well({temp.path() / "scored.jsonl"}, run_dir, options, ranks);
        if (first.empty()) {
            first = read_text(run_dir / "responses.jsonl");
            CHECK(read_report(run_dir).at("witness").at("prefix_hits").get<int>() > 0);
        }
        CHECK((read_text(run_dir / "responses.jsonl") == first));
        const auto scored = read_responses(run_dir);
        for (const auto& [id, response] : asked) {
            INFO(id);
            const json& generated = choice_of(response).at("logprobs");
            const std::size_t begin = choice_of(response).at("prompt_token_ids").size();
            for (const std::size_t sample : {0U, 1U}) {
                const json& choice = choice_of(scored.at(id), sample);
                const json& all = choice.at("logprobs");
                CHECK(choice.at("finish_reason") == "length");
                CHECK(choice.at("token_ids").empty());
                REQUIRE(all.at("tokens").size() == begin + generated.at("tokens").size());
                CHECK(all.at("token_logprobs").at(0).is_null());
                CHECK(all.at("top_logprobs").at(0).is_null());
                for (const char* list : {"tokens", "token_logprobs", "top_logprobs"}) {
                    const std::vector<json> tail(all.at(list).begin() + static_cast<std::ptrdiff_t>(begin),
                                                 all.at(list).end());
                    CHECK(json(tail) == generated.at(list));
                }
            }
            const json& quiet = choice_of(scored.at(id + "-quiet"));
            CHECK(quiet.at("text") == "");
            CHECK(quiet.at("logprobs").is_null());
            CHECK(quiet.at("finish_reason") == "length");
            CHECK(scored.at(id + "-quiet").at("response").at("body").at("usage").at("completion_tokens") == 0);
            CHECK(choice_of(scored.at(id + "-echo")).at("text") == choice_of(scored.at(id)).at("text"));
            CHECK(choice_of(scored.at(id + "-end")).at("logprobs").at("tokens").empty());
            const json& one = choice_of(scored.at(id + "-one")).at("logprobs");
            CHECK(one.at("tokens") == json::array({choice_of(scored.at(id)).at("logprobs").at("tokens").at(0)}));
            CHECK(one.at("token_logprobs") == json::array({nullptr}));
        }
    }
}

TEST_CASE("ignore_eos goes on past the end of the text, through the same tokens") {
    const TempDir temp;
    const json asked = {{"prompt", "Q: 74 minus 10\nA:"}};
    json on = asked;
    on["ignore_eos"] = true;
    write_text(temp.path() / "r.jsonl", request_line("ends", {}, 60, asked) + request_line("goes-on", {}, 60, on));
    run_well({temp.path() / "r.jsonl"}, temp.path() / "run", "--dp 2", 2);
    const auto responses = read_responses(temp.path() / "run");
    const json& ends = choice_of(responses.at("ends"));
    const json& goes_on = choice_of(responses.at("goes-on"));
    CHECK(ends.at("finish_reason") == "stop");
    CHECK(goes_on.at("finish_reason") == "length");
    const auto short_ids = ends.at("token_ids").get<std::vector<int>>();
    const auto long_ids = goes_on.at("token_ids").get<std::vector<int>>();
    REQUIRE(short_ids.size() < 60);
    REQUIRE(long_ids.size() == 60);
    CHECK(std::equal(short_ids.begin(), short_ids.end(), long_ids.begin()));
}

TEST_CASE("text, gzip and several files are the same requests as JSON lines in one file") {
    const TempDir temp;
    const std::vector<std::string> prompts = {"One sunny day, a girl", "Q: 74 minus 10", "{\"prompt\": 5}",
                                              "Tom said \"hi\"", "In the beginning"};
    std::string lines, text;
    for (const std::string& prompt : prompts) {
        lines += json{{"prompt", prompt}}.dump() + "\n";
        text += prompt + "\n";
    }
    const fs::path at = temp.path();
    write_text(at / "all.jsonl", lines);
    write_text(at / "all.txt", text);
    const std::size_t cut = lines.find('\n', lines.find('\n') + 1) + 1;
    write_text(at / "one.jsonl", "\xef\xbb\xbf" + lines.substr(0, cut));
    write_gzip(at / "two.jsonl.gz", lines.substr(cut));
    write_gzip(at / "all.txt.gz", text);
    run_well({at / "all.jsonl"}, at / "a", "");
    run_well({at / "all.txt"}, at / "b", "--input-format text");
    run_well({at / "one.jsonl", at / "two.jsonl.gz"}, at / "c", "--tp 2", 2);
    run_well({at / "all.txt.gz"}, at / "d", "--input-format text --dp 2", 2);
    const std::string wanted = read_text(at / "a/responses.jsonl");
    CHECK(read_responses(at / "a").size() == 5);
    CHECK(read_responses(at / "a").count("line-5") == 1);
    for (const char* run : {"b", "c", "d"}) {
        INFO(run);
        CHECK((read_text(at / run / "responses.jsonl") == wanted));
    }
}

TEST_CASE("slices together are the whole, and a run directory belongs to one of them") {
    const TempDir temp;
    const fs::path at = temp.path();
    std::string lines;
    for (int i = 0; i < 11; ++i) {
        lines += i == 4
                     ? "{\"prompt\": \"x\", \"max_tokens\": -1}\n"
                     : json{{"prompt", "One sunny day, a girl"}, {"temperature", 1}, {"max_tokens", 8}}.dump() + "\n";
        if (i == 2) lines += "\n";  // a blank line is no request, and counts as a line
    }
    write_text(at / "r.jsonl", lines);
    run_well({at / "r.jsonl"}, at / "whole", "");
    std::string joined;
    for (int i = 0; i < 3; ++i) {
        const std::string run = "slice" + std::to_string(i);
        run_well({at / "r.jsonl"}, at / run, "--slice " + std::to_string(i) + "/3" + (i == 1 ? " --dp 2" : ""),
                 i == 1 ? 2 : 0);
        joined += read_text(at / run / "responses.jsonl");
    }
    CHECK((joined == read_text(at / "whole/responses.jsonl")));
    CHECK(read_responses(at / "slice2").count("line-12") == 1);
    CHECK(read_responses(at / "whole").at("line-6").at("error").at("line") == 6);

    run_well({at / "r.jsonl"}, at / "first", "--slice 1/3 --limit 2");
    const auto first = read_responses(at / "first");
    CHECK(first.size() == 2);
    CHECK(first.count("line-5") == 1);
    CHECK(first.count("line-6") == 1);

    run_well({at / "r.jsonl"}, at / "empty", "--slice 0/40");
    CHECK(read_text(at / "empty/responses.jsonl").empty());

    const ProgramResult other = run_files({at / "r.jsonl"}, at / "slice0", "--slice 1/3");
    CHECK(other.status == 64);
    CHECK_THAT(other.err, Contains("slice") && Contains("0/3") && Contains("1/3"));
    const ProgramResult wrong = run_files({at / "r.jsonl"}, at / "wrong", "--slice 3/3");
    CHECK(wrong.status == 64);
    CHECK_THAT(wrong.err, Contains("--slice is \"3/3\""));
    CHECK_FALSE(fs::exists(at / "wrong"));
}
