//! What MSL offers beyond the kernels that were captured, through the public API. Every kernel
//! compares with a closed form that is computed here.

mod division;
mod language;
mod library;
mod memory;
mod numbers;
mod overloads;
mod simd;
mod step;
mod text;
mod third_party;
mod whole_files;

use half::{bf16, f16};
use zmlx::prelude::*;
use zmlx::{Element, MetalKernel, Result};

/// A launch of one kernel whose inputs are `x` (0, 1, 2, ... as float32), `u` (the same as uint32) and
/// `h` and `b` (the same as half and bfloat, up to 255).
pub(crate) struct Probe {
    header: String,
    body: String,
    threads: (usize, usize, usize),
    threadgroup: (usize, usize, usize),
    init: Option<f64>,
    atomic: bool,
    checked: bool,
}

/// Elements of each input.
const LENGTH: usize = 4096;

impl Probe {
    pub(crate) fn new(body: &str) -> Self {
        Self {
            header: String::new(),
            body: body.into(),
            threads: (1, 1, 1),
            threadgroup: (1, 1, 1),
            init: None,
            atomic: false,
            checked: false,
        }
    }

    pub(crate) fn header(mut self, header: &str) -> Self {
        self.header = header.into();
        self
    }

    /// A grid of `threads` in groups of `threadgroup`.
    pub(crate) fn over(self, threads: usize, threadgroup: usize) -> Self {
        self.over3((threads, 1, 1), (threadgroup, 1, 1))
    }

    pub(crate) fn over3(
        mut self,
        threads: (usize, usize, usize),
        threadgroup: (usize, usize, usize),
    ) -> Self {
        (self.threads, self.threadgroup) = (threads, threadgroup);
        self
    }

    pub(crate) fn init(mut self, value: f64) -> Self {
        self.init = Some(value);
        self
    }

    pub(crate) fn atomic(mut self) -> Self {
        self.atomic = true;
        self
    }

    /// The same with pointers that know their buffer.
    pub(crate) fn checked(mut self) -> Self {
        self.checked = true;
        self
    }

    /// The output `out` of `n` elements.
    pub(crate) fn try_run<T: Element>(&self, n: usize) -> Result<Vec<T>> {
        let numbers = || (0..LENGTH as u32).map(|i| i as f32);
        let x = Array::from_slice(&numbers().collect::<Vec<_>>(), LENGTH)?;
        let u = Array::from_slice(&(0..LENGTH as u32).collect::<Vec<_>>(), LENGTH)?;
        let small = || numbers().map(|i| i % 256.0);
        let h = Array::from_slice(&small().map(f16::from_f32).collect::<Vec<_>>(), LENGTH)?;
        let b = Array::from_slice(&small().map(bf16::from_f32).collect::<Vec<_>>(), LENGTH)?;
        let kernel = MetalKernel::new("probe", ["x", "u", "h", "b"], ["out"])
            .header(self.header.clone())
            .source(self.body.clone())
            .atomic_outputs(self.atomic)
            .build()?;
        let kernel = if self.checked {
            kernel.checked()
        } else {
            kernel
        };
        let inputs = [&x, &u, &h, &b];
        let mut launch = kernel
            .launch(&inputs)
            .template("T", F32)
            .output(n, T::DTYPE)
            .grid(self.threads)
            .threadgroup(self.threadgroup);
        if let Some(value) = self.init {
            launch = launch.init_value(value as f32);
        }
        let [out] = launch.run()?;
        out.to_vec::<T>()
    }

    /// The output in the ordinary mode, and in the checked mode too, where it has to be the same.
    #[track_caller]
    pub(crate) fn run_both<T: Element + PartialEq + std::fmt::Debug>(self, n: usize) -> Vec<T> {
        let ordinary = self.run::<T>(n);
        let checked = self.checked().run::<T>(n);
        assert_eq!(checked, ordinary, "checked mode");
        ordinary
    }

    #[track_caller]
    pub(crate) fn run<T: Element>(&self, n: usize) -> Vec<T> {
        match self.try_run(n) {
            Ok(values) => values,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Evaluates MSL expressions of type `T`, each as its own statement of one thread.
#[track_caller]
pub(crate) fn expressions<T: Element>(header: &str, expressions: &[&str]) -> Vec<T> {
    let lines = expressions.iter().enumerate();
    let body: Vec<String> = lines.map(|(i, e)| format!("out[{i}] = {e};")).collect();
    Probe::new(&body.join("\n"))
        .header(header)
        .run(expressions.len())
}

/// Checks expressions that are true.
#[track_caller]
pub(crate) fn all_true(header: &str, texts: &[&str]) {
    let wrapped: Vec<String> = texts.iter().map(|e| format!("({e}) ? 1 : 0")).collect();
    let wrapped: Vec<&str> = wrapped.iter().map(String::as_str).collect();
    let got = expressions::<i32>(header, &wrapped);
    let wrong: Vec<&str> = texts
        .iter()
        .zip(got)
        .filter(|(_, ok)| *ok != 1)
        .map(|(e, _)| *e)
        .collect();
    assert!(wrong.is_empty(), "not true: {wrong:#?}");
}

/// Values of float expressions, each within `tolerance` relative to what is expected.
#[track_caller]
pub(crate) fn close_to(header: &str, pairs: &[(&str, f64)], tolerance: f64) {
    let texts: Vec<&str> = pairs.iter().map(|(e, _)| *e).collect();
    for ((text, want), got) in pairs.iter().zip(expressions::<f32>(header, &texts)) {
        let got = f64::from(got);
        let good = (got - want).abs() <= tolerance * (1.0 + want.abs())
            || got == *want
            || (got.is_nan() && want.is_nan());
        assert!(good, "{text} is {got}, not {want}");
    }
}
