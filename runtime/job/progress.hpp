// The progress line: rate, percent and time left; a bar on a terminal, a line now and then in a file.
#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>

namespace argosy {

struct Progress {
    std::int64_t done = 0;           // requests answered in this run and before
    std::int64_t requests = 0;       // all
    std::int64_t done_before = 0;    // answered by earlier runs: they say nothing about this run's rate
    std::int64_t prompt_tokens = 0;  // of this run
    std::int64_t output_tokens = 0;  // of this run
    double seconds = 0;              // since this run began to work
    bool operator==(const Progress&) const = default;
};

double tokens_per_second(const Progress& progress);            // prompt and output tokens
std::optional<double> seconds_left(const Progress& progress);  // nothing until an answer of this run came

// "0:07", "12:34", "3:04:05", "2 d 03:04"
std::string format_duration(double seconds);

// "  41 %  205/500 requests  1234 tok/s (987 out)  left 0:35"
std::string progress_line(const Progress& progress);
// The same with a bar, at most `width` characters: "[=======>      ]  41 %  ..."
std::string progress_bar(const Progress& progress, int width);

// Writes to a stream (stderr): on a terminal one line drawn over and over, at most ten times a second; else a line
// every 10 s or every 5 %, whichever comes first. Never more than one line per update.
class ProgressMeter {
  public:
    explicit ProgressMeter(std::FILE* stream);             // asks whether the stream is a terminal, and how wide
    ProgressMeter(std::FILE* stream, int terminal_width);  // 0: no terminal
    // Time is progress.seconds: the meter has no clock of its own.
    void update(const Progress& progress);
    void finish(const Progress& progress);  // the last state, always written, and a line end

  private:
    bool due(const Progress& progress) const;
    std::FILE* stream_;
    int width_;
    double last_seconds_ = -1;
    int last_step_ = -1;  // twentieths done at the last line
};

}  // namespace argosy
