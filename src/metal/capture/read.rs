//! Reads a captured launch and runs it.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::MATH_MODES;
use super::compare::{Comparison, compare};
use crate::io::place::{self, named};
use crate::metal::{Extent, Launch, MetalKernel, TemplateArg};
use crate::{Array, Dtype, Error, Result};

/// A captured launch: kernel, arguments, inputs and expected outputs.
pub struct Capture {
    dir: PathBuf,
    kernel: MetalKernel,
    template: Vec<(String, TemplateArg)>,
    inputs: Vec<Input>,
    outputs: Vec<Expected>,
    grid: Extent,
    threadgroup: Extent,
    init_value: Option<f32>,
    refused: bool,
}

struct Input {
    dtype: Dtype,
    shape: Vec<i32>,
    file: PathBuf,
    /// Strides in elements and the offset of the first element, unless row-contiguous.
    strided: Option<(Vec<i64>, usize)>,
}

/// What one output should be.
pub struct Expected {
    /// The output's name.
    pub name: String,
    /// Its dtype.
    pub dtype: Dtype,
    /// Its shape.
    pub shape: Vec<i32>,
    /// The expected bytes, row-major; none where the capture does not know them.
    pub bytes: Option<Vec<u8>>,
    /// One byte an element: 1 to compare, 0 where the kernel writes nothing.
    pub mask: Option<Vec<u8>>,
    /// The part of the tolerance in proportion to what is expected.
    pub rtol: f64,
    /// The part of the tolerance that is the same for all.
    pub atol: f64,
}

impl Capture {
    /// Reads the folder `dir`.
    ///
    /// # Errors
    /// [`Error::Io`] when a file is missing, unreadable or not as long as it should be, or when
    /// `meta.json` is not what a capture has; what [`MetalKernel::new`] refuses.
    #[track_caller]
    pub fn read(dir: impl AsRef<Path>) -> Result<Capture> {
        let dir = dir.as_ref().to_owned();
        let meta = Meta::read(&dir)?;
        let strings = |key| -> Result<Vec<String>> {
            meta.list(key)?.iter().map(|v| meta.text(v, key)).collect()
        };
        let math = meta.value["math_mode"].as_str().unwrap_or("safe");
        let Some(&(_, math_mode)) = MATH_MODES.iter().find(|(name, _)| *name == math) else {
            return Err(meta.bad("math_mode"));
        };
        let kernel = MetalKernel::new(
            &meta.text(&meta.value["kernel_name"], "kernel_name")?,
            strings("input_names")?,
            strings("output_names")?,
        )
        .source(meta.text(&meta.value["source"], "source")?)
        .header(meta.value["header"].as_str().unwrap_or_default())
        .ensure_row_contiguous(
            meta.value["ensure_row_contiguous"]
                .as_bool()
                .unwrap_or(true),
        )
        .atomic_outputs(meta.value["atomic_outputs"].as_bool().unwrap_or(false))
        .math_mode(math_mode)
        .build()?;
        let template = meta.list("template")?.iter().map(|t| meta.template(t));
        let inputs = meta.list("inputs")?.iter().map(|i| meta.input(i));
        let outputs = meta.list("outputs")?.iter().map(|o| meta.output(o));
        Ok(Capture {
            kernel,
            template: template.collect::<Result<_>>()?,
            inputs: inputs.collect::<Result<_>>()?,
            outputs: outputs.collect::<Result<_>>()?,
            grid: meta.extent("grid")?,
            threadgroup: meta.extent("threadgroup")?,
            init_value: meta.value["init_value"].as_f64().map(|v| v as f32),
            refused: meta.value["expect_compile_error"]
                .as_bool()
                .unwrap_or(false),
            dir,
        })
    }

    /// The kernel.
    pub fn kernel(&self) -> &MetalKernel {
        &self.kernel
    }

    /// True when Metal refuses to compile the kernel, so that an error is right.
    pub fn should_be_refused(&self) -> bool {
        self.refused
    }

