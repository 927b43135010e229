//! Random bits by their definition.

/// 32 bits of two words of a seed and a position, as the documentation of `rowwise` has them.
pub fn random_bits([a, b]: [u32; 2], at: u64) -> u32 {
    let mix = |mut x: u32| {
        for (shift, factor) in [(16, 0x7feb_352d), (15, 0x846c_a68b)] {
            x = (x ^ (x >> shift)).wrapping_mul(factor);
        }
        x ^ (x >> 16)
    };
    let (low, high) = (at as u32, (at >> 32) as u32);
    let (a, b) = match high {
        0 => (a, b),
        _ => (
            mix(mix(high.wrapping_add(b)) ^ a),
            mix(mix(high ^ a).wrapping_add(b)),
        ),
    };
    mix(mix(low.wrapping_add(a)) ^ b)
}
