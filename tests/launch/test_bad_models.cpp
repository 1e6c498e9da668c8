// Model folders that are missing, cut, damaged or of a kind that is not served: one sentence before anything is
// written, alone and on 2 ranks; and what published folders hold beside the weights does no harm.
#include <catch2/catch.hpp>
#include <cstdint>
#include <cstring>

#include "tests/launch/mistakes.hpp"

using namespace argosy;
using namespace argosy::test;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

using Prepare = std::function<void(const Place&)>;

Prepare cut_to(std::uintmax_t bytes) {
    return [bytes](const Place& place) {
        copy_demo(place);
        fs::resize_file(place.work / "model/model.safetensors", bytes);
    };
}

Prepare without(const std::string& file) {
    return [file](const Place& place) {
        copy_demo(place);
        fs::remove(place.work / "model" / file);
    };
}

// The demo model with another file of this name.
Prepare with_file(const std::string& file, const std::string& text) {
    return [file, text](const Place& place) {
        copy_demo(place);
        write_text(place.work / "model" / file, text);
    };
}

// The demo model whose tokenizer.json is gone and which has this file instead.
Prepare with_other_tokenizer(const std::string& file, const std::string& bytes) {
    return [file, bytes](const Place& place) {
        without("tokenizer.json")(place);
        write_text(place.work / "model" / file, bytes);
    };
}

Prepare with_json(const std::string& file, const std::function<void(json&)>& change) {
    return [file, change](const Place& place) {
        copy_demo(place);
        json content = json::parse(read_text(demo() / file));
        change(content);
        write_text(place.work / "model" / file, content.dump());
    };
}

Prepare with_config(const std::function<void(json&)>& change) { return with_json("config.json", change); }

// A safetensors file in its two parts.
struct Weights {
    std::string header, data;
};

Weights demo_weights() {
    const std::string bytes = read_text(demo() / "model.safetensors");
    std::uint64_t length = 0;
    std::memcpy(&length, bytes.data(), sizeof length);
    return {bytes.substr(8, length), bytes.substr(8 + length)};
}

void write_weights(const fs::path& path, const Weights& weights) {
    const std::uint64_t length = weights.header.size();
    std::string bytes(sizeof length, '\0');
    std::memcpy(bytes.data(), &length, sizeof length);
    write_text(path, bytes + weights.header + weights.data);
}

Prepare with_weights(const std::function<void(Weights&)>& change) {
    return [change](const Place& place) {
        copy_demo(place);
        Weights weights = demo_weights();
        change(weights);
        write_weights(place.work / "model/model.safetensors", weights);
    };
}

Prepare with_header(const std::function<void(json&)>& change) {
    return with_weights([change](Weights& weights) {
        json header = json::parse(weights.header);
        change(header);
        weights.header = header.dump();
    });
}

void shift(json& tensor, std::int64_t bytes) {
    for (json& offset : tensor.at("data_offsets")) offset = offset.get<std::int64_t>() + bytes;
}

// Adds a BF16 tensor of 128 elements behind the others.
void add_tensor(Weights& weights, const std::string& name) {
    json header = json::parse(weights.header);
    header[name] = {
        {"dtype", "BF16"}, {"shape", {128}}, {"data_offsets", {weights.data.size(), weights.data.size() + 256}}};
    weights.header = header.dump();
    weights.data += std::string(256, '\0');
}

// The demo's weights as two equal files named one and two, with an index that `change` may spoil.
Prepare with_index(const std::function<void(json&)>& change) {
    return [change](const Place& place) {
        copy_demo(place);
        fs::rename(place.work / "model/model.safetensors", place.work / "model/one.safetensors");
        json index = {{"metadata", json::object()}, {"weight_map", json::object()}};
        const json header = json::parse(demo_weights().header);
        for (const auto& [name, tensor] : header.items()) {
            if (name != "__metadata__") index["weight_map"][name] = "one.safetensors";
        }
        change(index);
        write_text(place.work / "model/model.safetensors.index.json", index.dump());
    };
}

const char* const kNorm = "model.layers.0.input_layernorm.weight";

