//! How an engine is set up.

use std::fmt;
use std::str::FromStr;

use super::schedule::Limits;
use crate::{Dtype, Error, Result};

/// The form of keys and values in the pages of a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PageKind {
    /// Numbers in the model's dtype.
    #[default]
    Floats,
    /// float16: half of float32's memory. Keys and values beyond 65504 become infinite.
    Float16,
    /// 8 bits each, and a scale for 32 of them: a bit more than a quarter of float32's memory.
    Int8,
    /// 4 bits each, and a scale for 32 of them: a sixth of float32's memory.
    Int4,
}

impl PageKind {
    /// Bits of a code, none for floats.
    pub(super) fn bits(self) -> Option<i32> {
        match self {
            PageKind::Floats | PageKind::Float16 => None,
            PageKind::Int8 => Some(8),
            PageKind::Int4 => Some(4),
        }
    }

    /// The dtype of keys and values that are floats, and of scales, in a model of this dtype.
    pub(super) fn floats(self, model: Dtype) -> Dtype {
        match self {
            PageKind::Float16 => Dtype::Float16,
            _ => model,
        }
    }
}

impl fmt::Display for PageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PageKind::Floats => "floats",
            PageKind::Float16 => "float16",
            PageKind::Int8 => "int8",
            PageKind::Int4 => "int4",
        })
    }
}

impl FromStr for PageKind {
    type Err = Error;

    #[track_caller]
    fn from_str(text: &str) -> Result<Self> {
        let all = [
            PageKind::Floats,
            PageKind::Float16,
            PageKind::Int8,
            PageKind::Int4,
        ];
        match all.into_iter().find(|kind| kind.to_string() == text) {
            Some(kind) => Ok(kind),
            None => Err(Error::argument(
                "pages",
                "floats, float16, int8 or int4",
                text,
            )),
        }
    }
}

/// What an [`Engine`](super::Engine) is told at its start; [`Limits`] alone do.
///
/// ```
/// use zmlx::llm::{EngineOptions, Limits, PageKind};
/// let limits = Limits { pages: 64, ..Limits::default() };
/// let options = EngineOptions::from(limits).pages(PageKind::Int8).preallocate(true);
/// assert_eq!((options.limits.pages, options.pages), (64, PageKind::Int8));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineOptions {
    /// How much is done at once.
    pub limits: Limits,
    /// The form of keys and values.
    pub pages: PageKind,
    /// Whether all pages have their memory from the start, in place of growing with the texts.
    pub preallocate: bool,
    /// Whether the next computation is built while one runs. By default where kernels leave a processor to do it (`ZMLX_NUM_THREADS`), and not
    /// on a GPU.
    pub build_ahead: Option<bool>,
}

impl EngineOptions {
    /// Another form of keys and values. Heads have a multiple of 32 numbers then.
    pub fn pages(mut self, pages: PageKind) -> Self {
        self.pages = pages;
        self
    }

    /// Whether all pages have their memory from the start.
    pub fn preallocate(mut self, preallocate: bool) -> Self {
        self.preallocate = preallocate;
        self
    }

    /// Whether the next computation is built while one runs, whatever the number of processors is.
    pub fn build_ahead(mut self, build_ahead: bool) -> Self {
        self.build_ahead = Some(build_ahead);
        self
    }
}

impl From<Limits> for EngineOptions {
    fn from(limits: Limits) -> Self {
        EngineOptions {
            limits,
            ..EngineOptions::default()
        }
    }
}
