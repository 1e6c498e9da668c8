// Every published configuration, as a checkpoint that looks like the released one: real tensor names, layouts and
// number formats, sizes scaled down, random weights. Each is inspected, loaded and run.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <iostream>

#include "runtime/forward/recorder.hpp"
#include "tests/launch/run_program.hpp"
#include "tests/support/shared_data.hpp"

using namespace argosy::test;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

std::vector<fs::path> published_configs() {
    std::vector<fs::path> configs;
    for (const fs::directory_entry& entry : fs::directory_iterator(*shared_dir() / "model-configs")) {
        if (entry.path().extension() == ".json") configs.push_back(entry.path());
    }
    std::sort(configs.begin(), configs.end());
    return configs;
}

// Makes the folder; returns the number of parameters that were written.
std::string make_checkpoint(const fs::path& config, const fs::path& folder) {
    const std::string command =
        fmt::format("python3 '{}' '{}' '{}' --tokenizer '{}' > '{}.txt'",
                    (source_dir() / "tests/support/make_checkpoint.py").string(), config.string(), folder.string(),
                    (source_dir() / "configs/demo/tokenizer.json").string(), folder.string());
    REQUIRE(std::system(command.c_str()) == 0);
    const std::string said = read_text(folder.string() + ".txt");
    return said.substr(said.find(' ') + 1, said.find('\n') - said.find(' ') - 1);
}

std::string inspected_parameters(const fs::path& model) {
    ProgramCall call;
    call.arguments = {"inspect", "--model", model.string()};
    const ProgramResult result = run_program(call);
    INFO(result.err);
    REQUIRE(result.status == 0);
    std::string line = result.out.substr(result.out.find("\nparameters") + 11);
    line.resize(line.find('('));
    std::erase_if(line, [](char c) { return c == ' ' || c == ','; });
    return line;
}

std::string requests() {
    std::string lines;
    for (int i = 0; i < 4; ++i) {
        std::vector<int> prompt;
        for (int j = 0; j < 5 + 30 * i; ++j) prompt.push_back(3 + (j * 31 + i * 7) % 500);
        lines += request_line("r" + std::to_string(i), prompt, 8, {{"logprobs", 1}, {"ignore_eos", true}});
    }
    return lines;
}

struct Run {
    std::string responses;
    std::vector<float> mtp;
};

Run run_model(const fs::path& model, const std::string& options, int ranks) {
    INFO(options << ", " << ranks << " ranks");
    const TempDir temp;
    const ProgramResult result = run_program(run_call(temp.path(), model, requests(), options, ranks));
    INFO(result.err);
    REQUIRE(result.status == 0);
    Run run{read_text(temp.path() / "run/responses.jsonl"), {}};
    for (const auto& [id, response] : read_responses(temp.path() / "run")) {
        INFO(response.dump());
        REQUIRE(response.at("error").is_null());
        const json& choice = response.at("response").at("body").at("choices").at(0);
        CHECK(choice.at("token_ids").size() == 8);
        for (const json& logprob : choice.at("logprobs").at("token_logprobs")) {
            REQUIRE(logprob.is_number());  // NaN and infinity are null in JSON
            CHECK(logprob < 0);
        }
    }
    if (fs::exists(temp.path() / "run/record"))
        run.mtp = argosy::read_record(temp.path() / "run/record").at("r3").mtp_logits;
    return run;
}

}  // namespace

TEST_CASE("a checkpoint as released, of every published configuration, is loaded and run") {
    if (!have_shared("model-configs", "checkpoints of published configurations")) return;
    const std::vector<fs::path> configs = published_configs();
    CHECK(configs.size() == 18);
    for (const fs::path& config : configs) {
        INFO(config.filename());
        const TempDir temp;
        const fs::path model = temp.path() / "model";
        const std::string parameters = make_checkpoint(config, model);
        CHECK(inspected_parameters(model) == parameters);
        const Run alone = run_model(model, "--numerics exact", 0);
        CHECK(run_model(model, "--numerics exact --tp 2", 2).responses == alone.responses);
        run_model(model, "--numerics int8", 0);
        const json content = json::parse(read_text(model / "config.json"));
        const bool predicts = content.value("num_nextn_predict_layers", 0) > 0;
        if (predicts) {
            const Run further = run_model(model, "--numerics exact --record mtp --tp 2 --etp 2", 2);
            CHECK(further.responses == alone.responses);
            CHECK(further.mtp.size() == 94 * 512);
            for (const float logit : further.mtp) REQUIRE(std::isfinite(logit));
        }
        const json quantised = content.value("quantization_config", json::object());
        std::cout << config.stem().string() << ": " << content.at("model_type").get<std::string>() << ", "
                  << quantised.value("quant_method", "bf16") << ", " << parameters << " parameters"
                  << (predicts ? ", predictor" : "") << "\n";
    }
}
