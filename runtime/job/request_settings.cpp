// Reading the settings of a request, each checked for type and range.
#include "runtime/job/request_settings.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>

namespace argosy {

namespace {

constexpr std::size_t kStopsMax = 16;
constexpr std::size_t kStopTokensMax = 1024;
constexpr int kLogprobsMax = 20;
constexpr int kSamplesMax = 1024;
// A factor beyond these would leave no choice, or make logits overflow; models' authors use 1.0 to 1.3.
constexpr double kRepetitionMin = 0.01;
constexpr double kRepetitionMax = 100;

std::uint64_t seed_of(const Json& value) {
    if (value.is_number_unsigned()) return value.get<std::uint64_t>();
    return static_cast<std::uint64_t>(
        integer(value, "seed", std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()));
}

std::vector<std::string> stops_of(const Json& value) {
    std::vector<std::string> stops;
    if (value.is_string()) {
        stops.push_back(value.get<std::string>());
    } else if (value.is_array()) {
        if (value.size() > kStopsMax)
            bad("invalid_value", "stop lists {} texts; at most {} are honoured.", value.size(), kStopsMax);
        for (const Json& stop : value) stops.push_back(text_of(stop, "each text of stop"));
    } else {
        bad("invalid_type", "stop must be a string or a list of at most {} strings; it is {}.", kStopsMax,
            shown_value(value));
    }
    for (const std::string& stop : stops) {
        if (stop.empty())
            bad("invalid_value", "A text of stop is empty: generation would end before it began. Leave it out.");
    }
    return stops;
}

// OpenAI's form: token ids as names, biases as values. A name in any other spelling could give one token two biases.
std::vector<TokenBias> logit_bias_of(const Json& value) {
    if (!value.is_object())
        bad("invalid_type", "logit_bias must be an object of token ids and biases, as in {{\"50\": -100}}; it is {}.",
            shown_value(value));
    std::vector<TokenBias> list;
    list.reserve(value.size());
    for (const auto& [name, bias] : value.items()) {
        std::int32_t id = -1;
        const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), id);
        if (error != std::errc() || id < 0 || fmt::format("{}", id) != name)
            bad("invalid_value", "logit_bias names the token {}; write its id in decimal digits.", shown(name));
        list.push_back({.token = id, .bias = number(bias, "each bias of logit_bias", -100, 100)});
    }
    std::sort(list.begin(), list.end(), [](const TokenBias& a, const TokenBias& b) { return a.token < b.token; });
    return list;
}

// Alternatives reported per token: completions give their number as logprobs; chat has a switch logprobs and a number
// top_logprobs.
int logprobs_of(const Json& object, Endpoint endpoint) {
    const Json* logprobs = given(object, "logprobs");
    if (endpoint == Endpoint::completions)
        return logprobs ? static_cast<int>(integer(*logprobs, "logprobs", 0, kLogprobsMax)) : -1;
    const bool wanted = logprobs && boolean(*logprobs, "logprobs");
    const Json* top = given(object, "top_logprobs");
    const int alternatives = top ? static_cast<int>(integer(*top, "top_logprobs", 0, kLogprobsMax)) : 0;
    if (top && !wanted) bad("invalid_value", "top_logprobs is given without \"logprobs\": true; say both or neither.");
    return wanted ? alternatives : -1;
}

// Chat has two names for one limit.
void read_max_tokens(const Json& object, Endpoint endpoint, Request& request) {
    constexpr int kIntMax = std::numeric_limits<int>::max();
    const Json* limit = given(object, "max_tokens");
    if (limit) request.max_tokens = static_cast<int>(integer(*limit, "max_tokens", 0, kIntMax));
    const Json* other = endpoint == Endpoint::chat ? given(object, "max_completion_tokens") : nullptr;
    if (!other) return;
    const int value = static_cast<int>(integer(*other, "max_completion_tokens", 0, kIntMax));
    if (limit && value != request.max_tokens)
        bad("invalid_value", "max_tokens is {} and max_completion_tokens is {}; give one of them.", request.max_tokens,
            value);
    request.max_tokens = value;
}

}  // namespace

