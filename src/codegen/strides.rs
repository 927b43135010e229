//! Strides of broadcast arrays, and the table of sizes that kernels read where patterns do not do.

use super::layout::{FLAT_LIMIT, PART};
use super::pattern::Access;

/// Row-major strides of `own` within `shape`, 0 where it is broadcast.
pub(super) fn strides(own: &[i32], shape: &[i32]) -> Vec<i64> {
    let mut all = vec![0; shape.len()];
    let mut step = 1i64;
    let offset = shape.len() - own.len();
    for (i, &d) in own.iter().enumerate().rev() {
        if d != 1 {
            all[offset + i] = step;
            step *= i64::from(d);
        }
    }
    all
}

/// One input's way of reading rows: its strides over the leading dimensions and within the row.
pub(super) fn access(leading: &[i64], shape: &[i32], step: i64, width: u64) -> Access {
    if leading.iter().all(|&s| s == 0) {
        return if step == 0 {
            Access::First
        } else {
            Access::Shared
        };
    }
    let mut expect = if step == 0 { 1 } else { width as i64 };
    let mut dense = true;
    for (&s, &d) in leading.iter().zip(shape).rev() {
        if d != 1 {
            dense &= s == expect;
            expect *= i64::from(d);
        }
    }
    match (dense, step == 0) {
        (true, true) => Access::Column,
        (true, false) => Access::Full,
        (false, true) => Access::Starts,
        (false, false) => Access::Rows,
    }
}

/// Neighbouring dimensions that every array walks as one become one.
pub(super) fn collapse(shape: &[i32], all: &mut [Vec<i64>]) -> Vec<i64> {
    let mut sizes: Vec<i64> = Vec::new();
    let mut kept: Vec<Vec<i64>> = vec![Vec::new(); all.len()];
    for (axis, &d) in shape.iter().enumerate() {
        let d = i64::from(d);
        if d == 1 {
            continue;
        }
        let joins = sizes.last().is_some_and(|&last| {
            last * d <= FLAT_LIMIT as i64
                && all
                    .iter()
                    .zip(&kept)
                    .all(|(s, k)| k.last() == Some(&(s[axis] * d)))
        });
        if joins {
            if let Some(last) = sizes.last_mut() {
                *last *= d;
            }
            for (s, k) in all.iter().zip(&mut kept) {
                if let Some(last) = k.last_mut() {
                    *last = s[axis];
                }
            }
        } else {
            sizes.push(d);
            for (s, k) in all.iter().zip(&mut kept) {
                k.push(s[axis]);
            }
        }
    }
    for (to, from) in all.iter_mut().zip(kept) {
        *to = from;
    }
    sizes
}

/// What a strided kernel reads: rows, width, parts of a row, elements of a part, leading dimensions, their sizes,
/// and the strides of each input that needs them.
pub(super) fn dims_of(
    rows: u64,
    width: u64,
    parts: u64,
    lead: &[i32],
    accesses: &[Access],
    strides: &[Vec<i64>],
) -> Vec<i64> {
    let part = if parts > 1 { PART } else { width };
    let mut dims = vec![
        rows as i64,
        width as i64,
        parts as i64,
        part as i64,
        lead.len() as i64,
    ];
    dims.extend(lead.iter().map(|&d| i64::from(d)));
    for (access, s) in accesses.iter().zip(strides) {
        if matches!(access, Access::Rows | Access::Starts) {
            dims.extend(s);
        }
    }
    // From 8 elements on MLX passes an input in `device` memory, and the text does not change.
    while dims.len() < 8 {
        dims.push(0);
    }
    dims
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_are_zero_where_broadcast() {
        assert_eq!(strides(&[3, 1, 5], &[2, 3, 4, 5]), [0, 5, 0, 1]);
        assert_eq!(strides(&[], &[2, 3]), [0, 0]);
        assert_eq!(strides(&[1], &[2, 3]), [0, 0]);
    }

    #[test]
    fn dimensions_join_where_every_array_walks_them_as_one() {
        let shape = [2, 3, 4, 5];
        let mut all = vec![strides(&shape, &shape), strides(&[4, 5], &shape)];
        assert_eq!(collapse(&shape, &mut all), [6, 20]);
        assert_eq!(all, [vec![20, 1], vec![0, 1]]);
        let mut all = vec![strides(&shape, &shape), strides(&[3, 1, 5], &shape)];
        assert_eq!(collapse(&shape, &mut all), [2, 3, 4, 5]);
        // Not beyond what 32 bits index.
        let shape = [1 << 20, 1 << 20];
        let mut all = vec![strides(&shape, &shape)];
        assert_eq!(collapse(&shape, &mut all), [1 << 20, 1 << 20]);
    }

    #[test]
    fn patterns() {
        let shape = [4, 6];
        let way = |own: &[i32]| {
            let mut s = strides(own, &[4, 6, 8]);
            let step = s.pop().unwrap_or(0);
            access(&s, &shape, step, 8)
        };
        assert_eq!(way(&[4, 6, 8]), Access::Full);
        assert_eq!(way(&[8]), Access::Shared);
        assert_eq!(way(&[4, 6, 1]), Access::Column);
        assert_eq!(way(&[1, 1, 1]), Access::First);
        assert_eq!(way(&[6, 8]), Access::Rows);
        assert_eq!(way(&[4, 1, 1]), Access::Starts);
    }
}
