// One line of the input on its way to the scheduler: parsed, tokenized and checked against the model.
#pragma once

#include <memory>
#include <string>
#include <variant>

#include "runtime/job/chat_request.hpp"
#include "runtime/job/input_index.hpp"
#include "runtime/job/request_file.hpp"
#include "runtime/model/model_plan.hpp"
#include "runtime/text/tokenizer.hpp"

namespace argosy {

struct PreparedRequest {
    Request request;
    std::string metadata{};  // members of the line that pass through to the answer, or ""
    bool operator==(const PreparedRequest&) const = default;
};

struct BlankLine {};

// What a line's meaning depends on, beside the line.
struct LineContext {
    InputFormat format = InputFormat::jsonl;
    GenerationDefaults defaults;
    std::shared_ptr<const ChatContext> chat{};  // null: chats are errors
    int max_positions = 0;
    int vocab_size = 0;
};

// Line `line` of the index. Prompts that leave no room for a token in the model's context are
// errors; max_tokens is cut to the room there is. The same for every caller, whenever it is called.
std::variant<BlankLine, PreparedRequest, LineError> prepare_line(const InputIndex& index, std::int64_t line,
                                                                 const LineContext& context, const Tokenizer& tokenizer,
                                                                 EncodeScratch& scratch);

}  // namespace argosy
