// Checkpoint files: good ones are read to the byte, and each way to be damaged has its sentence.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>
#include <catch2/catch.hpp>

#include <chrono>
#include <functional>
#include <random>
#include <thread>

#include "runtime/model/checkpoint.hpp"
#include "tests/runtime/model/model_samples.hpp"
#include "tests/support/shared_data.hpp"

using namespace argosy;
using test::FileTensor;
using test::sentence_of;

namespace {

// Three tensors of 12, 6 and 20 bytes.
const std::vector<FileTensor> kSmall = {
    {"a", "F32", {3}, 0, 12}, {"b", "BF16", {3, 1}, 12, 18}, {"c", "U8", {4, 5}, 18, 38}};
constexpr std::int64_t kSmallBytes = 38;

std::string sentence_for_header(const std::string& header, std::int64_t data_bytes) {
    const test::TempDir folder;
    test::write_safetensors(folder.path() / "model.safetensors", header, data_bytes);
    return sentence_of([&] { open_checkpoint(folder.path()); });
}

std::string sentence_for(std::vector<FileTensor> tensors, const std::function<void(std::vector<FileTensor>&)>& damage,
                         std::int64_t data_bytes = kSmallBytes) {
    damage(tensors);
    return sentence_for_header(test::header_json(tensors), data_bytes);
}

std::string index_json(const std::vector<std::pair<std::string, std::string>>& map) {
    std::string text = R"({"metadata":{"total_size":1},"weight_map":{)";
    for (const auto& [tensor, file] : map)
        text += fmt::format(R"({}"{}":"{}")", text.back() == '{' ? "" : ",", tensor, file);
    return text + "}}";
}

}  // namespace

TEST_CASE("a file's tensors are found in order of offset, and their bytes are read and counted") {
    const test::TempDir folder;
    const std::vector<FileTensor> shuffled = {kSmall[2], kSmall[0], kSmall[1]};
    test::write_safetensors(folder.path() / "model.safetensors", test::header_json(shuffled) + "   ", kSmallBytes);
    const CheckpointHeaders headers = read_checkpoint_headers(folder.path());
    const Checkpoint checkpoint = parse_checkpoint(headers);
    REQUIRE(checkpoint.tensors.size() == 3);
    const std::int64_t begin = checkpoint.files[0].header_bytes;
    CHECK(begin == static_cast<std::int64_t>(8 + test::header_json(shuffled).size() + 3));
    CHECK(checkpoint.files[0].bytes == begin + kSmallBytes);
    CHECK(total_bytes(checkpoint) == begin + kSmallBytes);
    CHECK(checkpoint.tensors[1] == StoredTensor{"b", 0, DType::bf16, {3, 1}, begin + 12, 6});

    CheckpointFile file(checkpoint.files[0].path);
    std::vector<std::byte> bytes(6);
    file.read(checkpoint.tensors[1].offset, bytes);
    for (int i = 0; i < 6; ++i) CHECK(static_cast<int>(bytes[static_cast<std::size_t>(i)]) == 12 + i);
    CHECK(file.bytes_read() == 6);
    CheckpointFile moved = std::move(file);
    moved.read(begin, bytes);
    CHECK(moved.bytes_read() == 12);
    CHECK(static_cast<int>(bytes[5]) == 5);
    CHECK_THAT(sentence_of([&] { moved.read(begin + kSmallBytes - 5, bytes); }), Catch::Contains("6 from offset"));
    CHECK(moved.bytes_read() == 12);
}

TEST_CASE("a scalar and an empty tensor are tensors") {
    const test::TempDir folder;
    test::write_safetensors(
        folder.path() / "model.safetensors",
        test::header_json({{"scalar", "F32", {}, 0, 4}, {"none", "F32", {0, 7}, 4, 4}, {"last", "U8", {1}, 4, 5}}), 5);
    CHECK(open_checkpoint(folder.path()).tensors.size() == 3);
}

TEST_CASE("headers survive the way over the wire; a cut message is noticed") {
    const test::TempDir folder;
    test::write_safetensors(folder.path() / "x.safetensors", test::header_json({kSmall[0]}), 12);
    test::write_text(folder.path() / "model.safetensors.index.json", index_json({{"a", "x.safetensors"}}));
    const CheckpointHeaders headers = read_checkpoint_headers(folder.path());
    const std::string wire = to_wire(headers);
    CHECK(checkpoint_headers_from_wire(wire) == headers);
    CHECK(parse_checkpoint(checkpoint_headers_from_wire(wire)).tensors.size() == 1);
    CHECK_THROWS_AS(checkpoint_headers_from_wire(wire.substr(0, wire.size() - 1)), Error);
}

