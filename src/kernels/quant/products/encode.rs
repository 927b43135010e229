//! Matrices that become quantized.

use smallvec::SmallVec;

use super::super::super::arguments::{check_float, number};
use super::text::Kernels;
use super::weight::{QuantFormat, QuantizedWeight};
use crate::io::GgufType;
use crate::metal::{LONGEST, lines};
use crate::{Array, Dtype, Error, Result};

static KERNELS: Kernels<GgufType> = Kernels::new();

impl QuantizedWeight {
    /// A matrix, or stack of them, quantized along its rows: (..., N, K), float32, float16 or bfloat16.
    ///
    /// MLX's layouts come from MLX's own [`Array::quantize`]; of GGUF's types there are Q4_0, Q4_1 and Q8_0, with the values that ggml's
    /// reference gives.
    ///
    /// ```
    /// use zmlx::{Array, Dtype, io::GgufType, kernels::quant::{QuantFormat, QuantizedWeight}};
    /// # fn main() -> zmlx::Result<()> {
    /// let w = Array::linspace(-1.0..=1.0, 64, Dtype::Float32)?.reshape((2, 32))?;
    /// let q = QuantizedWeight::quantize(&w, QuantFormat::Gguf(GgufType::Q8_0))?;
    /// assert!(q.dequantize(Dtype::Float32)?.allclose(&w, (0.0, 0.005))?.item::<bool>()?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Dtype`] for another dtype; [`Error::Shape`] for fewer than two axes, or rows that are no whole groups or blocks;
    /// [`Error::Argument`] for another type, and for a group size or bits that the mode does not have.
    #[track_caller]
    pub fn quantize(w: &Array, format: QuantFormat) -> Result<Self> {
        check_float("w", w)?;
        let kind = match format {
            QuantFormat::Mlx(q) => return QuantizedWeight::new(&w.quantize(q)?),
            QuantFormat::Gguf(kind) => kind,
        };
        let bytes = match kind {
            GgufType::Q4_0 | GgufType::Q4_1 | GgufType::Q8_0 => kind.block_bytes(),
            _ => {
                let expected = "one of MLX's layouts, Q4_0, Q4_1 or Q8_0";
                return Err(Error::argument("format", expected, kind.name()));
            }
        };
        let &[.., _, k] = w.shape() else {
            return Err(Error::shape(format!(
                "`w`: expected shape (..., N, K), got {:?}",
                w.shape()
            )));
        };
        let mut shape = w.shape().to_vec();
        match shape.last_mut() {
            Some(last) if k % 32 == 0 && k > 0 => *last = k / 32 * bytes as i32,
            _ => {
                return Err(Error::shape(format!(
                    "`w`: expected rows of a multiple of 32 elements, got shape {:?}",
                    w.shape()
                )));
            }
        }
        if w.size() == 0 {
            return QuantizedWeight::gguf(kind, &Array::zeros(shape, Dtype::Uint8)?);
        }
        let kernel = KERNELS.get(kind, || {
            let mut source = String::from(
                "const size_t id = size_t(thread_position_in_grid.y) * threads_per_grid.x + thread_position_in_grid.x;\n\
                 if (id >= size_t(blocks)) return;\n",
            );
            let name = kind.name().to_lowercase();
            source += &format!("kk_to_{name}(w + id * 32, out + id * {bytes});\n");
            ("quantize_matrix".into(), vec!["w", "blocks"], source)
        })?;
        let count = w.size() / 32;
        let blocks = number(count as i64)?;
        let flat = w.reshape(-1)?;
        let inputs: SmallVec<[&Array; 2]> = SmallVec::from_iter([&flat, &*blocks]);
        let mut launch = kernel.launch(&inputs);
        launch.set_output(&shape, Dtype::Uint8);
        launch.set_grid(lines(count as u64, LONGEST));
        launch.set_threadgroup(64);
        let [out] = launch.add()?;
        QuantizedWeight::gguf(kind, &out)
    }
}
