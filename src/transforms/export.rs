//! Functions in files (`.mlxfn`) that MLX reads in every language.

use std::cell::Cell;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::array::refs;
use crate::bridge::deep::on_deep_stack;
use crate::bridge::transforms::ffi;
use crate::error::{Here, Lift};
use crate::io::NewFile;
use crate::io::place::{self, named, utf8};
use crate::{Array, Error, Result};

use super::closures::lend;
use super::one_list;

thread_local! {
    static EXPORTING: Cell<bool> = const { Cell::new(false) };
}

/// True while a function is traced for a file. Custom kernels then record MLX's own
/// kernel node, which a Mac can run, instead of this machine's engine.
pub(crate) fn exporting() -> bool {
    EXPORTING.get()
}

/// Writes the graph of `f`, traced with inputs like `inputs`, to a file.
///
/// MLX for Python reads it with `mx.import_function`. Custom kernels are written as
/// MLX's own, so the file runs where Metal does.
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
    struct Reset(bool);
    impl Drop for Reset {
        fn drop(&mut self) {
            EXPORTING.set(self.0);
        }
    }
    crate::stream::enter();
    utf8(path.as_ref())?;
    let new = NewFile::beside(path.as_ref(), ".mlxfn")?;
    let file = utf8(new.path())?;
    let traced = |inputs: &[Array]| {
        let _reset = Reset(EXPORTING.replace(true));
        f(inputs)
    };
    let written = lend(&traced, |f| {
        let inputs = refs(inputs.as_ref());
        on_deep_stack(|| ffi::export_function(file, f, &inputs, shapeless))
    });
    written.lift().here()?;
    new.publish()
}

/// Reads a function from a `.mlxfn` file.
///
/// A file is trusted like code: MLX runs the operations in it as they stand, so one made to do
/// harm can. A function written as shapeless must get shapes that its operations can take.
///
/// ```
/// use zmlx::{Array, export_function, import_function};
/// # let folder = tempfile::tempdir().map_err(zmlx::Error::other)?;
/// # let path = folder.path().join("double.mlxfn");
/// let example = Array::from_iter([1.0f32, 2.0])?;
/// export_function(&path, |x| Ok(vec![x[0].multiply(2)?]), [&example], false)?;
/// let double = import_function(&path)?;
/// let y = double.call([&Array::from_iter([3.0f32, 4.0])?])?;
/// assert_eq!(y[0].to_vec::<f32>()?, [6.0, 8.0]);
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// [`Error::Io`] when there is no such file, it cannot be opened or ends too early; [`Error::Mlx`] when it
/// is not what it should be.
#[track_caller]
pub fn import_function(path: impl AsRef<Path>) -> Result<ImportedFunction> {
    crate::stream::enter();
    let path = path.as_ref();
    // MLX would wait for a FIFO, and read a device for ever.
    let (file, meta) = named(path.display(), place::open(path))?;
    let made = ffi::import_function(utf8(path)?).lift()?;
    Ok(ImportedFunction {
        made,
        file,
        before: (meta.len(), meta.modified().ok()),
        path: path.to_owned(),
    })
}

/// A function read from a file; made by [`import_function`]. Belongs to its thread.
pub struct ImportedFunction {
    made: cxx::UniquePtr<ffi::Function>,
    // MLX reads the values that the function holds when they are wanted, from the same file.
    file: File,
    /// Its length and when it had been written to.
    before: (u64, Option<SystemTime>),
    path: PathBuf,
}

impl ImportedFunction {
    /// Calls the function.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::Argument`] when the inputs are not like those it was written with;
    /// [`Error::Io`] when the file, which holds the function's values, was written to meanwhile.
    #[track_caller]
    pub fn call<A: AsRef<Array>>(&self, inputs: impl AsRef<[A]>) -> Result<Vec<Array>> {
        let now = named(self.path.display(), self.file.metadata())?;
        if (now.len(), now.modified().ok()) != self.before {
            return Err(Error::io(format!(
                "{}: the file was written to after it was loaded",
                self.path.display()
            )));
        }
        one_list(self.made.call(&refs(inputs.as_ref())))
    }
}