TEST_CASE("each damage of a safetensors file has its sentence") {
    const auto says = [](const std::string& sentence, const std::string& part) {
        CHECK_THAT(sentence, Catch::Contains("model.safetensors") && Catch::Contains(part) && Catch::EndsWith("."));
    };
    using Tensors = std::vector<FileTensor>;
    SECTION("unknown format") {
        says(sentence_for(kSmall, [](Tensors& t) { t[1].format = "F8_E5M2"; }),
             "b is stored as \"F8_E5M2\", a number format that is not known");
    }
    SECTION("beyond the end") {
        says(sentence_for(kSmall, [](Tensors& t) { t[2].shape = {21}, t[2].end = 39; }),
             "c ends at byte 39 of the data, but the file has only 38");
    }
    SECTION("truncated") {
        says(sentence_for(
                 kSmall, [](Tensors&) {}, 37),
             "c ends at byte 38 of the data, but the file has only 37");
    }
    SECTION("overlap") {
        says(sentence_for(kSmall, [](Tensors& t) { t[1].begin -= 2, t[1].end -= 2; }), "a and b overlap at byte 10");
    }
    SECTION("the same bytes twice") {
        says(sentence_for(
                 {kSmall[0], {"z", "F32", {3}, 0, 12}}, [](Tensors&) {}, 12),
             "a and z overlap at byte 0");
    }
    SECTION("gap") {
        says(sentence_for(kSmall, [](Tensors& t) { t.erase(t.begin() + 1); }),
             "bytes 12 to 18 of the data, before the tensor c, belong to no");
    }
    SECTION("bytes at the end") {
        says(sentence_for(
                 kSmall, [](Tensors&) {}, 40),
             "the last 2 bytes belong to no tensor");
    }
    SECTION("misaligned") {
        says(sentence_for(
                 {{"u", "U8", {3}, 0, 3}, {"f", "F32", {1}, 3, 7}}, [](Tensors&) {}, 7),
             "f begins at byte 3 of the data, which is not a multiple of the 4 bytes of f32");
    }
    SECTION("size and shape disagree") {
        says(sentence_for(kSmall, [](Tensors& t) { t[0].shape = {4}; }),
             "a has 12 bytes, but its shape [4] in f32 needs 16");
    }
    SECTION("shape beyond 64 bits") {
        says(sentence_for(kSmall,
                          [](Tensors& t) {
                              t[0].shape = {1 << 30, 1 << 30, 1 << 30};
                          }),
             "whose size in bytes is beyond 64 bits");
    }
    SECTION("negative extent") {
        says(sentence_for(kSmall,
                          [](Tensors& t) {
                              t[0].shape = {-3, -1};
                          }),
             "\"a.shape\" is -3; it must be between 0 and");
    }
    SECTION("end before begin") {
        says(sentence_for(kSmall, [](Tensors& t) { std::swap(t[0].begin, t[0].end); }),
             "a has the data_offsets [12, 0]");
    }
    SECTION("name twice") {
        says(sentence_for(kSmall, [](Tensors& t) { t[2].name = "a"; }), "the key \"a\" appears twice");
    }
    SECTION("three offsets") {
        says(sentence_for_header(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}})", 1),
             "data_offsets [0, 1, 2]; they must be two");
    }
    SECTION("offset beyond 64 bits") {
        says(sentence_for_header(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,18446744073709551615]}})", 1),
             "\"a.data_offsets\" is 18446744073709551615; it must be between");
    }
    SECTION("no dtype") {
        says(sentence_for_header(R"({"a":{"shape":[1],"data_offsets":[0,1]}})", 1), "\"a.dtype\" is missing");
    }
    SECTION("not an object") { says(sentence_for_header(R"({"a":7})", 1), "\"a\" is 7; it must be an object"); }
    SECTION("not JSON") { says(sentence_for_header(R"({"a":)", 1), "is not valid JSON"); }
    SECTION("empty header") { says(sentence_for_header("", 1), "is not valid JSON"); }
}

