//! One call of a tuned kernel.

use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::metal::{Extent, IntoExtent, Launch, Options, TemplateArg, options};
use crate::stream::current;
use crate::transforms::rules::traced;
use crate::{Array, Dtype, Error, IntoShape, MetalKernel, Result};

use super::cache::Cache;
use super::candidate::{Candidate, Space};
use super::device::{Profile, profile};
use super::file::Entry;
use super::key::Grid;
use super::mode::Mode;
use super::search::{Plan, search};
use super::trial::Trial;
use super::tuned::{Config, Inner, Tuned};
use super::tuning::Tuning;

/// A launch of a [`Tuned`] kernel under description: as [`Launch`], but for the threadgroup, which
/// is what is chosen.
#[must_use = "a launch does nothing until `run`"]
pub struct TunedLaunch<'a> {
    pub(super) tuned: &'a Inner,
    pub(super) inputs: Vec<&'a Array>,
    pub(super) template: Vec<(String, TemplateArg)>,
    pub(super) outputs: Vec<(Vec<i32>, Dtype)>,
    pub(super) grid: Grid<'a>,
    pub(super) options: Options,
    /// The first thing that was wrong in the description.
    failure: Option<Error>,
}

thread_local! {
    /// A search is under way on this thread: launches inside a timer are not tuned.
    static SEARCHING: Cell<bool> = const { Cell::new(false) };
}

/// One search at a time, so that they do not disturb each other.
static SEARCH: Mutex<()> = Mutex::new(());

impl<'a> TunedLaunch<'a> {
    pub(super) fn new(tuned: &'a Tuned, inputs: Vec<&'a Array>) -> Self {
        TunedLaunch {
            tuned: &tuned.inner,
            inputs,
            template: Vec::new(),
            outputs: Vec::new(),
            grid: Grid::Elements,
            options: Options::default(),
            failure: None,
        }
    }

    /// A template argument, as [`Launch::template`]. A constant that has candidates keeps this value
    /// instead; a width given as `TG` keeps the threadgroup.
    pub fn template(mut self, name: &str, value: impl Into<TemplateArg>) -> Self {
        self.template.push((name.to_owned(), value.into()));
        self
    }

    /// Shape and dtype of the next output, as [`Launch::output`].
    #[track_caller]
    pub fn output(mut self, shape: impl IntoShape, dtype: Dtype) -> Self {
        match shape.into_shape() {
            Ok(shape) => self.outputs.push((shape, dtype)),
            Err(e) => self.failure = self.failure.or(Some(e)),
        }
        self
    }

    /// How many threads run, whatever the threadgroup. Default: one for each element of the first
    /// output.
    pub fn grid(mut self, grid: impl IntoExtent) -> Self {
        self.grid = Grid::Threads(grid.into_extent());
        self
    }

    /// How many threadgroups run, for instance one for each row: the grid is that times the
    /// threadgroup.
    pub fn groups(mut self, groups: impl IntoExtent) -> Self {
        self.grid = Grid::Groups(groups.into_extent());
        self
    }

    /// How many threads run, by candidate. The closure must give the same for the same
    /// candidate.
    pub fn grid_for<G: IntoExtent>(mut self, grid: impl Fn(&Candidate) -> G + 'a) -> Self {
        self.grid = Grid::By(Box::new(move |c| grid(c).into_extent()));
        self
    }

    options!();

    /// Adds the launch to the graph with the best candidate and gives its outputs.
    ///
    /// Where no result is known for these shapes and dtypes, on this device, it measures first:
    /// that **evaluates** the inputs, and compiles and runs candidates. Inside transforms and exports
    /// nothing is measured; the default runs unless a result is known.
    ///
    /// # Errors
    /// As [`Launch::run`]. What is wrong with a candidate only rejects it; what is wrong with
    /// the default is the error here.
    #[track_caller]
    pub fn run<const N: usize>(mut self) -> Result<[Array; N]> {
        let choice = self.decide()?;
        self.asked(&choice).run()
    }

    /// As [`run`](Self::run), with however many outputs.
    ///
    /// # Errors
    /// As there.
    #[track_caller]
    pub fn run_vec(mut self) -> Result<Vec<Array>> {
        let choice = self.decide()?;
        self.asked(&choice).run_vec()
    }

    /// What [`run`](Self::run) would launch; measures like it.
    ///
    /// # Errors
    /// As there.
    #[track_caller]
    pub fn choice(mut self) -> Result<Candidate> {
        self.decide().map(|choice| (*choice).clone())
    }

    /// Measures now, whatever is known and whatever `ZMLX_AUTOTUNE` says, and keeps the result.
    /// **Evaluates** the inputs.
    ///
    /// # Errors
    /// As [`run`](Self::run), and [`Error::Argument`] inside of a transform.
    #[track_caller]
    pub fn tune(mut self) -> Result<Tuning> {
        self.failure.take().map_or(Ok(()), Err)?;
        if !self.measurable() {
            return Err(Error::argument(
                "tune",
                "a launch with something to write, not checked, outside of transforms and exports",
                format_args!("one of `{}`", self.tuned.kernel.name()),
            ));
        }
        let profile = profile(current())?;
        let space = self.space(&profile);
        let _lock = SEARCH.lock().unwrap_or_else(PoisonError::into_inner);
        self.search(&profile, &space)
    }

