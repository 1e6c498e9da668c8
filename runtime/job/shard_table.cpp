// Finished requests to columns and back.
#include "runtime/job/shard_table.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace argosy {

namespace {

std::string text(std::span<const char> row) { return {row.begin(), row.end()}; }

void append_logprobs(LogprobColumns& columns, const std::vector<TokenLogprob>& entries) {
    for (const TokenLogprob& entry : entries) {
        // A member added there needs a column here: this line then does not compile.
        const auto& [token, logprob, top, characters, id, top_ids] = entry;
        columns.token.push(token);
        columns.token_id.push_back(id);
        columns.valued.push_back(logprob.has_value() ? 1 : 0);
        columns.value.push_back(logprob.value_or(0.0F));
        columns.characters.push_back(characters);
        std::vector<float> values;
        for (const auto& [alternative, value] : top) {
            values.push_back(value);
            columns.top_token.push(alternative);
        }
        columns.top_value.push(values);
        columns.top_id.push(top_ids);
    }
    columns.begin.push_back(static_cast<std::int64_t>(columns.value.size()));
}

std::vector<TokenLogprob> logprobs_at(const LogprobColumns& columns, std::size_t owner) {
    std::vector<TokenLogprob> entries;
    for (auto i = static_cast<std::size_t>(columns.begin[owner]);
         i < static_cast<std::size_t>(columns.begin[owner + 1]); ++i) {
        TokenLogprob& entry = entries.emplace_back();
        entry.token = text(columns.token.row(i));
        if (columns.valued[i] != 0) entry.logprob = columns.value[i];
        entry.characters = columns.characters[i];
        entry.id = columns.token_id[i];
        const auto ids = columns.top_id.row(i);
        entry.top_ids.assign(ids.begin(), ids.end());
        const auto values = columns.top_value.row(i);
        for (std::size_t k = 0; k < values.size(); ++k) {
            const std::size_t alternative = static_cast<std::size_t>(columns.top_value.offsets[i]) + k;
            entry.top.emplace_back(text(columns.top_token.row(alternative)), values[k]);
        }
    }
    return entries;
}

void append_choice(ShardTable& table, const Choice& choice) {
    const auto& [index, generated, token_ids, finish, logprobs] = choice;
    table.sample.push_back(index);
    table.finish.push_back(static_cast<std::uint8_t>(finish));
    table.text.push(generated);
    table.token.push(token_ids);
    append_logprobs(table.logprobs, logprobs);
}

std::uint8_t flags_of(const RequestResult& result) {
    return static_cast<std::uint8_t>((result.return_token_ids ? kShardReturnTokenIds : 0) |
                                     (result.echo ? kShardEcho : 0) | (result.logprobs ? kShardLogprobs : 0) |
                                     (result.chat ? kShardChat : 0));
}

std::uint8_t byte_of(const AnswerMarks& marks) {
    const auto& [think, think_open, tool_calls, channels] = marks;
    return static_cast<std::uint8_t>((think ? kMarkThink : 0) | (think_open ? kMarkThinkOpen : 0) |
                                     (tool_calls ? kMarkToolCalls : 0) | (channels ? kMarkChannels : 0));
}

AnswerMarks marks_of(std::uint8_t byte) {
    return {.think = (byte & kMarkThink) != 0,
            .think_open = (byte & kMarkThinkOpen) != 0,
            .tool_calls = (byte & kMarkToolCalls) != 0,
            .channels = (byte & kMarkChannels) != 0};
}

void append_result(ShardTable& table, const RequestResult& result) {
    const auto& [line, id, model, prompt_token_ids, return_token_ids, echo, logprobs, chat, marks, prompt_text,
                 prompt_logprobs, choices, metadata, counts] = result;
    const auto& [uncached, cached, delivered, rejected, discarded] = counts;
    table.line.push_back(line);
    table.flags.push_back(flags_of(result));
    table.marks.push_back(byte_of(marks));
    table.id.push(id);
    table.model.push(model);
    table.prompt_text.push(prompt_text);
    table.metadata.push(metadata);
    table.error_code.push(std::string_view());
    table.error_sentence.push(std::string_view());
    table.prompt_token.push(prompt_token_ids);
    table.uncached_input.push_back(uncached);
    table.cached_input.push_back(cached);
    table.delivered_output.push_back(delivered);
    table.rejected_draft.push_back(rejected);
    table.discarded.push_back(discarded);
    append_logprobs(table.prompt_logprobs, prompt_logprobs);
    for (const Choice& choice : choices) append_choice(table, choice);
    table.choices.push_back(static_cast<std::int64_t>(table.sample.size()));
}

// A row without an answer: every column of a result is empty.
void append_error(ShardTable& table, const LineError& error) {
    const auto& [line, id, code, sentence, metadata] = error;
    append_result(table, {.line = line, .id = id, .metadata = metadata});
    table.flags.back() = kShardFailed;
    table.error_code.offsets.pop_back();
    table.error_code.push(code);
    table.error_sentence.offsets.pop_back();
    table.error_sentence.push(sentence);
}

bool rising_to(const std::vector<std::int64_t>& offsets, std::size_t rows, std::size_t values) {
    return offsets.size() == rows + 1 && offsets.front() == 0 && std::is_sorted(offsets.begin(), offsets.end()) &&
           offsets.back() == static_cast<std::int64_t>(values);
}

template <class T>
bool fits(const Ragged<T>& column, std::size_t rows) {
    return rising_to(column.offsets, rows, column.values.size());
}

bool fits(const LogprobColumns& c, std::size_t owners) {
    const std::size_t entries = c.value.size();
    if (!rising_to(c.begin, owners, entries) || !fits(c.token, entries) || c.token_id.size() != entries ||
        c.valued.size() != entries || c.characters.size() != entries || !fits(c.top_value, entries) ||
        !fits(c.top_id, entries) || !fits(c.top_token, c.top_value.values.size()))
        return false;
    return true;
}

}  // namespace

