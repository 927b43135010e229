// A row in blocks of VEC elements, read as floats and written from them. A CPU converts a block of 16-bit numbers with a few
// instructions where it would take many for one element, so its runtime has forms of these of its own
// (`runtime/host/floats.h`); everywhere else a block is the memory itself.

// What the elements of a block are read from.
template <int VEC, typename P>
inline P kk_as_floats(P p) {
  return p;
}

// What the elements of a block are written to.
template <int VEC, typename P>
inline P kk_open(P p) {
  return p;
}

// Element i of a block becomes v, rounded to the output's type.
template <typename O, typename B, typename V>
inline void kk_put(thread B& block, int i, V v) {
  block[i] = static_cast<O>(v);
}

// The block goes to its place.
template <int VEC, typename P, typename B>
inline void kk_close(P, thread const B&) {}

// VEC elements will be needed soon. A CPU's runtime fetches them (`runtime/host/ahead.h`); a GPU has other threads to go on with.
template <int VEC, typename P>
inline void kk_ahead(P) {}
