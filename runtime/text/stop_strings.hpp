// Stop strings: found across the borders of tokens, in text that comes piece by piece.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace argosy {

// Watches a text for stop strings. The match is the one that is complete first; of several that end together, the
// longest. So it depends on the text alone, not on how it came in pieces. Text that may yet turn out to begin a stop
// string is held back.
//
// Example, stop "END": push("the E") gives "the ", push("N") gives "", push("V") gives "ENV"; push("END.") gives "" and
// stopped.
class StopMatcher {
  public:
    // Error(input) when a stop string is empty. No stop strings: all text passes at once.
    explicit StopMatcher(std::vector<std::string> stops);

    // Feeds the next piece and returns the text that is now certain to stand before any match. After a match: nothing.
    std::string push(std::string_view piece);
    // The text held back, when no more comes and nothing matched. Call once.
    std::string finish();

    bool stopped() const { return stopped_; }
    // Of the match, once stopped: which stop string, and the byte of the whole text where it begins.
    size_t stop_index() const { return stop_index_; }
    size_t stop_offset() const { return stop_offset_; }
    const std::vector<std::string>& stops() const { return stops_; }

  private:
    // Aho-Corasick: a node is a prefix of a stop string, namely the longest that the text so far ends with.
    struct Node {
        std::vector<int32_t> children;  // nodes
        int32_t suffix = 0;             // the longest proper suffix of this prefix that is a prefix too
        int32_t stop = -1;              // the longest stop string that ends here
        uint32_t depth = 0;             // bytes
        unsigned char byte = 0;
    };
    int32_t child(int32_t node, unsigned char byte) const;

    std::vector<std::string> stops_;
    std::vector<Node> nodes_;
    int32_t node_ = 0;
    std::string held_;   // the text of node_
    size_t passed_ = 0;  // bytes returned so far
    bool stopped_ = false;
    size_t stop_index_ = 0, stop_offset_ = 0;
};

}  // namespace argosy
