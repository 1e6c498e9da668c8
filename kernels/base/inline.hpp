// The one macro of the project: marks small functions that host and device code, and files compiled for different
// instruction sets, share.
#pragma once

// A plain `inline` function may be emitted once for the whole program, by whichever file the linker meets first. If
// that file was compiled for AVX-512, a machine without it would die in code that is not even meant to be vectorised.
// `static` gives every file its own copy.
#if defined(__CUDACC__)
#define ARGOSY_INLINE static __host__ __device__ __forceinline__
#else
#define ARGOSY_INLINE [[gnu::always_inline]] static inline
#endif
