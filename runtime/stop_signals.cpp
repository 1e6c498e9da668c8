// Signal handlers that do nothing but remember.
#include "runtime/stop_signals.hpp"

namespace argosy {

namespace {
// The one thing a signal handler may touch.
volatile std::sig_atomic_t stop_signal = 0;
void on_signal(int number) { stop_signal = number; }
}  // namespace

StopSignals::StopSignals() {
    struct sigaction action = {};
    action.sa_handler = on_signal;
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    for (std::size_t i = 0; i < std::size(kSignals); ++i) sigaction(kSignals[i], &action, &former_[i]);
}

StopSignals::~StopSignals() {
    for (std::size_t i = 0; i < std::size(kSignals); ++i) sigaction(kSignals[i], &former_[i], nullptr);
}

bool StopSignals::asked() const { return stop_signal != 0; }

}  // namespace argosy