    /// What the outputs should be.
    pub fn expected(&self) -> &[Expected] {
        &self.outputs
    }

    /// The inputs as arrays, strided where they were.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that is missing or too short.
    #[track_caller]
    pub fn inputs(&self) -> Result<Vec<Array>> {
        self.inputs.iter().map(|i| i.load()).collect()
    }

    /// Adds the launch to the graph.
    ///
    /// # Errors
    /// As [`Launch::run_vec`].
    #[track_caller]
    pub fn launch(&self, inputs: &[Array]) -> Result<Vec<Array>> {
        let mut launch: Launch<'_> = self.kernel.launch(inputs);
        for (name, value) in &self.template {
            launch = launch.template(name, *value);
        }
        for o in &self.outputs {
            launch = launch.output(&o.shape, o.dtype);
        }
        if let Some(value) = self.init_value {
            launch = launch.init_value(value);
        }
        launch
            .grid(self.grid)
            .threadgroup(self.threadgroup)
            .run_vec()
    }

    /// Compares outputs with what they should be. **Evaluates** them.
    ///
    /// # Errors
    /// What the evaluation fails with.
    #[track_caller]
    pub fn compare(&self, outputs: &[Array]) -> Result<Comparison> {
        compare(&self.outputs, outputs)
    }

    /// The folder's name.
    pub fn name(&self) -> String {
        let name = self.dir.file_name().unwrap_or(self.dir.as_os_str());
        name.to_string_lossy().into_owned()
    }
}

impl Input {
    #[track_caller]
    fn load(&self) -> Result<Array> {
        let bytes = read_file(&self.file)?;
        let stored = bytes.len() / self.dtype.size();
        let whole = bytes.len() % self.dtype.size() == 0;
        let fits = match &self.strided {
            None => Some(stored) == self.elements(),
            Some((strides, offset)) => self.reach(strides, *offset).is_some_and(|n| n <= stored),
        };
        if !whole || !fits {
            return Err(Error::io(format!(
                "{}: {} bytes do not hold {} of shape {:?}",
                self.file.display(),
                bytes.len(),
                self.dtype.name(),
                self.shape
            )));
        }
        match &self.strided {
            None => Array::from_bytes(&bytes, &self.shape, self.dtype),
            Some((strides, offset)) => {
                let storage = Array::from_bytes(&bytes, stored, self.dtype)?;
                storage.as_strided(&self.shape, strides, *offset)
            }
        }
    }

    /// How many elements the shape has.
    fn elements(&self) -> Option<usize> {
        elements(&self.shape)
    }

    /// One past the last element of the storage that a strided input touches, if all are within it.
    fn reach(&self, strides: &[i64], offset: usize) -> Option<usize> {
        if strides.len() != self.shape.len() || self.elements()? == 0 {
            return None;
        }
        let (mut low, mut high) = (i64::try_from(offset).ok()?, i64::try_from(offset).ok()?);
        for (&n, &stride) in self.shape.iter().zip(strides) {
            let step = stride.checked_mul(i64::from(n) - 1)?;
            let end = if step < 0 { &mut low } else { &mut high };
            *end = end.checked_add(step)?;
        }
        (low >= 0).then_some(high as usize + 1)
    }
}

/// `meta.json`, with errors that name the folder and the field.
struct Meta {
    dir: PathBuf,
    value: Value,
}

impl Meta {
    #[track_caller]
    fn read(dir: &Path) -> Result<Meta> {
        let text = read_file(&dir.join("meta.json"))?;
        match serde_json::from_slice(&text) {
            Ok(value) => Ok(Meta {
                dir: dir.to_owned(),
                value,
            }),
            Err(e) => Err(Error::io(format!("{}/meta.json: {e}", dir.display()))),
        }
    }

    #[track_caller]
    fn bad(&self, key: &str) -> Error {
        Error::io(format!(
            "{}/meta.json: `{key}` is not as it should be",
            self.dir.display()
        ))
    }

