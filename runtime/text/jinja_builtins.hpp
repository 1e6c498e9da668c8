// Filters, tests, functions and methods of a template's language: one list of each.
#pragma once

#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/text/jinja_template.hpp"
#include "runtime/text/jinja_value.hpp"

namespace argosy {

struct JinjaNamespace {
    std::vector<std::pair<std::string, JinjaValue>> members;
};

// What the name "loop" stands for in a for-loop.
struct JinjaLoop {
    std::vector<JinjaValue> items;
    std::size_t index = 0;
    int depth = 1;  // as a container of its items
};

// A day, for strftime_now.
struct JinjaDate {
    int year = 1970, month = 1, day = 1;
    bool operator==(const JinjaDate&) const = default;
};

// What one rendering has and what functions may use of it.
struct JinjaContext {
    JinjaBudget budget{};
    std::optional<JinjaDate> date{};  // nothing: strftime_now is undefined
    std::deque<JinjaNamespace> namespaces{};
};

// A call on its way: `self` is what a filter, test or method is applied to (undefined for functions).
struct JinjaCall {
    JinjaContext& context;
    const JinjaValue& self;
    std::vector<JinjaValue> positional{};
    std::vector<std::pair<std::string_view, JinjaValue>> named{};
};

struct JinjaBuiltin {
    const char* name;
    const char* parameters;  // names with a blank between; "*": any
    JinjaValue (*run)(JinjaCall& call);
};

// Each returns null when there is none of that name.
const JinjaBuiltin* find_jinja_filter(std::string_view name);
const JinjaBuiltin* find_jinja_test(std::string_view name);
const JinjaBuiltin* find_jinja_function(std::string_view name);
const JinjaBuiltin* find_jinja_method(const JinjaValue& self, std::string_view name);

// Checks the arguments against the parameters and runs.
JinjaValue run_builtin(const JinjaBuiltin& builtin, JinjaCall& call);

// ---- for those who write one
// The argument at a position or of a name; null when it was not given.
const JinjaValue* argument(const JinjaCall& call, std::size_t position, std::string_view name);
// The same, of a kind; else refused. The fallback is for arguments that were not given.
const std::string& text_argument(const JinjaCall& call, std::size_t position, std::string_view name);
std::int64_t integer_argument(const JinjaCall& call, std::size_t position, std::string_view name,
                              std::int64_t fallback);
bool truth_argument(const JinjaCall& call, std::size_t position, std::string_view name, bool fallback);

// The items that a walk over the value gives: of a list its items, of a dict its keys, of a text its characters, of
// what is undefined none.
std::vector<JinjaValue> jinja_items(const JinjaValue& value, JinjaBudget& budget);
// A member by name or index as x[key] finds it; undefined when there is none.
JinjaValue jinja_item(const JinjaValue& object, const JinjaValue& key, JinjaBudget& budget);
// A member as x.name finds it: methods first.
JinjaValue jinja_attribute(const JinjaValue& object, const JinjaText& name, JinjaContext& context);
bool jinja_contains(const JinjaValue& where, const JinjaValue& what, JinjaBudget& budget);
JinjaValue jinja_binary(JinjaOp op, const JinjaValue& a, const JinjaValue& b, JinjaBudget& budget);
// str(value) and its cost.
std::string python_text(const JinjaValue& value, JinjaBudget& budget);
// A text as a value, and its cost.
JinjaValue charged_text(std::string text, JinjaBudget& budget);

}  // namespace argosy
