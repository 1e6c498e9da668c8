// Added tokens: finding them in text before anything else looks at it, as the tokenizers library does.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/text/char_class.hpp"
#include "runtime/text/tokenizer_spec.hpp"

namespace argosy {

// A set of added tokens to look for: leftmost match first, longest of those.
class AddedTokenSet {
  public:
    // Tokens are tried in the order of insertion only where two have the same text: the first stays.
    void insert(std::string_view text, const AddedToken& token);
    bool empty() const { return tokens_.empty(); }

    // Cuts `text` at added tokens. Calls piece(begin, end) for text between them and token(id) for each, in order.
    // White space that lstrip and rstrip take belongs to the token; a single_word match inside a word is passed over.
    template <class Piece, class Token>
    void cut(const CharTable& chars, std::string_view text, Piece piece, Token token) const {
        size_t done = 0, from = 0;
        Found found;
        while (find(text, from, found)) {
            from = found.end;
            const AddedToken& t = tokens_[found.token];
            if (t.single_word && inside_word(chars, text, found)) continue;
            size_t begin = found.begin, end = found.end;
            if (t.lstrip) begin = std::max(spaces_before(chars, text, begin), done);
            if (t.rstrip) end = spaces_after(chars, text, end);
            if (done < begin) piece(done, begin);
            token(t.id);
            done = end;
        }
        if (done < text.size()) piece(done, text.size());
    }

  private:
    struct Found {
        size_t begin = 0, end = 0, token = 0;
    };
    struct Node {
        int32_t child = -1, sibling = -1;  // nodes
        int32_t token = -1;                // in tokens_
        unsigned char byte = 0;
    };
    bool find(std::string_view text, size_t from, Found& found) const;
    static bool inside_word(const CharTable& chars, std::string_view text, const Found& found);
    static size_t spaces_before(const CharTable& chars, std::string_view text, size_t end);
    static size_t spaces_after(const CharTable& chars, std::string_view text, size_t begin);

    std::vector<AddedToken> tokens_;
    std::vector<Node> nodes_;
    std::array<int32_t, 256> first_ = [] {
        std::array<int32_t, 256> none;
        none.fill(-1);
        return none;
    }();
    int only_byte_ = -1;  // all tokens begin with this byte; -2: they do not
};

}  // namespace argosy
