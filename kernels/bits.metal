// Eight elements as the bits of a byte, and back.
#include "rows.metal"

// Whether an element is not zero, of which there are two among floats.
template <typename T>
inline bool kk_is_some(T v) {
  return v != 0;
}
inline bool kk_is_some(half v) { return (as_type<ushort>(v) & 0x7fffu) != 0u; }
inline bool kk_is_some(bfloat v) { return (as_type<ushort>(v) & 0x7fffu) != 0u; }

// Bit j says whether element j is not zero.
template <typename P>
inline uchar kk_pack_byte(P p) {
  uint byte = 0u;
  for (int j = 0; j < 8; ++j) byte |= kk_is_some(p[j]) ? 1u << j : 0u;
  return uchar(byte);
}

// The same of 64 elements, as eight bytes: those of 0 or 1 meet in the highest one of a product.
template <typename P>
inline ulong kk_pack_word(P p) {
  uchar bit[64];
  for (int j = 0; j < 64; ++j) bit[j] = kk_is_some(p[j]) ? uchar(1) : uchar(0);
  ulong word = 0ul;
  for (int b = 0; b < 8; ++b) {
    ulong each = 0ul;
    for (int j = 0; j < 8; ++j) each |= ulong(bit[8 * b + j]) << (8 * j);
    word |= (each * 0x0102040810204080ul >> 56) << (8 * b);
  }
  return word;
}

// Eight bytes of 0 or 1, the first in the lowest byte.
inline ulong kk_unpack_byte(uchar byte) {
  const ulong each = (ulong(byte) * 0x0101010101010101ul) & 0x8040201008040201ul;
  return ((each + 0x7f7f7f7f7f7f7f7ful) >> 7) & 0x0101010101010101ul;
}
