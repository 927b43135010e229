//! Kernels with candidates.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;

use crate::metal::{Extent, IntoExtent, TemplateArg};
use crate::{Array, Error, MetalKernel, Result};

use super::cache::Cache;
use super::candidate::{
    Axis, Candidate, Space, check_threadgroup, threadgroups, vector_lengths, words,
};
use super::device::Family;
use super::key::Key;
use super::launch::TunedLaunch;
use super::mode::Mode;
use super::search::Search;
use super::trial::Timer;

/// The template constant that is the threadgroup's width by convention.
const WIDTH: &str = "TG";
/// The template constant that is the number of elements a thread takes at a time.
const VECTOR: &str = "VEC";

/// Describes what a kernel is tuned over; made by [`Autotune::new`], finished by
/// [`build`](Self::build). The first of each list is the default.
///
/// ```no_run
/// use zmlx::autotune::{Autotune, Search};
/// # fn f(kernel: zmlx::MetalKernel, x: zmlx::Array) -> zmlx::Result<()> {
/// let tuned = Autotune::new(&kernel)
///     .threadgroups([256, 64, 1024])
///     .template("UNROLL", [4, 1, 16])
///     .search(Search::Exhaustive)
///     .build()?;
/// let threads = |c: &zmlx::autotune::Candidate| x.size() / c.int("UNROLL") as usize;
/// let tuning = tuned.launch(&[&x]).grid_for(threads).tune()?;
/// println!("{tuning}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing is tuned until `build`"]
pub struct Autotune {
    kernel: MetalKernel,
    config: Config,
}

/// What a description says.
#[derive(Clone)]
pub(super) struct Config {
    threadgroups: Option<Vec<Extent>>,
    axes: Vec<Axis>,
    width: Option<String>,
    pub(super) search: Search,
    pub(super) iterations: usize,
    pub(super) seed: u64,
    pub(super) budget: Duration,
    pub(super) tolerance: Option<f64>,
    pub(super) bandwidth: Option<f64>,
    pub(super) mode: Option<Mode>,
    pub(super) cache: Option<Arc<Cache>>,
    pub(super) timer: Option<Arc<dyn Timer>>,
}

impl Autotune {
    /// Starts with what [`MetalKernel::autotuned`] does.
    pub fn new(kernel: &MetalKernel) -> Self {
        Autotune {
            kernel: kernel.clone(),
            config: Config {
                threadgroups: None,
                axes: Vec::new(),
                width: None,
                search: Search::default(),
                iterations: 21,
                seed: 0,
                budget: Duration::from_secs(2),
                tolerance: None,
                bandwidth: None,
                mode: None,
                cache: None,
                timer: None,
            },
        }
    }

    /// Threadgroups to try: `n`, `(x, y)` or `(x, y, z)` each. Without, the device's usual ones.
    pub fn threadgroups<T: IntoExtent>(mut self, candidates: impl IntoIterator<Item = T>) -> Self {
        let extents = candidates.into_iter().map(IntoExtent::into_extent);
        self.config.threadgroups = Some(extents.collect());
        self
    }

    /// Values of a template constant to try. The launch does not give that constant then.
    pub fn template<V: Into<TemplateArg>>(
        mut self,
        name: &str,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        self.config.axes.push(Axis {
            name: name.to_owned(),
            values: values.into_iter().map(Into::into).collect(),
        });
        self
    }

    /// The template constant that gets the threadgroup's width (x) with every candidate. Without,
    /// `TG` does where the kernel's source has that word and the launch does not give it.
    pub fn width(mut self, name: &str) -> Self {
        self.config.width = Some(name.to_owned());
        self
    }

    /// Which candidates are tried.
    pub fn search(mut self, search: Search) -> Self {
        self.config.search = search;
        self
    }

    /// Rounds in which the best candidates run against the default (default 21, at least 5).
    pub fn iterations(mut self, rounds: usize) -> Self {
        self.config.iterations = rounds.max(5);
        self
    }

    /// The order of candidates within the rounds depends on it.
    pub fn seed(mut self, seed: u64) -> Self {
        self.config.seed = seed;
        self
    }

    /// Time for samples (default 2 s), after which no further candidate is tried; after twice
    /// that the final ends too. Compiling does not count.
    pub fn budget(mut self, time: Duration) -> Self {
        self.config.budget = time;
        self
    }

