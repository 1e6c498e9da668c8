// Statements of a template under way: scopes, loops, assignments, macros.
#include "runtime/text/jinja_eval.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace argosy {

namespace {
constexpr int kDepthMax = 1500;                     // nodes under evaluation
constexpr std::size_t kOutputBytesMax = 128 << 20;  // of a rendered text
}  // namespace

JinjaRun::OpenScope::OpenScope(JinjaRun& owner, Scope* parent)
    : run(owner), outer(owner.scope_), scope{++owner.scopes_made_, parent} {
    run.open_.push_back(&scope);
    run.scope_ = &scope;
}

JinjaRun::OpenScope::~OpenScope() {
    run.open_.pop_back();
    run.scope_ = outer;
}

JinjaRun::Level::Level(JinjaRun& owner) : run(owner) {
    if (run.depth_ >= kDepthMax) {
        throw JinjaFailure{JinjaFailure::limit, 0,
                           fmt::format("the template is nested more than {} levels deep; a macro may be calling "
                                       "itself without end",
                                       kDepthMax)};
    }
    ++run.depth_;
}

std::string JinjaRun::render(const std::vector<std::pair<std::string_view, JinjaValue>>& variables) {
    globals_.assign(template_.names.size(), {});
    has_global_.assign(template_.names.size(), false);
    for (std::size_t i = 0; i < template_.names.size(); ++i) {
        const std::string& name = template_.names[i];
        if (name == "loop") loop_name_ = static_cast<int>(i);
        const JinjaBuiltin* builtin = find_jinja_function(name);
        if (builtin && (name != "strftime_now" || context_.date)) {
            globals_[i] = {JinjaFunction{builtin, nullptr}};
            has_global_[i] = true;
        }
        for (const auto& [given, value] : variables) {
            if (given != name) continue;
            globals_[i] = value;
            has_global_[i] = true;
        }
    }
    try {
        std::string out;
        run(template_.root, out);
        return out;
    } catch (JinjaFailure& failure) {
        if (failure.line == 0) failure.line = line_;
        throw;
    }
}

// ---- variables
// ---------------------------------------------------------------------------------------------------------------------

const JinjaValue* JinjaRun::find(int name) const {
    for (const Scope* scope = scope_; scope; scope = scope->parent) {
        for (const auto& [known, value] : scope->variables) {
            if (known == name) return &value;
        }
    }
    return has_global_[static_cast<std::size_t>(name)] ? &globals_[static_cast<std::size_t>(name)] : nullptr;
}

void JinjaRun::assign(int name, JinjaValue value) {
    if (!scope_) {
        globals_[static_cast<std::size_t>(name)] = std::move(value);
        has_global_[static_cast<std::size_t>(name)] = true;
        return;
    }
    for (auto& [known, held] : scope_->variables) {
        if (known != name) continue;
        held = std::move(value);
        return;
    }
    scope_->variables.emplace_back(name, std::move(value));
}

void JinjaRun::assign_target(const JinjaNode& target, JinjaValue value) {
    if (target.kind == JinjaKind::name) return assign(target.name, std::move(value));
    if (target.kind == JinjaKind::attribute) {
        const JinjaValue* object = find(at(target.kids[0]).name);
        const auto* space = object ? object->as<JinjaNamespace*>() : nullptr;
        if (!space) refuse("cannot assign attribute on non-namespace object");
        const std::string& name = *target.constant.text();
        context_.budget.charge(16);
        for (auto& [known, held] : (*space)->members) {
            if (known != name) continue;
            held = std::move(value);
            return;
        }
        (*space)->members.emplace_back(name, std::move(value));
        return;
    }
    std::vector<JinjaValue> items = jinja_items(value, context_.budget);
    if (items.size() != target.kids.size()) {
        refuse(fmt::format("{} values cannot be assigned to {} names", items.size(), target.kids.size()));
    }
    for (std::size_t i = 0; i < items.size(); ++i) assign_target(at(target.kids[i]), std::move(items[i]));
}

// ---- output
// ------------------------------------------------------------------------------------------------------------------------

void JinjaRun::append(std::string& out, std::string_view text) {
    context_.budget.charge(static_cast<std::int64_t>(text.size()));
    if (out.size() + text.size() > kOutputBytesMax) {
        throw JinjaFailure{JinjaFailure::limit, 0, fmt::format("the text grows beyond {} bytes", kOutputBytesMax)};
    }
    out += text;
}

void JinjaRun::print(std::string& out, const JinjaValue& value) {
    if (const std::string* text = value.text()) return append(out, *text);
    append(out, python_text(value, context_.budget));
}

// The text of a block, filtered.
JinjaValue JinjaRun::captured(int block, int filters) {
    JinjaValue text;
    {
        const OpenScope scope(*this, scope_);
        std::string out;
        run(block, out);
        text = jinja_text(std::move(out));
    }
    if (filters < 0) return text;
    const JinjaValue* outer = std::exchange(block_text_, &text);
    JinjaValue filtered = value(filters);
    block_text_ = outer;
    return filtered;
}

// ---- statements
// --------------------------------------------------------------------------------------------------------------------

