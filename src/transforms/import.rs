//! Functions out of files.

use std::cell::OnceCell;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::array::refs;
use crate::bridge::transforms::ffi;
use crate::error::Lift;
use crate::io::place::{self, named as of_file, utf8};
use crate::{Array, Error, Result};

use super::export::{Keywords, keywords};
use super::one_list;
use super::signature::{self, FunctionSignature};

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
    let (file, meta) = of_file(path.display(), place::open(path))?;
    let made = ffi::import_function(utf8(path)?).lift()?;
    let shapeless = of_file(path.display(), is_shapeless(&file))?;
    Ok(ImportedFunction {
        made,
        shapeless,
        signatures: OnceCell::new(),
        file,
        before: (meta.len(), meta.modified().ok()),
        path: path.to_owned(),
    })
}

/// What the head of a file says: MLX's version as text with its length, the number of traces, and this.
fn is_shapeless(file: &File) -> std::io::Result<bool> {
    let mut length = [0; 8];
    file.read_exact_at(&mut length, 0)?;
    let mut flag = [0];
    let at = u64::from_le_bytes(length).saturating_add(8 + 4);
    file.read_exact_at(&mut flag, at)?;
    Ok(flag[0] != 0)
}

/// A function read from a file; made by [`import_function`]. Belongs to its thread.
///
/// ```
/// use zmlx::{Array, Keywords, exporter, import_function};
/// # let folder = tempfile::tempdir().map_err(zmlx::Error::other)?;
/// # let path = folder.path().join("twice.mlxfn");
/// let x = Array::from_iter([1.0f32, 2.0])?;
/// let twice = |args: &[Array], named: &Keywords| Ok(vec![named.get("x").unwrap_or(&args[0]).multiply(2)?]);
/// let mut file = exporter(&path, twice, false)?.metadata("twice")?;
/// file.trace([&x])?;
/// file.finish()?;
///
/// let f = import_function(&path)?;
/// assert_eq!((f.metadata()?, f.signatures()?.len()), ("twice".to_owned(), 1));
/// assert_eq!(f.call([&x])?[0].to_vec::<f32>()?, [2.0, 4.0]);
/// let none: [(&str, &Array); 0] = [];
/// assert_eq!(f.call_with([&x], none)?[0].to_vec::<f32>()?, [2.0, 4.0]);
/// # Ok::<(), zmlx::Error>(())
/// ```
pub struct ImportedFunction {
    made: cxx::UniquePtr<ffi::Imported>,
    shapeless: bool,
    signatures: OnceCell<Vec<FunctionSignature>>,
    // MLX reads the values that the function holds when they are wanted, from the same file.
    file: File,
    /// Its length and when it had been written to.
    before: (u64, Option<SystemTime>),
    path: PathBuf,
}

impl ImportedFunction {
    /// Calls the function with inputs by place.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::Argument`] when the inputs are not like those it was written with;
    /// [`Error::Io`] when the file, which holds the function's values, was written to meanwhile.
    #[track_caller]
    pub fn call<A: AsRef<Array>>(&self, inputs: impl AsRef<[A]>) -> Result<Vec<Array>> {
        self.unchanged()?;
        one_list(self.made.call(&refs(inputs.as_ref()), &Vec::new(), &[]))
    }

    /// Calls the function with inputs by place and by name; [`exporter`](crate::exporter) has an example.
    ///
    /// # Errors
    /// As [`call`](Self::call); [`Error::Argument`] when the file has no trace with just these names.
    #[track_caller]
    pub fn call_with<A: AsRef<Array>, N: Into<String>, K: AsRef<Array>>(
        &self,
        args: impl AsRef<[A]>,
        named: impl IntoIterator<Item = (N, K)>,
    ) -> Result<Vec<Array>> {
        let named = keywords(named)?;
        let args: Vec<&Array> = args.as_ref().iter().map(AsRef::as_ref).collect();
        self.unchanged()?;
        self.check(&args, &named)?;
        let names: Vec<String> = named.keys().cloned().collect();
        let values: Vec<&Array> = named.values().collect();
        one_list(self.made.call(&refs(&args), &names, &refs(&values)))
    }

    /// What each trace in the file takes, in no order that is promised.
    ///
    /// # Errors
    /// [`Error::Mlx`] when a name in the file has a line break.
    #[track_caller]
    pub fn signatures(&self) -> Result<&[FunctionSignature]> {
        if let Some(known) = self.signatures.get() {
            return Ok(known);
        }
        let text = self.made.inputs().lift()?;
        let read = signature::read(&text)?;
        Ok(self.signatures.get_or_init(|| read))
    }

    /// The text that was given with the function; empty where none was.
    ///
    /// # Errors
    /// [`Error::Other`] on a thread that has given MLX up.
    #[track_caller]
    pub fn metadata(&self) -> Result<String> {
        self.made.metadata().lift()
    }

    /// True when the file says that the function takes other shapes of the same rank.
    pub fn is_shapeless(&self) -> bool {
        self.shapeless
    }

    #[track_caller]
    fn unchanged(&self) -> Result<()> {
        let now = of_file(self.path.display(), self.file.metadata())?;
        if (now.len(), now.modified().ok()) != self.before {
            return Err(Error::io(format!(
                "{}: the file was written to after it was loaded",
                self.path.display()
            )));
        }
        Ok(())
    }

    /// MLX takes the first trace with as many inputs whose names are all given. So a trace with fewer names would get named inputs
    /// in places of others.
    #[track_caller]
    fn check(&self, args: &[&Array], named: &Keywords) -> Result<()> {
        if named.is_empty() {
            return Ok(());
        }
        let all = self.signatures()?;
        let taken = all
            .iter()
            .find(|s| s.is_taken_for(args, named, self.shapeless));
        match taken {
            Some(s) if s.has_names_of(args, named) => Ok(()),
            _ => Err(Error::argument(
                "named",
                format_args!(
                    "inputs of one of the function's traces ({})",
                    signature::list(all)
                ),
                signature::of_call(args, named),
            )),
        }
    }
}