TEST_CASE("a file that is too short for what its first bytes announce") {
    const test::TempDir folder;
    const auto sentence = [&](const std::string& content) {
        test::write_text(folder.path() / "model.safetensors", content);
        return sentence_of([&] { open_checkpoint(folder.path()); });
    };
    CHECK_THAT(sentence(""), Catch::Contains("has 0 bytes; a safetensors file begins with 8"));
    CHECK_THAT(sentence("1234567"), Catch::Contains("has 7 bytes"));
    CHECK_THAT(sentence(std::string("\x20\0\0\0\0\0\0\0{}", 10)),
               Catch::Contains("has 10 bytes, but announces a header of 32"));
    CHECK_THAT(sentence(std::string("\0\0\0\0\0\0\0\x80{}", 10)),
               Catch::Contains("announces a header of 9223372036854775808 bytes"));
    CHECK_THAT(sentence(std::string("\xff\xff\xff\xff\xff\xff\xff\xff", 8)),
               Catch::Contains("announces a header of 18446744073709551615"));
    CHECK_THAT(sentence("version https://git-lfs.github.com/spec/v1"),
               Catch::Contains("It is not a safetensors file, or it is damaged"));
}

// How many pages of a file the system holds in memory.
std::size_t pages_in_memory(int descriptor, std::size_t bytes) {
    void* map = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, descriptor, 0);
    REQUIRE(map != MAP_FAILED);
    std::vector<unsigned char> here(bytes / 4096);
    REQUIRE(::mincore(map, bytes, here.data()) == 0);
    ::munmap(map, bytes);
    std::size_t pages = 0;
    for (const unsigned char page : here) pages += page & 1U;
    return pages;
}

TEST_CASE("bytes that are expected are read by the system before anybody asks for them") {
    constexpr std::size_t kBytes = std::size_t{8} << 20;
    const test::TempDir folder;
    const auto path = folder.path() / "weights";
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT, 0600);
    REQUIRE(descriptor >= 0);
    const std::string bytes(kBytes, 'w');
    REQUIRE(::write(descriptor, bytes.data(), kBytes) == static_cast<ssize_t>(kBytes));
    ::fsync(descriptor);
    ::posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
    if (pages_in_memory(descriptor, kBytes) > 0) {
        WARN("this file system keeps its files in memory");
        ::close(descriptor);
        return;
    }
    CheckpointFile file(path);
    file.expect(std::int64_t{4} << 20, std::int64_t{4} << 20);
    for (int tries = 0; tries < 500 && pages_in_memory(descriptor, kBytes) < kBytes / 2 / 4096; ++tries)
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    CHECK(pages_in_memory(descriptor, kBytes) >= kBytes / 2 / 4096);
    file.expect(-5, 1 << 30);  // advice is never an error
    CHECK(file.bytes_read() == 0);
    ::close(descriptor);
}

TEST_CASE("an index and its files must say the same") {
    const test::TempDir folder;
    test::write_safetensors(folder.path() / "one.safetensors",
                            test::header_json({{"a", "F32", {1}, 0, 4}, {"b", "F32", {1}, 4, 8}}), 8);
    test::write_safetensors(folder.path() / "two.safetensors", test::header_json({{"c", "F32", {1}, 0, 4}}), 4);
    const std::string one = "one.safetensors", two = "two.safetensors";
    const auto sentence = [&](const std::vector<std::pair<std::string, std::string>>& map) {
        test::write_text(folder.path() / "model.safetensors.index.json", index_json(map));
        return sentence_of([&] { open_checkpoint(folder.path()); });
    };
    CHECK_THAT(sentence({{"a", one}, {"b", one}, {"c", "three.safetensors"}}),
               Catch::Contains("names the file three.safetensors, which is not in"));
    CHECK_THAT(sentence({{"a", one}, {"b", one}, {"c", two}, {"d", two}}),
               Catch::Contains("the tensor d is in two.safetensors, but no file holds it"));
    CHECK_THAT(sentence({{"a", one}, {"b", two}, {"c", two}}),
               Catch::Contains("the tensor b is in two.safetensors, but it is in one.safetensors"));
    CHECK_THAT(sentence({{"a", one}, {"c", two}}),
               Catch::Contains("holds the tensor b, which") && Catch::Contains("does not name"));
    CHECK_THAT(sentence({{"a", "../one.safetensors"}}),
               Catch::Contains("it must be the name of a file beside the index"));
    CHECK_THAT(sentence({}), Catch::Contains("\"weight_map\" is empty"));
    test::write_text(folder.path() / "model.safetensors.index.json", "{}");
    CHECK_THAT(sentence_of([&] { open_checkpoint(folder.path()); }), Catch::Contains("\"weight_map\" is missing"));
    test::write_text(folder.path() / "model.safetensors.index.json", R"({"weight_map":{"a":1}})");
    CHECK_THAT(sentence_of([&] { open_checkpoint(folder.path()); }),
               Catch::Contains("\"weight_map.a\" is 1; it must be a string"));
    test::write_safetensors(folder.path() / "two.safetensors", test::header_json({{"a", "F32", {1}, 0, 4}}), 4);
    CHECK_THAT(sentence({{"a", one}, {"b", one}, {"c", two}}), Catch::Contains("The tensor a is stored twice, in"));
}

