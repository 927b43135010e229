//! Why there is no kernel: the text, the compiler or the cache, as values. `crate::engine` gives them.

use std::{fmt, io, path::PathBuf, sync::Arc};

/// Part of a kernel's text that a message can point to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Region {
    /// The `header` argument: everything before the kernel function.
    Header,
    /// The function signature, which MLX generates.
    Signature,
    /// The `source` argument: the body of the kernel function.
    Source,
}

impl Region {
    /// The file name that the lowered text gives this region in `#line`.
    pub(crate) const fn file(self) -> &'static str {
        match self {
            Self::Header => "<header>",
            Self::Signature => "<signature>",
            Self::Source => "<source>",
        }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Signature => "signature",
            Self::Source => "source",
        })
    }
}

/// A place in the text that the user wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Which of the texts.
    pub region: Region,
    /// Line within that text, from 1.
    pub line: usize,
    /// Byte column within that line, from 1.
    pub column: usize,
    /// The MSL line itself.
    pub text: String,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = self
            .text
            .get(..self.column.saturating_sub(1))
            .unwrap_or(&self.text);
        // Macros make lines of any length; what matters stands around the column.
        let cut = before
            .char_indices()
            .rev()
            .nth(BEFORE)
            .map_or(0, |(at, _)| at);
        let (mark, shown) = (if cut > 0 { "..." } else { "" }, &self.text[cut..]);
        let end = shown
            .char_indices()
            .nth(WIDTH)
            .map_or(shown.len(), |(at, _)| at);
        // Tabs are kept in the caret line, so that the caret stands under its column whatever a
        // tab's width is.
        let blank = |c: char| if c == '\t' { '\t' } else { ' ' };
        let indent: String = mark
            .chars()
            .chain(before[cut..].chars())
            .map(blank)
            .collect();
        let Self {
            region,
            line,
            column,
            ..
        } = self;
        write!(
            f,
            "{region} line {line}, column {column}\n    {mark}{}\n    {indent}^",
            &shown[..end]
        )
    }
}

/// How much of a long line a message shows before the column, and in all.
const BEFORE: usize = 60;
const WIDTH: usize = 120;

/// Text that is not a kernel as MLX writes one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LowerError {
    /// There is no `[[kernel]] void name(...)`.
    #[error("the text holds no kernel function")]
    NoKernel,
    /// The parameter list or the body never ends.
    #[error("the kernel function `{kernel}` has no complete {what}")]
    Incomplete {
        /// The kernel function.
        kernel: String,
        /// What is missing.
        what: &'static str,
    },
    /// A parameter that is neither a buffer nor a grid attribute.
    #[error("parameter `{parameter}` of `{kernel}` has no attribute that this engine passes")]
    Parameter {
        /// The kernel function.
        kernel: String,
        /// The parameter as written.
        parameter: String,
    },
    /// A function constant, whose value a Metal pipeline would give.
    #[error(
        "the kernel function `{kernel}` reads the function constant `{constant}`, which has no value: \
         MLX's kernels take template arguments instead"
    )]
    FunctionConstant {
        /// The kernel function.
        kernel: String,
        /// The constant.
        constant: String,
    },
    /// Overloads of an operator that only Metal can tell apart.
    #[error(
        "the kernel function `{kernel}` uses overloads of `{function}` that do different things by the address \
         space of an operand, which this engine does not know; make it a function that takes pointers"
    )]
    Overloads {
        /// The kernel function.
        kernel: String,
        /// The operator.
        function: String,
    },
    /// The function is a template, but nothing instantiates it.
    #[error("the kernel template `{kernel}` is not instantiated")]
    NotInstantiated {
        /// The kernel function.
        kernel: String,
    },
}

/// The C++ compiler refused the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileError {
    /// The kernel's name as the caller gave it.
    pub kernel: String,
    /// The compiler's first error.
    pub message: String,
    /// Where in the user's text, when the compiler said.
    pub location: Option<Location>,
    /// Everything the compiler printed.
    pub output: String,
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "kernel `{}` does not compile: {}",
            self.kernel, self.message
        )?;
        match &self.location {
            Some(location) => write!(f, "\n  at {location}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for CompileError {}

/// Why there is no runnable kernel.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EngineError {
    /// The text is not a kernel.
    #[error("kernel `{kernel}`: {error}")]
    Lower {
        /// The kernel's name as the caller gave it.
        kernel: String,
        /// What is wrong with it.
        error: LowerError,
    },
    /// The compiler refused it.
    #[error(transparent)]
    Compile(Box<CompileError>),
    /// There is no C++ compiler on this machine.
    #[error(
        "kernel `{kernel}` needs a C++ compiler, and none was found (tried {tried}); \
         install g++ or clang++, or name one in CXX, or ship the kernel compiled ahead: {ahead}"
    )]
    NoCompiler {
        /// The kernel's name as the caller gave it.
        kernel: String,
        /// The commands that were looked for.
        tried: String,
        /// Where a kernel that was compiled ahead was looked for, and for which machines.
        ahead: String,
    },
    /// NVIDIA's run-time compiler is not there.
    #[error(
        "kernel `{kernel}` needs NVIDIA's run-time compiler, and it was not found ({tried}); \
         set CUDA_HOME to a CUDA toolkit, or ZMLX_NVRTC to libnvrtc.so.13, or ship the kernel compiled ahead: {ahead}"
    )]
    NoCudaCompiler {
        /// The kernel's name as the caller gave it.
        kernel: String,
        /// Where it was looked for.
        tried: String,
        /// Where a kernel that was compiled ahead was looked for, and for which GPU.
        ahead: String,
    },
    /// The kernel's threadgroup memory does not fit into the GPU's.
    #[error(
        "kernel `{kernel}` declares {bytes} bytes of threadgroup memory, and a threadgroup has at most {limit} \
         on this GPU ({architecture}) and 32768 on Metal; only the CPU has no limit"
    )]
    ThreadgroupMemory {
        /// The kernel's name as the caller gave it.
        kernel: String,
        /// What its variables take.
        bytes: u32,
        /// What there is.
        limit: u32,
        /// The GPU.
        architecture: String,
    },
    /// The compiler could not be run, or ended without saying why.
    #[error("kernel `{kernel}`: the compiler {compiler} failed: {reason}")]
    Compiler {
        /// The kernel's name as the caller gave it.
        kernel: String,
        /// The compiler's path.
        compiler: String,
        /// Its status, or why it did not start.
        reason: String,
    },
    /// The kernel cache could not be read or written.
    #[error("kernel cache: cannot {action} {}: {source}; name another folder in ZMLX_CACHE_DIR", path.display())]
    Cache {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's answer.
        source: Arc<io::Error>,
    },
    /// The compiled library could not be loaded.
    #[error("kernel `{kernel}`: cannot load {}: {reason}", path.display())]
    Load {
        /// The kernel's name as the caller gave it.
        kernel: String,
        /// The library.
        path: PathBuf,
        /// The loader's words.
        reason: String,
    },
}

impl EngineError {
    /// Whether asking again later could end differently: a kernel that does not compile is
    /// remembered, a full disk is not, nor any complaint that names no place in the kernel's text.
    pub(crate) const fn is_passing(&self) -> bool {
        match self {
            Self::Lower { .. } | Self::ThreadgroupMemory { .. } => false,
            Self::Compile(error) => error.location.is_none(),
            _ => true,
        }
    }
}
