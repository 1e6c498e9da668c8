// Rule R6: a sum along a row in 16 lanes.
#pragma once

#include "kernels/base/fma.hpp"

namespace argosy::reference {

// Element i goes to lane i mod 16, lanes join with strides 8, 4, 2, 1.
// Example: 18 ones give lanes 2 2 1 1 1 ... 1; after stride 8: 3 3 2 2 2 2 2 2; after 4: 5 5 4 4; after 2: 9 9; the sum
// is 18.
struct RowSum {
    float lane[16] = {};

    void add(int i, float value) { lane[i % 16] += value; }
    void add_square(int i, float value) { lane[i % 16] = fma_f32(value, value, lane[i % 16]); }
    void add_product(int i, float a, float b) { lane[i % 16] = fma_f32(a, b, lane[i % 16]); }
    float join() const {
        float sum[16];
        for (int i = 0; i < 16; ++i) sum[i] = lane[i];
        for (int stride = 8; stride > 0; stride /= 2) {
            for (int i = 0; i < stride; ++i) sum[i] += sum[i + stride];
        }
        return sum[0];
    }
};

}  // namespace argosy::reference
