//! Kernels that write rows of pixels, and a mapped axis as more images.

use crate::codegen::blocks::as_on_gpu;
use crate::metal::{LONGEST, Made, build_once, lines};
use crate::{Array, Dtype, MetalKernel, Result};

/// Images with a further axis as more images.
pub(super) struct Images {
    pub(super) together: Array,
    lead: [i32; 2],
}

impl Images {
    #[track_caller]
    pub(super) fn of(x: &Array, axis: usize) -> Result<Images> {
        let x = x.moveaxis(axis as i32, 0)?;
        let lead = [x.shape()[0], x.shape()[1]];
        let shape = [&[lead[0] * lead[1]], &x.shape()[2..]].concat();
        Ok(Images {
            together: x.reshape(shape)?,
            lead,
        })
    }

    #[track_caller]
    pub(super) fn apart(&self, y: &Array) -> Result<Array> {
        y.reshape([&self.lead, &y.shape()[1..]].concat())
    }
}

/// Rows of the result that a thread of a GPU writes a part of.
const ROWS: i32 = 8;

/// A kernel that writes rows of pixels.
pub(super) struct ImageKernel {
    name: &'static str,
    inputs: &'static [&'static str],
    /// What a thread of a CPU calls, up to the number of the row.
    row: &'static str,
    /// What a thread of a GPU calls, up to the image, the first of its rows, and where it begins in them and how far it goes on each time.
    strip: &'static str,
    made: [Made<MetalKernel>; 2],
}

impl ImageKernel {
    pub(super) const fn new(
        name: &'static str,
        inputs: &'static [&'static str],
        row: &'static str,
        strip: &'static str,
    ) -> Self {
        ImageKernel {
            name,
            inputs,
            row,
            strip,
            made: [const { Made::new() }; 2],
        }
    }

    /// One lazy launch; places of pixels are computed in `integer`.
    #[track_caller]
    pub(super) fn launch(
        &self,
        inputs: &[&Array],
        shape: [i32; 4],
        integer: Dtype,
    ) -> Result<Array> {
        let [number, height, width, channels] = shape;
        let x = inputs[0];
        let gpu = as_on_gpu(crate::stream::current().gpu);
        // Channels that a thread takes at once: small arrays lie in another address space, whose blocks are not loaded.
        let count = match gpu && channels % 4 == 0 && x.size() >= 64 {
            true => 4,
            false => 1,
        };
        let elements = width as usize * channels as usize / count;
        let (threads, strips) = match gpu {
            true => (
                elements.next_multiple_of(32).clamp(32, 1 << 16),
                (height + ROWS - 1) / ROWS,
            ),
            false => (1, height),
        };
        let size = Array::from_slice(&[height, width, threads as i32, strips], 4)?;
        let read: Vec<&Array> = inputs.iter().copied().chain([&size]).collect();
        let rows = number as u64 * strips as u64;
        let (line, lines) = lines(rows, LONGEST / threads as u64);
        let mut launch = self.kernel(gpu)?.launch(&read);
        launch.set_template("I", integer.into());
        if gpu {
            launch.set_template("COUNT", (count as i32).into());
            launch.set_template("ROWS", ROWS.into());
        }
        launch.set_output(&shape, x.dtype());
        launch.set_grid((line * threads as i64, lines));
        let [y] = launch.add()?;
        Ok(y)
    }

    fn kernel(&self, gpu: bool) -> Result<&MetalKernel> {
        let name = match gpu {
            true => format!("{}_gpu", self.name),
            false => self.name.to_owned(),
        };
        let inputs: Vec<&str> = self.inputs.iter().copied().chain(["size"]).collect();
        let made = &self.made[usize::from(gpu)];
        build_once(made, &name, &inputs, &["out"], || {
            let call = match gpu {
                true => self.strips(),
                false => format!("{}, row);\n", self.row),
            };
            format!(
                "const uint threads = uint(size[2]), strips = uint(size[3]);\n\
                 const size_t line = threads_per_grid.x / threads;\n\
                 const size_t row = thread_position_in_grid.y * line + thread_position_in_grid.x / threads;\n\
                 if (row >= size_t(x_shape[0]) * strips) return;\n\
                 {call}"
            )
        })
    }

    /// By blocks of memory, where images lie so that they can be.
    fn strips(&self) -> String {
        let call = |sure: &str| {
            format!(
                "{}, row / strips, int(row % strips) * ROWS, thread_position_in_grid.x % threads, threads)",
                self.strip.replace("SURE", sure)
            )
        };
        format!(
            "const size_t low = reinterpret_cast<size_t>(x + 0) | reinterpret_cast<size_t>(out + 0);\n\
             if (COUNT > 1 && low % (COUNT * sizeof(*out)) == 0) {{\n  {};\n}} else {{\n  {};\n}}\n",
            call("(COUNT > 1)"),
            call("false")
        )
    }
}
