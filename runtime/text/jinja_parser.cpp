// Parsing a template's tags into statements.
#include "runtime/text/jinja_parser.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/text/jinja_builtins.hpp"

namespace argosy {

namespace {
constexpr int kNestingMax = 100;
}

JinjaParser::Level::Level(JinjaParser& parser) : parser_(parser) {
    if (parser_.depth_ >= kNestingMax) {
        throw JinjaFailure{JinjaFailure::limit, parser_.now().line,
                           fmt::format("tags or expressions are nested more than {} levels deep", kNestingMax)};
    }
    ++parser_.depth_;
}

// ---- tokens and nodes
// ------------------------------------------------------------------------------------------------------------

void JinjaParser::wrong(std::string text) const {
    throw JinjaFailure{JinjaFailure::syntax, now().line, std::move(text)};
}
void JinjaParser::not_supported(std::string text) const {
    throw JinjaFailure{JinjaFailure::unsupported, now().line, std::move(text)};
}

bool JinjaParser::skip_op(std::string_view text) {
    const bool found = is_op(text);
    if (found) next();
    return found;
}

bool JinjaParser::skip_word(std::string_view text) {
    const bool found = is_word(text);
    if (found) next();
    return found;
}

namespace {

std::string shown_token(const JinjaToken& token) {
    switch (token.kind) {
        case JinjaTokenKind::end:
            return "the end of the template";
        case JinjaTokenKind::tag_end:
            return "%}";
        case JinjaTokenKind::output_end:
            return "}}";
        default:
            return fmt::format("\"{}\"", std::string_view(token.text).substr(0, 40));
    }
}

}  // namespace

void JinjaParser::expect_op(std::string_view text) {
    if (!skip_op(text)) wrong(fmt::format("\"{}\" is expected where {} stands", text, shown_token(now())));
}

void JinjaParser::expect(JinjaTokenKind kind, const char* what) {
    if (now().kind != kind) wrong(fmt::format("{} is expected where {} stands", what, shown_token(now())));
    next();
}

std::string JinjaParser::expect_name() {
    std::string name = now().text;
    expect(JinjaTokenKind::name, "a name");
    return name;
}

int JinjaParser::add(JinjaKind kind, int line, std::vector<int> kids) {
    JinjaNode made{kind};
    made.line = line;
    made.kids = std::move(kids);
    out_.nodes.push_back(std::move(made));
    return static_cast<int>(out_.nodes.size()) - 1;
}

int JinjaParser::constant(int line, JinjaValue value) {
    const int made = add(JinjaKind::constant, line);
    node(made).constant = std::move(value);
    return made;
}

int JinjaParser::intern(const std::string& name) {
    const auto [found, is_new] = name_index_.try_emplace(name, static_cast<int>(out_.names.size()));
    if (is_new) {
        out_.names.push_back(name);
        out_.assigned.push_back(false);
    }
    return found->second;
}

// ---- statements
// --------------------------------------------------------------------------------------------------------------------

JinjaTemplate JinjaParser::run() {
    out_.root = parse_block({});
    return std::move(out_);
}

// Statements up to a tag whose word is one of `ends`, which is left standing at its word; without ends to the end.
int JinjaParser::parse_block(std::initializer_list<std::string_view> ends) {
    const Level level(*this);
    const int line = now().line;
    std::vector<int> statements;
    while (true) {
        if (now().kind == JinjaTokenKind::end) {
            if (ends.size() > 0) {
                throw JinjaFailure{JinjaFailure::syntax, line, fmt::format("{{% {} %}} is missing", *(ends.end() - 1))};
            }
            return add(JinjaKind::block, line, std::move(statements));
        }
        if (now().kind == JinjaTokenKind::tag_begin) {
            const auto is_end = [&](std::string_view word) { return ahead().text == word; };
            if (ahead().kind == JinjaTokenKind::name && std::any_of(ends.begin(), ends.end(), is_end)) {
                next();
                return add(JinjaKind::block, line, std::move(statements));
            }
            next();
            statements.push_back(parse_tag());
        } else if (now().kind == JinjaTokenKind::output_begin) {
            statements.push_back(parse_output());
        } else {
            const int made = add(JinjaKind::data, now().line);
            node(made).constant = jinja_text(now().text);
            statements.push_back(made);
            next();
        }
    }
}

int JinjaParser::parse_output() {
    const int line = now().line;
    next();
    const int value = parse_tuple(true);
    expect(JinjaTokenKind::output_end, "}}");
    return add(JinjaKind::output, line, {value});
}

void JinjaParser::end_tag(const char* tag) {
    if (now().kind != JinjaTokenKind::tag_end)
        wrong(fmt::format("{} in the tag {} is not understood", shown_token(now()), tag));
    next();
}

int JinjaParser::parse_tag() {
    const int line = now().line;
    const std::string word = expect_name();
    if (word == "if") return parse_if(line);
    if (word == "for") return parse_for(line);
    if (word == "set") return parse_set(line);
    if (word == "macro") return parse_macro(line);
    if (word == "with") return parse_with(line);
    if (word == "filter") return parse_filter_block(line);
    if (word == "break" || word == "continue") return parse_loop_end(line, word == "break");
    if (word == "generation") {  // marks what a model wrote, for training; transparent here
        end_tag("generation");
        const int body = parse_block({"endgeneration"});
        next();
        end_tag("endgeneration");
        return add(JinjaKind::scope, line, {body});
    }
    throw JinjaFailure{JinjaFailure::unsupported, line, fmt::format("the tag {{% {} %}}", word)};
}

int JinjaParser::parse_if(int line) {
    std::vector<int> kids;
    while (true) {
        kids.push_back(parse_tuple(false));
        end_tag("if");
        kids.push_back(parse_block({"elif", "else", "endif"}));
        if (!skip_word("elif")) break;
    }
    if (skip_word("else")) {
        end_tag("else");
        kids.push_back(parse_block({"endif"}));
    }
    next();
    end_tag("endif");
    return add(JinjaKind::if_chain, line, std::move(kids));
}

int JinjaParser::parse_for(int line) {
    const int target = parse_target(false);
    if (!skip_word("in")) wrong("the tag for needs \"in\"");
    const int walked = parse_tuple(false);
    const int condition = skip_word("if") ? parse_expression() : -1;
    if (is_word("recursive")) not_supported("a recursive for-loop");
    end_tag("for");
    ++loops_;
    const int body = parse_block({"else", "endfor"});
    --loops_;
    int otherwise = -1;
    if (skip_word("else")) {
        end_tag("else");
        otherwise = parse_block({"endfor"});
    }
    next();
    end_tag("endfor");
    return add(JinjaKind::for_loop, line, {target, walked, condition, body, otherwise});
}

int JinjaParser::parse_loop_end(int line, bool is_break) {
    if (loops_ == 0) wrong("break or continue stands outside of a for-loop");
    end_tag(is_break ? "break" : "continue");
    return add(is_break ? JinjaKind::break_loop : JinjaKind::continue_loop, line);
}

// A name, or with allow_member `name.member` of a namespace.
int JinjaParser::parse_one_target(bool allow_member) {
    const Level level(*this);
    const int line = now().line;
    if (skip_op("(")) {
        const int inner = parse_target(allow_member);
        expect_op(")");
        return inner;
    }
    const std::string name = expect_name();
    const int made = add(JinjaKind::name, line);
    node(made).name = intern(name);
    if (allow_member && skip_op(".")) {
        const std::string member = expect_name();
        const int attribute = add(JinjaKind::attribute, line, {made});
        node(attribute).constant = jinja_text(member);
        return attribute;
    }
    out_.assigned[static_cast<std::size_t>(node(made).name)] = true;
    return made;
}

int JinjaParser::parse_target(bool allow_member) {
    const int line = now().line;
    std::vector<int> targets = {parse_one_target(allow_member)};
    bool several = false;
    while (skip_op(",")) {
        several = true;
        if (is_word("in") || is_op("=") || is_op(")")) break;
        targets.push_back(parse_one_target(allow_member));
    }
    return several ? add(JinjaKind::tuple, line, std::move(targets)) : targets[0];
}

int JinjaParser::parse_set(int line) {
    const int target = parse_target(true);
    if (skip_op("=")) {
        const int value = parse_tuple(true);
        end_tag("set");
        return add(JinjaKind::set, line, {target, value});
    }
    const int filters = parse_filter_chain();
    end_tag("set");
    const int body = parse_block({"endset"});
    next();
    end_tag("endset");
    return add(JinjaKind::set_block, line, {target, body, filters});
}

// Filters without a value before them: nodes whose innermost value is a node of kind data, which stands for the text
// of the block they filter.
int JinjaParser::parse_filter_chain() {
    if (!is_op("|")) return -1;
    return parse_filters(add(JinjaKind::data, now().line));
}

int JinjaParser::parse_filter_block(int line) {
    const int filters = parse_filters(parse_one_filter(add(JinjaKind::data, line)));
    end_tag("filter");
    const int body = parse_block({"endfilter"});
    next();
    end_tag("endfilter");
    return add(JinjaKind::filter_block, line, {body, filters});
}

int JinjaParser::parse_macro(int line) {
    const std::string name = expect_name();
    const int made = add(JinjaKind::macro, line);
    const int name_id = intern(name);
    out_.assigned[static_cast<std::size_t>(name_id)] = true;
    node(made).name = name_id;
    std::vector<int> defaults, names;
    expect_op("(");
    while (!skip_op(")")) {
        if (!names.empty()) expect_op(",");
        const int parameter = intern(expect_name());
        out_.assigned[static_cast<std::size_t>(parameter)] = true;
        names.push_back(parameter);
        defaults.push_back(skip_op("=") ? parse_expression() : -1);
    }
    end_tag("macro");
    const int loops = std::exchange(loops_, 0);
    defaults.push_back(parse_block({"endmacro"}));
    loops_ = loops;
    next();
    if (is_word(name)) next();
    end_tag("endmacro");
    node(made).kids = std::move(defaults);
    node(made).names = std::move(names);
    return made;
}

int JinjaParser::parse_with(int line) {
    std::vector<int> kids;
    while (now().kind != JinjaTokenKind::tag_end) {
        if (!kids.empty()) expect_op(",");
        kids.push_back(parse_one_target(false));
        expect_op("=");
        kids.push_back(parse_expression());
    }
    next();
    kids.push_back(parse_block({"endwith"}));
    next();
    end_tag("endwith");
    return add(JinjaKind::with, line, std::move(kids));
}

JinjaTemplate parse_jinja(std::string_view source) { return JinjaParser(jinja_tokens(source)).run(); }

}  // namespace argosy
