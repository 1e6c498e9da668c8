// A request to stop that comes as a signal: USR1 (Slurm's warning), TERM or INT.
#pragma once

#include <csignal>
#include <iterator>

namespace argosy {

// While an object lives, the first signal asks for a stop, which is seen once a step; a second one ends the process at
// once.
class StopSignals {
  public:
    StopSignals();
    ~StopSignals();
    StopSignals(const StopSignals&) = delete;
    StopSignals& operator=(const StopSignals&) = delete;

    bool asked() const;

  private:
    static constexpr int kSignals[] = {SIGINT, SIGTERM, SIGUSR1};
    struct sigaction former_[std::size(kSignals)];
};

}  // namespace argosy
