// Running a parsed template.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/text/jinja_builtins.hpp"
#include "runtime/text/jinja_template.hpp"

namespace argosy {

struct JinjaMacro {
    const JinjaNode* node;
    std::size_t level;    // how many scopes were open where it was defined; 0: the template itself
    std::uint64_t scope;  // the innermost of them
};

// One rendering. Variables are found from the innermost scope outwards; a for-loop's pass, a macro and a block have
// their own, an if has not. A macro sees the variables of the place where it was defined. Nesting of nodes under
// evaluation is bounded, macros that call themselves included.
class JinjaRun {
  public:
    JinjaRun(const JinjaTemplate& source, JinjaContext& context) : template_(source), context_(context) {}

    // The rendered text. Throws JinjaFailure, always with a line.
    std::string render(const std::vector<std::pair<std::string_view, JinjaValue>>& variables);

  private:
    struct Scope {
        std::uint64_t serial;
        Scope* parent;  // null: the template's own variables
        std::vector<std::pair<int, JinjaValue>> variables{};
    };
    // A scope that is open while this lives.
    struct OpenScope {
        OpenScope(JinjaRun& run, Scope* parent);
        ~OpenScope();
        JinjaRun& run;
        Scope* outer;
        Scope scope;
    };
    struct Level {
        explicit Level(JinjaRun& run);
        ~Level() { --run.depth_; }
        JinjaRun& run;
    };
    enum class Flow { on, broken, continued };

    const JinjaTemplate& template_;
    JinjaContext& context_;
    std::vector<JinjaValue> globals_;  // [names]
    std::vector<bool> has_global_;     // [names]
    std::vector<Scope*> open_;
    Scope* scope_ = nullptr;
    std::uint64_t scopes_made_ = 0;
    std::deque<JinjaMacro> macros_;
    int depth_ = 0, line_ = 0;
    int loop_name_ = -1;                      // of the variable "loop", if the template uses it
    const JinjaValue* block_text_ = nullptr;  // what a filter of a block is applied to

    const JinjaNode& at(int index) const { return template_.nodes[static_cast<std::size_t>(index)]; }
    const JinjaValue* find(int name) const;
    void assign(int name, JinjaValue value);
    void assign_target(const JinjaNode& target, JinjaValue value);
    void print(std::string& out, const JinjaValue& value);
    void append(std::string& out, std::string_view text);

    Flow run(int index, std::string& out);
    Flow run_block(const JinjaNode& node, std::string& out);
    Flow run_if(const JinjaNode& node, std::string& out);
    Flow run_for(const JinjaNode& node, std::string& out);
    Flow run_with(const JinjaNode& node, std::string& out);
    JinjaValue captured(int block, int filters);

    JinjaValue value(int index);
    JinjaValue value_of(const JinjaNode& node);
    JinjaValue container(const JinjaNode& node);
    JinjaValue slice(const JinjaNode& node);
    JinjaValue unary(const JinjaNode& node);
    bool compare(const JinjaNode& node);
    JinjaValue concat(const JinjaNode& node);
    JinjaValue call(const JinjaNode& node);
    JinjaValue call_macro(const JinjaMacro& macro, JinjaCall& call);
    JinjaValue apply(const JinjaNode& node, const char* what);
    void fill_arguments(const JinjaNode& node, JinjaCall& call);
};

}  // namespace argosy