JinjaRun::Flow JinjaRun::run(int index, std::string& out) {
    const JinjaNode& node = at(index);
    const Level level(*this);
    line_ = node.line;
    context_.budget.charge(16);
    switch (node.kind) {
        case JinjaKind::block:
            return run_block(node, out);
        case JinjaKind::data:
            append(out, *node.constant.text());
            return Flow::on;
        case JinjaKind::output:
            print(out, value(node.kids[0]));
            return Flow::on;
        case JinjaKind::set:
            assign_target(at(node.kids[0]), value(node.kids[1]));
            return Flow::on;
        case JinjaKind::set_block:
            assign_target(at(node.kids[0]), captured(node.kids[1], node.kids[2]));
            return Flow::on;
        case JinjaKind::filter_block:
            print(out, captured(node.kids[0], node.kids[1]));
            return Flow::on;
        case JinjaKind::if_chain:
            return run_if(node, out);
        case JinjaKind::for_loop:
            return run_for(node, out);
        case JinjaKind::with:
            return run_with(node, out);
        case JinjaKind::scope: {
            const OpenScope scope(*this, scope_);
            return run(node.kids[0], out);
        }
        case JinjaKind::macro:
            macros_.push_back({&node, scope_ ? open_.size() : 0, scope_ ? scope_->serial : 0});
            assign(node.name, {static_cast<const JinjaMacro*>(&macros_.back())});
            return Flow::on;
        case JinjaKind::break_loop:
            return Flow::broken;
        case JinjaKind::continue_loop:
            return Flow::continued;
        default:
            throw JinjaFailure{JinjaFailure::syntax, node.line, "an expression stands where a statement belongs"};
    }
}

JinjaRun::Flow JinjaRun::run_block(const JinjaNode& node, std::string& out) {
    for (const int statement : node.kids) {
        const Flow flow = run(statement, out);
        if (flow != Flow::on) return flow;
    }
    return Flow::on;
}

JinjaRun::Flow JinjaRun::run_if(const JinjaNode& node, std::string& out) {
    std::size_t i = 0;
    for (; i + 1 < node.kids.size(); i += 2) {
        if (jinja_truth(value(node.kids[i]))) return run(node.kids[i + 1], out);
    }
    return i < node.kids.size() ? run(node.kids[i], out) : Flow::on;
}

JinjaRun::Flow JinjaRun::run_for(const JinjaNode& node, std::string& out) {
    const JinjaNode& target = at(node.kids[0]);
    auto loop = std::make_shared<JinjaLoop>();
    loop->items = jinja_items(value(node.kids[1]), context_.budget);
    if (node.kids[2] >= 0) {
        std::vector<JinjaValue> kept;
        for (JinjaValue& item : loop->items) {
            const OpenScope scope(*this, scope_);
            assign_target(target, item);
            if (jinja_truth(value(node.kids[2]))) kept.push_back(std::move(item));
        }
        loop->items = std::move(kept);
    }
    if (loop->items.empty()) return node.kids[4] >= 0 ? run(node.kids[4], out) : Flow::on;
    for (const JinjaValue& item : loop->items) loop->depth = std::max(loop->depth, jinja_depth(item) + 1);
    if (loop->depth > kJinjaValueDepthMax) throw JinjaFailure{JinjaFailure::limit, 0, "a loop over too deep a value"};
    for (; loop->index < loop->items.size(); ++loop->index) {
        const OpenScope scope(*this, scope_);
        context_.budget.charge(16);
        if (loop_name_ >= 0) assign(loop_name_, {std::shared_ptr<const JinjaLoop>(loop)});
        assign_target(target, loop->items[loop->index]);
        if (run(node.kids[3], out) == Flow::broken) break;
    }
    return Flow::on;
}

JinjaRun::Flow JinjaRun::run_with(const JinjaNode& node, std::string& out) {
    std::vector<JinjaValue> values;
    for (std::size_t i = 0; i + 1 < node.kids.size(); i += 2) values.push_back(value(node.kids[i + 1]));
    const OpenScope scope(*this, scope_);
    for (std::size_t i = 0; i < values.size(); ++i) assign_target(at(node.kids[2 * i]), std::move(values[i]));
    return run(node.kids.back(), out);
}

JinjaValue JinjaRun::call_macro(const JinjaMacro& macro, JinjaCall& call) {
    const JinjaNode& node = *macro.node;
    const std::string& name = template_.names[static_cast<std::size_t>(node.name)];
    Scope* parent = nullptr;
    if (macro.level > 0) {
        if (macro.level > open_.size() || open_[macro.level - 1]->serial != macro.scope) {
            unsupported(fmt::format("calling the macro {} after the block that defines it", name));
        }
        parent = open_[macro.level - 1];
    }
    if (call.positional.size() > node.names.size()) {
        refuse(fmt::format("macro '{}' takes not more than {} argument(s)", name, node.names.size()));
    }
    const OpenScope scope(*this, parent);
    for (std::size_t i = 0; i < node.names.size(); ++i) {
        const std::string& parameter = template_.names[static_cast<std::size_t>(node.names[i])];
        const auto named = std::find_if(call.named.begin(), call.named.end(),
                                        [&](const auto& argument) { return argument.first == parameter; });
        if (i < call.positional.size()) {
            assign(node.names[i], std::move(call.positional[i]));
        } else if (named != call.named.end()) {
            assign(node.names[i], std::move(named->second));
            call.named.erase(named);
        } else if (node.kids[i] >= 0) {
            assign(node.names[i], value(node.kids[i]));
        } else {
            assign(node.names[i], {JinjaUndefined{std::make_shared<const std::string>(parameter)}});
        }
    }
    if (!call.named.empty()) {
        refuse(fmt::format("macro '{}' takes no keyword argument '{}'", name, call.named[0].first));
    }
    std::string out;
    run(node.kids.back(), out);
    return jinja_text(std::move(out));
}

}  // namespace argosy
