// Per-request tokens gathered and priced.
#include "runtime/job_costs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <type_traits>

namespace argosy {

static_assert(std::is_trivially_copyable_v<RequestUse>);

RequestUse use_of(const RequestResult& result) {
    const RequestCounts& counts = result.counts;
    RequestUse use{result.line, {}};
    const auto set = [&](TokenClass token_class, std::int64_t tokens) {
        use.tokens.tokens[static_cast<std::size_t>(token_class)] = tokens;
    };
    set(TokenClass::uncached_input, counts.uncached_input);
    set(TokenClass::cached_input, counts.cached_input);
    set(TokenClass::delivered_output, counts.delivered_output);
    set(TokenClass::rejected_draft, counts.rejected_draft);
    set(TokenClass::discarded, counts.discarded);
    return use;
}

std::vector<RequestUse> collect_uses(Communicator& world, std::span<const RequestUse> mine) {
    const auto ranks = static_cast<std::size_t>(world.size());
    const auto own = static_cast<std::int64_t>(mine.size());
    std::vector<std::int64_t> counts(ranks);
    world.all_gather(&own, sizeof own, counts.data());
    constexpr auto kBytes = static_cast<std::int64_t>(sizeof(RequestUse));
    const bool receives = world.rank() == 0;
    std::vector<RequestUse> all;
    if (receives) {
        std::int64_t total = 0;
        for (const std::int64_t count : counts) total += count;
        all.resize(static_cast<std::size_t>(total));
    }
    std::vector<SendPart> send(ranks);
    std::vector<ReceivePart> receive(ranks);
    send[0] = {mine.data(), own * kBytes};
    if (receives) {
        RequestUse* to = all.data();
        for (std::size_t r = 0; r < ranks; ++r) {
            receive[r] = {to, counts[r] * kBytes};
            to += counts[r];
        }
    }
    world.all_to_all_v(send, receive);
    std::sort(all.begin(), all.end(), [](const RequestUse& a, const RequestUse& b) { return a.line < b.line; });
    return all;
}

void add_unanswered(std::vector<RequestUse>& uses, std::span<const RankLedger> ranks) {
    RequestUse rest{-1, {}};
    bool any = false;
    for (std::size_t c = 0; c < static_cast<std::size_t>(kTokenClassCount); ++c) {
        std::int64_t& tokens = rest.tokens.tokens[c];
        for (const RankLedger& rank : ranks) tokens += tokens_of(rank, static_cast<TokenClass>(c));
        for (const RequestUse& use : uses) tokens -= use.tokens.tokens[c];
        tokens = std::max<std::int64_t>(tokens, 0);
        any = any || tokens > 0;
    }
    if (any) uses.push_back(rest);
}

std::vector<RequestTokens> tokens_of(std::span<const RequestUse> uses) {
    std::vector<RequestTokens> tokens;
    tokens.reserve(uses.size());
    for (const RequestUse& use : uses) tokens.push_back(use.tokens);
    return tokens;
}

std::string costs_csv(const RunReport& report, std::span<const RequestUse> uses) {
    const std::vector<RequestCost> costs = price_requests(report.bill, tokens_of(uses));
    const bool money = report.bill.unit == BillUnit::nano_money;
    const std::string unit = money ? "nano" + report.profile->currency : std::string("rank_ns");
    std::string text = "line";
    for (int c = 0; c < kTokenClassCount; ++c)
        fmt::format_to(std::back_inserter(text), ",{}", key_of(static_cast<TokenClass>(c)));
    fmt::format_to(std::back_inserter(text), ",direct_{0},loaded_{0}\n", unit);
    for (std::size_t i = 0; i < uses.size(); ++i) {
        if (uses[i].line >= 0) fmt::format_to(std::back_inserter(text), "{}", uses[i].line);
        for (const std::int64_t tokens : uses[i].tokens.tokens) fmt::format_to(std::back_inserter(text), ",{}", tokens);
        fmt::format_to(std::back_inserter(text), ",{},{}\n", costs[i].direct, costs[i].loaded);
    }
    return text;
}

std::filesystem::path next_costs_path(const std::filesystem::path& folder) {
    for (int number = 1;; ++number) {
        std::filesystem::path path = folder / fmt::format("costs-{}.csv", number);
        if (!std::filesystem::exists(path)) return path;
    }
}

}  // namespace argosy
