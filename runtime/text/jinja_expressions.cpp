// Parsing what stands in a template's tags: expressions, by rising strength of their operators.
#include <fmt/format.h>

#include <charconv>

#include "runtime/text/jinja_builtins.hpp"
#include "runtime/text/jinja_parser.hpp"

namespace argosy {

int JinjaParser::parse_expression() { return parse_conditional(); }

// One expression, or several with commas between: a tuple.
int JinjaParser::parse_tuple(bool conditional, bool parenthesised) {
    const int line = now().line;
    const auto part = [&] { return conditional ? parse_conditional() : parse_or(); };
    const auto at_end = [&] {
        return now().kind == JinjaTokenKind::output_end || now().kind == JinjaTokenKind::tag_end || is_op(")");
    };
    if (parenthesised && is_op(")")) return add(JinjaKind::tuple, line);
    std::vector<int> parts = {part()};
    bool several = false;
    while (skip_op(",")) {
        several = true;
        if (at_end()) break;
        parts.push_back(part());
    }
    return several ? add(JinjaKind::tuple, line, std::move(parts)) : parts[0];
}

int JinjaParser::parse_conditional() {
    const Level level(*this);
    const int line = now().line;
    int value = parse_or();
    while (skip_word("if")) {
        const int condition = parse_or();
        const int other = skip_word("else") ? parse_conditional() : -1;
        value = add(JinjaKind::conditional, line, {value, condition, other});
    }
    return value;
}

int JinjaParser::parse_or() {
    const int line = now().line;
    int left = parse_and();
    while (skip_word("or")) {
        const int right = parse_and();
        left = add(JinjaKind::logic_or, line, {left, right});
    }
    return left;
}

int JinjaParser::parse_and() {
    const int line = now().line;
    int left = parse_not();
    while (skip_word("and")) {
        const int right = parse_not();
        left = add(JinjaKind::logic_and, line, {left, right});
    }
    return left;
}

int JinjaParser::parse_not() {
    const int line = now().line;
    if (!is_word("not")) return parse_compare();
    const Level level(*this);
    next();
    return add(JinjaKind::logic_not, line, {parse_not()});
}

int JinjaParser::parse_compare() {
    const int line = now().line;
    std::vector<int> operands = {parse_sum()};
    std::vector<JinjaOp> ops;
    constexpr std::pair<std::string_view, JinjaOp> kOps[] = {{"==", JinjaOp::equal},  {"!=", JinjaOp::unequal},
                                                             {"<", JinjaOp::less},    {"<=", JinjaOp::less_equal},
                                                             {">", JinjaOp::greater}, {">=", JinjaOp::greater_equal}};
    while (true) {
        JinjaOp op = JinjaOp::none;
        for (const auto& [text, meant] : kOps) {
            if (is_op(text)) op = meant;
        }
        if (is_word("in")) op = JinjaOp::in;
        if (is_word("not") && ahead().kind == JinjaTokenKind::name && ahead().text == "in") {
            op = JinjaOp::not_in;
            next();
        }
        if (op == JinjaOp::none) break;
        next();
        ops.push_back(op);
        operands.push_back(parse_sum());
    }
    if (ops.empty()) return operands[0];
    const int made = add(JinjaKind::compare, line, std::move(operands));
    node(made).ops = std::move(ops);
    return made;
}

int JinjaParser::parse_sum() {
    const int line = now().line;
    int left = parse_concat();
    while (is_op("+") || is_op("-")) {
        const JinjaOp op = is_op("+") ? JinjaOp::add : JinjaOp::subtract;
        next();
        const int right = parse_concat();
        left = add(JinjaKind::binary, line, {left, right});
        node(left).ops = {op};
    }
    return left;
}

int JinjaParser::parse_concat() {
    const int line = now().line;
    std::vector<int> parts = {parse_product()};
    while (skip_op("~")) parts.push_back(parse_product());
    return parts.size() == 1 ? parts[0] : add(JinjaKind::concat, line, std::move(parts));
}

int JinjaParser::parse_product() {
    const int line = now().line;
    int left = parse_power();
    while (true) {
        const JinjaOp op = is_op("*")    ? JinjaOp::multiply
                           : is_op("/")  ? JinjaOp::divide
                           : is_op("//") ? JinjaOp::floor_divide
                           : is_op("%")  ? JinjaOp::modulo
                                         : JinjaOp::none;
        if (op == JinjaOp::none) return left;
        next();
        const int right = parse_power();
        left = add(JinjaKind::binary, line, {left, right});
        node(left).ops = {op};
    }
}

int JinjaParser::parse_power() {
    const int line = now().line;
    int left = parse_unary(true);
    while (skip_op("**")) {
        const int right = parse_unary(true);
        left = add(JinjaKind::binary, line, {left, right});
        node(left).ops = {JinjaOp::power};
    }
    return left;
}

int JinjaParser::parse_unary(bool with_filters) {
    const Level level(*this);
    const int line = now().line;
    int value;
    if (is_op("-") || is_op("+")) {
        const JinjaOp op = is_op("-") ? JinjaOp::negate : JinjaOp::plus;
        next();
        const int operand = parse_unary(false);
        value = add(JinjaKind::unary, line, {operand});
        node(value).ops = {op};
    } else {
        value = parse_primary();
    }
    value = parse_postfix(value);
    return with_filters ? parse_filters(value) : value;
}

int JinjaParser::parse_primary() {
    const int line = now().line;
    switch (now().kind) {
        case JinjaTokenKind::name: {
            const std::string name = expect_name();
            if (name == "true" || name == "True") return constant(line, jinja_bool(true));
            if (name == "false" || name == "False") return constant(line, jinja_bool(false));
            if (name == "none" || name == "None") return constant(line, jinja_none());
            const int made = add(JinjaKind::name, line);
            node(made).name = intern(name);
            node(made).constant = jinja_text(name);
            return made;
        }
        case JinjaTokenKind::string:
            return parse_string();
        case JinjaTokenKind::integer:
        case JinjaTokenKind::real:
            return parse_number();
        default:
            break;
    }
    if (skip_op("(")) {
        const int inner = parse_tuple(true, true);
        expect_op(")");
        return inner;
    }
    if (is_op("[")) return parse_list();
    if (is_op("{")) return parse_dict();
    expect(JinjaTokenKind::name, "a value");
    return -1;
}

// Strings side by side are one.
int JinjaParser::parse_string() {
    const int line = now().line;
    std::string text;
    while (now().kind == JinjaTokenKind::string) {
        text += now().text;
        next();
    }
    return constant(line, jinja_text(std::move(text)));
}

int JinjaParser::parse_number() {
    const int line = now().line;
    const std::string digits = now().text;
    const bool real = now().kind == JinjaTokenKind::real;
    next();
    const char *begin = digits.data(), *end = begin + digits.size();
    if (real) {
        double value = 0;
        if (std::from_chars(begin, end, value).ec != std::errc{}) wrong("the number " + digits + " is out of range");
        return constant(line, {value});
    }
    std::int64_t value = 0;
    if (std::from_chars(begin, end, value).ec != std::errc{}) wrong("the number " + digits + " is out of range");
    return constant(line, jinja_integer(value));
}

int JinjaParser::parse_list() {
    const int line = now().line;
    expect_op("[");
    std::vector<int> items;
    while (!is_op("]")) {
        if (!items.empty()) expect_op(",");
        if (is_op("]")) break;
        items.push_back(parse_expression());
    }
    next();
    return add(JinjaKind::list, line, std::move(items));
}

int JinjaParser::parse_dict() {
    const int line = now().line;
    expect_op("{");
    std::vector<int> parts;
    while (!is_op("}")) {
        if (!parts.empty()) expect_op(",");
        if (is_op("}")) break;
        parts.push_back(parse_expression());
        expect_op(":");
        parts.push_back(parse_expression());
    }
    next();
    return add(JinjaKind::dict, line, std::move(parts));
}

// Members, subscripts and calls behind a value.
int JinjaParser::parse_postfix(int object) {
    while (true) {
        const int line = now().line;
        if (skip_op(".")) {
            if (now().kind == JinjaTokenKind::integer) {
                const int index = parse_number();
                object = add(JinjaKind::item, line, {object, index});
                continue;
            }
            const std::string name = expect_name();
            object = add(JinjaKind::attribute, line, {object});
            node(object).constant = jinja_text(name);
        } else if (skip_op("[")) {
            object = parse_subscript(object, line);
        } else if (skip_op("(")) {
            object = add(JinjaKind::call, line, {object});
            parse_arguments(object);
        } else {
            return object;
        }
    }
}

// What stands in brackets, past the "[": an index or a slice.
int JinjaParser::parse_subscript(int object, int line) {
    if (is_op("]")) wrong("brackets behind a value need an index");
    int parts[3] = {-1, -1, -1};
    int colons = 0;
    while (!is_op("]")) {
        if (is_op(":")) {
            if (++colons > 2) wrong("a slice has at most three parts");
            next();
        } else if (is_op(",")) {
            not_supported("an index of several parts");
        } else {
            if (parts[colons] >= 0) wrong("\"]\" is expected behind an index");
            parts[colons] = parse_expression();
        }
    }
    next();
    if (colons == 0) return add(JinjaKind::item, line, {object, parts[0]});
    return add(JinjaKind::slice, line, {object, parts[0], parts[1], parts[2]});
}

// The arguments of the node `call`, past the "(".
void JinjaParser::parse_arguments(int call) {
    while (!skip_op(")")) {
        if (node(call).kids.size() > 1 || !node(call).named.empty()) {
            expect_op(",");
            if (skip_op(")")) return;
        }
        if (is_op("*") || is_op("**")) not_supported("arguments unpacked with *");
        if (now().kind == JinjaTokenKind::name && ahead().kind == JinjaTokenKind::op && ahead().text == "=") {
            const std::string name = expect_name();
            next();
            const int value = parse_expression();
            node(call).named.emplace_back(name, value);
        } else {
            if (!node(call).named.empty()) wrong("an argument without a name stands behind one with a name");
            const int value = parse_expression();
            node(call).kids.push_back(value);
        }
    }
}

int JinjaParser::parse_filters(int object) {
    while (true) {
        if (skip_op("|")) {
            object = parse_one_filter(object);
        } else if (is_word("is")) {
            object = parse_test(object);
        } else if (is_op("(")) {
            const int line = now().line;
            next();
            object = add(JinjaKind::call, line, {object});
            parse_arguments(object);
        } else {
            return object;
        }
    }
}

// A filter's name and arguments, past the "|".
int JinjaParser::parse_one_filter(int object) {
    const int line = now().line;
    const std::string name = expect_name();
    const int made = add(JinjaKind::filter, line, {object});
    node(made).constant = jinja_text(name);
    node(made).builtin = find_jinja_filter(name);
    if (skip_op("(")) parse_arguments(made);
    return made;
}

int JinjaParser::parse_test(int object) {
    const int line = now().line;
    next();
    const bool negated = skip_word("not");
    const std::string name = expect_name();
    int made = add(JinjaKind::test, line, {object});
    node(made).constant = jinja_text(name);
    node(made).builtin = find_jinja_test(name);
    // A word that may follow an expression is no argument.
    const bool word = now().kind == JinjaTokenKind::name && !is_word("else") && !is_word("or") && !is_word("and") &&
                      !is_word("if") && !is_word("in") && !is_word("not") && !is_word("recursive");
    const bool value = now().kind == JinjaTokenKind::string || now().kind == JinjaTokenKind::integer ||
                       now().kind == JinjaTokenKind::real || is_op("[") || is_op("{");
    if (skip_op("(")) {
        parse_arguments(made);
    } else if (value || word) {
        if (is_word("is")) wrong("tests cannot be chained with \"is\"");
        const int argument = parse_postfix(parse_primary());
        node(made).kids.push_back(argument);
    }
    if (negated) made = add(JinjaKind::logic_not, line, {made});
    return made;
}

}  // namespace argosy
