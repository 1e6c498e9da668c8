// The part of the list of filters that walk lists.
#pragma once

#include <span>

#include "runtime/text/jinja_builtins.hpp"

namespace argosy {

std::span<const JinjaBuiltin> jinja_list_filters();

}  // namespace argosy
