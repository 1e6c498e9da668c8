// Progress: rates and durations, the line, the bar at any width, and how often the meter speaks.
#include <algorithm>
#include <catch2/catch.hpp>

#include "runtime/job/progress.hpp"

using namespace argosy;

namespace {

const Progress kSome{
    .done = 205, .requests = 500, .done_before = 5, .prompt_tokens = 4940, .output_tokens = 19740, .seconds = 20};

// What a meter writes for the states given.
std::string written(int width, const std::vector<Progress>& states, bool finish) {
    char* text = nullptr;
    std::size_t size = 0;
    std::FILE* stream = ::open_memstream(&text, &size);
    {
        ProgressMeter meter(stream, width);
        for (const Progress& state : states) meter.update(state);
        if (finish) meter.finish(states.back());
    }
    std::fclose(stream);
    std::string out(text, size);
    std::free(text);
    return out;
}

std::vector<Progress> run_of(int requests, double seconds_each) {
    std::vector<Progress> states;
    for (int i = 0; i <= requests; ++i) {
        states.push_back({.done = i, .requests = requests, .output_tokens = i * 10, .seconds = i * seconds_each});
    }
    return states;
}

std::int64_t count(const std::string& text, char c) { return std::count(text.begin(), text.end(), c); }

}  // namespace

TEST_CASE("rate, time left and durations") {
    CHECK(tokens_per_second(kSome) == 1234);
    CHECK(seconds_left(kSome) == Approx(29.5));  // what earlier runs answered does not count as this run's speed
    CHECK_FALSE(seconds_left({.done = 5, .requests = 10, .done_before = 5, .seconds = 3}).has_value());
    CHECK(seconds_left({.done = 10, .requests = 10, .done_before = 10}) == 0);
    CHECK(tokens_per_second({}) == 0);
    CHECK(format_duration(0) == "0:00");
    CHECK(format_duration(6.2) == "0:07");
    CHECK(format_duration(754) == "12:34");
    CHECK(format_duration(11045) == "3:04:05");
    CHECK(format_duration(2 * 86400 + 3 * 3600 + 4 * 60) == "2 d 03:04");
    CHECK(format_duration(-1) == "?");
    CHECK(format_duration(1e30) == "ages");
}

TEST_CASE("the line and the bar") {
    CHECK(progress_line(kSome) == " 41 %  205/500 requests  1234 tok/s (987 out)  left 0:30");
    CHECK(progress_line({}) == "100 %  0/0 requests  0 tok/s (0 out)  left 0:00");
    CHECK(progress_bar(kSome, 79) == "[=======>            ] " + progress_line(kSome));
    for (int width = 0; width < 200; ++width) {
        const std::string bar = progress_bar(kSome, width);
        CHECK(static_cast<int>(bar.size()) <= width);
        CHECK(bar.find('\n') == bar.npos);
    }
}

TEST_CASE("in a file: a line every 10 s or every 5 %, whichever comes first") {
    CHECK(count(written(0, run_of(1000, 0.001), false), '\n') == 21);  // 0 %, 5 %, ... 100 %
    CHECK(count(written(0, run_of(10, 100), false), '\n') == 11);
    CHECK(count(written(0, run_of(1000, 1), false), '\n') >= 100);
    CHECK(count(written(0, run_of(1000, 1), false), '\n') <= 121);
    const std::string end = written(0, run_of(7, 0.001), true);
    CHECK(end.find("100 %  7/7") != end.npos);
    CHECK(end.back() == '\n');
}

TEST_CASE("on a terminal: one line drawn over, at most ten times a second") {
    const std::string text = written(80, run_of(1000, 0.001), true);
    CHECK(count(text, '\n') == 1);
    CHECK(text.back() == '\n');
    CHECK(count(text, '\r') <= 13);
    CHECK(count(text, '\r') >= 10);
}
