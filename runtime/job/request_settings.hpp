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

// The same for a member of a prompt line that is no setting: it passes through as the user's own data, unless it looks
// like a setting that is misspelt, or is one that other programs have. Dropping that would change the answer in
// silence.
void check_own_member(const std::string& name);

}  // namespace argosy
