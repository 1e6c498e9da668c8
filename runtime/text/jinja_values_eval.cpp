// Expressions of a template under way.
#include <fmt/format.h>

#include <algorithm>

#include "runtime/text/jinja_eval.hpp"
#include "runtime/text/jinja_strings.hpp"
#include "runtime/text/utf8.hpp"

namespace argosy {

JinjaValue JinjaRun::value(int index) {
    const JinjaNode& node = at(index);
    if (node.kind == JinjaKind::constant) return node.constant;
    const Level level(*this);
    context_.budget.charge(16);
    return value_of(node);
}

JinjaValue JinjaRun::value_of(const JinjaNode& node) {
    switch (node.kind) {
        case JinjaKind::name: {
            const JinjaValue* found = find(node.name);
            return found ? *found : JinjaValue{JinjaUndefined{*node.constant.as<JinjaText>()}};
        }
        case JinjaKind::list:
        case JinjaKind::tuple:
        case JinjaKind::dict:
            return container(node);
        case JinjaKind::attribute: {
            const JinjaValue object = value(node.kids[0]);
            line_ = node.line;
            return jinja_attribute(object, *node.constant.as<JinjaText>(), context_);
        }
        case JinjaKind::item: {
            const JinjaValue object = value(node.kids[0]);
            const JinjaValue key = value(node.kids[1]);
            line_ = node.line;
            return jinja_item(object, key, context_.budget);
        }
        case JinjaKind::slice:
            return slice(node);
        case JinjaKind::call:
            return call(node);
        case JinjaKind::filter:
            return apply(node, "filter");
        case JinjaKind::test:
            return apply(node, "test");
        case JinjaKind::unary:
            return unary(node);
        case JinjaKind::binary: {
            const JinjaValue left = value(node.kids[0]);
            const JinjaValue right = value(node.kids[1]);
            line_ = node.line;
            return jinja_binary(node.ops[0], left, right, context_.budget);
        }
        case JinjaKind::compare:
            return jinja_bool(compare(node));
        case JinjaKind::concat:
            return concat(node);
        case JinjaKind::logic_and: {
            JinjaValue left = value(node.kids[0]);
            return jinja_truth(left) ? value(node.kids[1]) : left;
        }
        case JinjaKind::logic_or: {
            JinjaValue left = value(node.kids[0]);
            return jinja_truth(left) ? left : value(node.kids[1]);
        }
        case JinjaKind::logic_not:
            return jinja_bool(!jinja_truth(value(node.kids[0])));
        case JinjaKind::conditional:
            if (jinja_truth(value(node.kids[1]))) return value(node.kids[0]);
            if (node.kids[2] >= 0) return value(node.kids[2]);
            return {JinjaUndefined{std::make_shared<const std::string>("the value of an if without else")}};
        case JinjaKind::data:  // the head of a block's filters
            return block_text_ ? *block_text_ : JinjaValue{};
        default:
            throw JinjaFailure{JinjaFailure::syntax, node.line, "a statement stands where an expression belongs"};
    }
}

JinjaValue JinjaRun::container(const JinjaNode& node) {
    context_.budget.charge(static_cast<std::int64_t>(node.kids.size()) * 32);
    if (node.kind != JinjaKind::dict) {
        std::vector<JinjaValue> items;
        items.reserve(node.kids.size());
        for (const int kid : node.kids) items.push_back(value(kid));
        return jinja_list(std::move(items), node.kind == JinjaKind::list ? JinjaFlavour::list : JinjaFlavour::tuple);
    }
    std::vector<std::pair<JinjaText, JinjaValue>> members;
    for (std::size_t i = 0; i + 1 < node.kids.size(); i += 2) {
        const JinjaValue key = value(node.kids[i]);
        if (!key.text()) unsupported(fmt::format("a {} as the name of a dict's member", jinja_type_name(key)));
        members.emplace_back(*key.as<JinjaText>(), value(node.kids[i + 1]));
    }
    return jinja_dict(std::move(members));
}

namespace {

// Python's slice of `size` items: the indices that it takes.
std::vector<std::int64_t> slice_indices(const JinjaValue parts[3], std::int64_t size, JinjaBudget& budget) {
    const auto integer = [](const JinjaValue& part, std::int64_t fallback) {
        if (part.is_none()) return fallback;
        if (const auto* undefined = part.as<JinjaUndefined>()) refuse_undefined(*undefined);
        if (!part.is_integral()) refuse("slice indices must be integers or None");
        return part.integer();
    };
    const std::int64_t step = integer(parts[2], 1);
    if (step == 0) refuse("slice step cannot be zero");
    const std::int64_t low = step > 0 ? 0 : -1, high = step > 0 ? size : size - 1;
    const auto bound = [&](const JinjaValue& part, std::int64_t fallback) {
        if (part.is_none()) return fallback;
        std::int64_t place = integer(part, 0);
        if (place < 0) place = place < -size ? low : place + size;  // no overflow: size is small
        return std::clamp(place, low, high);
    };
    const std::int64_t start = bound(parts[0], step > 0 ? low : high);
    const std::int64_t stop = bound(parts[1], step > 0 ? high : low);
    std::vector<std::int64_t> indices;
    const std::int64_t distance = step > 0 ? stop - start : start - stop;
    const std::int64_t stride = step > 0 ? step : (step == INT64_MIN ? INT64_MAX : -step);
    if (distance <= 0) return indices;
    const std::int64_t count = (distance - 1) / stride + 1;
    budget.charge(count * 8);
    for (std::int64_t i = 0; i < count; ++i) indices.push_back(step > 0 ? start + i * stride : start - i * stride);
    return indices;
}

JinjaValue slice_text(const std::string& text, const JinjaValue parts[3], JinjaBudget& budget) {
    budget.charge(static_cast<std::int64_t>(text.size() / 8));
    const std::int64_t size = count_characters(text);
    const bool whole_steps = parts[2].is_none() || (parts[2].is_integral() && parts[2].integer() == 1);
    const std::vector<std::int64_t> indices = slice_indices(parts, size, budget);
    if (indices.empty()) return jinja_text("");
    if (whole_steps) {
        const std::size_t from = character_offset(text, indices.front());
        const std::string_view rest = std::string_view(text).substr(from);
        const std::size_t bytes = character_offset(rest, static_cast<std::int64_t>(indices.size()));
        return charged_text(std::string(rest.substr(0, bytes)), budget);
    }
    budget.charge(static_cast<std::int64_t>(text.size()) * 8);
    std::vector<std::size_t> offsets;
    for (std::size_t at = 0; at < text.size(); at += utf8_char(text.data() + at).bytes) offsets.push_back(at);
    std::string out;
    for (const std::int64_t i : indices) {
        const std::size_t at = offsets[static_cast<std::size_t>(i)];
        out.append(text, at, utf8_char(text.data() + at).bytes);
    }
    return charged_text(std::move(out), budget);
}

}  // namespace

JinjaValue JinjaRun::slice(const JinjaNode& node) {
    const JinjaValue object = value(node.kids[0]);
    JinjaValue parts[3];
    for (std::size_t i = 0; i < 3; ++i) parts[i] = node.kids[i + 1] < 0 ? jinja_none() : value(node.kids[i + 1]);
    line_ = node.line;
    if (const auto* undefined = object.as<JinjaUndefined>()) refuse_undefined(*undefined);
    if (const std::string* text = object.text()) return slice_text(*text, parts, context_.budget);
    const JinjaList* list = object.list();
    if (!list || list->flavour == JinjaFlavour::generator || list->flavour >= JinjaFlavour::keys) {
        return {JinjaUndefined{std::make_shared<const std::string>("a slice"), jinja_type_name(object)}};
    }
    std::vector<JinjaValue> items;
    for (const std::int64_t i : slice_indices(parts, static_cast<std::int64_t>(list->items.size()), context_.budget)) {
        items.push_back(list->items[static_cast<std::size_t>(i)]);
    }
    return jinja_list(std::move(items), list->flavour);
}

JinjaValue JinjaRun::unary(const JinjaNode& node) {
    const JinjaValue operand = value(node.kids[0]);
    if (const auto* undefined = operand.as<JinjaUndefined>()) refuse_undefined(*undefined);
    if (!operand.is_number())
        refuse(fmt::format("bad operand type for unary operator: a {}", jinja_type_name(operand)));
    const bool negate = node.ops[0] == JinjaOp::negate;
    if (const double* real = operand.as<double>()) return {negate ? -*real : *real};
    if (operand.integer() == INT64_MIN) unsupported("an integer beyond 64 bits");
    return jinja_integer(negate ? -operand.integer() : operand.integer());
}

bool JinjaRun::compare(const JinjaNode& node) {
    JinjaBudget& budget = context_.budget;
    JinjaValue left = value(node.kids[0]);
    for (std::size_t i = 0; i < node.ops.size(); ++i) {
        JinjaValue right = value(node.kids[i + 1]);
        line_ = node.line;
        bool holds = false;
        switch (node.ops[i]) {
            case JinjaOp::equal:
                holds = jinja_equal(left, right, budget);
                break;
            case JinjaOp::unequal:
                holds = !jinja_equal(left, right, budget);
                break;
            case JinjaOp::less:
                holds = jinja_compare(left, right, budget) < 0;
                break;
            case JinjaOp::less_equal:
                holds = jinja_compare(left, right, budget) <= 0;
                break;
            case JinjaOp::greater:
                holds = jinja_compare(left, right, budget) > 0;
                break;
            case JinjaOp::greater_equal:
                holds = jinja_compare(left, right, budget) >= 0;
                break;
            case JinjaOp::in:
                holds = jinja_contains(right, left, budget);
                break;
            default:
                holds = !jinja_contains(right, left, budget);
                break;
        }
        if (!holds) return false;
        left = std::move(right);
    }
    return true;
}

JinjaValue JinjaRun::concat(const JinjaNode& node) {
    std::string text;
    for (const int kid : node.kids) print(text, value(kid));
    return jinja_text(std::move(text));
}

// ---- calls
// -------------------------------------------------------------------------------------------------------------------------

void JinjaRun::fill_arguments(const JinjaNode& node, JinjaCall& call) {
    call.positional.reserve(node.kids.size() - 1);
    for (std::size_t i = 1; i < node.kids.size(); ++i) call.positional.push_back(value(node.kids[i]));
    for (const auto& [name, kid] : node.named) {
        const auto same = [&, &name = name](const auto& argument) { return argument.first == name; };
        if (std::any_of(call.named.begin(), call.named.end(), same)) refuse("an argument is given twice: " + name);
        call.named.emplace_back(name, value(kid));
    }
}

JinjaValue JinjaRun::apply(const JinjaNode& node, const char* what) {
    const JinjaValue self = value(node.kids[0]);
    line_ = node.line;
    if (!node.builtin) unsupported(fmt::format("the {} \"{}\"", what, *node.constant.text()));
    JinjaCall call{context_, self};
    fill_arguments(node, call);
    line_ = node.line;
    return run_builtin(*node.builtin, call);
}

JinjaValue JinjaRun::call(const JinjaNode& node) {
    const JinjaNode& callee_node = at(node.kids[0]);
    JinjaValue self, callee;
    if (callee_node.kind == JinjaKind::attribute) {
        self = value(callee_node.kids[0]);
        line_ = node.line;
        const JinjaText& name = *callee_node.constant.as<JinjaText>();
        if (const JinjaBuiltin* method = find_jinja_method(self, *name)) {
            JinjaCall call{context_, self};
            fill_arguments(node, call);
            line_ = node.line;
            return run_builtin(*method, call);
        }
        callee = jinja_attribute(self, name, context_);
    } else {
        callee = value(node.kids[0]);
    }
    line_ = node.line;
    if (const auto* undefined = callee.as<JinjaUndefined>()) refuse_undefined(*undefined);
    const auto* function = callee.as<JinjaFunction>();
    const auto* macro = callee.as<const JinjaMacro*>();
    if (!function && !macro) {
        if (callee.as<std::shared_ptr<const JinjaLoop>>()) unsupported("a recursive for-loop");
        refuse(fmt::format("'{}' is not callable", jinja_type_name(callee)));
    }
    const JinjaValue nothing;
    JinjaCall call{context_, function && function->self ? *function->self : nothing};
    fill_arguments(node, call);
    line_ = node.line;
    return macro ? call_macro(**macro, call) : run_builtin(*function->builtin, call);
}

}  // namespace argosy