    #[track_caller]
    fn list(&self, key: &str) -> Result<&Vec<Value>> {
        self.value[key].as_array().ok_or_else(|| self.bad(key))
    }

    #[track_caller]
    fn text(&self, value: &Value, key: &str) -> Result<String> {
        value
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| self.bad(key))
    }

    #[track_caller]
    fn dtype(&self, value: &Value) -> Result<Dtype> {
        value
            .as_str()
            .and_then(Dtype::from_name)
            .ok_or_else(|| self.bad("dtype"))
    }

    #[track_caller]
    fn numbers(&self, value: &Value, key: &str) -> Result<Vec<i64>> {
        let numbers = value.as_array().ok_or_else(|| self.bad(key))?.iter();
        numbers
            .map(|n| n.as_i64().ok_or_else(|| self.bad(key)))
            .collect()
    }

    #[track_caller]
    fn shape(&self, value: &Value) -> Result<Vec<i32>> {
        let numbers = self.numbers(&value["shape"], "shape")?.into_iter();
        numbers
            .map(|n| i32::try_from(n).map_err(|_| self.bad("shape")))
            .collect()
    }

    #[track_caller]
    fn extent(&self, key: &str) -> Result<Extent> {
        let numbers = self.numbers(&self.value[key], key)?;
        numbers.try_into().map(Extent).map_err(|_| self.bad(key))
    }

    #[track_caller]
    fn template(&self, t: &Value) -> Result<(String, TemplateArg)> {
        let value = &t["value"];
        let arg = match t["kind"].as_str() {
            Some("int") => value
                .as_i64()
                .and_then(|n| i32::try_from(n).ok())
                .map(TemplateArg::Int),
            Some("bool") => value.as_bool().map(TemplateArg::Bool),
            Some("dtype") => Some(TemplateArg::Dtype(self.dtype(value)?)),
            _ => None,
        };
        let arg = arg.ok_or_else(|| self.bad("template"))?;
        Ok((self.text(&t["name"], "template")?, arg))
    }

    #[track_caller]
    fn input(&self, i: &Value) -> Result<Input> {
        let dtype = self.dtype(&i["dtype"])?;
        let strided = if i["row_contiguous"].as_bool().unwrap_or(true) {
            None
        } else {
            let offset = i["offset_bytes"].as_u64().unwrap_or(0) as usize / dtype.size();
            Some((self.numbers(&i["strides"], "strides")?, offset))
        };
        Ok(Input {
            dtype,
            shape: self.shape(i)?,
            file: self.dir.join(self.text(&i["file"], "file")?),
            strided,
        })
    }

    #[track_caller]
    fn output(&self, o: &Value) -> Result<Expected> {
        let dtype = self.dtype(&o["dtype"])?;
        let shape = self.shape(o)?;
        let elements = elements(&shape).ok_or_else(|| self.bad("shape"))?;
        let file = |key: &str, each: usize| match o[key].as_str() {
            None => Ok(None),
            Some(name) => {
                let bytes = read_file(&self.dir.join(name))?;
                if Some(bytes.len()) == elements.checked_mul(each) {
                    Ok(Some(bytes))
                } else {
                    Err(self.bad(key))
                }
            }
        };
        Ok(Expected {
            name: self.text(&o["name"], "name")?,
            bytes: file("expected", dtype.size())?,
            mask: file("mask", 1)?,
            rtol: o["rtol"].as_f64().unwrap_or(0.0),
            atol: o["atol"].as_f64().unwrap_or(0.0),
            dtype,
            shape,
        })
    }
}

/// How many elements a shape has.
fn elements(shape: &[i32]) -> Option<usize> {
    let mut sizes = shape.iter().map(|&n| usize::try_from(n).ok());
    sizes.try_fold(1usize, |product, n| product.checked_mul(n?))
}

#[track_caller]
fn read_file(path: &Path) -> Result<Vec<u8>> {
    named(path.display(), place::read(path))
}
