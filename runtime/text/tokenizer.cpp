// The tokenizer: tables are put together from the file's values, and text runs through added tokens, normalizer,
// pre-tokenizer, BPE.
#include "runtime/text/tokenizer.hpp"

#include <algorithm>

#include "kernels/base/error.hpp"
#include "runtime/text/tokenizer_spec.hpp"
#include "runtime/text/tokenizer_tables.hpp"
#include "runtime/text/utf8.hpp"

namespace argosy {
namespace {

// Gives `id` its spelling. Two spellings for one id would make decoding a matter of luck.
void name_id(TokenizerTables& t, int32_t id, std::string_view spelling, const std::string& file) {
    if (static_cast<size_t>(id) >= t.string_of.size()) t.string_of.resize(static_cast<size_t>(id) + 1, -1);
    if (t.string_of[id] >= 0) {
        if (t.spelling(id) == spelling) return;
        fail(ErrorKind::input, "{}: id {} is both \"{}\" and \"{}\". Fetch the file again.", file, id, t.spelling(id),
             spelling);
    }
    t.string_of[id] = static_cast<int32_t>(t.strings.size());
    t.strings.push_back(spelling);
}

void take_added_tokens(TokenizerTables& t, const TokenizerSpec& spec) {
    RegexState regex;
    Normalizer::Buffers buffers;
    for (const AddedToken& token : spec.added_tokens) {
        const int32_t known = t.bpe.find(token.content);
        if (known != StringTable::kNone && known != token.id) {
            fail(ErrorKind::input,
                 "{}: added token \"{}\" has id {}, but model.vocab gives it {}. Fetch the file again.", spec.file,
                 token.content, token.id, known);
        }
        name_id(t, token.id, token.content, spec.file);
        const int32_t before = t.added_ids.insert(token.content, token.id);
        if (before != StringTable::kNone && before != token.id) {
            fail(ErrorKind::input, "{}: added token \"{}\" has the ids {} and {}. Fetch the file again.", spec.file,
                 token.content, before, token.id);
        }
    }
    t.special.assign(t.string_of.size(), false);
    t.added.assign(t.string_of.size(), false);
    for (const bool special : {true, false}) {  // where two read the same, the special one is meant
        for (const AddedToken& token : spec.added_tokens) {
            if (token.special != special) continue;
            t.added[token.id] = true;
            if (special) t.special[token.id] = true;
            AddedTokenSet& set = token.normalized ? t.normalized_added : t.raw_added;
            set.insert(token.normalized ? t.normalizer.apply(regex, token.content, buffers) : token.content, token);
        }
    }
}

}  // namespace

Tokenizer load_tokenizer(const std::filesystem::path& path) {
    TokenizerSpec spec = read_tokenizer_spec(path);
    auto t = std::make_shared<TokenizerTables>();
    t->normalizer = Normalizer(spec.normalizer, spec.file);
    t->pre_tokenizer = PreTokenizer(spec.pre_tokenizer, spec.file);
    t->pre_tokenizes = !spec.pre_tokenizer.empty();
    t->decoder = Decoder(spec.decoder, spec.has_decoder, spec.file);
    t->bpe = Bpe(spec.model, t->pre_tokenizer.byte_level(), spec.file);
    const std::vector<int32_t>& ids = spec.model.ids;
    t->string_of.assign(ids.empty() ? 0 : static_cast<size_t>(*std::max_element(ids.begin(), ids.end())) + 1, -1);
    t->strings = std::move(spec.model.tokens);
    for (size_t i = 0; i < ids.size(); ++i) {
        int32_t& string_of = t->string_of[ids[i]];
        if (string_of >= 0) {
            fail(ErrorKind::input, "{}: model.vocab gives id {} to both \"{}\" and \"{}\". Fetch the file again.",
                 spec.file, ids[i], t->strings[string_of], t->strings[i]);
        }
        string_of = static_cast<int32_t>(i);
    }
    take_added_tokens(*t, spec);
    t->prefix_ids = spec.prefix_ids;
    t->suffix_ids = spec.suffix_ids;
    for (const auto* list : {&t->prefix_ids, &t->suffix_ids}) {
        for (const int32_t id : *list) {
            if (!t->has(id))
                fail(ErrorKind::input, "{}: post_processor adds id {}, which no token has. Fetch the file again.",
                     spec.file, id);
        }
    }
    const auto vocab_size = static_cast<int32_t>(t->string_of.size());
    return {std::move(t), vocab_size};
}

struct EncodeScratch::Impl {
    std::shared_ptr<const TokenizerTables>
        of;  // whose words the cache holds; kept alive, so that no other gets its address
    RegexState regex;
    Normalizer::Buffers normal;
    Words words;
    BpeScratch bpe;
    std::string repaired;
};

EncodeScratch::EncodeScratch() : impl_(std::make_unique<Impl>()) {}
EncodeScratch::~EncodeScratch() = default;
EncodeScratch::EncodeScratch(EncodeScratch&&) noexcept = default;
EncodeScratch& EncodeScratch::operator=(EncodeScratch&&) noexcept = default;

namespace {

// Encodes normalized text that holds no added token.
void encode_plain(const TokenizerTables& t, EncodeScratch::Impl& s, std::string_view text, bool at_start,
                  std::vector<int32_t>& out) {
    if (const auto pattern = t.pre_tokenizer.only_pattern()) {
        const char* const end = text.data() + text.size();
        for (const char* p = text.data(); p != end;) {
            const char* q = word_end(*pattern, t.chars, p, end);
            t.bpe.encode({p, static_cast<size_t>(q - p)}, s.bpe, out);
            p = q;
        }
        return;
    }
    if (!t.pre_tokenizes) return t.bpe.encode_uncut(text, s.bpe, out);
    t.pre_tokenizer.cut(t.chars, s.regex, text, at_start, s.words);
    for (const TextSpan& span : s.words.spans)
        t.bpe.encode(s.words.text.substr(span.begin, span.end - span.begin), s.bpe, out);
}

}  // namespace

void encode(const Tokenizer& tokenizer, EncodeScratch& scratch, std::string_view text, bool add_special,
            std::vector<int32_t>& out) {
    const TokenizerTables& t = *tokenizer.tables;
    EncodeScratch::Impl& s = scratch.impl();
    if (s.of != tokenizer.tables) {
        s.bpe.cache.clear();
        s.of = tokenizer.tables;
    }
    if (!is_valid_utf8(text)) {
        s.repaired.clear();
        append_lossy(s.repaired, text, true);
        text = s.repaired;
    }
    if (add_special) out.insert(out.end(), t.prefix_ids.begin(), t.prefix_ids.end());
    const auto add_id = [&](int32_t id) { out.push_back(id); };
    t.raw_added.cut(
        t.chars, text,
        [&](size_t raw_begin, size_t raw_end) {
            const std::string_view normal =
                t.normalizer.apply(s.regex, text.substr(raw_begin, raw_end - raw_begin), s.normal);
            t.normalized_added.cut(
                t.chars, normal,
                [&](size_t begin, size_t end) {
                    encode_plain(t, s, normal.substr(begin, end - begin), raw_begin == 0 && begin == 0, out);
                },
                add_id);
        },
        add_id);
    if (add_special) out.insert(out.end(), t.suffix_ids.begin(), t.suffix_ids.end());
}

std::vector<int32_t> encode(const Tokenizer& tokenizer, std::string_view text, bool add_special) {
    EncodeScratch scratch;
    std::vector<int32_t> out;
    encode(tokenizer, scratch, text, add_special, out);
    return out;
}

std::string decode(const Tokenizer& tokenizer, std::span<const int32_t> ids, bool skip_special) {
    const TokenizerTables& t = *tokenizer.tables;
    DecodeStream stream(t.decoder);
    std::string out;
    for (const int32_t id : ids) {
        if (!t.has(id) || (skip_special && t.special[id])) continue;
        stream.push(t.spelling(id), t.added[id], out);
    }
    stream.finish(out);
    return out;
}

std::optional<int32_t> token_to_id(const Tokenizer& tokenizer, std::string_view token) {
    int32_t id = tokenizer.tables->added_ids.find(token);
    if (id == StringTable::kNone) id = tokenizer.tables->bpe.find(token);
    return id == StringTable::kNone ? std::nullopt : std::optional(id);
}

std::string_view id_to_token(const Tokenizer& tokenizer, int32_t id) { return tokenizer.tables->spelling(id); }

bool is_special(const Tokenizer& tokenizer, int32_t id) {
    const TokenizerTables& t = *tokenizer.tables;
    return t.has(id) && t.special[id];
}

std::string token_bytes(const Tokenizer& tokenizer, int32_t id) {
    const TokenizerTables& t = *tokenizer.tables;
    return t.has(id) ? t.decoder.token_bytes(t.spelling(id), t.added[id]) : std::string();
}

std::string token_text(const Tokenizer& tokenizer, int32_t id) {
    const std::string bytes = token_bytes(tokenizer, id);
    if (is_valid_utf8(bytes)) return bytes;
    std::string out = "bytes:";
    for (const char c : bytes) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    return out;
}

}  // namespace argosy