std::int64_t line_of(const StoredAnswer& answer) {
    return std::visit([](const auto& one) { return one.line; }, answer);
}

std::string text_of(const StoredAnswer& answer) {
    if (const auto* error = std::get_if<LineError>(&answer)) return error_line(*error);
    return response_line(std::get<RequestResult>(answer));
}

void append(ShardTable& table, const StoredAnswer& answer) {
    if (const auto* error = std::get_if<LineError>(&answer)) return append_error(table, *error);
    append_result(table, std::get<RequestResult>(answer));
}

StoredAnswer answer_at(const ShardTable& table, std::size_t i) {
    const std::uint8_t flags = table.flags[i];
    if ((flags & kShardFailed) != 0) {
        return LineError{.line = table.line[i],
                         .id = text(table.id.row(i)),
                         .code = text(table.error_code.row(i)),
                         .sentence = text(table.error_sentence.row(i)),
                         .metadata = text(table.metadata.row(i))};
    }
    RequestResult result{.line = table.line[i],
                         .id = text(table.id.row(i)),
                         .model = text(table.model.row(i)),
                         .prompt_token_ids = {},
                         .return_token_ids = (flags & kShardReturnTokenIds) != 0,
                         .echo = (flags & kShardEcho) != 0,
                         .logprobs = (flags & kShardLogprobs) != 0,
                         .chat = (flags & kShardChat) != 0,
                         .marks = marks_of(table.marks[i]),
                         .prompt_text = text(table.prompt_text.row(i)),
                         .prompt_logprobs = logprobs_at(table.prompt_logprobs, i),
                         .choices = {},
                         .metadata = text(table.metadata.row(i)),
                         .counts = {.uncached_input = table.uncached_input[i],
                                    .cached_input = table.cached_input[i],
                                    .delivered_output = table.delivered_output[i],
                                    .rejected_draft = table.rejected_draft[i],
                                    .discarded = table.discarded[i]}};
    const auto prompt = table.prompt_token.row(i);
    result.prompt_token_ids.assign(prompt.begin(), prompt.end());
    for (auto c = static_cast<std::size_t>(table.choices[i]); c < static_cast<std::size_t>(table.choices[i + 1]); ++c) {
        const auto tokens = table.token.row(c);
        result.choices.push_back({.index = table.sample[c],
                                  .text = text(table.text.row(c)),
                                  .token_ids = {tokens.begin(), tokens.end()},
                                  .finish = static_cast<FinishReason>(table.finish[c]),
                                  .logprobs = logprobs_at(table.logprobs, c)});
    }
    return result;
}

std::optional<std::string> check_table(const ShardTable& t) {
    const std::size_t rows = t.rows();
    const std::size_t choices = t.sample.size();
    for (const std::int64_t line : t.line) {
        if (line < 1) return fmt::format("it holds line {}, and lines are counted from 1", line);
    }
    const bool requests_fit = t.flags.size() == rows && t.marks.size() == rows && fits(t.id, rows) &&
                              fits(t.model, rows) && fits(t.prompt_text, rows) && fits(t.metadata, rows) &&
                              fits(t.error_code, rows) && fits(t.error_sentence, rows) && fits(t.prompt_token, rows) &&
                              t.uncached_input.size() == rows && t.cached_input.size() == rows &&
                              t.delivered_output.size() == rows && t.rejected_draft.size() == rows &&
                              t.discarded.size() == rows && fits(t.prompt_logprobs, rows);
    if (!requests_fit) return fmt::format("its columns of requests do not fit its {} rows", rows);
    const bool choices_fit = rising_to(t.choices, rows, choices) && t.finish.size() == choices &&
                             fits(t.text, choices) && fits(t.token, choices) && fits(t.logprobs, choices);
    if (!choices_fit) return fmt::format("its columns of choices do not fit its {} rows", choices);
    for (const std::uint8_t finish : t.finish) {
        if (finish > static_cast<std::uint8_t>(FinishReason::error))
            return fmt::format("it holds finish reason {}, which is none", finish);
    }
    return std::nullopt;
}

std::int64_t bytes_of(const ShardTable& table) {
    std::int64_t bytes = 0;
    for_each_column(table, [&](const std::string&, const auto& column, bool) {
        bytes += static_cast<std::int64_t>(column.size() * sizeof column[0]);
    });
    return bytes;
}

}  // namespace argosy
