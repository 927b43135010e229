//! Kernels of the catalog: what each is made of, and how one over rows is launched.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::OnceLock;

use smallvec::SmallVec;

use super::split::{self, Split};
use crate::codegen::blocks::{as_on_gpu, block};
use crate::metal::Launch;
use crate::{Array, Dtype, Element, Error, MetalKernel, Result};

/// A kernel over the rows of its first input.
///
/// Its text runs with the width `n` of that input's last axis and the thread's place `g` in its
/// threadgroup (see `kernels/rows.metal`); the functions that it names come from
/// `kernels/*.metal`. An input without axes arrives as an array of one element.
pub(crate) struct RowKernel {
    name: &'static str,
    inputs: &'static [&'static str],
    outputs: &'static [&'static str],
    work: Work,
    /// `VEC` on a CPU for first inputs of 4 and of 2 bytes.
    vec_on_cpu: [i32; 2],
    /// What it does with a row that several groups may share.
    shared: split::Work,
    made: OnceLock<MetalKernel>,
    made_split: OnceLock<MetalKernel>,
}

enum Work {
    /// A statement for each row, whose number is `row`.
    EachRow(&'static str),
    /// A functor of rows whose values are added up, column by column.
    Sums(&'static str),
}

impl RowKernel {
    /// A kernel that runs `call` once for each row.
    pub(crate) const fn new(
        name: &'static str,
        inputs: &'static [&'static str],
        outputs: &'static [&'static str],
        call: &'static str,
    ) -> Self {
        RowKernel {
            name,
            inputs,
            outputs,
            work: Work::EachRow(call),
            vec_on_cpu: [64; 2],
            shared: split::Work::Maps(1),
            made: OnceLock::new(),
            made_split: OnceLock::new(),
        }
    }