    #[track_caller]
    fn decide(&mut self) -> Result<Arc<Candidate>> {
        self.failure.take().map_or(Ok(()), Err)?;
        let hash = self.tuned.hash(self);
        if let Some(known) = self.tuned.recall(hash, self) {
            if self.options.verbose {
                println!("// kernel `{}`: {known}", self.tuned.kernel.name());
            }
            return Ok(known);
        }
        let profile = profile(current())?;
        let space = self.space(&profile);
        let default = Arc::new(space.default());
        let mode = self.tuned.config.mode.unwrap_or_else(Mode::from_env);
        let keep = |choice: Candidate| {
            let choice = Arc::new(choice);
            self.tuned.remember(hash, self.key(), &choice);
            Ok(choice)
        };
        if mode == Mode::Off || space.len() == 1 {
            return keep((*default).clone());
        }
        let find = || {
            let found = self.cache().find(&profile.key, &self.text(&space));
            // The file may be anyone's: what is no candidate of this kernel is not used.
            found.and_then(|c| space.find(&c))
        };
        let known = || find().filter(|_| mode != Mode::Force);
        if let Some(choice) = known() {
            return keep(choice);
        }
        if mode == Mode::Cached || !self.measurable() {
            // Not kept: the next launch may find more.
            return Ok(find().map_or(default, Arc::new));
        }
        let _lock = SEARCH.lock().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have been faster.
        if let Some(choice) = known() {
            return keep(choice);
        }
        let tuning = self.search(&profile, &space)?;
        if self.options.verbose {
            println!("// kernel `{}`\n{tuning}", self.tuned.kernel.name());
        }
        keep(tuning.best)
    }

    /// Whether this launch can run now, and times would mean something.
    fn measurable(&self) -> bool {
        let traced = traced(&self.inputs);
        let checked = self.tuned.kernel.checked_report().is_some();
        let empty = self.outputs.iter().any(|(shape, _)| shape.contains(&0))
            || self.outputs.is_empty() && self.inputs.first().is_some_and(|a| a.size() == 0);
        let here = !SEARCHING.get() && !crate::transforms::exporting();
        here && !traced && !checked && !empty
    }

    /// Measures the candidates and keeps the result.
    #[track_caller]
    fn search(&self, profile: &Profile, space: &Space) -> Result<Tuning> {
        struct Done;
        impl Drop for Done {
            fn drop(&mut self) {
                SEARCHING.set(false);
            }
        }
        SEARCHING.set(true);
        let _done = Done;
        let start = Instant::now();
        crate::eval(&self.inputs)?;
        // What is wrong with the default is an error of the caller's line.
        let default = space.default();
        let kernel = self.tuned.kernel.for_trials();
        crate::eval(self.assemble(&kernel, &default).run_vec()?)?;
        let config = self.config();
        let plan = Plan {
            search: config.search,
            iterations: config.iterations,
            seed: config.seed,
            budget: config.budget.as_secs_f64(),
        };
        let mut trial = Trial {
            launch: self,
            profile,
            kernel,
            reference: None,
            once: 0.0,
            launches: 1,
        };
        let found = search(space, plan, &mut trial)?;
        let bytes = trial.bytes();
        let tuning = Tuning {
            best: found.best,
            default,
            timings: found.timings,
            rejected: found.rejected,
            candidates: space.len(),
            stop: found.stop,
            bytes,
            elapsed: start.elapsed(),
        };
        let entry = Entry {
            candidate: tuning.best.clone(),
            seconds: tuning.time_of(&tuning.best),
            default_seconds: tuning.time_of(&tuning.default),
        };
        self.cache().put(&profile.key, self.text(space), entry);
        let best = Arc::new(tuning.best.clone());
        self.tuned
            .remember(self.tuned.hash(self), self.key(), &best);
        Ok(tuning)
    }

    /// The launch of this candidate.
    pub(super) fn assemble<'b>(
        &'b self,
        kernel: &'b MetalKernel,
        candidate: &'b Candidate,
    ) -> Launch<'b> {
        let mut launch = kernel.launch(&self.inputs);
        for (name, value) in self.template.iter().chain(&candidate.template) {
            launch = launch.template(name, *value);
        }
        if let Some(name) = self.tuned.width(&self.template) {
            // At most 1024.
            launch = launch.template(name, candidate.threadgroup[0] as i32);
        }
        for (shape, dtype) in &self.outputs {
            launch = launch.output(&shape[..], *dtype);
        }
        if let Some(grid) = self.grid_of(candidate) {
            launch = launch.grid(Extent(grid));
        }
        let filled = Options {
            init_value: self.options.init_value,
            ..Options::default()
        };
        launch
            .threadgroup(Extent(candidate.threadgroup))
            .with(filled)
    }

    /// The launch that was asked for, of this candidate.
    fn asked<'b>(&'b self, candidate: &'b Candidate) -> Launch<'b> {
        self.assemble(&self.tuned.kernel, candidate)
            .with(self.options)
    }

    /// Whether the kernel is compiled for each threadgroup's width.
    pub(super) fn has_width(&self) -> bool {
        self.tuned.width(&self.template).is_some()
    }

    pub(super) fn config(&self) -> &Config {
        &self.tuned.config
    }

    pub(super) fn cache(&self) -> &Arc<Cache> {
        self.tuned.cache()
    }

    fn space(&self, profile: &Profile) -> Space {
        let dimensions = match self.grid_key() {
            (_, [_, 1, 1]) => 1,
            (_, [_, _, 1]) => 2,
            _ => 3,
        };
        self.tuned.space(profile.family, &self.template, dimensions)
    }
}
