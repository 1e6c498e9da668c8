// How fast the GPU copies, and how fast each width of wgmma multiplies what already stands in shared memory.
#pragma once

#include <vector>

namespace argosy::device {

struct WgmmaRate {
    const char* format;
    int n;
    bool a_registers;  // A stays in registers, else it is read from shared memory like B
    int warpgroups;    // on each multiprocessor, each with its own 64 rows and the same columns
    double tflops;
    double flops_per_cycle;  // of one multiprocessor: what clocks and power limits do not touch
};

struct CopyRates {
    double kernel_gbytes;  // GB/s, bytes read plus bytes written, a kernel that copies 16 bytes at a time
    double memcpy_gbytes;  // cudaMemcpy within the device
};

CopyRates measure_copy();
std::vector<WgmmaRate> measure_wgmma();

}  // namespace argosy::device