TEST_CASE("no checkpoint, or a folder where a file should be") {
    const test::TempDir folder;
    CHECK_THAT(sentence_of([&] { open_checkpoint(folder.path()); }),
               Catch::Contains("holds neither model.safetensors nor"));
    std::filesystem::create_directory(folder.path() / "model.safetensors");
    CHECK_THAT(sentence_of([&] { open_checkpoint(folder.path()); }), Catch::Contains("is not an ordinary file"));
    CHECK_THAT(sentence_of([&] { CheckpointFile(folder.path() / "none"); }), Catch::Contains("Cannot open"));
}

TEST_CASE("a damaged header is an Error or a checkpoint, never anything else") {
    const test::TempDir folder;
    const std::string good = test::header_json(kSmall);
    std::mt19937 random(5);
    int errors = 0;
    for (int trial = 0; trial < 1500; ++trial) {
        CheckpointHeaders headers;
        headers.folder = "some";
        std::string prefix(8, '\0');
        prefix[0] = static_cast<char>(good.size());
        prefix[1] = static_cast<char>(good.size() >> 8);
        prefix += good;
        prefix[8 + random() % good.size()] = static_cast<char>(random() & 0x7f);
        prefix[8 + random() % good.size()] = static_cast<char>('0' + random() % 10);
        headers.files = {{"model.safetensors", static_cast<std::int64_t>(prefix.size()) + kSmallBytes, prefix}};
        try {
            for (const StoredTensor& tensor : parse_checkpoint(headers).tensors) {
                CHECK(tensor.offset >= 0);
                CHECK(tensor.offset + tensor.bytes <= headers.files[0].bytes);
            }
        } catch (const Error& error) {
            CHECK(error.kind() == ErrorKind::input);
            ++errors;
        }
    }
    CHECK(errors > 500);
}

// ---- matching with a plan
// ------------------------------------------------------------------------------------------------------

namespace {

struct Model {
    std::vector<TensorSpec> wanted;
    std::vector<FileTensor> files;
};

Model sample_model(std::string_view family) {
    Model model;
    model.wanted = tensor_list(test::plan_of(test::sample_config(family)));
    model.files = test::layout_of(model.wanted, "BF16", 2);
    return model;
}

// Moves tensor `at` into another format, and those behind it along.
void reformat(std::vector<FileTensor>& tensors, std::size_t at, const std::string& format, std::int64_t bytes_each) {
    const std::int64_t bytes = (tensors[at].end - tensors[at].begin) / 2 * bytes_each;
    const std::int64_t shift = bytes - (tensors[at].end - tensors[at].begin);
    tensors[at].format = format;
    tensors[at].end += shift;
    for (std::size_t i = at + 1; i < tensors.size(); ++i) tensors[i].begin += shift, tensors[i].end += shift;
}

std::size_t find(const Model& model, TensorRole role, int layer, int expert) {
    for (std::size_t i = 0; i < model.wanted.size(); ++i) {
        const TensorSpec& tensor = model.wanted[i];
        if (tensor.role == role && tensor.layer == layer && tensor.expert == expert) return i;
    }
    FAIL("no such tensor");
    return 0;
}

}  // namespace

