// The chains of some rows with one panel, as the parts of a walk over K (leaf_walk.hpp) begin and end them: in
// registers, while what waits stands in memory as [rows][16].
#pragma once

namespace argosy {

// A part's chains from 0 (`fresh`), or as they were left.
template <class V, int kRows>
[[gnu::always_inline]] static inline void start_chains(V (&acc)[kRows], bool fresh, const float* left) {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) acc[r] = fresh ? V::zero() : V::load(left + r * 16);
}

// A subtree that waited on the left joins (rule R2).
template <class V, int kRows>
[[gnu::always_inline]] static inline void join_chains(V (&acc)[kRows], const float* left) {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) acc[r] = vadd(V::load(left + r * 16), acc[r]);
}

template <class V, int kRows>
[[gnu::always_inline]] static inline void store_chains(const V (&acc)[kRows], float* to) {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) acc[r].store(to + r * 16);
}

}  // namespace argosy