    /// A kernel that adds up the rows of `functor`, see `kk_sum_rows`.
    pub(crate) const fn sums(
        name: &'static str,
        inputs: &'static [&'static str],
        functor: &'static str,
    ) -> Self {
        RowKernel {
            name,
            inputs,
            outputs: &["out"],
            work: Work::Sums(functor),
            vec_on_cpu: [64; 2],
            shared: split::Work::Maps(0),
            made: OnceLock::new(),
            made_split: OnceLock::new(),
        }
    }

    /// A kernel whose threads take `VEC` neighbours each, one after the other: so many on a CPU for
    /// first inputs of 4 and of 2 bytes.
    pub(crate) const fn scans(mut self, four: i32, two: i32) -> Self {
        self.vec_on_cpu = [four, two];
        self.shared = split::Work::Scans;
        self
    }

    /// A kernel whose row function has so many reductions (`kk_sum`, `kk_max` and the like) before `kk_map`, where
    /// that is not one: how often a row that no group holds in registers is read.
    pub(crate) const fn reduces(mut self, times: u8) -> Self {
        self.shared = split::Work::Maps(times);
        self
    }

    /// A kernel whose row function has one reduction and never calls `kk_map`: a second group for the same row
    /// would only do the same again.
    pub(crate) const fn adds(mut self) -> Self {
        self.shared = split::Work::Adds(1);
        self
    }

    fn kernel(&self) -> Result<&MetalKernel> {
        build(&self.made, self.name, self.inputs, self.outputs, || {
            self.source()
        })
    }

    fn source(&self) -> String {
        let x = self.inputs[0];
        let work = match self.work {
            Work::EachRow(call) => {
                format!("const size_t row = thread_position_in_grid.x / TG;\n{call};")
            }
            Work::Sums(functor) => format!(
                "const size_t group = threadgroup_position_in_grid.x, \
                 groups = threadgroups_per_grid.x;\n{};",
                self.sums_of_rows(functor)
            ),
        };
        format!(
            "threadgroup float shared[32];\n\
             const size_t n = {x}_shape[{x}_ndim - 1];\n\
             const kk_group<TG, VEC, ITEMS> g = {{shared, thread_position_in_grid.x % TG, \
             thread_index_in_simdgroup, simdgroup_index_in_threadgroup}};\n{work}\n"
        )
    }

    fn sums_of_rows(&self, functor: &str) -> String {
        let x = self.inputs[0];
        format!(
            "size_t rows = 1;\n\
             for (int i = 0; i + 1 < {x}_ndim; ++i) rows *= {x}_shape[i];\n\
             kk_sum_rows(rows, group, groups, n, out + group * n, g, {functor})"
        )
    }

    /// How a row of `width` elements is shared out, see `kernels/rows.metal`.
    fn group(&self, gpu: bool, width: usize, dtype: Dtype) -> Group {
        if !as_on_gpu(gpu) {
            let [four, two] = self.vec_on_cpu;
            let vec = if dtype == Dtype::Float32 { four } else { two };
            return Group {
                tg: 1,
                vec,
                items: 0,
            };
        }
        if self.shared == split::Work::Scans {
            return super::scan::group(width, dtype.size(), block_bytes(gpu));
        }
        // Elements of a thread, and of a load: 16 or 8 bytes where rows are made of such blocks.
        let (elements, wide) = match dtype {
            Dtype::Float32 => (16, 4),
            _ if width.is_multiple_of(8) && width >= 32 * 8 => (32, 8),
            _ => (32, 4),
        };
        let blocks = gpu && width.is_multiple_of(wide) && width >= 32 * wide;
        let vec = if blocks { wide } else { 1 };
        let tg = width.div_ceil(elements).next_power_of_two().clamp(32, 1024);
        let items = width.div_ceil(tg * vec).next_power_of_two();
        // Wider rows than the registers hold are read again by each pass.
        let (vec, items) = if items * vec > 32 {
            (4, 0)
        } else {
            (vec, items)
        };
        Group {
            tg: tg as i32,
            vec: vec as i32,
            items: items as i32,
        }
    }

    /// One group of threads for each of `rows` rows, of which the widest pass has `width` elements.
    #[track_caller]
    pub(crate) fn launch<const N: usize>(
        &self,
        inputs: &[&Array],
        outputs: [(&[i32], Dtype); N],
        rows: usize,
        width: usize,
    ) -> Result<[Array; N]> {
        let dtype = inputs[0].dtype();
        let gpu = crate::stream::current().gpu;
        let split = self.split(gpu, rows, width, dtype);
        let inputs = with_axes(inputs)?;
        let kernel = match split {
            Some(_) => self.split_kernel()?,
            None => self.kernel()?,
        };
        let mut launch = kernel.launch(&inputs);
        for (shape, dtype) in outputs {
            launch.set_output(shape, dtype);
        }
        match split {
            Some(split) => split.on(&mut launch, rows),
            None => {
                let group = self.group(gpu, width, dtype);
                group.on(&mut launch);
                launch.set_grid(rows.saturating_mul(group.tg as usize));
            }
        }
        launch.add()
    }

    /// How several groups share a row, where they do.
    fn split(&self, gpu: bool, rows: usize, width: usize, dtype: Dtype) -> Option<Split> {
        if !as_on_gpu(gpu) {
            return None;
        }
        Split::of(self.shared, rows, width, dtype, block_bytes(gpu))
    }

    fn split_kernel(&self) -> Result<&MetalKernel> {
        if let Some(kernel) = self.made_split.get() {
            return Ok(kernel);
        }
        let name = format!("{}_split", self.name);
        build(&self.made_split, &name, self.inputs, self.outputs, || {
            let call = match self.work {
                Work::EachRow(call) => call.to_owned(),
                Work::Sums(functor) => format!(
                    "const size_t group = row, groups = threadgroups_per_grid.y;\n{}",
                    self.sums_of_rows(functor)
                ),
            };
            split::source(self.shared, self.inputs[0], &call)
        })
    }

    /// The sums of all rows: (`width`,), float32.
    #[track_caller]
    pub(crate) fn sum(&self, inputs: &[&Array], rows: usize, width: usize) -> Result<Array> {
        if rows == 0 || width == 0 {
            return Array::zeros(width, Dtype::Float32);
        }
        let dtype = inputs[0].dtype();
        let groups = rows.div_ceil(ROWS_A_GROUP).min(MAX_GROUPS);
        let gpu = crate::stream::current().gpu;
        let split = self.split(gpu, groups, width, dtype);
        let group = Group {
            items: 0,
            ..self.group(gpu, width, dtype)
        };
        let inputs = with_axes(inputs)?;
        if let Some(split) = split {
            let launch = self.split_kernel()?.launch(&inputs);
            let mut launch = launch.output((groups, width), Dtype::Float32);
            split.on(&mut launch, groups);
            let [parts] = launch.add()?;
            return parts.sum(0);
        }
        let launch = self.kernel()?.launch(&inputs);
        let mut launch = launch.output((groups, width), Dtype::Float32);
        group.on(&mut launch);
        launch.set_grid(groups * group.tg as usize);
        launch.set_threadgroup(group.tg);
        let [parts] = launch.add()?;
        parts.sum(0)
    }
}

