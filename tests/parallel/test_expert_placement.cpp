// Tables of experts and their owners.
#include <catch2/catch.hpp>

#include "kernels/base/error.hpp"
#include "parallel/expert_placement.hpp"

using namespace argosy;

TEST_CASE("contiguous placement: ranges follow one another and cover all experts") {
    for (const int experts : {0, 1, 3, 8, 11, 60, 128}) {
        for (const int ep : {1, 2, 3, 4, 7, 16}) {
            const ExpertPlacement placement = contiguous_placement(experts, ep);
            std::int32_t next = 0;
            for (int g = 0; g < ep; ++g) {
                const std::vector<std::int32_t> ids = experts_at(placement, g);
                REQUIRE(static_cast<std::int32_t>(ids.size()) == placement.local_count[static_cast<std::size_t>(g)]);
                for (std::size_t i = 0; i < ids.size(); ++i) {
                    REQUIRE(ids[i] == next++);
                    REQUIRE(placement.local_index[static_cast<std::size_t>(ids[i])] == static_cast<std::int32_t>(i));
                }
            }
            REQUIRE(next == experts);
        }
    }
    CHECK(describe(contiguous_placement(8, 3)) == "8 experts on 3 ep ranks: 0-1 | 2-4 | 5-7");
}

TEST_CASE("any table is a placement") {
    const ExpertPlacement placement = placement_from({1, 0, 1, 1, 0, 3}, 4);
    CHECK(experts_at(placement, 0) == std::vector<std::int32_t>{1, 4});
    CHECK(experts_at(placement, 1) == std::vector<std::int32_t>{0, 2, 3});
    CHECK(experts_at(placement, 2).empty());
    CHECK(placement.local_index == std::vector<std::int32_t>{0, 0, 1, 2, 1, 0});
    CHECK(describe(placement) == "6 experts on 4 ep ranks: 1,4 | 0,2-3 | none | 5");
    CHECK_THROWS_AS(placement_from({0, 4}, 4), Error);
    CHECK_THROWS_AS(placement_from({0, -1}, 4), Error);
}
