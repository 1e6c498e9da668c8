// Notices: everything sent arrives on world rank 0 once, those of one rank in their order, whatever their size.
#include <catch2/catch.hpp>
#include <random>
#include <thread>

#include "parallel/notice_box.hpp"
#include "tests/parallel/ranks.hpp"

using namespace argosy;

namespace {

constexpr int kNotices = 60;

// "RANK NUMBER" and as many letters as nobody expects: from none to more than MPI sends at once.
std::string notice_of(int rank, int number) {
    const int letters = number % 20 == 7 ? 100000 : number * 13 % 300;
    return std::to_string(rank) + " " + std::to_string(number) + " " +
           std::string(static_cast<std::size_t>(letters), 'x');
}

}  // namespace

TEST_CASE("notices of all ranks arrive once and in order") {
    MpiSession session;
    for (int round = 0; round < 3; ++round) {
        NoticeBox box(session);
        std::mt19937 random(static_cast<unsigned>(session.rank() + round));
        std::vector<std::string> taken;
        const auto keep = [&](std::vector<std::string> notices) {
            for (std::string& notice : notices) taken.push_back(std::move(notice));
        };
        for (int number = 0; number < kNotices; ++number) {
            box.send(notice_of(session.rank(), number));
            if (random() % 3 == 0) keep(box.take());
            if (random() % 10 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random() % 500));
            if (number == kNotices / 2 && round == 1) {
                keep(box.take_all());
                std::vector<int> come(static_cast<std::size_t>(session.size()));
                for (const std::string& notice : taken) ++come[static_cast<std::size_t>(std::stoi(notice))];
                for (const int count : come) CHECK(count >= (session.rank() == 0 ? kNotices / 2 + 1 : 0));
            }
        }
        keep(box.take_all());
        CHECK(box.take_all().empty());
        if (session.rank() != 0) {
            CHECK(taken.empty());
            continue;
        }
        std::vector<int> next(static_cast<std::size_t>(session.size()));
        for (const std::string& notice : taken) {
            const int rank = std::stoi(notice);
            REQUIRE(rank < session.size());
            REQUIRE((notice == notice_of(rank, next[static_cast<std::size_t>(rank)]++)));
        }
        CHECK(taken.size() == static_cast<std::size_t>(session.size() * kNotices));
    }
}