    /// How far an element may be from the default's, relative to the larger of that element and a
    /// tenth of the root mean square of the output. Default by dtype: float32 1e-4,
    /// float16 4e-3, bfloat16 2e-2. Integers and `bool` are always compared exactly.
    pub fn tolerance(mut self, relative: f64) -> Self {
        self.config.tolerance = Some(relative);
        self
    }

    /// Bytes a second that the device is taken to copy, instead of measuring it. The search ends
    /// at a candidate that moves inputs and outputs at 95% of it.
    pub fn bandwidth(mut self, bytes_per_second: f64) -> Self {
        self.config.bandwidth = Some(bytes_per_second);
        self
    }

    /// When to measure, whatever `ZMLX_AUTOTUNE` says.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.config.mode = Some(mode);
        self
    }

    /// Where results are kept, instead of the user's file.
    pub fn cache(mut self, cache: Arc<Cache>) -> Self {
        self.config.cache = Some(cache);
        self
    }

    /// What measures, instead of the clock. Without [`bandwidth`](Self::bandwidth), no search ends
    /// at the roofline then.
    pub fn timer(mut self, timer: impl Timer + 'static) -> Self {
        self.config.timer = Some(Arc::new(timer));
        self
    }

    /// Checks the description. Nothing is measured yet.
    ///
    /// # Errors
    /// [`Error::Argument`] for an empty list, a threadgroup that Metal does not have, a template
    /// constant that the source does not use or that is there twice, and a kernel whose threads work
    /// together and that neither has the width as `TG` nor a list of threadgroups.
    #[track_caller]
    pub fn build(self) -> Result<Tuned> {
        let Autotune { kernel, config } = self;
        let traits = Traits::of(&kernel, &config);
        let listed = match &config.threadgroups {
            None => None,
            Some(list) if list.is_empty() => {
                return Err(Error::argument("threadgroups", "one at least", "none"));
            }
            Some(list) => {
                let mut checked = Vec::new();
                for &extent in list {
                    let one = check_threadgroup(extent)?;
                    if !checked.contains(&one) {
                        checked.push(one);
                    }
                }
                Some(checked)
            }
        };
        for (i, axis) in config.axes.iter().enumerate() {
            let name = format!("`{}`", axis.name);
            let used = words(kernel.body()).any(|w| w == axis.name);
            if !used {
                return Err(Error::argument(
                    "template",
                    "a constant that the source uses",
                    name,
                ));
            }
            if axis.values.is_empty() {
                return Err(Error::argument(&axis.name, "one value at least", "none"));
            }
            if config.axes[..i].iter().any(|a| a.name == axis.name) {
                return Err(Error::argument("template", "each name once", name));
            }
        }
        if traits.joint && traits.width.is_none() && listed.is_none() {
            return Err(Error::argument(
                "autotuned",
                "a kernel that says which threadgroups it can do (call the threadgroup's width \
                 `TG` in the source, or list them: `Autotune::new(&kernel).threadgroups(..)`)",
                format_args!("`{}`, whose threads work together", kernel.name()),
            ));
        }
        Ok(Tuned {
            inner: Arc::new(Inner {
                marker: marker(&listed, &config.axes, &traits),
                kernel,
                config,
                traits,
                listed,
                hasher: RandomState::new(),
                known: DashMap::new(),
            }),
        })
    }
}

/// What a kernel's text says about its candidates.
struct Traits {
    /// The constant that is the threadgroup's width.
    width: Option<String>,
    /// The source has the word `VEC`, and no values were given.
    vector: bool,
    /// Its threads know of their group.
    joint: bool,
}

impl Traits {
    fn of(kernel: &MetalKernel, config: &Config) -> Self {
        let has = |word: &str| words(kernel.body()).any(|w| w == word);
        let listed = |name: &str| config.axes.iter().any(|a| a.name == name);
        let by_word = || (has(WIDTH) && !listed(WIDTH)).then(|| WIDTH.to_owned());
        let joint = |text: &str| {
            words(text)
                .any(|w| w.contains("threadgroup") || w.contains("simd") || w.contains("quad"))
        };
        Traits {
            width: config.width.clone().or_else(by_word),
            vector: has(VECTOR) && !listed(VECTOR),
            joint: joint(kernel.body()) || joint(kernel.header()),
        }
    }
}