std::vector<Mistake> folders() {
    const std::vector<std::string> run = run_with({"--model", "{model}"});
    return {
        {"no model there", run_with({"--model", "{nowhere}"}), 64, {"nowhere", "does not exist"}},
        {"a folder without a model",
         run,
         64,
         {"model", "config.json"},
         [](const Place& place) { fs::create_directories(place.work / "model"); }},
        {"a config.json that is not JSON",
         run,
         64,
         {"model/config.json", "not valid JSON"},
         with_file("config.json", "{\"architectures\": [")},
        {"a config.json without a width",
         run,
         64,
         {"model/config.json", "\"hidden_size\" is missing"},
         with_config([](json& c) { c.erase("hidden_size"); })},
        {"a config.json without layers",
         run,
         64,
         {"model/config.json", "\"num_hidden_layers\" is missing"},
         with_config([](json& c) { c.erase("num_hidden_layers"); })},
        {"a config.json without heads",
         run,
         64,
         {"model/config.json", "\"num_attention_heads\" is missing"},
         with_config([](json& c) { c.erase("num_attention_heads"); })},
        {"a config.json without a vocabulary",
         run,
         64,
         {"model/config.json", "\"vocab_size\" is missing"},
         with_config([](json& c) { c.erase("vocab_size"); })},
        {"a config.json with a word for a number",
         run,
         64,
         {"model/config.json", "\"hidden_size\""},
         with_config([](json& c) { c["hidden_size"] = "wide"; })},
        {"an architecture that is not known",
         run,
         64,
         {"GPT2LMHeadModel", "Qwen3MoeForCausalLM", "Qwen3ForCausalLM", "MixtralForCausalLM", "LlamaForCausalLM"},
         with_config([](json& c) { c["architectures"] = {"GPT2LMHeadModel"}; })},
        {"KV heads that do not divide the heads",
         run,
         64,
         {"num_key_value_heads", "is 3", "must divide"},
         with_config([](json& c) { c["num_key_value_heads"] = 3; })},
        {"heads that do not divide the width",
         run,
         64,
         {"num_attention_heads", "is 6", "must divide hidden_size"},
         with_config([](json& c) {
             c["num_attention_heads"] = 6;
             c["head_dim"] = nullptr;
         })},
        {"an end token beyond the vocabulary",
         run,
         64,
         {"model/config.json", "eos_token_id", "2048"},
         with_config([](json& c) { c["eos_token_id"] = 2048; })},
        {"a generation_config.json with such an end token",
         run,
         64,
         {"model/generation_config.json", "eos_token_id"},
         with_json("generation_config.json",
                   [](json& c) {
                       c["eos_token_id"] = {1, 999999};
                   })},
        {"a size that the tensors do not have",
         run,
         64,
         {"model.safetensors", "config.json makes it"},
         with_config([](json& c) { c["moe_intermediate_size"] = 96; })},

        {"no weights", run, 64, {"model", "neither model.safetensors nor"}, without("model.safetensors")},
        {"empty weights", run, 64, {"model/model.safetensors", "has 0 bytes"}, cut_to(0)},
        {"weights cut in their header", run, 64, {"model/model.safetensors", "announces a header of"}, cut_to(1000)},
        {"weights cut in their data", run, 64, {"model/model.safetensors", "cut off"}, cut_to(4000000)},
        {"a header longer than its file",
         run,
         64,
         {"model/model.safetensors", "announces a header of 9000000"},
         [](const Place& place) {
             copy_demo(place);
             std::string bytes = read_text(demo() / "model.safetensors");
             const std::uint64_t length = 9000000;
             std::memcpy(bytes.data(), &length, sizeof length);
             write_text(place.work / "model/model.safetensors", bytes);
         }},
        {"the pointer of a file that was not fetched",
         run,
         64,
         {"not a safetensors file"},
         with_file("model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 5004384\n")},
        {"a header that is not JSON",
         run,
         64,
         {"model/model.safetensors", "not valid JSON"},
         with_weights([](Weights& w) { w.header[40] = '\x01'; })},
        {"tensors that overlap", run, 64, {"model/model.safetensors", "overlap at byte"}, with_header([](json& h) {
             shift(h.at(kNorm), -256);
         })},
        {"a tensor at an odd byte",
         run,
         64,
         {"model/model.safetensors", "not a multiple of the 2 bytes"},
         with_header([](json& h) { shift(h.at(kNorm), 1); })},
        {"bytes that belong to no tensor",
         run,
         64,
         {"model/model.safetensors", "belong to no tensor"},
         with_weights([](Weights& w) { w.data += "more"; })},
        {"a number format that nobody knows", run, 64, {kNorm, "\"C64\"", "not known"}, with_header([](json& h) {
             h.at(kNorm)["dtype"] = "C64";
         })},
        {"whole numbers for weights",
         run,
         64,
         {kNorm, "tensors of this kind must be bf16, f16 or f32"},
         with_header([](json& h) {
             h.at(kNorm).update({{"dtype", "U8"}, {"shape", {256}}});
         })},
        {"a tensor twice in a file", run, 64, {"model/model.safetensors", kNorm, "twice"}, with_weights([](Weights& w) {
             const std::string norm = "\"model.norm.weight\"";
             w.header.replace(w.header.find(norm), norm.size(), "\"" + std::string(kNorm) + "\"");
         })},
        {"a tensor twice in two files",
         run,
         64,
         {"The tensor model.", "stored twice", "one.safetensors", "two.safetensors"},
         [](const Place& place) {
             with_index([](json& index) { index["weight_map"][kNorm] = "two.safetensors"; })(place);
             fs::copy_file(place.work / "model/one.safetensors", place.work / "model/two.safetensors");
         }},
        {"a tensor that the model does not have",
         run,
         64,
         {"model.safetensors", "model.layers.0.mlp.gate.bias", "does not have"},
         with_weights([](Weights& w) { add_tensor(w, "model.layers.0.mlp.gate.bias"); })},
        {"a tensor that is missing", run, 64, {kNorm, "is in none of the"}, with_header([](json& h) {
             h["model.rotary_emb.inv_freq"] = h.at(kNorm);  // its bytes have an owner: only the name is gone
             h.erase(kNorm);
         })},
        {"a tensor of another shape",
         run,
         64,
         {kNorm, "[64, 2]", "config.json makes it [128]"},
         with_header([](json& h) {
             h.at(kNorm)["shape"] = {64, 2};
         })},
        {"an index that names a missing file",
         run,
         64,
         {"index.json", "three.safetensors", "Fetch the missing file"},
         with_index([](json& index) { index["weight_map"][kNorm] = "three.safetensors"; })},
        {"an index with a tensor that no file has",
         run,
         64,
         {"index.json", "model.more.weight", "no file holds it"},
         with_index([](json& index) { index["weight_map"]["model.more.weight"] = "one.safetensors"; })},
        {"an index without its map", run, 64, {"index.json", "weight_map"}, with_index([](json& index) {
             index.erase("weight_map");
         })},
        {"an index that leaves its folder", run, 64, {"index.json", "beside the index"}, with_index([](json& index) {
             index["weight_map"][kNorm] = "../one.safetensors";
         })},

        {"no tokenizer", run, 64, {"model/tokenizer.json"}, without("tokenizer.json")},
        {"a tokenizer of SentencePiece alone",
         run,
         64,
         {"model/tokenizer.json is not there", "model/tokenizer.model holds", "save_pretrained("},
         with_other_tokenizer("tokenizer.model", "\n\x0e")},
        {"a tokenizer of tiktoken alone",
         run,
         64,
         {"model/o200k.tiktoken holds", "save_pretrained("},
         with_other_tokenizer("o200k.tiktoken", "IQ== 0\n")},
        {"a tokenizer that is not JSON",
         run,
         64,
         {"model/tokenizer.json", "not valid JSON"},
         with_file("tokenizer.json", "{\"model\":")},
        {"a tokenizer of words",
         run,
         64,
         {"model/tokenizer.json", "\"WordPiece\"", "BPE"},
         with_json("tokenizer.json", [](json& t) { t["model"]["type"] = "WordPiece"; })},
        {"a tokenizer with a normalizer of another kind",
         run,
         64,
         {"model/tokenizer.json", "\"Lowercase\"", "knows"},
         with_json("tokenizer.json",
                   [](json& t) {
                       t["normalizer"] = {{"type", "Lowercase"}};
                   })},
    };
}

}  // namespace

