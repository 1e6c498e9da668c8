// Error records of all ranks brought together.
#pragma once

#include <vector>

#include "parallel/communicator.hpp"
#include "runtime/job/request_file.hpp"

namespace argosy {

// Collective. All ranks' errors, by line, on every rank.
std::vector<LineError> gather_errors(Communicator& world, const std::vector<LineError>& mine);

}  // namespace argosy