/// Threads of a row, and what each takes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub tg: i32,
    pub vec: i32,
    pub items: i32,
}

impl Group {
    /// Rows of one simdgroup share a threadgroup: a processor holds few groups, but many threads.
    fn on(&self, launch: &mut Launch<'_>) {
        let threadgroup = if self.tg == 32 { 256 } else { self.tg };
        launch.set_template("TG", self.tg.into());
        launch.set_template("VEC", self.vec.into());
        launch.set_template("ITEMS", self.items.into());
        launch.set_threadgroup(threadgroup);
    }
}

/// What one instruction loads or stores on a GPU. On a CPU, where its way is tested only, arrays begin at multiples
/// of 8 bytes.
pub(super) fn block_bytes(gpu: bool) -> usize {
    if gpu { 16 } else { 8 }
}

/// For sums over rows: how many rows are worth a threadgroup, and how many groups are enough
/// for the largest machines; more would only give more partial sums.
const ROWS_A_GROUP: usize = 16;
const MAX_GROUPS: usize = 512;

/// An argument that is no array, as an array. The latest few of a thread are kept.
///
/// A GPU reads what the host wrote over the bus. MLX's CUDA build keeps up to 8 bytes on the host for
/// good, and each threadgroup of each launch would wait for them, so a GPU gets the values
/// several times over, from a copy that it made itself.
pub(crate) fn constant<T: Bits>(values: &[T]) -> Result<Rc<Array>> {
    struct Kept {
        bits: Vec<u64>,
        dtype: Dtype,
        gpu: bool,
        array: Rc<Array>,
    }
    thread_local! {
        static KEPT: RefCell<VecDeque<Kept>> = const { RefCell::new(VecDeque::new()) };
    }
    let bits = || values.iter().map(|&v| v.bits());
    let gpu = crate::stream::current().gpu;
    let same = |k: &&Kept| k.dtype == T::DTYPE && k.gpu == gpu && k.bits.iter().copied().eq(bits());
    let found = KEPT.with_borrow(|kept| kept.iter().find(same).map(|k| Rc::clone(&k.array)));
    if let Some(array) = found {
        return Ok(array);
    }
    let mut array = Array::from_slice(values, values.len())?;
    if gpu {
        array = crate::ops::concatenate([&array; 4], 0)?;
        crate::eval([&array])?;
    }
    let array = Rc::new(array);
    KEPT.with_borrow_mut(|kept| {
        if kept.len() == 32 {
            kept.pop_front();
        }
        kept.push_back(Kept {
            bits: bits().collect(),
            dtype: T::DTYPE,
            gpu,
            array: Rc::clone(&array),
        });
    });
    Ok(array)
}

/// Numbers that can be told apart.
pub(crate) trait Bits: Element + Copy {
    fn bits(self) -> u64;
}
impl Bits for f32 {
    fn bits(self) -> u64 {
        self.to_bits().into()
    }
}
impl Bits for u32 {
    fn bits(self) -> u64 {
        self.into()
    }
}
impl Bits for i64 {
    fn bits(self) -> u64 {
        self as u64
    }
}

/// Metal passes arrays without axes as references; kernels over rows index all alike.
fn with_axes<'a>(inputs: &[&'a Array]) -> Result<SmallVec<[Cow<'a, Array>; 4]>> {
    let mut all = SmallVec::new();
    for &a in inputs {
        all.push(match a.ndim() {
            0 => Cow::Owned(a.reshape(1)?),
            _ => Cow::Borrowed(a),
        });
    }
    Ok(all)
}

/// Number of rows and width of an array over whose last axis a function works.
///
/// # Errors
/// [`Error::Shape`] for an array without axes.
#[track_caller]
pub(crate) fn rows_of(name: &str, x: &Array) -> Result<(usize, usize)> {
    match x.shape().split_last() {
        Some((&n, leading)) => Ok((leading.iter().map(|&n| n as usize).product(), n as usize)),
        None => Err(Error::shape(format!(
            "`{name}`: expected an array with at least one axis, got a scalar"
        ))),
    }
}

