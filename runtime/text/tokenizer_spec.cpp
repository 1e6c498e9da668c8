// What a tokenizer.json says, as plain values: each section read and checked, unknown kinds refused by name.
#include "runtime/text/tokenizer_spec.hpp"

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "kernels/base/error.hpp"
#include "runtime/text/tokenizer_json.hpp"
#include "runtime/text/utf8.hpp"

namespace argosy {
namespace {

using nlohmann::json;

constexpr int kNestingMax = 16;  // of Sequence in Sequence
constexpr int32_t kIdMax =
    1 << 22;  // sixteen times the largest vocabulary in use; keeps a wrong id from asking for gigabytes
const json kNull;

// One JSON value and where it stands, for error sentences.
struct Node {
    const json& value;
    std::string where;  // "dir/tokenizer.json: decoder.decoders[1]"

    bool is_null() const { return value.is_null(); }
    Node at(const char* key) const {
        const std::string below = where + (where.ends_with(": ") ? "" : ".") + key;
        if (!value.is_object()) fail(ErrorKind::input, "{} is not an object. Fetch the file again.", where);
        const auto it = value.find(key);
        return {it == value.end() ? kNull : *it, below};
    }
    std::vector<Node> list(const char* key) const {
        const Node array = at(key);
        if (!array.value.is_array()) array.wrong("an array");
        std::vector<Node> out;
        for (size_t i = 0; i < array.value.size(); ++i)
            out.push_back({array.value[i], fmt::format("{}[{}]", array.where, i)});
        return out;
    }
    [[noreturn]] void wrong(const char* expected) const {
        fail(ErrorKind::input, "{} is {} where {} is expected. Fetch the file again.", where,
             value.is_null() ? "missing" : value.type_name(), expected);
    }
    [[noreturn]] void unknown(std::string_view kind, const char* supported) const {
        fail(ErrorKind::input, "{} is of the kind \"{}\", which Argosy does not know; it knows {}.", where, kind,
             supported);
    }
    std::string text() const {
        if (!value.is_string()) wrong("a string");
        return value.get<std::string>();
    }
    std::string text(const char* key) const { return at(key).text(); }
    bool flag(const char* key, bool absent) const {
        const Node node = at(key);
        if (node.is_null()) return absent;
        if (!node.value.is_boolean()) node.wrong("true or false");
        return node.value.get<bool>();
    }
    int32_t integer(const char* key, int32_t low, int32_t high) const {
        const Node node = at(key);
        if (!node.value.is_number_integer()) node.wrong("an integer");
        const bool huge = node.value.is_number_unsigned() && node.value.get<uint64_t>() > INT32_MAX;
        const int64_t number = huge ? INT64_MAX : node.value.get<int64_t>();
        if (number < low || number > high) {
            fail(ErrorKind::input, "{} is {}, outside {} to {}. Fetch the file again.", node.where, node.value.dump(),
                 low, high);
        }
        return static_cast<int32_t>(number);
    }
    TextPattern pattern(const char* key) const {
        const Node node = at(key);
        if (!node.value.is_object()) node.wrong("{\"String\": ...} or {\"Regex\": ...}");
        const bool regex = node.value.contains("Regex");
        TextPattern out{node.text(regex ? "Regex" : "String"), regex};
        if (out.text.empty()) fail(ErrorKind::input, "{} is empty. Fetch the file again.", node.where);
        return out;
    }
    std::string one_char(const char* key) const {
        const std::string out = text(key);
        if (out.empty() || utf8_step(out).bytes != out.size()) at(key).wrong("one character");
        return out;
    }
};

// Calls `one(node, kind)` for a section, or for each of its parts in order when it is a Sequence (of Sequences).
template <class One>
void for_each_part(const Node& node, const char* members, One one, int depth = 0) {
    if (node.is_null()) return;
    if (depth > kNestingMax) fail(ErrorKind::input, "{} nests Sequences more than {} deep.", node.where, kNestingMax);
    const std::string kind = node.text("type");
    if (kind != "Sequence") return one(node, kind);
    for (const Node& part : node.list(members)) for_each_part(part, members, one, depth + 1);
}

std::vector<NormalizerStep> read_normalizer(const Node& section) {
    std::vector<NormalizerStep> out;
    for_each_part(section, "normalizers", [&](const Node& node, const std::string& kind) {
        using Kind = NormalizerStep::Kind;
        if (kind == "NFC") {
            out.push_back({Kind::nfc, {}, {}});
        } else if (kind == "Prepend") {
            out.push_back({Kind::prepend, {}, node.text("prepend")});
        } else if (kind == "Replace") {
            out.push_back({Kind::replace, node.pattern("pattern"), node.text("content")});
        } else {
            node.unknown(kind, "NFC, Prepend, Replace and Sequence");
        }
    });
    return out;
}

SplitBehavior read_behavior(const Node& node) {
    if (node.is_null()) return SplitBehavior::isolated;
    const std::string name = node.text();
    if (name == "Isolated") return SplitBehavior::isolated;
    if (name == "Removed") return SplitBehavior::removed;
    if (name == "MergedWithPrevious") return SplitBehavior::merged_with_previous;
    if (name == "MergedWithNext") return SplitBehavior::merged_with_next;
    if (name == "Contiguous") return SplitBehavior::contiguous;
    node.unknown(name, "Isolated, Removed, MergedWithPrevious, MergedWithNext and Contiguous");
}

PrependScheme read_prepend(const Node& node) {
    if (node.at("prepend_scheme").is_null())
        return node.flag("add_prefix_space", true) ? PrependScheme::always : PrependScheme::never;
    const std::string name = node.text("prepend_scheme");
    if (name == "always") return PrependScheme::always;
    if (name == "first") return PrependScheme::first;
    if (name == "never") return PrependScheme::never;
    node.at("prepend_scheme").unknown(name, "always, first and never");
}

std::vector<PreTokenizerStep> read_pre_tokenizer(const Node& section) {
    std::vector<PreTokenizerStep> out;
    for_each_part(section, "pretokenizers", [&](const Node& node, const std::string& kind) {
        using Kind = PreTokenizerStep::Kind;
        PreTokenizerStep step{};
        if (kind == "Split") {
            step.kind = Kind::split;
            step.pattern = node.pattern("pattern");
            step.behavior = read_behavior(node.at("behavior"));
            step.invert = node.flag("invert", false);
        } else if (kind == "ByteLevel") {
            step.kind = Kind::byte_level;
            step.add_prefix_space = node.flag("add_prefix_space", true);
            step.use_regex = node.flag("use_regex", true);
        } else if (kind == "Digits") {
            step.kind = Kind::digits;
            step.individual_digits = node.flag("individual_digits", false);
        } else if (kind == "Metaspace") {
            step.kind = Kind::metaspace;
            step.replacement = node.one_char("replacement");
            step.prepend = read_prepend(node);
            step.split = node.flag("split", true);
        } else if (kind == "Punctuation") {
            step.kind = Kind::punctuation;
            step.behavior = read_behavior(node.at("behavior"));
        } else {
            node.unknown(kind, "Split, ByteLevel, Digits, Metaspace, Punctuation and Sequence");
        }
        if (!out.empty() && out.back().kind == Kind::byte_level) {
            fail(ErrorKind::input,
                 "{} comes after a ByteLevel pre-tokenizer; Argosy knows ByteLevel only as the last one.", node.where);
        }
        out.push_back(std::move(step));
    });
    return out;
}

std::vector<DecoderStep> read_decoder(const Node& section) {
    std::vector<DecoderStep> out;
    bool fused = false;  // after Fuse or ByteLevel there are no tokens any more, only one text
    for_each_part(section, "decoders", [&](const Node& node, const std::string& kind) {
        using Kind = DecoderStep::Kind;
        DecoderStep step{};
        if (kind == "ByteLevel") {
            step.kind = Kind::byte_level;
        } else if (kind == "Replace") {
            step.kind = Kind::replace;
            step.pattern = node.pattern("pattern");
            step.content = node.text("content");
        } else if (kind == "ByteFallback") {
            step.kind = Kind::byte_fallback;
        } else if (kind == "Fuse") {
            step.kind = Kind::fuse;
        } else if (kind == "Strip") {
            step.kind = Kind::strip;
            step.content = node.one_char("content");
            step.start = static_cast<uint32_t>(node.integer("start", 0, 1 << 20));
            step.stop = static_cast<uint32_t>(node.integer("stop", 0, 1 << 20));
        } else if (kind == "Metaspace") {
            step.kind = Kind::metaspace;
            step.content = node.one_char("replacement");
            step.drop_first = read_prepend(node) != PrependScheme::never;
        } else {
            node.unknown(kind, "ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace and Sequence");
        }
        if (fused && step.kind != Kind::strip && step.kind != Kind::fuse) {
            fail(
                ErrorKind::input,
                "{}: a {} decoder after Fuse or ByteLevel would need the whole text at once, which Argosy does not do.",
                node.where, kind);
        }
        fused |= step.kind == Kind::fuse || step.kind == Kind::byte_level;
        out.push_back(std::move(step));
    });
    return out;
}

// TemplateProcessing of a single sequence, as the ids around it.
void read_template(const Node& node, TokenizerSpec& spec) {
    std::vector<int32_t> before, after;
    int sequences = 0;
    for (const Node& part : node.list("single")) {
        if (!part.at("Sequence").is_null()) {
            if (++sequences > 1)
                fail(ErrorKind::input, "{} puts the text in more than once, which Argosy does not know.", node.where);
            continue;
        }
        const Node special = part.at("SpecialToken");
        const std::string name = special.text("id");
        const Node table = node.at("special_tokens").at(name.c_str());
        for (const Node& id : table.list("ids")) {
            if (!id.value.is_number_unsigned() || id.value.get<uint64_t>() > kIdMax) id.wrong("an id");
            (sequences ? after : before).push_back(id.value.get<int32_t>());
        }
    }
    if (sequences == 0) fail(ErrorKind::input, "{} leaves the text out. Fetch the file again.", node.where);
    spec.prefix_ids = std::move(before);
    spec.suffix_ids = std::move(after);
}

void read_post_processor(const Node& section, TokenizerSpec& spec) {
    int templates = 0;
    for_each_part(section, "processors", [&](const Node& node, const std::string& kind) {
        if (kind == "TemplateProcessing") {
            if (++templates > 1) fail(ErrorKind::input, "{} is a second template; Argosy knows one.", node.where);
            read_template(node, spec);
        } else if (kind != "ByteLevel") {  // ByteLevel only moves offsets into the text, ids stay
            node.unknown(kind, "TemplateProcessing, ByteLevel and Sequence");
        }
    });
}

void read_model(const Node& model, TokenizerJson&& tables, BpeSpec& out) {
    const Node type = model.at("type");  // old files leave it out
    if (!type.is_null() && type.text() != "BPE") model.unknown(type.text(), "BPE");
    if (!tables.has_vocab) model.at("vocab").wrong("an object of tokens and ids");
    if (!tables.has_merges) model.at("merges").wrong("an array of merges");
    for (const char* name : {"continuing_subword_prefix", "end_of_word_suffix"}) {
        const Node affix = model.at(name);
        if (!affix.is_null() && !affix.text().empty()) {
            fail(ErrorKind::input, "{} is \"{}\"; Argosy knows BPE models without subword prefix and suffix.",
                 affix.where, affix.text());
        }
    }
    const Node dropout = model.at("dropout");
    if (!dropout.is_null() && !(dropout.value.is_number() && dropout.value.get<double>() == 0)) {
        fail(ErrorKind::input, "{} is {}; Argosy knows only BPE without dropout, whose ids are always the same.",
             dropout.where, dropout.value.dump());
    }
    for (size_t i = 0; i < tables.ids.size(); ++i) {
        if (tables.ids[i] < 0 || tables.ids[i] > kIdMax) {
            fail(ErrorKind::input, "{}.vocab gives token \"{}\" an id outside 0 to {}. Fetch the file again.",
                 model.where, tables.tokens[i], kIdMax);
        }
        out.ids.push_back(static_cast<int32_t>(tables.ids[i]));
    }
    out.tokens = std::move(tables.tokens);
    out.merge_left = std::move(tables.merge_left);
    out.merge_right = std::move(tables.merge_right);
    if (!model.at("unk_token").is_null()) out.unk_token = model.text("unk_token");
    out.fuse_unk = model.flag("fuse_unk", false);
    out.byte_fallback = model.flag("byte_fallback", false);
    out.ignore_merges = model.flag("ignore_merges", false);
}

std::vector<AddedToken> read_added_tokens(const Node& root) {
    std::vector<AddedToken> out;
    if (root.at("added_tokens").is_null()) return out;
    for (const Node& node : root.list("added_tokens")) {
        AddedToken token;
        token.id = node.integer("id", 0, kIdMax);
        token.content = node.text("content");
        token.single_word = node.flag("single_word", false);
        token.lstrip = node.flag("lstrip", false);
        token.rstrip = node.flag("rstrip", false);
        token.special = node.flag("special", false);
        token.normalized = node.flag("normalized", !token.special);
        if (!token.content.empty()) out.push_back(std::move(token));
    }
    return out;
}

// A tokenizer in another form beside the file that is not there: SentencePiece's or tiktoken's; else an empty path.
std::filesystem::path other_tokenizer(const std::filesystem::path& path) {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(path.parent_path(), ignored)) {
        const std::string name = entry.path().filename().string();
        if (name == "tokenizer.model" || name == "spiece.model" || name.ends_with(".tiktoken")) return entry.path();
    }
    return {};
}

std::string read_file(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    if (!in || std::filesystem::is_directory(path)) {
        if (const std::filesystem::path other = other_tokenizer(path); !other.empty()) {
            const std::string folder = path.parent_path().string();
            fail(ErrorKind::input,
                 "{} is not there; {} holds the tokenizer in another form, which is not read. Convert it once, where "
                 "the Python packages transformers, sentencepiece and tiktoken are installed: python3 -c \"from "
                 "transformers import AutoTokenizer; "
                 "AutoTokenizer.from_pretrained('{}').save_pretrained('{}')\".",
                 path.string(), other.string(), folder, folder);
        }
        fail(ErrorKind::input, "{} cannot be opened. Name the folder of a model that has a tokenizer.json.",
             path.string());
    }
    in.seekg(0, std::ios::end);
    std::string text(static_cast<size_t>(std::max<std::streamoff>(0, in.tellg())), '\0');
    in.seekg(0);
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (!in) fail(ErrorKind::input, "{} could not be read to its end. Check the file system.", path.string());
    return text;
}

}  // namespace

TokenizerSpec read_tokenizer_spec(const std::filesystem::path& path) {
    TokenizerSpec spec;
    spec.file = path.string();
    json rest;
    TokenizerJson tables = parse_tokenizer_json(read_file(path), spec.file, rest);
    const Node root{rest, spec.file + ": "};
    if (root.at("model").is_null())
        fail(ErrorKind::input, "{} has no \"model\". A tokenizer.json is needed.", spec.file);
    read_model(root.at("model"), std::move(tables), spec.model);
    spec.added_tokens = read_added_tokens(root);
    spec.normalizer = read_normalizer(root.at("normalizer"));
    spec.pre_tokenizer = read_pre_tokenizer(root.at("pre_tokenizer"));
    spec.has_decoder = !root.at("decoder").is_null();
    spec.decoder = read_decoder(root.at("decoder"));
    read_post_processor(root.at("post_processor"), spec);
    return spec;
}

}  // namespace argosy
