// The decoder of a tokenizer as a stream. Each step takes a part of a token and hands what is certain to the next step.
#include "runtime/text/decoder.hpp"

#include "runtime/text/byte_alphabet.hpp"
#include "runtime/text/utf8.hpp"

namespace argosy {
namespace {

// Appends the bytes that a ByteLevel token spells, or, when it has a character outside the alphabet, the token as it
// is.
void append_spelled_bytes(std::string_view token, std::string& out) {
    const size_t old = out.size();
    for (size_t i = 0; i < token.size();) {
        const Utf8Char c = utf8_char(token.data() + i);
        const int byte = kByteAlphabet.byte(c.code);
        if (byte < 0) {
            out.resize(old);
            out.append(token);
            return;
        }
        out.push_back(static_cast<char>(byte));
        i += c.bytes;
    }
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// The byte that a token such as "<0x0A>" stands for, or -1.
int fallback_byte(std::string_view token) {
    if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
    const int high = hex_digit(token[3]), low = hex_digit(token[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

void replace_all(std::string_view text, std::string_view what, std::string_view with, std::string& out) {
    size_t done = 0;
    for (size_t at = text.find(what); at != text.npos; at = text.find(what, done)) {
        out.append(text, done, at - done).append(with);
        done = at + what.size();
    }
    out.append(text, done);
}

}  // namespace

Decoder::Decoder(const std::vector<DecoderStep>& steps, bool has_decoder, const std::string& file) {
    if (!has_decoder) {
        steps_.emplace_back();
        steps_.back().kind = Step::Kind::join;
    }
    for (const DecoderStep& step : steps) {
        Step out{};
        out.content = step.content;
        out.start = step.start;
        out.stop = step.stop;
        out.drop_first = step.drop_first;
        switch (step.kind) {
            case DecoderStep::Kind::byte_level:
                out.kind = Step::Kind::byte_level;
                break;
            case DecoderStep::Kind::byte_fallback:
                out.kind = Step::Kind::byte_fallback;
                break;
            case DecoderStep::Kind::fuse:
                out.kind = Step::Kind::fuse;
                break;
            case DecoderStep::Kind::strip:
                out.kind = Step::Kind::strip;
                break;
            case DecoderStep::Kind::metaspace:
                out.kind = Step::Kind::metaspace;
                break;
            case DecoderStep::Kind::replace:
                out.kind = Step::Kind::replace;
                out.replacer.emplace_back(step.pattern, step.content, file + ": decoder");
                break;
        }
        steps_.push_back(std::move(out));
    }
}

std::string Decoder::token_bytes(std::string_view token, bool added) const {
    std::string text(token), changed;
    RegexState regex;
    for (const Step& step : steps_) {
        changed.clear();
        if (step.kind == Step::Kind::byte_level) {
            if (added) continue;
            append_spelled_bytes(text, changed);
        } else if (step.kind == Step::Kind::replace) {
            step.replacer[0].append(regex, text, changed);
        } else if (step.kind == Step::Kind::metaspace) {
            replace_all(text, step.content, " ", changed);
        } else if (step.kind == Step::Kind::byte_fallback && fallback_byte(text) >= 0) {
            return std::string(1, static_cast<char>(fallback_byte(text)));
        } else {
            continue;
        }
        text.swap(changed);
    }
    return text;
}

DecodeStream::DecodeStream(const Decoder& decoder) : decoder_(&decoder), states_(decoder.steps_.size()) {}

void DecodeStream::feed(size_t step, std::string_view part, bool begins, std::string& out) {
    if (step == states_.size()) {
        out.append(part);
        return;
    }
    const Decoder::Step& what = decoder_->steps_[step];
    State& state = states_[step];
    using Kind = Decoder::Step::Kind;
    switch (what.kind) {
        case Kind::byte_level:
            feed_byte_level(step, part, out);
            break;
        case Kind::byte_fallback:
            feed_byte_fallback(step, part, out);
            break;
        case Kind::strip:
            feed_strip(step, part, begins, out);
            break;
        case Kind::metaspace:
            feed_metaspace(step, part, begins, out);
            break;
        case Kind::fuse:
            feed(step + 1, part, !state.any, out);
            state.any = true;
            break;
        case Kind::join:
            if (state.any) feed(step + 1, " ", true, out);
            feed(step + 1, part, true, out);
            state.any = true;
            break;
        case Kind::replace: {
            std::string changed;
            what.replacer[0].append(regex_, part, changed);
            feed(step + 1, changed, begins, out);
            break;
        }
    }
}

// All bytes are one text; what is not UTF-8 becomes U+FFFD.
void DecodeStream::feed_byte_level(size_t step, std::string_view token, std::string& out) {
    State& state = states_[step];
    if (added_) {
        state.held.append(token);
    } else {
        append_spelled_bytes(token, state.held);
    }
    std::string text;
    const size_t left = append_lossy(text, state.held, false);
    state.held.erase(0, state.held.size() - left);
    feed(step + 1, text, !state.any, out);
    state.any = true;
}

// A run of byte tokens is a text of its own when it is valid UTF-8; else each byte is one U+FFFD. So a run is certain
// at its end.
void DecodeStream::feed_byte_fallback(size_t step, std::string_view token, std::string& out) {
    const int byte = fallback_byte(token);
    if (byte >= 0) {
        states_[step].held.push_back(static_cast<char>(byte));
        return;
    }
    flush(step, out);
    feed(step + 1, token, true, out);
}

void DecodeStream::feed_strip(size_t step, std::string_view part, bool begins, std::string& out) {
    const Decoder::Step& what = decoder_->steps_[step];
    State& state = states_[step];
    if (begins) state = {};  // what was held was at the end of the token before
    std::string pass;
    for (size_t i = 0; i < part.size();) {
        const std::string_view c = part.substr(i, utf8_char(part.data() + i).bytes);
        i += c.size();
        const bool same = c == what.content;
        if (state.front && same && state.stripped < what.start) {
            ++state.stripped;
            continue;
        }
        state.front = false;
        if (!same) {
            pass.append(state.held).append(c);
            state.held.clear();
            continue;
        }
        state.held.append(c);
        if (state.held.size() > what.stop * what.content.size()) {
            pass.append(what.content);
            state.held.erase(0, what.content.size());
        }
    }
    feed(step + 1, pass, begins, out);
}

void DecodeStream::feed_metaspace(size_t step, std::string_view part, bool begins, std::string& out) {
    const Decoder::Step& what = decoder_->steps_[step];
    State& state = states_[step];
    if (begins) state.first = !state.any;
    state.any = true;
    std::string changed;
    replace_all(part, what.content, state.first && what.drop_first ? "" : " ", changed);
    feed(step + 1, changed, begins, out);
}

// Hands on what the step still holds, now that no more of it comes.
void DecodeStream::flush(size_t step, std::string& out) {
    State& state = states_[step];
    if (state.held.empty()) return;
    using Kind = Decoder::Step::Kind;
    const Kind kind = decoder_->steps_[step].kind;
    std::string text;
    if (kind == Kind::byte_level) {
        append_lossy(text, state.held, true);
    } else if (kind == Kind::byte_fallback && is_valid_utf8(state.held)) {
        text = state.held;
    } else if (kind == Kind::byte_fallback) {
        const size_t bytes = state.held.size();
        state.held.clear();
        for (size_t i = 0; i < bytes; ++i) feed(step + 1, kReplacementChar, true, out);
        return;
    }
    state.held.clear();
    if (!text.empty()) feed(step + 1, text, kind == Kind::byte_fallback || !state.any, out);
}

void DecodeStream::finish(std::string& out) {
    for (size_t step = 0; step < states_.size(); ++step) flush(step, out);
}

}  // namespace argosy
