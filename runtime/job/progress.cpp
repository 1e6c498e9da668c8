// Progress in words and as a bar.
#include "runtime/job/progress.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

namespace argosy {

namespace {

constexpr double kLineSeconds = 10;   // a line in a file at least this often while there is progress to tell
constexpr double kDrawSeconds = 0.1;  // a bar at most this often
constexpr int kSteps = 20;            // 5 % each

int percent_of(const Progress& progress) {
    if (progress.requests <= 0) return 100;
    return static_cast<int>(std::clamp<std::int64_t>(progress.done, 0, progress.requests) * 100 / progress.requests);
}

// Width of the terminal behind a stream; 0 when it is none.
int terminal_width(std::FILE* stream) {
    const int descriptor = ::fileno(stream);
    if (descriptor < 0 || ::isatty(descriptor) == 0) return 0;
    winsize size{};
    if (::ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
    return size.ws_col;
}

}  // namespace

double tokens_per_second(const Progress& progress) {
    if (!(progress.seconds > 0)) return 0;
    return static_cast<double>(progress.prompt_tokens + progress.output_tokens) / progress.seconds;
}

std::optional<double> seconds_left(const Progress& progress) {
    const std::int64_t here = progress.done - progress.done_before;
    if (progress.done >= progress.requests) return 0;
    if (here <= 0 || !(progress.seconds > 0)) return std::nullopt;
    return progress.seconds / static_cast<double>(here) * static_cast<double>(progress.requests - progress.done);
}

std::string format_duration(double seconds) {
    if (!(seconds >= 0)) return "?";
    if (seconds > 1e9) return "ages";
    const auto all = static_cast<std::int64_t>(std::ceil(seconds));
    const std::int64_t days = all / 86400, hours = all / 3600 % 24, minutes = all / 60 % 60;
    if (days > 0) return fmt::format("{} d {:02}:{:02}", days, hours, minutes);
    if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, all % 60);
    return fmt::format("{}:{:02}", minutes, all % 60);
}

std::string progress_line(const Progress& progress) {
    const double out_rate = progress.seconds > 0 ? static_cast<double>(progress.output_tokens) / progress.seconds : 0;
    const auto left = seconds_left(progress);
    return fmt::format("{:3} %  {}/{} requests  {:.0f} tok/s ({:.0f} out)  left {}", percent_of(progress),
                       progress.done, progress.requests, tokens_per_second(progress), out_rate,
                       left ? format_duration(*left) : "?");
}

std::string progress_bar(const Progress& progress, int width) {
    const std::string words = progress_line(progress);
    const int room = std::min(40, width - static_cast<int>(words.size()) - 3);
    if (room < 8) return words.substr(0, static_cast<std::size_t>(std::max(0, width)));
    const int full = room * percent_of(progress) / 100;
    std::string bar(static_cast<std::size_t>(full), '=');
    if (full > 0 && full < room) bar.back() = '>';
    bar.resize(static_cast<std::size_t>(room), ' ');
    return "[" + bar + "] " + words;
}

ProgressMeter::ProgressMeter(std::FILE* stream) : ProgressMeter(stream, terminal_width(stream)) {}

ProgressMeter::ProgressMeter(std::FILE* stream, int terminal_width) : stream_(stream), width_(terminal_width) {}

bool ProgressMeter::due(const Progress& progress) const {
    if (last_seconds_ < 0) return true;
    const double passed = progress.seconds - last_seconds_;
    if (width_ > 0) return passed >= kDrawSeconds;
    return passed >= kLineSeconds || percent_of(progress) * kSteps / 100 > last_step_;
}

void ProgressMeter::update(const Progress& progress) {
    if (!due(progress)) return;
    last_seconds_ = std::max(0.0, progress.seconds);
    last_step_ = percent_of(progress) * kSteps / 100;
    // One call per line, so that lines of several writers do not mix. The last column stays free: some terminals wrap
    // there.
    const std::string text =
        width_ > 0 ? "\r" + progress_bar(progress, width_ - 1) + "\033[K" : progress_line(progress) + "\n";
    std::fwrite(text.data(), 1, text.size(), stream_);
    std::fflush(stream_);
}

void ProgressMeter::finish(const Progress& progress) {
    last_seconds_ = -1;
    update(progress);
    if (width_ > 0) std::fputc('\n', stream_);
    std::fflush(stream_);
}

}  // namespace argosy
