//! Convolutions with all their settings against plain loops in f64, and transposed ones as their adjoints.

mod support;

use rstest::rstest;
use support::*;
use zmlx::ops::Conv;
use zmlx::prelude::*;

fn f64s(a: &Array) -> Vec<f64> {
    f32s(a).into_iter().map(f64::from).collect()
}

/// Convolution of (n, h, w, c) with (o, kh, kw, c / groups) as the sum it is.
fn conv_loops(
    x: &Array,
    w: &Array,
    stride: [i32; 2],
    pad: [i32; 2],
    dil: [i32; 2],
    groups: i32,
) -> Vec<f64> {
    let (xs, ws) = (x.shape().to_vec(), w.shape().to_vec());
    let (xv, wv) = (f64s(x), f64s(w));
    let out =
        |a: usize| (xs[a] + 2 * pad[a - 1] - dil[a - 1] * (ws[a] - 1) - 1) / stride[a - 1] + 1;
    let per = ws[0] / groups;
    let mut y = Vec::new();
    for n in 0..xs[0] {
        for i in 0..out(1) {
            for j in 0..out(2) {
                for o in 0..ws[0] {
                    let mut sum = 0.0;
                    for a in 0..ws[1] {
                        for b in 0..ws[2] {
                            let (r, s) = (
                                i * stride[0] - pad[0] + a * dil[0],
                                j * stride[1] - pad[1] + b * dil[1],
                            );
                            if r < 0 || s < 0 || r >= xs[1] || s >= xs[2] {
                                continue;
                            }
                            for c in 0..ws[3] {
                                let channel = o / per * ws[3] + c;
                                sum += xv
                                    [(((n * xs[1] + r) * xs[2] + s) * xs[3] + channel) as usize]
                                    * wv[(((o * ws[1] + a) * ws[2] + b) * ws[3] + c) as usize];
                            }
                        }
                    }
                    y.push(sum);
                }
            }
        }
    }
    y
}

#[rstest]
#[case([1, 1], [0, 0], [1, 1], 1)]
#[case([2, 1], [1, 2], [1, 1], 1)]
#[case([1, 2], [1, 1], [2, 1], 1)]
#[case([1, 1], [1, 0], [1, 2], 2)]
#[case([2, 2], [1, 1], [1, 1], 4)]
fn convolution(
    #[case] stride: [i32; 2],
    #[case] pad: [i32; 2],
    #[case] dil: [i32; 2],
    #[case] groups: i32,
) {
    on_worker(move || {
        let mut rng = Rng::new();
        let x = rng.factors(&[2, 6, 7, 4], -1.0, 1.0);
        let w = rng.factors(&[8, 3, 2, 4 / groups], -1.0, 1.0);
        let c = Conv::new()
            .stride(stride)
            .padding(pad)
            .dilation(dil)
            .groups(groups);
        let want = conv_loops(&x, &w, stride, pad, dil, groups);
        close(&f32s(&x.conv2d(&w, c.clone()).unwrap()), &want, 1e-5);
        close(&f32s(&x.conv_general(&w, c.clone()).unwrap()), &want, 1e-5);
        if pad[0] == pad[1] && groups == 1 {
            // In three dimensions of which one is flat, and in one.
            let (x3, w3) = (x.expand_dims(1).unwrap(), w.expand_dims(1).unwrap());
            let lift = |v: [i32; 2], first: i32| [first, v[0], v[1]];
            let c3 = Conv::new()
                .stride(lift(stride, 1))
                .padding(lift(pad, 0))
                .dilation(lift(dil, 1));
            close(&f32s(&x3.conv3d(&w3, c3).unwrap()), &want, 1e-5);
        }
        let (x1, w1) = (x.index((.., 0)).unwrap(), w.index((.., 0)).unwrap());
        let c1 = Conv::new()
            .stride(stride[1])
            .padding(pad[1])
            .dilation(dil[1])
            .groups(groups);
        let flat = |a: &Array| a.expand_dims(1).unwrap();
        let want = conv_loops(
            &flat(&x1),
            &flat(&w1),
            [1, stride[1]],
            [0, pad[1]],
            [1, dil[1]],
            groups,
        );
        close(&f32s(&x1.conv1d(&w1, c1).unwrap()), &want, 1e-5);
    })
}

/// Transposed convolution is the adjoint: <conv(x), y> = <x, conv_transpose(y)>.
#[rstest]
#[case(1, 0, 1)]
#[case(2, 1, 1)]
#[case(1, 1, 2)]
fn transposed(
    #[case] stride: i32,
    #[case] pad: i32,
    #[case] dil: i32,
    #[values(1, 2, 3)] dims: usize,
) {
    on_worker(move || {
        let mut rng = Rng::new();
        let shape = |ends: (i32, i32), inner: i32| {
            let mut s = vec![inner; dims + 2];
            (s[0], s[dims + 1]) = ends;
            s
        };
        let x = rng.factors(&shape((1, 2), 5), -1.0, 1.0);
        let w = rng.factors(&shape((3, 2), 3), -1.0, 1.0);
        let c = Conv::new().stride(stride).padding(pad).dilation(dil);
        let y = x.conv_general(&w, c.clone()).unwrap();
        let z = rng.factors(y.shape(), -1.0, 1.0);
        // The adjoint's weight has inputs and outputs exchanged.
        let wt = w.swapaxes(0, -1).unwrap();
        let back = match dims {
            1 => z.conv_transpose1d(&wt, c),
            2 => z.conv_transpose2d(&wt, c),
            _ => z.conv_transpose3d(&wt, c),
        }
        .unwrap();
        assert_eq!(back.shape(), x.shape());
        let dot =
            |a: &Array, b: &Array| f64s(a).iter().zip(f64s(b)).map(|(a, b)| a * b).sum::<f64>();
        let (left, right) = (dot(&y, &z), dot(&x, &back));
        assert!((left - right).abs() < 1e-3, "{left} {right}");
    })
}

