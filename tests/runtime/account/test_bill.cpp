// The bill closes: property tests over random jobs, and each check fails when one number is disturbed.
#include <catch2/catch.hpp>

#include <functional>
#include <numeric>

#include "tests/runtime/account/random_ledgers.hpp"

using namespace argosy;
using namespace argosy::test;

namespace {

std::int64_t sum_of(const AccountAmounts& amounts) {
    std::int64_t sum = 0;
    for (const auto& phase : amounts) sum = std::accumulate(phase.begin(), phase.end(), sum);
    return sum;
}

// Index of the first check that fails for this bill of this job; -1 if all hold.
int failing(const RandomJob& job, const Bill& bill) {
    const auto checks = check_bill(bill, job.ranks, job.profile, job.request_span());
    for (int i = 0; i < kBillCheckCount; ++i) {
        if (!checks[i].valid) {
            CHECK_FALSE(checks[i].reason.empty());
            return i;
        }
    }
    return -1;
}

bool fails(const RandomJob& job, const Bill& bill, int check) {
    return !check_bill(bill, job.ranks, job.profile, job.request_span())[static_cast<std::size_t>(check)].valid;
}

constexpr int kAccounts = 0, kRanks = 1, kRequests = 2, kTokens = 3;

// One number changed, and the check that must see it.
template <class T>
struct Disturbance {
    int check;
    std::function<void(T&)> change;
    bool also_anew = false;  // of a job: the bill made anew from it must be INVALID too
};

// For every check one of its disturbances, drawn anew each time.
template <class T, class Try>
void disturb_each_check(std::mt19937_64& random, const std::vector<Disturbance<T>>& all, Try attempt) {
    for (int check = 0; check < kBillCheckCount; ++check) {
        std::vector<const Disturbance<T>*> fitting;
        for (const Disturbance<T>& one : all) {
            if (one.check == check) fitting.push_back(&one);
        }
        if (fitting.empty()) continue;
        attempt(*fitting[static_cast<std::size_t>(draw(random, 0, static_cast<std::int64_t>(fitting.size()) - 1))]);
    }
}

}  // namespace

TEST_CASE("10,000 random jobs close exactly") {
    std::mt19937_64 random(2026);
    int priced = 0, itemised = 0, without_tokens = 0, with_direct = 0;
    for (int round = 0; round < 10'000; ++round) {
        const RandomJob job = random_job(random);
        const Bill bill = job.bill();
        CAPTURE(round, bill.reason());
        REQUIRE(bill.valid());
        REQUIRE(bill == job.bill());

        REQUIRE(std::accumulate(bill.ranks.begin(), bill.ranks.end(), std::int64_t{0}) == bill.total);
        REQUIRE(sum_of(bill.accounts) == bill.total);
        for (std::size_t i = 0; i < job.ranks.size(); ++i) REQUIRE(sum_of(bill.rank_accounts[i]) == bill.ranks[i]);
        std::int64_t loaded = bill.uncarried;
        for (const ClassAmount& amount : bill.classes) loaded += amount.loaded;
        REQUIRE(loaded == bill.total);
        if (job.requests) {
            REQUIRE(std::accumulate(bill.requests.begin(), bill.requests.end(), std::int64_t{0}) + bill.overhead ==
                    bill.total);
        }
        if (!job.profile) REQUIRE(bill.total == bill.rank_ns);
        priced += job.profile.has_value();
        itemised += job.requests && !job.requests->empty();
        without_tokens += bill.uncarried > 0;
        with_direct += bill.direct > 0 && bill.overhead > 0;
    }
    // The generator reaches what it is meant to reach.
    CHECK(priced > 5000);
    CHECK(itemised > 5000);
    CHECK(without_tokens > 300);
    CHECK(with_direct > 4000);
}

