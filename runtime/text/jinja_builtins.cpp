// Calling a filter, test, function or method: arguments by position and name.
#include "runtime/text/jinja_builtins.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace argosy {

namespace {

// How many parameters a list "a b c" has, and whether `name` is one of them.
std::size_t count_parameters(std::string_view parameters) {
    return parameters.empty() ? 0 : static_cast<std::size_t>(std::count(parameters.begin(), parameters.end(), ' ')) + 1;
}

bool has_parameter(std::string_view parameters, std::string_view name) {
    while (!parameters.empty()) {
        const std::size_t end = std::min(parameters.find(' '), parameters.size());
        if (parameters.substr(0, end) == name) return true;
        parameters.remove_prefix(std::min(end + 1, parameters.size()));
    }
    return false;
}

}  // namespace

JinjaValue run_builtin(const JinjaBuiltin& builtin, JinjaCall& call) {
    if (!builtin.run) unsupported(fmt::format("\"{}\"", builtin.name));
    const std::string_view parameters = builtin.parameters;
    if (parameters != "*") {
        if (call.positional.size() > count_parameters(parameters)) {
            refuse(fmt::format("{} takes at most {} arguments; {} are given", builtin.name,
                               count_parameters(parameters), call.positional.size()));
        }
        for (const auto& [name, value] : call.named) {
            if (!has_parameter(parameters, name)) refuse(fmt::format("{} has no argument {}", builtin.name, name));
        }
    }
    return builtin.run(call);
}

const JinjaValue* argument(const JinjaCall& call, std::size_t position, std::string_view name) {
    if (position < call.positional.size()) return &call.positional[position];
    for (const auto& [given, value] : call.named) {
        if (given == name) return &value;
    }
    return nullptr;
}

const std::string& text_argument(const JinjaCall& call, std::size_t position, std::string_view name) {
    const JinjaValue* value = argument(call, position, name);
    if (!value) refuse(fmt::format("the argument {} is missing", name));
    if (const auto* undefined = value->as<JinjaUndefined>()) refuse_undefined(*undefined);
    if (!value->text())
        refuse(fmt::format("the argument {} must be a string, not a {}", name, jinja_type_name(*value)));
    return *value->text();
}

std::int64_t integer_argument(const JinjaCall& call, std::size_t position, std::string_view name,
                              std::int64_t fallback) {
    const JinjaValue* value = argument(call, position, name);
    if (!value) return fallback;
    if (!value->is_integral()) {
        refuse(fmt::format("the argument {} must be an integer, not a {}", name, jinja_type_name(*value)));
    }
    return value->integer();
}

bool truth_argument(const JinjaCall& call, std::size_t position, std::string_view name, bool fallback) {
    const JinjaValue* value = argument(call, position, name);
    return value ? jinja_truth(*value) : fallback;
}

}  // namespace argosy