/// Refuses what is no floating type that Metal has.
#[track_caller]
pub(crate) fn check_float(name: &str, x: &Array) -> Result<()> {
    match x.dtype() {
        Dtype::Float32 | Dtype::Float16 | Dtype::Bfloat16 => Ok(()),
        other => Err(Error::dtype(format!(
            "`{name}`: expected float32, float16 or bfloat16, got {other}"
        ))),
    }
}

/// Refuses another shape.
#[track_caller]
pub(crate) fn check_shape(name: &str, x: &Array, shape: &[i32]) -> Result<()> {
    if x.shape() == shape {
        return Ok(());
    }
    Err(Error::shape(format!(
        "`{name}`: expected shape {shape:?}, got {:?}",
        x.shape()
    )))
}

/// A kernel over elements, with an output like its first input: an expression of the element `v`, as a
/// float, and its number `i`.
pub(crate) struct ElementKernel {
    name: &'static str,
    inputs: &'static [&'static str],
    value: &'static str,
    made: OnceLock<MetalKernel>,
    by_blocks: OnceLock<MetalKernel>,
}

impl ElementKernel {
    pub(crate) const fn new(
        name: &'static str,
        inputs: &'static [&'static str],
        value: &'static str,
    ) -> Self {
        ElementKernel {
            name,
            inputs,
            value,
            made: OnceLock::new(),
            by_blocks: OnceLock::new(),
        }
    }

    fn source(&self, by_blocks: bool) -> String {
        let (x, value) = (self.inputs[0], self.value);
        if !by_blocks {
            return format!(
                "const uint i = thread_position_in_grid.x;\n\
                 const float v = float({x}[i]);\n\
                 kk_store(out + i, {value});\n"
            );
        }
        // Two ways for the whole block: choosing for each element would cost an instruction each.
        format!(
            "const uint first = thread_position_in_grid.x * VEC;\n\
             if (kk_aligned<VEC>({x}) && kk_aligned<VEC>(out)) {{\n\
             const auto from = kk_load<VEC>({x}, thread_position_in_grid.x);\n\
             kk_block<O, VEC> to;\n\
             for (uint k = 0; k < VEC; ++k) {{\n\
             const uint i = first + k;\n\
             const float v = float(from.v[k]);\n\
             to.v[k] = O({value});\n\
             }}\n\
             kk_store_block(out, thread_position_in_grid.x, to);\n\
             }} else {{\n\
             for (uint i = first; i < first + VEC; ++i) {{\n\
             const float v = float({x}[i]);\n\
             kk_store(out + i, {value});\n\
             }}\n\
             }}\n"
        )
    }

    #[track_caller]
    pub(crate) fn launch(&self, inputs: &[&Array]) -> Result<Array> {
        let (shape, dtype, size) = (inputs[0].shape(), inputs[0].dtype(), inputs[0].size());
        let gpu = crate::stream::current().gpu;
        let block = block(gpu, size as u64, [dtype]) as usize;
        let made = if block > 1 {
            &self.by_blocks
        } else {
            &self.made
        };
        let kernel = build(made, self.name, self.inputs, &["out"], || {
            self.source(block > 1)
        })?;
        let inputs = with_axes(inputs)?;
        let mut launch = kernel.launch(&inputs);
        launch.set_output(shape, dtype);
        if block > 1 {
            launch.set_template("O", dtype.into());
            launch.set_template("VEC", (block as i32).into());
        }
        launch.set_grid((size / block).max(1));
        let [y] = launch.add()?;
        Ok(y)
    }
}

/// The kernel, made at its first use with the functions of the library that its source names.
fn build<'a>(
    made: &'a OnceLock<MetalKernel>,
    name: &str,
    inputs: &[&str],
    outputs: &[&str],
    source: impl FnOnce() -> String,
) -> Result<&'a MetalKernel> {
    if let Some(kernel) = made.get() {
        return Ok(kernel);
    }
    let source = source();
    let kernel = MetalKernel::new(name, inputs.to_vec(), outputs.to_vec())
        .header(crate::msl::header_for(&source))
        .source(source)
        .build()?;
    Ok(made.get_or_init(|| kernel))
}
