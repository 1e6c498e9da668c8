// The decoder of a tokenizer as a stream: tokens go in, text that can no longer change comes out.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/text/normalizer.hpp"
#include "runtime/text/tokenizer_spec.hpp"

namespace argosy {

// The steps of a decoder. Immutable, shared by streams.
class Decoder {
  public:
    Decoder() = default;
    // Without a decoder section tokens are joined by spaces.
    Decoder(const std::vector<DecoderStep>& steps, bool has_decoder, const std::string& file);

    // The bytes that a token stands for when it stands alone, in the middle of a text: no Strip, nothing dropped at the
    // start. added: see DecodeStream::push.
    std::string token_bytes(std::string_view token, bool added) const;

  private:
    friend class DecodeStream;
    struct Step {
        enum class Kind { byte_level, replace, byte_fallback, fuse, strip, metaspace, join } kind;
        std::vector<Replacer> replacer;  // replace: exactly one
        std::string content;             // strip: the character; metaspace: the replacement
        uint32_t start = 0, stop = 0;    // strip
        bool drop_first = false;         // metaspace
    };
    std::vector<Step> steps_;
};

// Runs tokens through a decoder. What all pushes and finish append, together, is the decoded text.
class DecodeStream {
  public:
    explicit DecodeStream(const Decoder& decoder);  // the decoder must outlive the stream
    // added: an added token is written as text, so a ByteLevel step does not read it as the GPT-2 alphabet. (The
    // tokenizers library does, and turns DeepSeek's added token "ö" into a stray byte; here decode(encode("ö")) is
    // "ö".)
    void push(std::string_view token, bool added, std::string& out) {
        added_ = added;
        feed(0, token, true, out);
    }
    void finish(std::string& out);

  private:
    // Memory of one step. Text arrives in parts: `begins` says that a part begins a token.
    struct State {
        bool any = false;   // a part has come
        bool first = true;  // still in the first token
        std::string
            held;  // byte_level: an incomplete character; byte_fallback: a run of bytes; strip: what may be stripped
        uint32_t stripped = 0;  // strip: characters taken from the front of this token
        bool front = true;      // strip: nothing of this token has passed yet
    };
    void feed(size_t step, std::string_view part, bool begins, std::string& out);
    void feed_byte_level(size_t step, std::string_view token, std::string& out);
    void feed_byte_fallback(size_t step, std::string_view token, std::string& out);
    void feed_strip(size_t step, std::string_view part, bool begins, std::string& out);
    void feed_metaspace(size_t step, std::string_view part, bool begins, std::string& out);
    void flush(size_t step, std::string& out);

    const Decoder* decoder_;
    RegexState regex_;
    bool added_ = false;         // the token being pushed is an added one
    std::vector<State> states_;  // [steps]
};

}  // namespace argosy
