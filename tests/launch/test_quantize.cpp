// argosy quantize: what it writes gives the bits of --weights-as and of its decoded twin, on every rank count and in
// all numerics; other files come along; mistakes and full disks leave nothing.
#include <catch2/catch.hpp>
#include <set>

#include "runtime/forward/recorder.hpp"
#include "runtime/model/checkpoint.hpp"
#include "tests/launch/mistakes.hpp"

using namespace argosy;
using namespace argosy::test;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

// Eight requests of each kind that the demo job has.
std::string some_requests() {
    std::string text;
    int line_number = 0;
    std::istringstream lines(read_text(demo() / "requests.jsonl"));
    for (std::string line; std::getline(lines, line); ++line_number) {
        if (line_number % 9 == 0) text += line + "\n";
    }
    return text;
}

ProgramResult quantize(const Place& place, const fs::path& model, const std::string& format, const fs::path& output,
                       const std::vector<std::string>& more = {}) {
    std::vector<std::string> words = {"quantize", "--model",  model.string(), "--weights-as",
                                      format,     "--output", output.string()};
    words.insert(words.end(), more.begin(), more.end());
    return run_program(call_at(place, 0, words));
}

// The answers of a model, whose folder is called demo wherever it stands.
std::string answers(const Place& place, const fs::path& model, const std::string& options, int ranks = 0) {
    static int runs = 0;
    const fs::path run = place.work / ("run" + std::to_string(runs++));
    std::vector<std::string> words = {"run",       "--model",   model.string(), "--input", place.at("in.jsonl"),
                                      "--run-dir", run.string()};
    for (const std::string& word : words_of(options)) words.push_back(word);
    const ProgramResult result = run_program(call_at(place, ranks, words));
    INFO(options << "\n" << result.err);
    REQUIRE(result.status == 0);
    return read_text(run / "responses.jsonl");
}

// Ids and choices of a benchmark with the model in place.work / model.
json bench_choices(const Place& place, const std::string& model, const std::vector<std::string>& more) {
    const fs::path run = place.work / "bench";
    fs::remove_all(run);
    std::vector<std::string> words = {"bench",           "--requests", "3",       "--input-tokens", "9",
                                      "--output-tokens", "5",          "--model", place.at(model),  "--run-dir",
                                      run.string()};
    words.insert(words.end(), more.begin(), more.end());
    const ProgramResult done = run_program(call_at(place, 0, words));
    INFO(done.err);
    REQUIRE(done.status == 0);
    json choices = json::array();
    for (const auto& [id, response] : read_responses(run))
        choices.push_back({id, response["response"]["body"]["choices"]});
    REQUIRE(choices.size() == 3);
    return choices;
}

}  // namespace

TEST_CASE("a quantised model gives the bits of --weights-as, and those of its decoded twin") {
    const Place place;
    write_text(place.work / "in.jsonl", some_requests());
    std::set<std::string> seen;
    for (const std::string format : {"fp8", "int8", "mxfp4", "nvfp4"}) {
        INFO(format);
        const fs::path written = place.work / format / "demo", twin = place.work / (format + "-twin") / "demo";
        fs::create_directories(written.parent_path());
        fs::create_directories(twin.parent_path());
        ProgramResult result = quantize(place, demo(), format, written);
        INFO(result.err);
        REQUIRE(result.status == 0);
        CHECK(result.out.find("260 matrices as " + format) != std::string::npos);
        result = quantize(place, written, "f32", twin);
        REQUIRE(result.status == 0);
        CHECK(fs::file_size(twin / "model.safetensors") > 3 * fs::file_size(written / "model.safetensors"));

        const std::string want = answers(place, demo(), "--weights-as " + format);
        CHECK((answers(place, written, "") == want));
        CHECK((answers(place, written, "--tp 2 --etp 2", 2) == want));
        CHECK((answers(place, twin, "") == want));
        for (const std::string numerics : {"--numerics bf16", "--numerics int8"})
            CHECK((answers(place, written, numerics) == answers(place, twin, numerics)));
        CHECK(seen.insert(want).second);
    }
}

TEST_CASE("plain formats: bf16 as it was gives the same model, in whatever number of files") {
    const Place place;
    write_text(place.work / "in.jsonl", some_requests());
    fs::create_directories(place.work / "copy");
    const fs::path copy = place.work / "copy/demo";
    REQUIRE(quantize(place, demo(), "bf16", copy).status == 0);
    CHECK((answers(place, copy, "") == answers(place, demo(), "")));
    const json config = json::parse(read_text(copy / "config.json"));
    CHECK(config == json::parse(read_text(demo() / "config.json")));
    for (const char* name : {"tokenizer.json", "generation_config.json", "tokenizer_config.json"})
        CHECK((read_text(copy / name) == read_text(demo() / name)));
    CHECK_FALSE(fs::exists(place.work / "copy/demo.partial"));
    check_nothing_left(place);
}

TEST_CASE("a predictor comes along, and predicts as one that is encoded when it is loaded") {
    if (!have_shared("models-tiny/deepseek_v3", "a quantised predictor")) return;
    const fs::path tiny = *shared_dir() / "models-tiny/deepseek_v3";
    const Place place;
    write_text(place.work / "in.jsonl", request_line("a", {1, 5, 9, 7, 30}, 2));
    const fs::path output = place.work / "deepseek_v3";
    REQUIRE(quantize(place, tiny, "int8", output).status == 0);
    const auto predicted = [&](const fs::path& model, const std::string& run, const std::vector<std::string>& more) {
        std::vector<std::string> words =
            run_words(place, run, "in.jsonl", {"--model", model.string(), "--record", "mtp"});
        words.insert(words.end(), more.begin(), more.end());
        const ProgramResult result = run_program(call_at(place, 0, words));
        INFO(result.err);
        REQUIRE(result.status == 0);
        return read_record(place.work / run / "record").at("a").mtp_logits;
    };
    const std::vector<float> written = predicted(output, "written", {});
    CHECK(written.size() == 4 * 512);
    CHECK(written == predicted(tiny, "encoded", {"--weights-as", "int8"}));
    CHECK(written != predicted(tiny, "plain", {}));
}

