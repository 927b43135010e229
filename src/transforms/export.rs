//! Functions into files (`.mlxfn`) that MLX reads in every language.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;

use crate::array::refs;
use crate::bridge::deep::on_deep_stack;
use crate::bridge::transforms::ffi;
use crate::error::{Here, Lift};
use crate::io::NewFile;
use crate::io::place::utf8;
use crate::{Array, Error, Result};

use super::closures::lend;

thread_local! {
    static EXPORTING: Cell<bool> = const { Cell::new(false) };
}

/// True while a function is traced for a file. Custom kernels then record MLX's own
/// kernel node, which a Mac can run, instead of this machine's engine.
pub(crate) fn exporting() -> bool {
    EXPORTING.get()
}

/// Arrays that a function takes by name.
pub type Keywords = BTreeMap<String, Array>;

/// Writes the graph of `f`, traced with inputs like `inputs`, to a file.
///
/// MLX for Python reads it with `mx.import_function`. Custom kernels are written as
/// MLX's own, so the file runs where Metal does. [`exporter`] writes functions with named inputs, and one function for
/// several shapes.
///
/// With `shapeless`, the file says that the function accepts other shapes of the same rank.
/// Whether its operations do is up to you: MLX does not check it when the file is run.
///
/// ```
/// use zmlx::{Array, export_function};
/// # let folder = tempfile::tempdir().map_err(zmlx::Error::other)?;
/// # let path = folder.path().join("double.mlxfn");
/// let example = Array::from_iter([1.0f32, 2.0])?;
/// export_function(&path, |x| Ok(vec![x[0].multiply(2)?]), [&example], false)?;
/// assert!(path.is_file());
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// What `f` returns as an error, unchanged; [`Error::Io`] when the file cannot be written, or the path
/// leads to a folder or device; [`Error::Argument`] for an operation that cannot be written. What was
/// there before stays.
#[track_caller]
pub fn export_function<A: AsRef<Array>>(
    path: impl AsRef<Path>,
    f: impl Fn(&[Array]) -> Result<Vec<Array>>,
    inputs: impl AsRef<[A]>,
    shapeless: bool,
) -> Result<()> {
    let mut exporter = exporter(path, |inputs: &[Array], _: &Keywords| f(inputs), shapeless)?;
    exporter.trace(inputs)?;
    exporter.finish()
}

/// Begins a file that holds several traces of one function: for inputs of several shapes or dtypes, by place and by name.
///
/// `f` is called once for each [`trace`](FunctionExporter::trace), with the inputs by place and those by name. The file takes its name
/// in [`finish`](FunctionExporter::finish); without that nothing is written. For `shapeless` see [`export_function`].
///
/// ```
/// use zmlx::{Array, Keywords, exporter, import_function};
/// # fn main() -> zmlx::Result<()> {
/// # let folder = tempfile::tempdir().map_err(zmlx::Error::other)?;
/// # let path = folder.path().join("scaled.mlxfn");
/// let scaled = |args: &[Array], named: &Keywords| match named.get("scale") {
///     Some(scale) => Ok(vec![args[0].multiply(scale)?]),
///     None => Ok(vec![args[0].clone()]),
/// };
/// let (x, two) = (Array::from_slice(&[1.0f32, 2.0, 3.0], 3)?, Array::from(2.0f32));
/// let mut file = exporter(&path, scaled, false)?;
/// file.trace([&x])?;
/// file.trace_with([&x], [("scale", &two)])?;
/// file.trace([&Array::from(1.0f32)])?;
/// file.finish()?;
///
/// let f = import_function(&path)?;
/// assert_eq!(f.call_with([&x], [("scale", &two)])?[0].to_vec::<f32>()?, [2.0, 4.0, 6.0]);
/// assert_eq!(f.call([&x])?[0].to_vec::<f32>()?, [1.0, 2.0, 3.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Io`] when there is no such folder, or the path leads to a folder or device.
#[track_caller]
pub fn exporter<F>(path: impl AsRef<Path>, f: F, shapeless: bool) -> Result<FunctionExporter<F>>
where
    F: Fn(&[Array], &Keywords) -> Result<Vec<Array>>,
{
    crate::stream::enter();
    utf8(path.as_ref())?;
    Ok(FunctionExporter {
        f,
        shapeless,
        metadata: String::new(),
        file: NewFile::beside(path.as_ref(), ".mlxfn")?,
        state: State::New,
    })
}

/// A file with traces of a function that is being written; made by [`exporter`]. Belongs to its thread.
///
/// ```
/// use zmlx::{Array, Keywords, exporter, import_function};
/// # let folder = tempfile::tempdir().map_err(zmlx::Error::other)?;
/// # let path = folder.path().join("sum.mlxfn");
/// let sum = |args: &[Array], _: &Keywords| Ok(vec![args[0].sum(..)?]);
/// let mut file = exporter(&path, sum, false)?.metadata("sums")?;
/// file.trace([&Array::from_iter([1.0f32, 2.0])?])?;
/// file.finish()?;
/// assert_eq!(import_function(&path)?.metadata()?, "sums");
/// # Ok::<(), zmlx::Error>(())
/// ```
#[must_use = "a file is there after `finish` only"]
pub struct FunctionExporter<F> {
    f: F,
    shapeless: bool,
    metadata: String,
    file: NewFile,
    state: State,
}

