// Values of a chat template's language: what Python's values are to Jinja, with Python's truth, equality and spelling.
//
// Values are immutable and shared; only a namespace changes, and namespaces belong to one rendering (JinjaContext), so
// no value can hold itself alive. Containers know how deep they are and refuse to be deeper than kJinjaValueDepthMax,
// so that recursion over a value is bounded; what one rendering may do in all is bounded by JinjaBudget.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace argosy {

inline constexpr int kJinjaValueDepthMax = 200;

// What ends a rendering or a parse. Thrown inside the renderer, caught at its door (chat_template.cpp).
struct JinjaFailure {
    enum Kind {
        raised,       // the template called raise_exception: `text` is its own
        refused,      // an operation that the language does not allow, as using what is undefined
        unsupported,  // a construct that this renderer does not have
        syntax,       // not a template
        limit,        // too deep, too long
    };
    Kind kind;
    int line;  // in the template; 0: where it is rendered, filled in by the evaluator
    std::string text;
};

// Work that one rendering may do, in bytes made and 16ths of steps taken.
struct JinjaBudget {
    std::int64_t left = std::int64_t{1} << 28;
    void charge(std::int64_t amount) {
        left -= amount;
        if (left < 0) throw JinjaFailure{JinjaFailure::limit, 0, "the template does more work than a rendering may"};
    }
};

struct JinjaValue;
struct JinjaNamespace;  // jinja_context.hpp
struct JinjaMacro;
struct JinjaLoop;
struct JinjaBuiltin;

using JinjaText = std::shared_ptr<const std::string>;

struct JinjaNone {
    bool operator==(const JinjaNone&) const = default;
};

// A name that has no value: prints as nothing, is false, and most uses of it are refused with its name.
struct JinjaUndefined {
    JinjaText name{};        // the variable, member or index that was not found
    const char* owner = "";  // "": a variable; else what lacks it, as "dict object"
};

// An integer beyond 64 bits, kept as its digits: it can be printed and compared for equality, nothing else.
struct JinjaBigInteger {
    JinjaText digits;
};

enum class JinjaFlavour { list, tuple, generator, range, keys, values, items };

struct JinjaList {
    std::vector<JinjaValue> items;
    JinjaFlavour flavour = JinjaFlavour::list;
    int depth = 1;
};

// Members in the order they were written. Keys are strings.
struct JinjaDict {
    std::vector<std::pair<JinjaText, JinjaValue>> members;
    std::unordered_map<std::string_view, std::size_t> index;  // filled for large dicts only
    int depth = 1;
    const JinjaValue* find(std::string_view key) const;  // null: not there
};

// A function, filter by name, or a method bound to its object.
struct JinjaFunction {
    const JinjaBuiltin* builtin;
    std::shared_ptr<const JinjaValue> self;  // null: a function
};

struct JinjaValue {
    using Variant = std::variant<JinjaUndefined, JinjaNone, bool, std::int64_t, double, JinjaBigInteger, JinjaText,
                                 std::shared_ptr<const JinjaList>, std::shared_ptr<const JinjaDict>, JinjaNamespace*,
                                 const JinjaMacro*, JinjaFunction, std::shared_ptr<const JinjaLoop>>;
    Variant v;

    template <class T>
    const T* as() const {
        return std::get_if<T>(&v);
    }
    bool is_undefined() const { return v.index() == 0; }
    bool is_none() const { return v.index() == 1; }
    const std::string* text() const {
        const JinjaText* held = std::get_if<JinjaText>(&v);
        return held ? held->get() : nullptr;
    }
    const JinjaList* list() const {
        const auto* held = std::get_if<std::shared_ptr<const JinjaList>>(&v);
        return held ? held->get() : nullptr;
    }
    const JinjaDict* dict() const {
        const auto* held = std::get_if<std::shared_ptr<const JinjaDict>>(&v);
        return held ? held->get() : nullptr;
    }
    // Integers and booleans, as Python counts them.
    bool is_integral() const { return v.index() == 2 || v.index() == 3; }
    bool is_number() const { return is_integral() || v.index() == 4; }
    std::int64_t integer() const;  // of an integral value
    double real() const;           // of a number
};

// ---- making
JinjaValue jinja_text(std::string text);
JinjaValue jinja_list(std::vector<JinjaValue> items, JinjaFlavour flavour = JinjaFlavour::list);
// Of equal keys the last value counts, at the place of the first, as in Python.
JinjaValue jinja_dict(std::vector<std::pair<JinjaText, JinjaValue>> members);
inline JinjaValue jinja_none() { return {JinjaNone{}}; }
inline JinjaValue jinja_bool(bool value) { return {value}; }
inline JinjaValue jinja_integer(std::int64_t value) { return {value}; }

// ---- asking
int jinja_depth(const JinjaValue& value);  // 0 for what is no container
bool jinja_truth(const JinjaValue& value);
bool jinja_equal(const JinjaValue& a, const JinjaValue& b, JinjaBudget& budget);
// -1, 0, 1 as Python orders numbers, strings and lists; anything else is refused.
int jinja_compare(const JinjaValue& a, const JinjaValue& b, JinjaBudget& budget);
// As error sentences name the type: "str object", "dict object".
const char* jinja_type_name(const JinjaValue& value);
// 'x' is undefined, 'dict object' has no attribute 'y'.
[[noreturn]] void refuse_undefined(const JinjaUndefined& value);
[[noreturn]] void refuse(std::string text);
[[noreturn]] void unsupported(std::string text);

// ---- spelling
// Appends str(value) or repr(value) of Python: True, None, 1e-07, {'a': [1, 2.0]}.
void append_python_text(std::string& out, const JinjaValue& value, JinjaBudget& budget);
void append_python_repr(std::string& out, const JinjaValue& value, JinjaBudget& budget);
// Python's shortest spelling of a double: 2.0, 1e-07, 1e+16, inf, nan.
std::string python_real(double value);

}  // namespace argosy
