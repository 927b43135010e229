// Memory that is copied as it is (`kk_copy` in `kernels/indexing.metal`), and memory that is fetched before it is read
// (`kk_ahead` in `kernels/floats.metal`): a pass that computes much over a row in the cache leaves the memory idle, and the first pass
// over the next row waits for it. An address beyond the array does no harm.
#pragma once
#include "../common/float16.h"

#if defined(__GNUC__) && !defined(ZMLX_CHECKED)
template <int VEC, class T> ZMLX_FN void kk_ahead(const T* p) {
  constexpr int line = 64;
  for (int i = 0; i < int(VEC * sizeof(T)); i += line) __builtin_prefetch(reinterpret_cast<const char*>(p) + i);
}
template <int VEC, class T> ZMLX_FN void kk_copy(const T* src, T* out, size_t from, size_t to) {
  __builtin_memcpy(out + from, src + from, (to - from) * sizeof(T));
}
#endif
