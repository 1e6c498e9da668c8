// A parsed chat template: a flat list of nodes that name each other by index, and the names it uses.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/text/jinja_value.hpp"

namespace argosy {

enum class JinjaKind {
    // Expressions; what `kids` hold.
    constant,
    name,         // node.name
    list,         // items
    tuple,        // items
    dict,         // key, value, key, value, ...
    attribute,    // object; node.constant is the attribute's name
    item,         // object, index
    slice,        // object, start, stop, step (-1: left out)
    call,         // callee, positional arguments; node.named
    filter,       // value, positional arguments; node.named, node.builtin
    test,         // as filter
    unary,        // operand; node.ops[0]
    binary,       // left, right; node.ops[0]
    compare,      // operands; node.ops one less
    concat,       // operands of ~
    logic_and,    // left, right
    logic_or,     // left, right
    logic_not,    // operand
    conditional,  // value, condition, other value (-1: undefined)
    // Statements.
    data,          // node.constant is the text
    output,        // expression
    block,         // statements
    set,           // target, value
    set_block,     // target, block; the block's text, filtered by the filter nodes behind
    for_loop,      // target, what to walk, condition (-1), block, block when nothing was walked (-1)
    if_chain,      // condition, block, condition, block, ..., [block]
    macro,         // defaults of node.names (-1: none), block
    scope,         // block whose assignments end with it
    with,          // target, value, target, value, ..., block
    filter_block,  // block, then filter nodes
    break_loop,
    continue_loop,
};

enum class JinjaOp {
    none,
    add,
    subtract,
    multiply,
    divide,
    floor_divide,
    modulo,
    power,
    negate,
    plus,
    equal,
    unequal,
    less,
    less_equal,
    greater,
    greater_equal,
    in,
    not_in,
};

struct JinjaNode {
    JinjaKind kind;
    int line = 0;
    int name = -1;  // index into JinjaTemplate::names
    JinjaValue constant{};
    std::vector<int> kids{};
    std::vector<std::pair<std::string, int>> named{};  // arguments by name
    std::vector<int> names{};                          // a macro's parameters
    std::vector<JinjaOp> ops{};
    const JinjaBuiltin* builtin = nullptr;
};

struct JinjaTemplate {
    std::vector<JinjaNode> nodes;
    std::vector<std::string> names;  // of variables
    std::vector<bool> assigned;      // [names] some tag of the template sets it
    int root = -1;                   // a block
};

// Parses a template, valid UTF-8. Throws JinjaFailure for what is no template and for tags that are not known.
JinjaTemplate parse_jinja(std::string_view source);

}  // namespace argosy