TEST_CASE("each check fails when one number of the bill is disturbed") {
    std::mt19937_64 random(2027);
    for (int round = 0; round < 10'000; ++round) {
        const RandomJob job = random_job(random);
        const Bill good = job.bill();
        REQUIRE(failing(job, good) == -1);
        const std::int64_t by = draw(random, 0, 1) == 0 ? 1 : -1;
        const auto r = static_cast<std::size_t>(draw(random, 0, static_cast<std::int64_t>(job.ranks.size()) - 1));
        const auto p = static_cast<std::size_t>(draw(random, 0, kPhaseCount - 1));
        const auto a = static_cast<std::size_t>(draw(random, 0, kAccountCount - 1));
        const auto c = static_cast<std::size_t>(draw(random, 0, kTokenClassCount - 1));
        std::vector<Disturbance<Bill>> all = {
            {kAccounts, [&](Bill& b) { b.rank_accounts[r][p][a] += by; }},
            {kAccounts, [&](Bill& b) { b.accounts[p][a] += by; }},
            {kAccounts, [&](Bill& b) { b.ranks[r] += by; }},
            {kAccounts, [&](Bill& b) { b.ranks.pop_back(); }},
            {kRanks, [&](Bill& b) { b.ranks[r] += by; }},
            {kRanks, [&](Bill& b) { b.total += by; }},
            {kRanks, [&](Bill& b) { b.rank_ns += by; }},
            {kRanks, [&](Bill& b) { b.core_ns += by; }},
            {kRanks, [&](Bill& b) { b.unit = b.unit == BillUnit::rank_ns ? BillUnit::nano_money : BillUnit::rank_ns; }},
            {kRequests, [&](Bill& b) { b.total += by; }},
            {kRequests, [&](Bill& b) { b.overhead += by; }},
            {kTokens, [&](Bill& b) { b.total += by; }},
            {kTokens, [&](Bill& b) { b.direct += by; }},
            {kTokens, [&](Bill& b) { b.uncarried += by; }},
            {kTokens, [&](Bill& b) { b.classes[c].tokens += by; }},
            {kTokens, [&](Bill& b) { b.classes[c].direct += by; }},
            {kTokens, [&](Bill& b) { b.classes[c].loaded += by; }}};
        if (!job.requests) all.push_back({kRequests, [&](Bill& b) { b.direct += by; }});
        if (!good.requests.empty()) {
            all.push_back({kRequests, [&](Bill& b) { b.requests[r % b.requests.size()] += by; }});
            all.push_back({kRequests, [&](Bill& b) { b.requests.pop_back(); }});
        }
        disturb_each_check(random, all, [&](const Disturbance<Bill>& one) {
            Bill bill = good;
            one.change(bill);
            REQUIRE(fails(job, bill, one.check));
        });
    }
}