/// A candidate to ask a grid's closure about where it is only to be told from others.
fn marker(listed: &Option<Vec<[i64; 3]>>, axes: &[Axis], traits: &Traits) -> Candidate {
    let first = listed.iter().flatten().next();
    let firsts = axes.iter().map(|a| (a.name.clone(), a.values[0]));
    let vector = traits.vector.then(|| (VECTOR.to_owned(), 1.into()));
    Candidate {
        threadgroup: first.copied().unwrap_or([1, 1, 1]),
        template: firsts.chain(vector).collect(),
    }
}

/// A kernel that finds out how it is best launched; made by [`MetalKernel::autotuned`] or
/// [`Autotune::build`]. Cheap to clone, and may be used from any thread.
#[derive(Clone)]
pub struct Tuned {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) kernel: MetalKernel,
    pub(super) config: Config,
    traits: Traits,
    /// The threadgroups given.
    listed: Option<Vec<[i64; 3]>>,
    pub(super) marker: Candidate,
    hasher: RandomState,
    known: DashMap<u64, Vec<Known>>,
}

/// What was chosen for launches of one key.
struct Known {
    key: Key,
    generation: u64,
    candidate: Arc<Candidate>,
}

impl Tuned {
    /// Starts a launch on these inputs. Its first `run` for their shapes and dtypes **evaluates**
    /// them.
    pub fn launch<'a, A: AsRef<Array>>(&'a self, inputs: &'a [A]) -> TunedLaunch<'a> {
        TunedLaunch::new(self, inputs.iter().map(AsRef::as_ref).collect())
    }

    /// The kernel as it was given.
    pub fn kernel(&self) -> &MetalKernel {
        &self.inner.kernel
    }
}

impl std::fmt::Debug for Tuned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tuned")
            .field("kernel", &self.inner.kernel.name())
            .field("known", &self.inner.known.len())
            .finish_non_exhaustive()
    }
}

impl Inner {
    pub(super) fn cache(&self) -> &Arc<Cache> {
        let own = self.config.cache.as_ref();
        own.unwrap_or_else(|| super::cache::global())
    }

    /// The constant that gets the threadgroup's width, unless the launch gives it.
    pub(super) fn width(&self, given: &[(String, TemplateArg)]) -> Option<&str> {
        let name = self.traits.width.as_deref()?;
        given.iter().all(|(n, _)| n != name).then_some(name)
    }

    /// The candidates of a launch with these constants and a grid of so many dimensions.
    pub(super) fn space(
        &self,
        family: Family,
        given: &[(String, TemplateArg)],
        dimensions: usize,
    ) -> Space {
        let value = |name: &str| given.iter().find(|(n, _)| n == name).map(|(_, v)| v);
        let mut axes = self.config.axes.clone();
        if self.traits.vector {
            axes.push(Axis {
                name: VECTOR.to_owned(),
                values: vector_lengths(family),
            });
        }
        axes.retain(|axis| value(&axis.name).is_none());
        let fixed = self.traits.width.as_deref().and_then(value);
        let threadgroups = match (fixed, &self.listed) {
            (Some(&TemplateArg::Int(n)), _) => vec![[n.into(), 1, 1]],
            (_, Some(listed)) => listed.clone(),
            (_, None) => threadgroups(family, dimensions, self.traits.width.is_some()),
        };
        Space { threadgroups, axes }
    }

    pub(super) fn hash(&self, launch: &TunedLaunch<'_>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        launch.hash(&mut hasher);
        hasher.finish()
    }

    /// What was chosen for a launch like this one.
    pub(super) fn recall(&self, hash: u64, launch: &TunedLaunch<'_>) -> Option<Arc<Candidate>> {
        let generation = self.cache().generation();
        let list = self.known.get(&hash)?;
        let mut valid = list.iter().filter(|k| k.generation == generation);
        let found = valid.find(|k| launch.is(&k.key))?;
        Some(Arc::clone(&found.candidate))
    }

    pub(super) fn remember(&self, hash: u64, key: Key, candidate: &Arc<Candidate>) {
        let mut list = self.known.entry(hash).or_default();
        list.retain(|k| k.key != key);
        list.push(Known {
            key,
            generation: self.cache().generation(),
            candidate: Arc::clone(candidate),
        });
    }
}
