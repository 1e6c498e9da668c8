// The parser of chat templates, split into statements (jinja_parser.cpp) and expressions (jinja_expressions.cpp).
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "runtime/text/jinja_lexer.hpp"
#include "runtime/text/jinja_template.hpp"

namespace argosy {

class JinjaParser {
  public:
    explicit JinjaParser(std::vector<JinjaToken> tokens) : tokens_(std::move(tokens)) {}
    JinjaTemplate run();

  private:
    std::vector<JinjaToken> tokens_;
    std::size_t at_ = 0;
    int depth_ = 0;
    int loops_ = 0;  // for-loops around, within the macro: where break and continue may stand
    JinjaTemplate out_;
    std::unordered_map<std::string, int> name_index_;

    // Holds one level of nesting; too many are an error, not a stack overflow.
    struct Level {
        explicit Level(JinjaParser& parser);
        ~Level() { --parser_.depth_; }
        JinjaParser& parser_;
    };

    // ---- tokens
    const JinjaToken& now() const { return tokens_[at_]; }
    const JinjaToken& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
    void next() { at_ += at_ + 1 < tokens_.size() ? 1 : 0; }
    bool is(JinjaTokenKind kind, std::string_view text) const { return now().kind == kind && now().text == text; }
    bool is_op(std::string_view text) const { return is(JinjaTokenKind::op, text); }
    bool is_word(std::string_view text) const { return is(JinjaTokenKind::name, text); }
    bool skip_op(std::string_view text);
    bool skip_word(std::string_view text);
    void expect_op(std::string_view text);
    void expect(JinjaTokenKind kind, const char* what);
    std::string expect_name();
    [[noreturn]] void wrong(std::string text) const;
    [[noreturn]] void not_supported(std::string text) const;

    // ---- nodes
    int add(JinjaKind kind, int line, std::vector<int> kids = {});
    JinjaNode& node(int index) { return out_.nodes[static_cast<std::size_t>(index)]; }
    int intern(const std::string& name);
    int constant(int line, JinjaValue value);

    // ---- statements
    int parse_block(std::initializer_list<std::string_view> ends);
    int parse_output();
    int parse_tag();
    int parse_if(int line);
    int parse_for(int line);
    int parse_set(int line);
    int parse_macro(int line);
    int parse_with(int line);
    int parse_filter_block(int line);
    int parse_loop_end(int line, bool is_break);
    int parse_target(bool allow_member);
    int parse_one_target(bool allow_member);
    int parse_filter_chain();  // "|name(...)" again and again; -1: none
    void end_tag(const char* tag);

    // ---- expressions
    int parse_expression();  // with "a if b else c"
    int parse_tuple(bool conditional, bool parenthesised = false);
    int parse_conditional();
    int parse_or();
    int parse_and();
    int parse_not();
    int parse_compare();
    int parse_sum();
    int parse_concat();
    int parse_product();
    int parse_power();
    int parse_unary(bool with_filters);
    int parse_primary();
    int parse_string();
    int parse_number();
    int parse_list();
    int parse_dict();
    int parse_postfix(int object);
    int parse_subscript(int object, int line);
    int parse_filters(int object);
    int parse_one_filter(int object);
    int parse_test(int object);
    void parse_arguments(int call);
};

}  // namespace argosy
