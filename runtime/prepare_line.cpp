// Preparing a line: the index gives its text, the job library its meaning, the tokenizer its ids.
#include "runtime/prepare_line.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace argosy {

namespace {

// What is wrong with a tokenized prompt under this model, or "".
LineError check_prompt(const Request& request, const LineContext& context) {
    LineError error{.line = request.line, .id = request.id, .code = {}, .sentence = {}, .metadata = {}};
    const auto tokens = static_cast<std::int64_t>(request.prompt.size());
    if (tokens == 0) {
        error.code = "empty_prompt";
        error.sentence = fmt::format("Line {}: the prompt has no tokens. Give at least one word.", request.line);
    } else if (tokens > context.max_positions || (tokens == context.max_positions && request.max_tokens > 0)) {
        error.code = "context_length_exceeded";
        error.sentence =
            fmt::format("Line {}: the prompt has {} tokens and the model's context is {}. Shorten the prompt.",
                        request.line, tokens, context.max_positions);
    } else {
        const auto check_id = [&](std::int32_t id, const char* where) {
            if ((id >= 0 && id < context.vocab_size) || !error.code.empty()) return;
            error.code = "invalid_token_id";
            error.sentence =
                fmt::format("Line {}: token id {}{} is outside the model's vocabulary of {}. Use ids from 0 to {}.",
                            request.line, id, where, context.vocab_size, context.vocab_size - 1);
        };
        for (const std::int32_t id : request.prompt) check_id(id, "");
        for (const TokenBias& bias : request.logit_bias) check_id(bias.token, " of logit_bias");
        for (const std::int32_t id : request.stop_token_ids) check_id(id, " of stop_token_ids");
    }
    return error;
}

LineError too_long(const InputIndex& index, std::int64_t line) {
    return {.line = line,
            .id = {},
            .code = "line_too_long",
            .sentence = fmt::format("{} is longer than {} bytes. Split the request.", index.place(line), kLineBytesMax),
            .metadata = {}};
}

}  // namespace

std::variant<BlankLine, PreparedRequest, LineError> prepare_line(const InputIndex& index, std::int64_t line,
                                                                 const LineContext& context, const Tokenizer& tokenizer,
                                                                 EncodeScratch& scratch) {
    const InputLine text = index.read_line(line);
    if (text.too_long) return too_long(index, line);
    if (is_blank(text.text)) return BlankLine{};
    auto outcome = parse_request_line(text.text, line, context.format, context.defaults, context.chat.get());
    if (auto* error = std::get_if<LineError>(&outcome)) return std::move(*error);
    ParsedRequest& parsed = std::get<ParsedRequest>(outcome);
    Request& request = parsed.request;
    if (parsed.text) encode(tokenizer, scratch, *parsed.text, parsed.add_special, request.prompt);
    LineError error = check_prompt(request, context);
    if (!error.code.empty()) {
        error.metadata = std::move(parsed.metadata);
        return error;
    }
    request.max_tokens = std::min(request.max_tokens, context.max_positions - static_cast<int>(request.prompt.size()));
    return PreparedRequest{std::move(request), std::move(parsed.metadata)};
}

}  // namespace argosy