TEST_CASE("a model folder that cannot be served gets one sentence, status 64, and leaves nothing") {
    check_mistakes(folders());
}

TEST_CASE("what published folders hold beside the weights changes nothing") {
    const Place place;
    write_text(place.work / "in.jsonl", steady_requests(3));
    copy_demo(place);
    REQUIRE(run_at(place, 0, run_words(place, "plain", "in.jsonl", {"--model", place.at("model")})).status == 0);
    Weights weights = demo_weights();
    add_tensor(weights, "model.layers.0.self_attn.rotary_emb.inv_freq");
    add_tensor(weights, "model.layers.1.self_attn.rotary_emb.inv_freq");
    add_tensor(weights, "lm_head.weight");  // the demo's embeddings are tied: a copy is never read
    write_weights(place.work / "model/model.safetensors", weights);
    write_text(place.work / "model/README.md", "# A model card");
    for (const int ranks : {0, 2}) {
        const std::string run = "run" + std::to_string(ranks);
        const ProgramResult result =
            run_at(place, ranks, run_words(place, run, "in.jsonl", {"--model", place.at("model")}));
        INFO(result.err);
        REQUIRE(result.status == 0);
        CHECK((read_text(place.work / run / "responses.jsonl") == read_text(place.work / "plain/responses.jsonl")));
    }
    check_nothing_left(place);
}

