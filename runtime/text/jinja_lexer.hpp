// The tokens of a chat template: text between tags, and names, numbers, strings and operators within them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace argosy {

enum class JinjaTokenKind { data, output_begin, output_end, tag_begin, tag_end, name, string, integer, real, op, end };

struct JinjaToken {
    JinjaTokenKind kind;
    std::string text;  // data and strings as they will stand in the output, names, digits, operators
    int line;
};

// Cuts a template, valid UTF-8, as Jinja 3.1 does with trim_blocks and lstrip_blocks: a line break behind a tag or a
// comment is dropped, and so are blanks before one at the beginning of a line; "-" within a tag's bracket takes all
// white space on that side, "+" none. The last token is `end`. Throws JinjaFailure.
std::vector<JinjaToken> jinja_tokens(std::string_view source);

}  // namespace argosy
