// The normalizer of a tokenizer: each step reads one buffer and writes the other.
#include "runtime/text/normalizer.hpp"

#include <cstring>

#include "runtime/text/unicode_icu.hpp"
#include "runtime/text/utf8.hpp"

namespace argosy {

Replacer::Replacer(const TextPattern& pattern, std::string with, const std::string& where) : content(std::move(with)) {
    if (pattern.is_regex) {
        regex = Regex(pattern.text, where);
    } else {
        literal = pattern.text;
    }
}

void Replacer::append(RegexState& state, std::string_view text, std::string& out) const {
    size_t done = 0;
    if (literal.size() == 1) {  // " " to "▁": one character at a time is the common case
        while (const void* hit =
                   done < text.size() ? std::memchr(text.data() + done, literal[0], text.size() - done) : nullptr) {
            const auto at = static_cast<size_t>(static_cast<const char*>(hit) - text.data());
            out.append(text, done, at - done).append(content);
            done = at + 1;
        }
    } else if (!literal.empty()) {
        for (size_t at = text.find(literal); at != text.npos; at = text.find(literal, done)) {
            out.append(text, done, at - done).append(content);
            done = at + literal.size();
        }
    } else {
        Match m;
        for (size_t from = 0; from <= text.size() && regex.find(state, text, from, m);) {
            out.append(text, done, m.begin - done).append(content);
            done = m.end;
            from = m.end > m.begin || m.end == text.size() ? m.end + (m.end == m.begin)
                                                           : m.end + utf8_char(text.data() + m.end).bytes;
        }
    }
    out.append(text, done);
}

Normalizer::Normalizer(const std::vector<NormalizerStep>& steps, const std::string& file) {
    for (const NormalizerStep& step : steps) {
        Step out{step.kind, step.content, {}};
        if (step.kind == NormalizerStep::Kind::replace)
            out.replacer.emplace_back(step.pattern, step.content, file + ": normalizer");
        steps_.push_back(std::move(out));
    }
}

std::string_view Normalizer::apply(RegexState& state, std::string_view text, Buffers& buffers) const {
    std::string* free = &buffers.a;
    std::string* held = &buffers.b;  // what `text` may be a view of
    for (const Step& step : steps_) {
        switch (step.kind) {
            case NormalizerStep::Kind::nfc:
                if (!normalize_nfc(text, *free)) continue;
                break;
            case NormalizerStep::Kind::prepend:
                if (text.empty()) continue;
                free->assign(step.content).append(text);
                break;
            case NormalizerStep::Kind::replace:
                free->clear();
                step.replacer[0].append(state, text, *free);
                break;
        }
        text = *free;
        std::swap(free, held);
    }
    return text;
}

}  // namespace argosy
