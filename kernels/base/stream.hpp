// Where an op runs: on the CPU a number of threads, on a GPU a queue of work.
#pragma once

namespace argosy {

class KernelMeter;

struct Stream {
    int threads = 1;               // CPU: threads that an op may use, the calling one included
    void* native = nullptr;        // GPU: the device's own queue; null on the CPU
    KernelMeter* meter = nullptr;  // times calls that go through run_op (kernel_meter.hpp); null: nobody does
};

}  // namespace argosy