TEST_CASE("random weights need no checkpoint, and are those of bench") {
    const Place place;
    fs::create_directories(place.work / "model");
    for (const char* name : {"config.json", "tokenizer.json"})
        fs::copy_file(demo() / name, place.work / "model" / name);
    const ProgramResult result =
        quantize(place, place.work / "model", "nvfp4", place.work / "out", {"--weights", "random:7"});
    INFO(result.err);
    REQUIRE(result.status == 0);
    const Checkpoint checkpoint = open_checkpoint(place.work / "out");
    int codes = 0;
    for (const StoredTensor& tensor : checkpoint.tensors) codes += tensor.dtype == DType::u8 ? 1 : 0;
    CHECK(codes == 260);
    const json config = json::parse(read_text(place.work / "out/config.json"));
    CHECK(config.at("quantization_config").at("quant_algo") == "NVFP4");
    CHECK(json::parse(read_text(place.work / "out/hf_quant_config.json"))["quantization"]["group_size"] == 16);
    CHECK((bench_choices(place, "out", {}) ==
           bench_choices(place, "model", {"--weights", "random:7", "--weights-as", "nvfp4"})));
}

TEST_CASE("matrices of many pieces are written whole") {
    const Place place;
    fs::create_directories(place.work / "model");
    fs::copy_file(demo() / "tokenizer.json", place.work / "model/tokenizer.json");
    json config = json::parse(read_text(demo() / "config.json"));
    config["num_hidden_layers"] = 1;
    config["hidden_size"] = 768;
    config["moe_intermediate_size"] = 5000;  // 7.7 MB of bf16 in a matrix, its last block of 128 rows cut off
    config["num_experts"] = 2;
    config["num_experts_per_tok"] = 1;
    write_text(place.work / "model/config.json", config.dump());
    for (const std::string format : {"fp8", "int8", "mxfp4", "nvfp4"}) {
        INFO(format);
        const ProgramResult result =
            quantize(place, place.work / "model", format, place.work / format, {"--weights", "random:3"});
        INFO(result.err);
        REQUIRE(result.status == 0);
        CHECK((bench_choices(place, format, {}) ==
               bench_choices(place, "model", {"--weights", "random:3", "--weights-as", format})));
    }
}

TEST_CASE("mistakes of quantize are sentences, and leave nothing") {
    const auto with_model = [](const Place& place) {
        fs::create_directories(place.work / "there");
        fs::create_directories(place.work / "empty");
        fs::create_directories(place.work / "busy.partial");
        write_text(place.work / "empty/config.json", read_text(demo() / "config.json"));
    };
    const std::string model = demo().string();
    const std::vector<std::string> words = {"quantize", "--model", model, "--weights-as", "fp8", "--output"};
    const auto with = [&](std::vector<std::string> more) {
        std::vector<std::string> all = words;
        all.insert(all.end(), more.begin(), more.end());
        return all;
    };
    check_mistakes({
        {"no model", {"quantize", "--weights-as", "fp8", "--output", "{x}"}, 64, {"--model"}},
        {"no format", {"quantize", "--model", model, "--output", "{x}"}, 64, {"--weights-as"}},
        {"no output", {"quantize", "--model", model, "--weights-as", "fp8"}, 64, {"--output"}},
        {"unknown format", {"quantize", "--model", model, "--weights-as", "fp4", "--output", "{x}"}, 64, {"mxfp4"}},
        {"slip", with({"{x}", "--weight", "1"}), 64, {"Did you mean"}},
        {"a word alone", with({"{x}", "more"}), 64, {"a word stands alone"}},
        {"output exists", with({"{there}"}), 64, {"there exists", "--output"}, with_model},
        {"interrupted", with({"{busy}"}), 64, {"busy.partial exists", "Remove it"}, with_model},
        {"nowhere", with({"/nowhere/x"}), 64, {"/nowhere/x.partial cannot be made", "--output"}},
        {"no weights",
         {"quantize", "--model", "{empty}", "--weights-as", "fp8", "--output", "{x}"},
         64,
         {"model.safetensors"},
         with_model},
        {"no seed", with({"{x}", "--weights", "random"}), 64, {"random:SEED"}},
    });
}

TEST_CASE("a full disk ends quantize with a sentence, and what it had written is gone") {
    for (const char* limit : {"--fsize=100000", "--fsize=2000", "--fsize=600000"}) {
        const Place place;
        ProgramCall call = call_at(
            place, 0, {"quantize", "--model", demo().string(), "--weights-as", "int8", "--output", place.at("out")});
        call.before = {"prlimit", limit};
        const ProgramResult result = run_program(call);
        INFO(limit << ": " << result.err);
        CHECK(result.status == 70);
        CHECK(sentences_of(result).size() == 1);
        CHECK(result.err.find("model.safetensors cannot be written: File too large") != std::string::npos);
        CHECK(files_under(place.work).empty());
        check_nothing_left(place);
    }
}