// Tokenizers do know more than their models, so that such a file is no mistake: the line is that brings such a token.
TEST_CASE("a tokenizer with tokens that the model does not know") {
    const Place place;
    with_json("tokenizer.json", [](json& t) {
        t["added_tokens"].push_back({{"id", 5000}, {"content", "<mine>"}});
    })(place);
    write_text(place.work / "in.jsonl",
               "{\"id\": \"a\", \"prompt\": \"<mine>\"}\n{\"id\": \"b\", \"prompt\": \"mine\"}\n");
    for (const int ranks : {0, 2}) {
        const std::string run = "run" + std::to_string(ranks);
        const ProgramResult result =
            run_at(place, ranks, run_words(place, run, "in.jsonl", {"--model", place.at("model")}));
        INFO(result.err);
        REQUIRE(result.status == 0);
        auto responses = read_responses(place.work / run);
        CHECK(responses.at("a").at("error").at("code") == "invalid_token_id");
        CHECK(responses.at("b").at("error").is_null());
    }
    check_nothing_left(place);
}

// The predictor of DeepSeek-V3 uses the model's own embedding and vocabulary projection, of which checkpoints hold
// copies: another one there would be another model.
TEST_CASE("a predictor with an embedding or projection of its own is refused where it runs") {
    if (!have_shared("models-tiny/deepseek_v3", "a predictor's copies")) return;
    const std::vector<std::pair<std::string, std::string>> copies = {
        {"model.layers.3.embed_tokens.weight", "model.embed_tokens.weight"},
        {"model.layers.3.shared_head.head.weight", "lm_head.weight"}};
    const auto asked = [](const Place& place, const std::string& run, const std::string& what) {
        return run_words(place, run, "in.jsonl", {"--model", place.at("model"), "--record", what});
    };
    for (const auto& [copy, original] : copies) {
        INFO(copy);
        const Place place;
        write_text(place.work / "in.jsonl", request_line("a", {1, 5, 9, 7}, 2));
        fs::copy(*shared_dir() / "models-tiny/deepseek_v3", place.work / "model");
        const fs::path file = place.work / "model/model.safetensors";
        fs::permissions(file, fs::perms::owner_write, fs::perm_options::add);
        std::string bytes = read_text(file);
        std::uint64_t header = 0;
        std::memcpy(&header, bytes.data(), sizeof header);
        const json tensors = json::parse(bytes.substr(8, header));
        bytes[8 + header + tensors.at(copy).at("data_offsets")[1].get<std::size_t>() - 1] ^= 1;
        write_text(file, bytes);
        CHECK(run_at(place, 0, asked(place, "without", "logits")).status == 0);
        for (const int ranks : {0, 2}) {
            const ProgramResult result = run_at(place, ranks, asked(place, "run" + std::to_string(ranks), "mtp"));
            INFO(result.err);
            CHECK(result.status == 64);
            const std::vector<std::string> sentences = sentences_of(result);
            REQUIRE(sentences.size() == 1);
            CHECK_THAT(sentences[0], Catch::Contains(copy + " is not the same as " + original));
        }
        check_nothing_left(place);
    }
    const Place place;
    write_text(place.work / "in.jsonl", request_line("a", {1, 5, 9, 7}, 2));
    copy_demo(place);
    const ProgramResult result = run_at(place, 2, asked(place, "run", "mtp"));
    CHECK(result.status == 64);
    CHECK_THAT(result.err, Catch::Contains("--record mtp: the model has no layer"));
    check_nothing_left(place);
}
