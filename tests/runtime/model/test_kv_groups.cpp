// Layers by KV class in groups of one size.
#include <catch2/catch.hpp>

#include <set>

#include "runtime/model/kv_groups.hpp"

using namespace argosy;

namespace {

ModelPlan plan_of(const std::vector<int>& windows) {
    ModelPlan plan;
    plan.layer_count = static_cast<int>(windows.size());
    for (const int window : windows) plan.layers.push_back({.window = window});
    return plan;
}

std::vector<int> repeated(int full, int windowed) {
    std::vector<int> windows(static_cast<std::size_t>(full), 0);
    windows.insert(windows.end(), static_cast<std::size_t>(windowed), 128);
    return windows;
}

}  // namespace

TEST_CASE("KV groups: one class is one group; gpt-oss has two, of layers in turn") {
    const KvGroups one = kv_groups(plan_of({0, 0, 0}));
    CHECK(one.layers_per_block == 3);
    CHECK(one.windows == std::vector<int>{0});
    CHECK(describe(one).empty());
    CHECK(kv_groups(plan_of({7, 7})).windows == std::vector<int>{7});
    const KvGroups two = kv_groups(plan_of({128, 0, 128, 0}));
    CHECK(two.layers_per_block == 2);
    CHECK(two.windows == std::vector<int>{0, 128});
    CHECK(two.places == std::vector<KvGroups::Place>{{1, 0}, {0, 0}, {1, 1}, {0, 1}});
    CHECK(describe(two) == "2 layers see all, 2 layers see the last 128 tokens: 2 groups of 2");
}

TEST_CASE("KV groups: unequal classes are cut so that few places stay empty, in few groups") {
    CHECK(kv_groups(plan_of(repeated(5, 25))).layers_per_block == 5);
    CHECK(kv_groups(plan_of(repeated(5, 25))).count() == 6);
    CHECK(kv_groups(plan_of(repeated(5, 23))).layers_per_block == 6);  // 1 + 4 groups, 2 places empty
    CHECK(kv_groups(plan_of(repeated(1, 27))).layers_per_block == 4);  // 1 + 7 groups, 4 places empty
    std::vector<int> many;
    for (int i = 0; i < 20; ++i) many.push_back(i);
    CHECK(kv_groups(plan_of(many)).count() == 20);  // every class has one
    for (int full = 0; full <= 12; ++full) {
        for (int windowed = full == 0 ? 1 : 0; windowed <= 40; ++windowed) {
            CAPTURE(full, windowed);
            const KvGroups groups = kv_groups(plan_of(repeated(full, windowed)));
            CHECK(groups.count() <= kKvGroupsMax);
            std::set<std::pair<int, int>> places;
            for (int layer = 0; layer < full + windowed; ++layer) {
                const KvGroups::Place place = groups.places[static_cast<std::size_t>(layer)];
                CHECK(groups.windows[static_cast<std::size_t>(place.group)] == (layer < full ? 0 : 128));
                CHECK(place.index < groups.layers_per_block);
                CHECK(places.insert({place.group, place.index}).second);
            }
        }
    }
}
