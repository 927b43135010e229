// Eight elements as the bits of a byte, and back.
#include "rows.metal"

// Bit j says whether element j is not zero.
template <typename P>
inline uchar kk_pack_byte(P p) {
  uint byte = 0u;
  for (int j = 0; j < 8; ++j) byte |= p[j] != 0 ? 1u << j : 0u;
  return uchar(byte);
}

// Eight bytes of 0 or 1, the first in the lowest byte.
inline ulong kk_unpack_byte(uchar byte) {
  const ulong each = (ulong(byte) * 0x0101010101010101ul) & 0x8040201008040201ul;
  return ((each + 0x7f7f7f7f7f7f7f7ful) >> 7) & 0x0101010101010101ul;
}
