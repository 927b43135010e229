//! Grid and threadgroup sizes.

use crate::{Error, Result};

/// Threads along x, y and z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Extent(pub [i64; 3]);

/// Anything that names an extent: `n`, `(x, y)`, `(x, y, z)` or `[x, y, z]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` names no threads",
    note = "`n`, `(x, y)`, `(x, y, z)` or an array of those"
)]
pub trait IntoExtent {
    /// The sizes along x, y and z.
    fn into_extent(self) -> Extent;
}

impl IntoExtent for Extent {
    fn into_extent(self) -> Extent {
        self
    }
}

macro_rules! extents {
    ($($ty:ty),*) => {$(
        impl IntoExtent for $ty {
            fn into_extent(self) -> Extent {
                Extent([wide(self), 1, 1])
            }
        }
        impl IntoExtent for ($ty, $ty) {
            fn into_extent(self) -> Extent {
                Extent([wide(self.0), wide(self.1), 1])
            }
        }
        impl IntoExtent for ($ty, $ty, $ty) {
            fn into_extent(self) -> Extent {
                Extent([wide(self.0), wide(self.1), wide(self.2)])
            }
        }
        impl IntoExtent for [$ty; 3] {
            fn into_extent(self) -> Extent {
                Extent(self.map(wide))
            }
        }
    )*};
}
extents!(i32, u32, i64, usize);

/// What does not fit becomes the largest number, which the checks refuse with the rest.
fn wide(n: impl TryInto<i64>) -> i64 {
    n.try_into().unwrap_or(i64::MAX)
}

/// `n` things in lines of one length, which is at most `most`: the length of a line and how many there are. A grid that is too long for
/// one axis goes on along the next; the last line may be shorter, by less than there are lines.
pub(crate) fn lines(n: u64, most: u64) -> (i64, i64) {
    let count = n.div_ceil(most.max(1)).max(1);
    (n.div_ceil(count) as i64, count as i64)
}

/// The longest axis of a grid.
pub(crate) const LONGEST: u64 = i32::MAX as u64;

/// The most threads of a threadgroup on Metal.
pub(super) const MAX_THREADS: i64 = 1024;

/// The grid as MLX takes it.
#[track_caller]
pub(super) fn check_grid(grid: Extent) -> Result<[i32; 3]> {
    let mut out = [0; 3];
    for (o, &n) in out.iter_mut().zip(&grid.0) {
        // Not in a closure, which would be taken for the caller.
        *o = match i32::try_from(n) {
            Ok(n) if n > 0 => n,
            _ => {
                return Err(Error::argument(
                    "grid",
                    "sizes from 1 to 2147483647",
                    format_args!("{:?}", grid.0),
                ));
            }
        };
    }
    Ok(out)
}

/// The threadgroup as MLX takes it, checked before MLX shortens it to the grid.
#[track_caller]
pub(super) fn check_threadgroup(threadgroup: Extent) -> Result<[i32; 3]> {
    let [x, y, z] = threadgroup.0;
    let sizes = 1..=MAX_THREADS;
    let fits = sizes.contains(&x) && sizes.contains(&y) && sizes.contains(&z);
    if !fits || x * y * z > MAX_THREADS {
        return Err(Error::argument(
            "threadgroup",
            "sizes from 1 on with a product of at most 1024",
            format_args!("{:?}", threadgroup.0),
        ));
    }
    Ok([x as i32, y as i32, z as i32])
}

/// A threadgroup for a kernel that does not care: up to 256 threads along x.
///
/// Enough to fill a GPU's core several times over. On the CPU the size makes no difference to a
/// kernel without barriers: 1 to 1024 were measured over 4 Ki to 16 Mi elements.
pub(super) fn default_threadgroup(grid: [i32; 3]) -> [i32; 3] {
    [grid[0].min(256), 1, 1]
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, lines};

    /// A grid that is too long for one axis goes on along the next, covers everything and hardly more.
    #[test]
    fn long_grids() {
        assert_eq!(lines(0, LONGEST), (0, 1));
        assert_eq!(lines(5, LONGEST), (5, 1));
        assert_eq!(lines(LONGEST, LONGEST), (i64::from(i32::MAX), 1));
        assert_eq!(lines(1 << 31, LONGEST), (1 << 30, 2));
        for (n, threads) in [
            (3 * LONGEST + 1, 1),
            (1 << 26, 32),
            (8_400_000, 256),
            ((1 << 31) + 7, 1024),
        ] {
            let (x, y) = lines(n, LONGEST / threads);
            assert!(x as u64 * threads <= LONGEST && y as u64 <= LONGEST);
            let all = x as u64 * y as u64;
            assert!(all >= n && all - n < y as u64, "{n}: {x} x {y}");
        }
    }
}
