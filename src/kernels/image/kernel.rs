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

/// A kernel that writes rows of pixels.
pub(super) struct ImageKernel {
    name: &'static str,
    inputs: &'static [&'static str],
    /// What it calls; the row, where a thread begins in it and how far it goes on each time follow.
    call: &'static str,
    made: [Made<MetalKernel>; 2],
}

impl ImageKernel {
    pub(super) const fn new(
        name: &'static str,
        inputs: &'static [&'static str],
        call: &'static str,
    ) -> Self {
        ImageKernel {
            name,
            inputs,
            call,
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
        let dtype = inputs[0].dtype();
        // On a GPU neighbouring threads have neighbouring elements; on a CPU a thread has a row.
        let whole = !as_on_gpu(crate::stream::current().gpu);
        let elements = width as usize * channels as usize;
        let threads = match whole {
            true => 1,
            false => elements.next_multiple_of(32).clamp(32, 1 << 16),
        };
        let size = Array::from_slice(&[height, width, threads as i32], 3)?;
        let read: Vec<&Array> = inputs.iter().copied().chain([&size]).collect();
        let rows = number as u64 * height as u64;
        let (line, count) = lines(rows, LONGEST / threads as u64);
        let mut launch = self.kernel(whole)?.launch(&read);
        launch.set_template("I", integer.into());
        launch.set_output(&shape, dtype);
        launch.set_grid((line * threads as i64, count));
        let [y] = launch.add()?;
        Ok(y)
    }

    fn kernel(&self, whole: bool) -> Result<&MetalKernel> {
        let made = &self.made[usize::from(whole)];
        let name = if whole {
            self.name.to_owned()
        } else {
            format!("{}_gpu", self.name)
        };
        let inputs: Vec<&str> = self.inputs.iter().copied().chain(["size"]).collect();
        build_once(made, &name, &inputs, &["out"], || {
            let whole = if whole { "true" } else { "false" };
            let call = self.call.replace("WHOLE", whole);
            format!(
                "const uint threads = {whole} ? 1u : uint(size[2]);\n\
                 const size_t line = threads_per_grid.x / threads;\n\
                 const size_t row = thread_position_in_grid.y * line + thread_position_in_grid.x / threads;\n\
                 if (row >= size_t(x_shape[0]) * size_t(size[0])) return;\n\
                 {call}, row, thread_position_in_grid.x % threads, threads);\n"
            )
        })
    }
}
