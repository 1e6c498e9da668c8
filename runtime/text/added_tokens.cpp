// Added tokens: a tree of bytes, entered by a table of first bytes; most text never gets past that table.
#include "runtime/text/added_tokens.hpp"

#include <algorithm>
#include <cstring>

#include "runtime/text/utf8.hpp"

namespace argosy {

void AddedTokenSet::insert(std::string_view text, const AddedToken& token) {
    if (text.empty()) return;
    const auto byte_at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
    only_byte_ = only_byte_ == -1 || only_byte_ == byte_at(0) ? byte_at(0) : -2;
    int32_t* link = &first_[byte_at(0)];
    int32_t node = -1;
    for (size_t i = 0; i < text.size(); ++i) {
        while (*link != -1 && nodes_[*link].byte != byte_at(i)) link = &nodes_[*link].sibling;
        node = *link;
        if (node == -1) {
            node = static_cast<int32_t>(nodes_.size());
            *link = node;
            nodes_.push_back({-1, -1, -1, byte_at(i)});
        }
        link = &nodes_[node].child;
    }
    if (nodes_[node].token != -1) return;
    nodes_[node].token = static_cast<int32_t>(tokens_.size());
    tokens_.push_back(token);
}

bool AddedTokenSet::find(std::string_view text, size_t from, Found& found) const {
    if (tokens_.empty()) return false;
    for (size_t i = from; i < text.size(); ++i) {
        if (only_byte_ >= 0) {
            const void* next = std::memchr(text.data() + i, only_byte_, text.size() - i);
            if (next == nullptr) return false;
            i = static_cast<size_t>(static_cast<const char*>(next) - text.data());
        }
        int32_t node = first_[static_cast<unsigned char>(text[i])];
        int32_t longest = -1;
        for (size_t at = i; node != -1;) {
            if (nodes_[node].token != -1) {
                longest = nodes_[node].token;
                found.end = at + 1;
            }
            if (++at == text.size()) break;
            node = nodes_[node].child;
            while (node != -1 && nodes_[node].byte != static_cast<unsigned char>(text[at])) node = nodes_[node].sibling;
        }
        if (longest != -1) {
            found.begin = i;
            found.token = static_cast<size_t>(longest);
            return true;
        }
    }
    return false;
}

bool AddedTokenSet::inside_word(const CharTable& chars, std::string_view text, const Found& found) {
    const bool before = found.begin > 0 && (chars[utf8_char(utf8_back(text.data() + found.begin)).code] & kWord);
    const bool after = found.end < text.size() && (chars[utf8_char(text.data() + found.end).code] & kWord);
    return before || after;
}

size_t AddedTokenSet::spaces_before(const CharTable& chars, std::string_view text, size_t end) {
    while (end > 0) {
        const char* back = utf8_back(text.data() + end);
        if (!(chars[utf8_char(back).code] & kSpace)) break;
        end = static_cast<size_t>(back - text.data());
    }
    return end;
}

size_t AddedTokenSet::spaces_after(const CharTable& chars, std::string_view text, size_t begin) {
    while (begin < text.size()) {
        const Utf8Char c = utf8_char(text.data() + begin);
        if (!(chars[c.code] & kSpace)) break;
        begin += c.bytes;
    }
    return begin;
}

}  // namespace argosy
