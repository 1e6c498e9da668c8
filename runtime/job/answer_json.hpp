// Parts that every answer's JSON has in common.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/job/response.hpp"

namespace argosy {

// Appends "name": behind the "{" of an object or a member of it.
void append_member(std::string& out, std::string_view name);

void append_ids(std::string& out, const std::vector<std::int32_t>& ids);

// [a,b,c]: append(item) writes one.
template <class Item, class Append>
void append_list(std::string& out, const std::vector<Item>& items, Append append) {
    out += '[';
    for (std::size_t i = 0; i < items.size(); ++i) {
        if (i > 0) out += ',';
        append(items[i]);
    }
    out += ']';
}

// A token's text as a name. Part of a character cannot be written as text: its bytes are spelt out, as OpenAI does.
std::string token_name(std::string_view token);
// The bytes behind such a name.
std::string token_name_bytes(std::string_view name);

// "finish_reason" and, where asked for, the ids: the last members of a choice, with its "}".
void append_choice_end(std::string& out, const RequestResult& result, const Choice& choice, std::string_view reason);

// {"prompt_tokens":..,"completion_tokens":..,"total_tokens":..}
void append_usage(std::string& out, const RequestResult& result);

// "id", "object", "created" and "model". Answers never depend on when they were made: created is 0.
void append_body_head(std::string& out, const RequestResult& result, std::string_view id, std::string_view object);

// A body of the OpenAI kind: {"id": id,"object": object,..,"choices":[..],"usage":{..}}, choices written by
// append_choice(choice).
template <class Append>
void append_body(std::string& out, const RequestResult& result, std::string_view id, std::string_view object,
                 Append append_choice) {
    out += '{';
    append_body_head(out, result, id, object);
    append_member(out, "choices");
    append_list(out, result.choices, append_choice);
    append_member(out, "usage");
    append_usage(out, result);
    out += '}';
}

}  // namespace argosy
