// Elementwise kernels on a GPU: a thread takes a block of neighbours, with one load and one store an array.
#include "rows.metal"

// Whether a block of this array lies in one piece: views may begin anywhere.
template <int VEC, typename T>
inline bool kk_aligned(const device T* p) {
  return reinterpret_cast<size_t>(p) % sizeof(kk_block<T, VEC>) == 0;
}

template <int VEC, typename T>
inline kk_block<T, VEC> kk_load(const device T* p, size_t block) {
  if (kk_aligned<VEC>(p)) return reinterpret_cast<const device kk_block<T, VEC>*>(p)[block];
  kk_block<T, VEC> b;
  for (int k = 0; k < VEC; ++k) b.v[k] = p[block * VEC + k];
  return b;
}

template <int VEC, typename T>
inline void kk_store_block(device T* p, size_t block, kk_block<T, VEC> b) {
  if (kk_aligned<VEC>(p)) {
    reinterpret_cast<device kk_block<T, VEC>*>(p)[block] = b;
  } else {
    for (int k = 0; k < VEC; ++k) p[block * VEC + k] = b.v[k];
  }
}
