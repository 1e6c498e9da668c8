// The settings of a request: the members of an OpenAI body or of a prompt line that say how to generate.
#pragma once

#include "runtime/job/line_json.hpp"
#include "runtime/job/request_file.hpp"

namespace argosy {

// Every setting that the object gives, into the request that already holds the defaults. Which members hold the prompt
// or the messages is the caller's. What is wrong is thrown as BadLine.
void read_settings(const Json& object, Endpoint endpoint, ParsedRequest& parsed);

// Ends the walk at the first member of an OpenAI body that is not honoured.
void check_fields(const Json& body, Endpoint endpoint);

}  // namespace argosy