TEST_CASE("each check fails when one number of the ledgers, the profile or the requests is disturbed") {
    std::mt19937_64 random(2028);
    for (int round = 0; round < 10'000; ++round) {
        const RandomJob job = random_job(random);
        const Bill good = job.bill();
        const std::int64_t by = draw(random, 0, 1) == 0 ? 1 : -1;
        const auto r = static_cast<std::size_t>(draw(random, 0, static_cast<std::int64_t>(job.ranks.size()) - 1));
        const auto p = static_cast<std::size_t>(draw(random, 0, kPhaseCount - 1));
        const auto a = static_cast<std::size_t>(draw(random, 0, kAccountCount - 1));
        const auto c = static_cast<std::size_t>(draw(random, 0, kTokenClassCount - 1));
        const auto e = static_cast<std::size_t>(draw(random, 0, kBlameMax - 1));
        using Change = Disturbance<RandomJob>;
        std::vector<Change> all = {
            {kAccounts, [&](RandomJob& j) { j.ranks[r].totals_ns[p][a] += by; }, true},
            {kAccounts, [&](RandomJob& j) { j.ranks[r].blame[e].ns += by; }, true},
            {kAccounts, [&](RandomJob& j) { j.ranks[r].end_ns += by; }, true},
            {kAccounts, [&](RandomJob& j) { j.ranks[r].start_ns += by; }, true},
            {kAccounts, [&](RandomJob& j) { j.ranks[r].end_ns = j.ranks[r].start_ns - 1; }, true},
            {kRanks, [&](RandomJob& j) { j.ranks[r].end_ns += by; }},
            {kRanks, [&](RandomJob& j) { j.ranks[r].cores_milli += 1000; }},
            {kTokens, [&](RandomJob& j) { j.ranks[r].tokens[p][c] += by; }}};
        if (job.requests) {
            all.push_back({kRequests, [&](RandomJob& j) { j.ranks[r].tokens[p][c] += by; }, true});
            if (!job.requests->empty())
                all.push_back({kRequests, [&](RandomJob& j) { (*j.requests)[0].tokens[c] += by; }, true});
        }
        if (job.profile && good.total > 0) {
            all.push_back({kRanks, [&](RandomJob& j) { j.profile->price_nano_per_hour *= 3; }});
            all.push_back({kRanks, [&](RandomJob& j) { j.profile.reset(); }});
        }
        // The old bill beside the changed job, and the bill made anew from it: both must say INVALID.
        disturb_each_check(random, all, [&](const Change& one) {
            RandomJob changed = job;
            one.change(changed);
            REQUIRE(fails(changed, good, one.check));
            if (one.also_anew) REQUIRE_FALSE(changed.bill().checks[static_cast<std::size_t>(one.check)].valid);
        });
    }
}

TEST_CASE("a bill by hand: two ranks, a core price, prefill and decode") {
    std::vector<RankLedger> ranks = {rank_with(0, {{Phase::none, Account::launch, 100},
                                                   {Phase::prefill, Account::attention, 300},
                                                   {Phase::decode, Account::experts, 600}}),
                                     rank_with(1, {{Phase::none, Account::launch, 200},
                                                   {Phase::prefill, Account::attention, 300},
                                                   {Phase::decode, Account::wait_leaf_sum, 500}})};
    for (RankLedger& rank : ranks) {
        rank.end_ns *= 3'600'000'000;  // 1000 ns become 1 h
        for (auto& phase : rank.totals_ns) {
            for (std::int64_t& ns : phase) ns *= 3'600'000'000;
        }
        for (BlameEntry& entry : rank.blame) entry.ns *= 3'600'000'000;
        rank.cores_milli = 2000;
    }
    count_tokens(ranks[0], Phase::prefill, TokenClass::uncached_input, 60);
    count_tokens(ranks[1], Phase::prefill, TokenClass::cached_input, 40);
    count_tokens(ranks[0], Phase::prefill, TokenClass::discarded, 20);
    count_tokens(ranks[0], Phase::decode, TokenClass::delivered_output, 10);
    const CostProfile profile{"p", "", "s", "2026", "USD", PriceBasis::core, 10'000'000, false, "", ""};
    const std::vector<RequestTokens> requests = {
        {{60, 40, 20, 0, 0}}};  // wrong classes on purpose: draft and discarded shifted
    const Bill bill = make_bill(ranks, profile);
    REQUIRE(bill.valid());
    CHECK(bill.total == 40'000'000);  // 2 ranks x 1 h x 2 cores x $0.01
    CHECK(bill.ranks == std::vector<std::int64_t>{20'000'000, 20'000'000});
    CHECK(bill.core_ns == std::int64_t{4} * 3'600'000'000'000);
    CHECK(bill.rank_ns == std::int64_t{2} * 3'600'000'000'000);
    // prefill 0.6 rank-hours = $0.012 over 60 uncached and 20 discarded; decode 0.6 = $0.012 over 10 delivered; the
    // rest is overhead.
    CHECK(bill.classes[0] == ClassAmount{60, 9'000'000, 15'000'000});
    CHECK(bill.classes[1] == ClassAmount{40, 0, 0});
    CHECK(bill.classes[2] == ClassAmount{10, 12'000'000, 20'000'000});
    CHECK(bill.classes[4] == ClassAmount{20, 3'000'000, 5'000'000});
    CHECK(bill.direct == 24'000'000);
    CHECK(bill.overhead == 16'000'000);
    const Bill mismatched = make_bill(ranks, profile, std::span<const RequestTokens>(requests));
    CHECK_FALSE(mismatched.valid());
    CHECK(mismatched.reason() == "The requests account for 20 tokens of class 'delivered output', the ranks for 10.");
}

