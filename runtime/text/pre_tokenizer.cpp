// The pre-tokenizer: steps applied one after another to a list of spans, as the tokenizers library does.
#include "runtime/text/pre_tokenizer.hpp"

#include <algorithm>

#include "runtime/text/utf8.hpp"

namespace argosy {
namespace {

using Piece = Words::Piece;

// Calls match(begin, end) for every match of the splitter in `text`, left to right, without overlaps.
template <class OnMatch>
void for_each_match(const Splitter& s, const CharTable& chars, RegexState& state, std::string_view text,
                    OnMatch match) {
    const char* const begin = text.data();
    const char* const end = begin + text.size();
    if (s.pattern) {
        for (const char* p = begin; p != end;) {
            const char* q = word_end(*s.pattern, chars, p, end);
            match(static_cast<size_t>(p - begin), static_cast<size_t>(q - begin));
            p = q;
        }
    } else if (!s.literal.empty()) {
        for (size_t at = text.find(s.literal); at != text.npos; at = text.find(s.literal, at + s.literal.size())) {
            match(at, at + s.literal.size());
        }
    } else if (s.regex) {
        Match m;
        size_t from = 0;
        size_t last_end = text.npos;
        while (from <= text.size() && s.regex->find(state, text, from, m)) {
            const bool again =
                m.begin == m.end && m.end == last_end;  // an empty match right behind a match does not count
            if (!again) match(m.begin, m.end);
            last_end = from = m.end;
            if (m.begin == m.end) from += from < text.size() ? utf8_char(begin + from).bytes : 1;
        }
    } else {
        for (const char* p = begin; p != end;) {
            const Utf8Char c = utf8_char(p);
            const char* q = p + c.bytes;
            if (chars[c.code] & s.char_flags) {
                while (!s.one_by_one && q != end && (chars[utf8_char(q).code] & s.char_flags)) q += utf8_char(q).bytes;
                match(static_cast<size_t>(p - begin), static_cast<size_t>(q - begin));
            }
            p = q;
        }
    }
}

// A match joins the piece before it, unless that is a match too.
void merge_with_previous(const std::vector<Piece>& pieces, std::vector<TextSpan>& out) {
    const size_t first = out.size();
    bool previous_match = false;
    for (const Piece& piece : pieces) {
        if (piece.is_match && !previous_match && out.size() > first) {
            out.back().end = piece.span.end;
        } else {
            out.push_back(piece.span);
        }
        previous_match = piece.is_match;
    }
}

// A match joins the piece after it, unless that is a match too.
void merge_with_next(const std::vector<Piece>& pieces, std::vector<TextSpan>& out) {
    const size_t first = out.size();
    bool next_match = false;
    for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) {
        if (piece->is_match && !next_match && out.size() > first) {
            out.back().begin = piece->span.begin;
        } else {
            out.push_back(piece->span);
        }
        next_match = piece->is_match;
    }
    std::reverse(out.begin() + static_cast<std::ptrdiff_t>(first), out.end());
}

void apply_behavior(SplitBehavior behavior, const std::vector<Piece>& pieces, std::vector<TextSpan>& out) {
    switch (behavior) {
        case SplitBehavior::isolated:
            for (const Piece& piece : pieces) out.push_back(piece.span);
            break;
        case SplitBehavior::removed:
            for (const Piece& piece : pieces) {
                if (!piece.is_match) out.push_back(piece.span);
            }
            break;
        case SplitBehavior::contiguous:
            for (size_t i = 0; i < pieces.size(); ++i) {
                if (i > 0 && pieces[i].is_match == pieces[i - 1].is_match) {
                    out.back().end = pieces[i].span.end;
                } else {
                    out.push_back(pieces[i].span);
                }
            }
            break;
        case SplitBehavior::merged_with_previous:
            merge_with_previous(pieces, out);
            break;
        case SplitBehavior::merged_with_next:
            merge_with_next(pieces, out);
            break;
    }
}

Splitter char_splitter(uint8_t flags, bool one_by_one, SplitBehavior behavior) {
    Splitter s;
    s.char_flags = flags;
    s.one_by_one = one_by_one;
    s.behavior = behavior;
    return s;
}

}  // namespace

void split_span(const Splitter& s, const CharTable& chars, RegexState& state, std::string_view text, TextSpan span,
                std::vector<Piece>& pieces, std::vector<TextSpan>& out) {
    const std::string_view part = text.substr(span.begin, span.end - span.begin);
    pieces.clear();
    size_t done = 0;
    const auto add = [&](size_t begin, size_t end, bool is_match) {
        pieces.push_back({{span.begin + begin, span.begin + end}, is_match != s.invert});
    };
    for_each_match(s, chars, state, part, [&](size_t begin, size_t end) {
        if (done != begin) add(done, begin, false);
        add(begin, end, true);
        done = end;
    });
    if (done != part.size()) add(done, part.size(), false);
    const size_t first = out.size();
    apply_behavior(s.behavior, pieces, out);
    const auto empty = [](const TextSpan& w) { return w.begin == w.end; };
    out.erase(std::remove_if(out.begin() + static_cast<std::ptrdiff_t>(first), out.end(), empty), out.end());
}