TEST_CASE("a plan's tensors are matched in the plan's order, wherever the file has them") {
    for (const Family& family : families()) {
        Model model = sample_model(family.name);
        std::vector<FileTensor> reversed(model.files.rbegin(), model.files.rend());
        std::int64_t at = 0;
        for (FileTensor& tensor : reversed) {
            const std::int64_t bytes = tensor.end - tensor.begin;
            tensor.begin = at;
            tensor.end = at += bytes;
        }
        const std::vector<StoredTensor> stored = match_tensors(model.wanted, test::checkpoint_of(reversed));
        REQUIRE(stored.size() == model.wanted.size());
        for (std::size_t i = 0; i < stored.size(); ++i) {
            CHECK(stored[i].name == model.wanted[i].name);
            CHECK(stored[i].shape == model.wanted[i].shape);
        }
        CHECK(stored.front().offset > stored.back().offset);
    }
}

TEST_CASE("what does not match has its sentence") {
    Model model = sample_model("mixtral");
    const auto sentence = [&] {
        return sentence_of([&] { match_tensors(model.wanted, test::checkpoint_of(model.files)); });
    };
    const std::size_t norm = find(model, TensorRole::attn_norm, 1, -1);
    const std::size_t v = find(model, TensorRole::v_proj, 2, -1);
    const std::size_t up = find(model, TensorRole::up_proj, 0, 3);
    SECTION("missing") {
        model.files[norm].name = "rotary_emb.inv_freq";
        CHECK_THAT(
            sentence(),
            Catch::Contains("The tensor model.layers.1.input_layernorm.weight (attn_norm) is in none of the 1 files"));
    }
    SECTION("misshapen") {
        model.files[v].shape = {60, 30};
        CHECK_THAT(sentence(),
                   Catch::Contains(
                       "model.layers.2.self_attn.v_proj.weight has the shape [60, 30]; config.json makes it [30, 60]"));
    }
    SECTION("another format") {
        reformat(model.files, norm, "F8_E4M3", 1);
        CHECK_THAT(sentence(),
                   Catch::Contains(
                       "model.layers.1.input_layernorm.weight is stored as f8_e4m3; tensors of this kind must be"));
    }
    SECTION("q, k, v in two formats") {
        reformat(model.files, v, "F32", 4);
        model.files.pop_back();  // keeps what follows aligned whatever its size: lm_head is not looked at first
        CHECK_THAT(
            sentence_of([&] {
                const std::vector<TensorSpec> wanted(model.wanted.begin(), model.wanted.end() - 1);
                match_tensors(wanted, test::checkpoint_of(model.files));
            }),
            Catch::Contains(
                "v_proj.weight is stored as f32, but model.layers.2.self_attn.q_proj.weight, which is used together"));
    }
    SECTION("experts in two formats") {
        reformat(model.files, up, "F32", 4);
        CHECK_THAT(
            sentence(),
            Catch::Contains(
                "experts.3.w3.weight is stored as f32, but model.layers.0.block_sparse_moe.experts.0.w1.weight"));
    }
    SECTION("norms may differ from matrices") {
        reformat(model.files, norm, "F32", 4);
        CHECK(match_tensors(model.wanted, test::checkpoint_of(model.files))[norm].dtype == DType::f32);
    }
    SECTION("a stranger") {
        const std::int64_t end = model.files.back().end;
        model.files.push_back({"model.layers.0.mlp.shared_expert.up_proj.weight", "BF16", {3}, end, end + 6});
        CHECK_THAT(sentence(),
                   Catch::Contains(
                       "holds the tensor model.layers.0.mlp.shared_expert.up_proj.weight, which the model described"));
    }
    SECTION("a harmless extra") {
        const std::int64_t end = model.files.back().end;
        model.files.push_back({"model.layers.0.self_attn.rotary_emb.inv_freq", "BF16", {3}, end, end + 6});
        CHECK(match_tensors(model.wanted, test::checkpoint_of(model.files)).size() == model.wanted.size());
    }
}

TEST_CASE("a stored head is passed over when embeddings are tied, and missed when they are not") {
    Model model = sample_model("llama");
    REQUIRE(model.wanted.back().role == TensorRole::lm_head);
    const std::vector<TensorSpec> tied(model.wanted.begin(), model.wanted.end() - 1);
    CHECK(match_tensors(tied, test::checkpoint_of(model.files)).size() == tied.size());
    model.files.pop_back();
    CHECK_THAT(sentence_of([&] { match_tensors(model.wanted, test::checkpoint_of(model.files)); }),
               Catch::Contains("The tensor lm_head.weight"));
}