TEST_CASE("money moved from tokens that exist to no token is found, though the sum still closes") {
    RandomJob job;
    job.ranks = {rank_with(0, {{Phase::decode, Account::experts, 1000}})};
    count_tokens(job.ranks[0], Phase::decode, TokenClass::delivered_output, 3);
    Bill bill = job.bill();
    REQUIRE(bill.valid());
    bill.classes[2].loaded -= 100;
    bill.classes[2].direct -= 100;
    bill.direct -= 100;
    bill.uncarried += 100;
    CHECK(fails(job, bill, kTokens));
}

TEST_CASE("a node is paid once, from its first start to its last end") {
    std::vector<RankLedger> ranks = {rank_with(0, {{Phase::none, Account::other, 3600}}),
                                     rank_with(1, {{Phase::none, Account::other, 1800}}),
                                     rank_with(2, {{Phase::none, Account::other, 3600}})};
    set_node(ranks[2], "n1");
    for (RankLedger& rank : ranks) {
        rank.end_ns *= 1'000'000'000;
        for (std::int64_t& ns : rank.totals_ns[0]) ns *= 1'000'000'000;
    }
    // Rank 1 lives in the second half of rank 0's hour.
    ranks[1].start_ns += std::int64_t{1800} * 1'000'000'000;
    ranks[1].end_ns += std::int64_t{1800} * 1'000'000'000;
    const CostProfile profile{"p", "", "s", "2026", "USD", PriceBasis::node, 3'000'000'000, false, "", ""};
    const Bill bill = make_bill(ranks, profile);
    CHECK(bill.valid());
    CHECK(bill.total == 6'000'000'000);
    CHECK(bill.ranks == std::vector<std::int64_t>{2'000'000'000, 1'000'000'000, 3'000'000'000});
}

TEST_CASE("what cannot be priced is INVALID with a sentence, and the bill falls back to rank time") {
    std::vector<RankLedger> ranks = {rank_with(0, {{Phase::none, Account::other, 5}})};
    CostProfile profile{"p", "H100", "s", "2026", "USD", PriceBasis::gpu, 1'000'000'000, false, "", ""};
    const Bill no_gpu = make_bill(ranks, profile);
    CHECK_FALSE(no_gpu.valid());
    CHECK_THAT(no_gpu.reason(), Catch::Matchers::Contains("no rank of this job holds a GPU"));
    CHECK(no_gpu.unit == BillUnit::rank_ns);
    CHECK(no_gpu.total == 5);
    ranks[0].cores_milli = 0;
    profile.basis = PriceBasis::core;
    CHECK_THAT(make_bill(ranks, profile).reason(), Catch::Matchers::Contains("cores of this job's ranks are unknown"));

    ranks[0].end_ns = ranks[0].totals_ns[0][0] = INT64_MAX;
    ranks[0].totals_ns[0][static_cast<int>(Account::other)] = 0;
    ranks[0].cores_milli = INT64_MAX;
    profile.price_nano_per_hour = INT64_MAX;
    CHECK_THAT(make_bill(ranks, profile).reason(), Catch::Matchers::Contains("does not fit 64 bits"));

    const Bill empty = make_bill({});
    CHECK(empty.valid());
    CHECK(empty.total == 0);
}
