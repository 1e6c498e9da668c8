// A shard in memory: finished requests as columns. Everything that responses.jsonl is written from stands in them, and
// what each request cost.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "runtime/job/request_file.hpp"
#include "runtime/job/response.hpp"

namespace argosy {

// What is kept of a request that is finished: its answer, or its error record.
using StoredAnswer = std::variant<RequestResult, LineError>;
std::int64_t line_of(const StoredAnswer& answer);
// Its line in responses.jsonl, without the end.
std::string text_of(const StoredAnswer& answer);

// Rows of different lengths, side by side: row i is values[offsets[i] .. offsets[i + 1]).
// Example: rows "ab", "", "c": values "abc", offsets 0 2 2 3.
template <class T>
struct Ragged {
    std::vector<std::int64_t> offsets{0};  // [rows + 1]
    std::vector<T> values{};

    std::size_t rows() const { return offsets.size() - 1; }
    template <class Row>
    void push(const Row& row) {
        values.insert(values.end(), row.begin(), row.end());
        offsets.push_back(static_cast<std::int64_t>(values.size()));
    }
    std::span<const T> row(std::size_t i) const {
        return std::span<const T>(values).subspan(static_cast<std::size_t>(offsets[i]),
                                                  static_cast<std::size_t>(offsets[i + 1] - offsets[i]));
    }
    bool operator==(const Ragged&) const = default;
};

// Tokens with a log probability. Owners are requests (for prompts) or choices.
struct LogprobColumns {
    std::vector<std::int64_t> begin{0};    // [owners + 1] owner i has entries begin[i] .. begin[i + 1]
    Ragged<char> token;                    // [entries] its text, bytes as they are
    std::vector<std::int32_t> token_id;    // [entries] -1: not known
    std::vector<std::uint8_t> valued;      // [entries] 0: the first token of an echoed prompt has no value
    std::vector<float> value;              // [entries]
    std::vector<std::int32_t> characters;  // [entries] as in TokenLogprob
    Ragged<float> top_value;               // [entries] of the alternatives, most likely first
    Ragged<std::int32_t> top_id;           // [entries] of the same, or none
    Ragged<char> top_token;                // [alternatives of all entries] texts
    bool operator==(const LogprobColumns&) const = default;
};

struct ShardTable {
    // One row per request.
    std::vector<std::int64_t> line;   // [requests]
    std::vector<std::uint8_t> flags;  // [requests] kShardFailed and so on
    std::vector<std::uint8_t> marks;  // [requests] of a chat's answer: kMarkThink and so on
    Ragged<char> id;
    Ragged<char> model;
    Ragged<char> prompt_text;  // with echo
    Ragged<char> metadata;
    Ragged<char> error_code;  // with kShardFailed
    Ragged<char> error_sentence;
    Ragged<std::int32_t> prompt_token;
    std::vector<std::int64_t> uncached_input;  // [requests] tokens, as in RequestCounts
    std::vector<std::int64_t> cached_input;
    std::vector<std::int64_t> delivered_output;
    std::vector<std::int64_t> rejected_draft;
    std::vector<std::int64_t> discarded;
    LogprobColumns prompt_logprobs;  // owners: requests

    // One row per choice, those of a request side by side.
    std::vector<std::int64_t> choices{0};  // [requests + 1] request i has choices choices[i] .. choices[i + 1]
    std::vector<std::int32_t> sample;      // [choices]
    std::vector<std::uint8_t> finish;      // [choices] FinishReason
    Ragged<char> text;
    Ragged<std::int32_t> token;
    LogprobColumns logprobs;  // owners: choices

    std::size_t rows() const { return line.size(); }
    bool operator==(const ShardTable&) const = default;
};

inline constexpr std::uint8_t kShardFailed = 1;  // an error record
inline constexpr std::uint8_t kShardReturnTokenIds = 2;
inline constexpr std::uint8_t kShardEcho = 4;
inline constexpr std::uint8_t kShardLogprobs = 8;
inline constexpr std::uint8_t kShardChat = 16;

inline constexpr std::uint8_t kMarkThink = 1;
inline constexpr std::uint8_t kMarkThinkOpen = 2;
inline constexpr std::uint8_t kMarkToolCalls = 4;
inline constexpr std::uint8_t kMarkChannels = 8;

void append(ShardTable& table, const StoredAnswer& answer);

// Row i as it was appended. The table must have passed check_table.
StoredAnswer answer_at(const ShardTable& table, std::size_t i);

// What does not fit together (lengths, offsets, values out of range), or nothing.
std::optional<std::string> check_table(const ShardTable& table);

// Calls visit(name, vector, is_offsets) for every column. Names are paths in HDF5 files; types are std::int64_t,
// std::int32_t, float, std::uint8_t and char.
template <class Table, class Visit>
void for_each_column(Table& t, Visit visit) {
    const auto plain = [&](const std::string& name, auto& column) { visit(name, column, false); };
    const auto ragged = [&](const std::string& name, auto& column) {
        visit(name + "_offsets", column.offsets, true);
        visit(name, column.values, false);
    };
    const auto logprobs = [&](const std::string& group, auto& columns) {
        visit(group + "/entry_offsets", columns.begin, true);
        ragged(group + "/token_text", columns.token);
        plain(group + "/token_id", columns.token_id);
        plain(group + "/valued", columns.valued);
        plain(group + "/logprob", columns.value);
        plain(group + "/characters", columns.characters);
        ragged(group + "/top_logprob", columns.top_value);
        ragged(group + "/top_id", columns.top_id);
        ragged(group + "/top_text", columns.top_token);
    };
    plain("requests/line", t.line);
    plain("requests/flags", t.flags);
    plain("requests/answer_marks", t.marks);
    ragged("requests/custom_id", t.id);
    ragged("requests/model", t.model);
    ragged("requests/prompt_text", t.prompt_text);
    ragged("requests/metadata", t.metadata);
    ragged("requests/error_code", t.error_code);
    ragged("requests/error_message", t.error_sentence);
    ragged("requests/prompt_tokens", t.prompt_token);
    plain("requests/uncached_input_tokens", t.uncached_input);
    plain("requests/cached_input_tokens", t.cached_input);
    plain("requests/delivered_output_tokens", t.delivered_output);
    plain("requests/rejected_draft_tokens", t.rejected_draft);
    plain("requests/discarded_tokens", t.discarded);
    logprobs("prompt_logprobs", t.prompt_logprobs);
    visit("requests/choice_offsets", t.choices, true);
    plain("choices/sample", t.sample);
    plain("choices/finish_reason", t.finish);
    ragged("choices/text", t.text);
    ragged("choices/tokens", t.token);
    logprobs("logprobs", t.logprobs);
}

// Bytes of all columns in memory.
std::int64_t bytes_of(const ShardTable& table);

}  // namespace argosy