void check_fields(const Json& body, Endpoint endpoint) {
    for (const auto& [name, value] : body.items()) {
        if (is_honoured(name, endpoint)) continue;
        const std::string_view near = nearest_field(name, endpoint);
        bad("unsupported_field",
            "The field {} is not honoured{}. Remove it, or the answer would not be what was asked for. Honoured: {}.",
            shown(name), near.empty() ? "" : fmt::format("; the nearest that is: {}", near), honoured_fields(endpoint));
    }
}

void check_own_member(const std::string& name) {
    if (const std::string_view meant = misspelt_field(name); !meant.empty()) {
        bad("unsupported_field",
            "The member {} looks like the setting {} misspelt. Correct it, or give it another name if it is data to "
            "pass through.",
            shown(name), meant);
    }
    if (!is_foreign_field(name)) return;
    const std::string_view instead = nearest_field(name);
    bad("unsupported_field",
        "The member {} is a setting that is not honoured{}. Remove it, or give it another name if it is data to pass "
        "through. Honoured: {}.",
        shown(name), instead.empty() ? "" : fmt::format("; the nearest that is: {}", instead), honoured_fields());
}

void read_settings(const Json& object, Endpoint endpoint, ParsedRequest& parsed) {
    constexpr int kIntMax = std::numeric_limits<int>::max();
    Request& request = parsed.request;
    const auto as_int = [](const Json& value, const char* name, int low, int high) {
        return static_cast<int>(integer(value, name, low, high));
    };
    if (const Json* v = given(object, "model")) parsed.model = text_of(*v, "model");
    read_max_tokens(object, endpoint, request);
    if (const Json* v = given(object, "n")) request.n = as_int(*v, "n", 1, kSamplesMax);
    if (const Json* v = given(object, "temperature")) request.temperature = number(*v, "temperature", 0, 100);
    if (const Json* v = given(object, "top_p")) request.top_p = number(*v, "top_p", 0, 1);
    if (const Json* v = given(object, "min_p")) request.min_p = number(*v, "min_p", 0, 1);
    if (const Json* v = given(object, "top_k"))
        request.top_k = std::max(0, as_int(*v, "top_k", -1, kIntMax));  // -1 is vLLM's "off"
    if (const Json* v = given(object, "presence_penalty"))
        request.presence_penalty = number(*v, "presence_penalty", -2, 2);
    if (const Json* v = given(object, "frequency_penalty"))
        request.frequency_penalty = number(*v, "frequency_penalty", -2, 2);
    if (const Json* v = given(object, "repetition_penalty"))
        request.repetition_penalty = number(*v, "repetition_penalty", kRepetitionMin, kRepetitionMax);
    if (const Json* v = given(object, "logit_bias")) request.logit_bias = logit_bias_of(*v);
    if (const Json* v = given(object, "seed")) request.seed = seed_of(*v);
    if (const Json* v = given(object, "stop")) request.stop = stops_of(*v);
    if (const Json* v = given(object, "stop_token_ids")) {
        request.stop_token_ids = token_ids(*v, "stop_token_ids");
        if (request.stop_token_ids.size() > kStopTokensMax)
            bad("invalid_value", "stop_token_ids lists more than {} ids.", kStopTokensMax);
    }
    request.logprobs = logprobs_of(object, endpoint);
    if (const Json* v = given(object, "echo"); v && endpoint == Endpoint::completions)
        request.echo = boolean(*v, "echo");
    if (const Json* v = given(object, "ignore_eos")) request.ignore_eos = boolean(*v, "ignore_eos");
    if (const Json* v = given(object, "return_token_ids")) request.return_token_ids = boolean(*v, "return_token_ids");
    if (const Json* v = given(object, "stream"); v && boolean(*v, "stream")) {
        bad("invalid_value", "stream is true; a batch job writes whole answers. Leave it out or say false.");
    }
    if (const Json* v = given(object, "user")) text_of(*v, "user");
}

}  // namespace argosy