enum State {
    /// Nothing is written yet.
    New,
    /// Some traces are.
    Open(cxx::UniquePtr<ffi::Exporter>),
    /// A trace has failed.
    Failed,
}

impl<F> FunctionExporter<F>
where
    F: Fn(&[Array], &Keywords) -> Result<Vec<Array>>,
{
    /// Text that stands in the file beside the function: [`ImportedFunction::metadata`](crate::ImportedFunction::metadata).
    ///
    /// # Errors
    /// [`Error::Argument`] after the first trace, as the text stands before it.
    #[track_caller]
    pub fn metadata(mut self, text: impl Into<String>) -> Result<Self> {
        match self.state {
            State::New => {
                self.metadata = text.into();
                Ok(self)
            }
            _ => Err(Error::argument(
                "text",
                "it before the first trace",
                "it after one",
            )),
        }
    }

    /// Writes the graph of the function for inputs like these.
    ///
    /// # Errors
    /// As [`trace_with`](Self::trace_with).
    #[track_caller]
    pub fn trace<A: AsRef<Array>>(&mut self, args: impl AsRef<[A]>) -> Result<()> {
        self.write(&refs(args.as_ref()), &Keywords::new())
    }

    /// Writes the graph of the function for inputs like these, by place and by name.
    ///
    /// # Errors
    /// What the function returns as an error, unchanged; [`Error::Io`] when the file cannot be written; [`Error::Argument`] for an
    /// operation that cannot be written, a name that is there twice, is empty or has a line break, and for inputs like those of a trace
    /// that is there. After an error the exporter gives further ones only, and no file comes of it.
    #[track_caller]
    pub fn trace_with<A: AsRef<Array>, N: Into<String>, K: AsRef<Array>>(
        &mut self,
        args: impl AsRef<[A]>,
        named: impl IntoIterator<Item = (N, K)>,
    ) -> Result<()> {
        let named = keywords(named)?;
        self.write(&refs(args.as_ref()), &named)
    }

    #[track_caller]
    fn write(&mut self, args: &[crate::bridge::ArrayRef<'_>], named: &Keywords) -> Result<()> {
        struct Reset(bool);
        impl Drop for Reset {
            fn drop(&mut self) {
                EXPORTING.set(self.0);
            }
        }
        crate::stream::enter();
        // Anything but the end of this function leaves it failed: MLX keeps what it noted of the trace.
        let mut out = match std::mem::replace(&mut self.state, State::Failed) {
            State::New => {
                let path = utf8(self.file.path())?;
                ffi::exporter(path, self.shapeless, &self.metadata).lift()?
            }
            State::Open(out) => out,
            State::Failed => return Err(failed()),
        };
        let names: Vec<String> = named.keys().cloned().collect();
        let values: Vec<&Array> = named.values().collect();
        let values = refs(&values);
        let places = args.len();
        let traced = |inputs: &[Array]| {
            let _reset = Reset(EXPORTING.replace(true));
            let _trace = super::Trace::begin();
            let (args, values) = inputs.split_at(places.min(inputs.len()));
            let named = names.iter().cloned().zip(values.iter().cloned()).collect();
            (self.f)(args, &named)
        };
        let written = lend(&traced, |f| {
            on_deep_stack(|| out.pin_mut().trace(f, args, &names, &values))
        });
        written.lift().here()?;
        self.state = State::Open(out);
        Ok(())
    }

    /// Gives the file its name. What was there before is replaced as a whole.
    ///
    /// ```
    /// use zmlx::{Array, Keywords, exporter};
    /// # let folder = tempfile::tempdir().map_err(zmlx::Error::other)?;
    /// # let path = folder.path().join("sum.mlxfn");
    /// let mut file = exporter(&path, |args: &[Array], _: &Keywords| Ok(vec![args[0].sum(..)?]), false)?;
    /// file.trace([&Array::from_iter([1.0f32, 2.0])?])?;
    /// assert!(!path.exists());
    /// file.finish()?;
    /// assert!(path.exists());
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] when nothing was traced or a trace has failed; [`Error::Io`] when the file cannot be written.
    #[track_caller]
    pub fn finish(self) -> Result<()> {
        match self.state {
            State::New => Err(Error::argument("exporter", "at least one trace", "none")),
            State::Failed => Err(failed()),
            State::Open(out) => {
                // Closes MLX's handle of the file.
                drop(out);
                self.file.publish()
            }
        }
    }
}

#[track_caller]
fn failed() -> Error {
    Error::argument(
        "exporter",
        "one whose traces are all written",
        "one with a trace that failed",
    )
}

/// Named inputs, each once.
#[track_caller]
pub(super) fn keywords<N: Into<String>, A: AsRef<Array>>(
    named: impl IntoIterator<Item = (N, A)>,
) -> Result<Keywords> {
    let mut all = Keywords::new();
    for (name, array) in named {
        let name = name.into();
        if name.is_empty() || name.contains(['\n', '\r']) {
            let got = format_args!("{name:?}").to_string();
            return Err(Error::argument("named", "names without line breaks", got));
        }
        if all.contains_key(&name) {
            let got = format_args!("`{name}` twice").to_string();
            return Err(Error::argument("named", "each name once", got));
        }
        all.insert(name, array.as_ref().clone());
    }
    Ok(all)
}