/// Settings along one dimension.
#[derive(Clone, Copy, Debug)]
struct Along {
    stride: i32,
    low: i32,
    high: i32,
    dilation: i32,
    input_dilation: i32,
}

/// Convolution of (length, channels) with (outputs, width, channels): zeros come between the elements and around
/// them, or what is around is cut.
fn convolved(x: &Array, w: &Array, s: Along, flip: bool) -> Vec<f64> {
    let (xs, ws) = (x.shape(), w.shape());
    let (xv, wv) = (f64s(x), f64s(w));
    let spread = (xs[0] - 1) * s.input_dilation + 1;
    let reach = s.dilation * (ws[1] - 1) + 1;
    let mut y = Vec::new();
    let mut at = -s.low;
    while at + reach <= spread + s.high {
        for o in 0..ws[0] {
            let mut sum = 0.0;
            for k in 0..ws[1] {
                let from = at + k * s.dilation;
                let inside = (0..spread).contains(&from) && from % s.input_dilation == 0;
                if !inside {
                    continue;
                }
                let tap = if flip { ws[1] - 1 - k } else { k };
                for c in 0..ws[2] {
                    sum += xv[(from / s.input_dilation * xs[1] + c) as usize]
                        * wv[((o * ws[1] + tap) * ws[2] + c) as usize];
                }
            }
            y.push(sum);
        }
        at += s.stride;
    }
    y
}

#[rstest]
#[case::zeros_between(Along { stride: 1, low: 0, high: 0, dilation: 1, input_dilation: 3 })]
#[case::uneven(Along { stride: 1, low: 3, high: 1, dilation: 1, input_dilation: 1 })]
#[case::cut(Along { stride: 1, low: -2, high: -1, dilation: 1, input_dilation: 1 })]
#[case::cut_between(Along { stride: 2, low: -1, high: 2, dilation: 2, input_dilation: 2 })]
#[case::all(Along { stride: 3, low: 4, high: -1, dilation: 2, input_dilation: 2 })]
fn every_setting_of_a_convolution(#[case] s: Along, #[values(false, true)] flip: bool) {
    on_worker(move || {
        let mut rng = Rng::new();
        let x = rng.factors(&[9, 2], -1.0, 1.0);
        let w = rng.factors(&[3, 4, 2], -1.0, 1.0);
        let conv = Conv::new()
            .stride(s.stride)
            .padding_lo_hi(s.low, s.high)
            .dilation(s.dilation)
            .input_dilation(s.input_dilation)
            .flip(flip);
        let want = convolved(&x, &w, s, flip);
        assert!(want.len() > 6);
        let batch = x.expand_dims(0).unwrap();
        let y = batch.conv_general(&w, conv.clone()).unwrap();
        assert_eq!(y.shape(), [1, want.len() as i32 / 3, 3]);
        // Sums of 8 products of numbers up to 1.
        close(&f32s(&y), &want, 1e-5);
        if s.input_dilation == 1 && !flip {
            close(&f32s(&batch.conv1d(&w, conv.clone()).unwrap()), &want, 1e-5);
        }
        // The same along the second of two dimensions, the first of which is flat; one number stands for both.
        let conv = Conv::new()
            .stride([1, s.stride])
            .padding_lo_hi([0, s.low], [0, s.high])
            .dilation([1, s.dilation])
            .input_dilation([1, s.input_dilation])
            .flip(flip);
        let (x2, w2) = (batch.expand_dims(1).unwrap(), w.expand_dims(1).unwrap());
        close(&f32s(&x2.conv_general(&w2, conv).unwrap()), &want, 1e-5);
    });
}

/// A transposed convolution is one of the input with zeros between its elements, by the mirrored filter;
/// `output_padding` makes it longer at its end.
#[rstest]
fn longer_transposed_convolutions(#[values(0, 1, 2)] more: i32, #[values(0, 1)] padding: i32) {
    on_worker(move || {
        let mut rng = Rng::new();
        let x = rng.factors(&[5, 2], -1.0, 1.0);
        let w = rng.factors(&[3, 4, 2], -1.0, 1.0);
        let settings = Along {
            stride: 1,
            low: 3 - padding,
            high: 3 - padding + more,
            dilation: 1,
            input_dilation: 3,
        };
        let want = convolved(&x, &w, settings, true);
        let conv = Conv::new().stride(3).padding(padding).output_padding(more);
        let batch = x.expand_dims(0).unwrap();
        let y = batch.conv_transpose1d(&w, conv).unwrap();
        assert_eq!(y.shape(), [1, 4 * 3 + 4 - 2 * padding + more, 3]);
        close(&f32s(&y), &want, 1e-5);
    });
}
