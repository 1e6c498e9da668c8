// Tags, calls and channels in generated text.
#include "runtime/job/answer_parts.hpp"

#include <algorithm>

#include "kernels/base/error.hpp"
#include "runtime/text/jinja_json.hpp"

namespace argosy {

namespace {

constexpr std::string_view kThink = "<think>", kThinkEnd = "</think>";
constexpr std::string_view kBlanks = " \t\r\n";
constexpr std::string_view kCall = "<tool_call>", kCallEnd = "</tool_call>";

std::string without_line_ends(std::string_view text) {
    const std::size_t first = text.find_first_not_of('\n');
    if (first == text.npos) return {};
    return std::string(text.substr(first, text.find_last_not_of('\n') + 1 - first));
}

bool is_blank(std::string_view text) { return text.find_first_not_of(kBlanks) == text.npos; }

// Without the white space before the text, and behind it.
std::string_view left_stripped(std::string_view text) {
    return text.substr(std::min(text.size(), text.find_first_not_of(kBlanks)));
}
std::string_view right_stripped(std::string_view text) { return text.substr(0, text.find_last_not_of(kBlanks) + 1); }

void add_text(std::optional<std::string>& to, std::string_view text) {
    if (to && !to->empty() && !text.empty()) *to += '\n';
    to = to.value_or("") + std::string(text);
}

// Takes the reasoning from the text's beginning; returns the rest, or nothing when all is reasoning.
std::optional<std::string_view> take_reasoning(bool open, std::string_view text, AnswerParts& parts) {
    const std::string_view begun = left_stripped(text);
    if (begun.starts_with(kThink)) {
        text = begun.substr(kThink.size());
    } else if (!open) {
        return text;
    }
    const std::size_t end = text.find(kThinkEnd);
    parts.reasoning = without_line_ends(text.substr(0, end));
    if (end == text.npos) return std::nullopt;
    text.remove_prefix(end + kThinkEnd.size());
    const std::size_t first = text.find_first_not_of('\n');
    return first == text.npos ? std::string_view() : text.substr(first);
}

// {"name": ..., "arguments": {...}}; nothing when the text is none.
std::optional<ToolCall> call_of(std::string_view text) {
    try {
        const JinjaValue call = jinja_from_json(right_stripped(left_stripped(text)));
        const JinjaDict* members = call.dict();
        const JinjaValue* name = members ? members->find("name") : nullptr;
        const JinjaValue* arguments = members ? members->find("arguments") : nullptr;
        if (!name || !name->text() || !arguments || !arguments->dict()) return std::nullopt;
        JinjaBudget budget;
        ToolCall found{*name->text(), {}};
        append_json(found.arguments, *arguments, {}, budget);
        return found;
    } catch (const Error&) {
        return std::nullopt;
    } catch (const JinjaFailure&) {  // longer than any template may write
        return std::nullopt;
    }
}

// False when what begins with the first mark of a call is not calls to its end.
bool take_calls(std::string_view text, AnswerParts& parts) {
    std::vector<ToolCall> calls;
    while (!is_blank(text)) {
        text = left_stripped(text);
        const std::size_t end = text.find(kCallEnd);
        if (!text.starts_with(kCall) || end == text.npos) return false;
        std::optional<ToolCall> call = call_of(text.substr(kCall.size(), end - kCall.size()));
        if (!call) return false;
        calls.push_back(std::move(*call));
        text.remove_prefix(end + kCallEnd.size());
    }
    parts.tool_calls = std::move(calls);
    return true;
}

// ---- channels

// The word that follows `mark` in a header: up to a blank or the next mark.
std::string_view word_after(std::string_view header, std::string_view mark) {
    const std::size_t at = header.find(mark);
    if (at == header.npos) return {};
    header.remove_prefix(at + mark.size());
    return header.substr(0, header.find_first_of(" \n<"));
}

// The first of the marks that end a message's body, or the text's end.
std::size_t body_end(std::string_view text) {
    std::size_t end = text.size();
    for (const std::string_view mark : {"<|end|>", "<|call|>", "<|return|>", "<|start|>"})
        end = std::min(end, text.find(mark));
    return end;
}

void add_message(std::string_view header, std::string_view body, AnswerParts& parts) {
    constexpr std::string_view kFunctions = "functions.";
    const std::string_view channel = word_after(header, "<|channel|>");
    const std::string_view recipient = word_after(header, " to=");
    if (recipient.starts_with(kFunctions)) {
        parts.tool_calls.push_back({std::string(recipient.substr(kFunctions.size())), std::string(body)});
    } else {
        add_text(channel == "analysis" ? parts.reasoning : parts.content, body);
    }
}

AnswerParts parts_of_channels(std::string_view text) {
    constexpr std::string_view kMessage = "<|message|>";
    AnswerParts parts;
    if (!left_stripped(text).starts_with("<|channel|>") && !text.starts_with(" to=")) {
        parts.content = std::string(text);
        return parts;
    }
    while (!is_blank(text)) {
        const std::size_t begin = text.find(kMessage);
        if (begin == text.npos) break;  // a header that was cut
        const std::string_view header = text.substr(0, begin);
        text.remove_prefix(begin + kMessage.size());
        const std::size_t end = body_end(text);
        add_message(header, text.substr(0, end), parts);
        text.remove_prefix(end);
        // Up to the next message: the mark that ended this one, and <|start|>assistant.
        const std::size_t start = text.find("<|start|>");
        if (start == text.npos) break;
        text.remove_prefix(start);
    }
    return parts;
}

}  // namespace

AnswerParts answer_parts(const AnswerMarks& marks, std::string_view text) {
    if (marks.channels) return parts_of_channels(text);
    AnswerParts parts;
    std::optional<std::string_view> rest = text;
    if (marks.think) rest = take_reasoning(marks.think_open, text, parts);
    if (!rest) return parts;
    const std::size_t calls = marks.tool_calls ? rest->find(kCall) : rest->npos;
    if (calls != rest->npos && take_calls(rest->substr(calls), parts)) {
        const std::string_view before = right_stripped(rest->substr(0, calls));
        if (!before.empty()) parts.content = std::string(before);
        return parts;
    }
    parts.content = std::string(*rest);
    return parts;
}

}  // namespace argosy