PreTokenizer::Step PreTokenizer::make_step(const PreTokenizerStep& step, const std::string& where) {
    Step out{step.kind, std::nullopt, step.add_prefix_space, step.replacement, step.prepend};
    switch (step.kind) {
        case PreTokenizerStep::Kind::split: {
            Splitter s;
            s.behavior = step.behavior;
            s.invert = step.invert;
            if (!step.pattern.is_regex) {
                s.literal = step.pattern.text;
            } else if (const auto known = find_word_pattern(step.pattern.text)) {
                s.pattern = known;
            } else {
                s.regex = Regex(step.pattern.text, where);
            }
            out.splitter = std::move(s);
            break;
        }
        case PreTokenizerStep::Kind::byte_level:
            if (step.use_regex) {
                out.splitter.emplace();
                out.splitter->pattern = WordPattern::gpt2;
            }
            break;
        case PreTokenizerStep::Kind::digits:
            out.splitter = char_splitter(kNumber, step.individual_digits, SplitBehavior::isolated);
            break;
        case PreTokenizerStep::Kind::punctuation:
            out.splitter = char_splitter(kPunctuation, true, step.behavior);
            break;
        case PreTokenizerStep::Kind::metaspace:
            if (step.split) {
                out.splitter.emplace();
                out.splitter->literal = step.replacement;
                out.splitter->behavior = SplitBehavior::merged_with_next;
            }
            break;
    }
    return out;
}

PreTokenizer::PreTokenizer(const std::vector<PreTokenizerStep>& steps, const std::string& file) {
    for (const PreTokenizerStep& step : steps) steps_.push_back(make_step(step, file + ": pre_tokenizer"));
    byte_level_ = !steps.empty() && steps.back().kind == PreTokenizerStep::Kind::byte_level;
    // One covering pattern whose matches are the words, and nothing else that cuts or changes the text.
    const Splitter* only = nullptr;
    bool simple = byte_level_;
    for (const Step& step : steps_) {
        simple = simple && !step.add_prefix_space && step.kind != PreTokenizerStep::Kind::metaspace &&
                 !(step.splitter && only);
        if (step.splitter) only = &*step.splitter;
    }
    if (!simple || only == nullptr || !only->pattern) return;
    const bool keeps_matches =
        only->behavior == SplitBehavior::isolated || (only->behavior == SplitBehavior::removed && only->invert);
    if (keeps_matches) only_pattern_ = only->pattern;
}

namespace {

// Metaspace before its split: spaces become `replacement`, and one is put in front of spans that lack it, as `prepend`
// says. ByteLevel with add_prefix_space is the same with " " for " ".
void change_spaces(std::string_view replacement, PrependScheme prepend, bool at_start, Words& words) {
    words.spare.clear();
    for (TextSpan& span : words.spans) {
        const size_t begin = words.spare.size();
        const std::string_view part = words.text.substr(span.begin, span.end - span.begin);
        const bool starts_so = part.front() == ' ' || part.starts_with(replacement);
        const bool wanted =
            prepend == PrependScheme::always || (prepend == PrependScheme::first && at_start && span.begin == 0);
        if (wanted && !starts_so) words.spare.append(replacement);
        for (const char c : part) {
            if (c == ' ') {
                words.spare.append(replacement);
            } else {
                words.spare.push_back(c);
            }
        }
        span = {begin, words.spare.size()};
    }
    words.buffer.swap(words.spare);
    words.text = words.buffer;
}

}  // namespace

void PreTokenizer::cut(const CharTable& chars, RegexState& state, std::string_view text, bool at_start,
                       Words& words) const {
    words.text = text;
    words.spans.assign(1, TextSpan{0, text.size()});
    if (text.empty()) words.spans.clear();
    for (const Step& step : steps_) {
        if (step.kind == PreTokenizerStep::Kind::metaspace)
            change_spaces(step.replacement, step.prepend, at_start, words);
        if (step.add_prefix_space) change_spaces(" ", PrependScheme::always, at_start, words);
        if (!step.splitter) continue;
        words.next_spans.clear();
        for (const TextSpan& span : words.spans) {
            split_span(*step.splitter, chars, state, words.text, span, words.pieces, words.next_spans);
        }
        words.spans.swap(words.next_spans);
    }
}

}  // namespace argosy
