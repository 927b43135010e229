//! What all optimizers have in common: parameters by name, groups, schedules, state.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use super::flat::Flats;
use super::num::Num;
use super::rule::{Item, Rule, Step};
use super::schedule::{Schedule, constant};
use crate::error::Here;
use crate::nn::{Counter, Module, ModuleExt, Tree, Visit, VisitMut};
use crate::{Array, ArrayMap, Error, Result, io};

/// An optimizer: a rule, a rate with a schedule, and what the rule keeps for each parameter. [`AdamW`](super::AdamW) and the other
/// names are this with a rule.
///
/// It is a module of what it keeps, none of it trained, so that [`eval_all`](crate::nn::eval_all) and
/// [`nn::compile`](crate::nn::compile()) take it with the model.
#[derive(Clone)]
pub struct Optimizer<R> {
    pub(super) rule: R,
    pub(super) rate: f64,
    schedule: Schedule,
    groups: Vec<Group<R>>,
    counter: Counter,
    kept: BTreeMap<String, Kept>,
    /// By the number of the group.
    flats: BTreeMap<usize, Flats>,
}

/// Settings of their own for some parameters.
#[derive(Clone)]
struct Group<R> {
    chosen: Rc<dyn Fn(&str) -> bool>,
    rule: R,
    rate: f64,
    schedule: Schedule,
}

/// What is kept for one parameter.
#[derive(Clone)]
struct Kept {
    slots: &'static [&'static str],
    arrays: Vec<Array>,
}

/// The name under which the number of steps stands in a state.
const STEP: &str = "step";

impl<R: Rule> Optimizer<R> {
    pub(super) fn of(rule: R, rate: f64) -> Self {
        Optimizer {
            rule,
            rate,
            schedule: constant(),
            groups: Vec::new(),
            counter: Counter::default(),
            kept: BTreeMap::new(),
            flats: BTreeMap::new(),
        }
    }

    /// Another rate.
    ///
    /// ```
    /// use zmlx::optim;
    /// let optimizer = optim::Sgd::new(0.1).rate(0.5).schedule(optim::linear(10));
    /// assert_eq!(optimizer.current_rate(), 0.5);
    /// ```
    pub fn rate(mut self, rate: f64) -> Self {
        self.rate = rate;
        self
    }

    /// Has the rate change from step to step.
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// Other settings for the parameters whose names `chosen` accepts: `change` gets the optimizer as it is set up so far, and what it
    /// changes of rule, rate and schedule counts for them. The first group that accepts a name has it.
    pub fn group(
        mut self,
        chosen: impl Fn(&str) -> bool + 'static,
        change: impl FnOnce(Self) -> Self,
    ) -> Self {
        let base = Optimizer::of(self.rule.clone(), self.rate);
        let own = change(base.schedule(self.schedule.clone()));
        self.groups.push(Group {
            chosen: Rc::new(chosen),
            rule: own.rule,
            rate: own.rate,
            schedule: own.schedule,
        });
        self
    }

    /// How many steps were done.
    pub fn step(&self) -> u64 {
        self.counter.count
    }

    /// The rate of the next step, by the schedule; groups may have others.
    pub fn current_rate(&self) -> f64 {
        self.rate * self.schedule.factor(self.counter.count)
    }

    /// Makes what is kept for each trained parameter of a module, where it is not there yet. [`update`](Self::update) does so itself;
    /// a compiled step needs it before.
    ///
    /// ```
    /// use zmlx::{nn, optim};
    /// let model = nn::Linear::new(4, 2, &mut nn::Init::seed(7))?;
    /// let mut optimizer = optim::AdamW::new(1e-3);
    /// optimizer.prepare(&model)?;
    /// assert_eq!(optimizer.state()?.get("weight.m")?.shape(), [2, 4]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// What making arrays fails with.
    #[track_caller]
    pub fn prepare(&mut self, model: &impl Module) -> Result<()> {
        for (name, value) in &model.trained() {
            if !self.kept.contains_key(name) {
                let kept = self.started(name, value)?;
                self.kept.insert(name.clone(), kept);
            }
        }
        Ok(())
    }

    #[track_caller]
    fn started(&self, name: &str, value: &Array) -> Result<Kept> {
        let rule = self.rule_of(name);
        Ok(Kept {
            slots: rule.slots(name, value),
            arrays: rule.start(name, value)?,
        })
    }

    fn group_of(&self, name: &str) -> Option<usize> {
        self.groups.iter().position(|g| (g.chosen)(name))
    }

    fn rule_of(&self, name: &str) -> &R {
        self.group_of(name)
            .map_or(&self.rule, |i| &self.groups[i].rule)
    }

    /// One step: changes the parameters that `grads` names.
    ///
    /// Parameters keep their dtype; all is computed in float32.
    ///
    /// # Errors
    /// [`Error::Argument`] for names that the module does not train and gradients of another shape; all are listed. Nothing is changed
    /// then.
    #[track_caller]
    pub fn update(&mut self, model: &mut (impl Module + ?Sized), grads: Tree) -> Result<()> {
        let values = model.trained();
        check(&values, &grads)?;
        let before = match &self.counter.traced {
            Some(count) => Num::Lazy(count.clone()).plus((self.counter.in_trace) as f64)?,
            None => Num::Known(self.counter.count as f64),
        };
        let mut fresh = BTreeMap::new();
        for (name, _) in &grads {
            if !self.kept.contains_key(name) {
                fresh.insert(name.clone(), self.started(name, values.get(name)?)?);
            }
        }
        let mut new = Tree::new();
        let mut kept: Vec<(&str, Vec<Array>)> = Vec::new();
        // The optimizer's own settings come behind those of its groups.
        for group in 0..=self.groups.len() {
            let own = self.groups.get(group);
            let (rule, rate, schedule) = match own {
                Some(g) => (&g.rule, g.rate, &g.schedule),
                None => (&self.rule, self.rate, &self.schedule),
            };
            let mut items = Vec::new();
            for (name, grad) in &grads {
                if self.group_of(name).unwrap_or(self.groups.len()) == group {
                    let there = self.kept.get(name).or_else(|| fresh.get(name));
                    items.push((
                        name.as_str(),
                        Item {
                            value: values.get(name)?,
                            grad,
                            kept: there.map_or(&[], |k| &k.arrays),
                        },
                    ));
                }
            }
            if items.is_empty() {
                continue;
            }
            if !(rate as f32).is_finite() {
                return Err(Error::argument("rate", "a finite number", rate));
            }
            let step = Step {
                number: before.plus(1.0)?,
                rate: schedule.at(&before)?.times(rate)?,
            };
            let flats = self.flats.entry(group).or_default();
            let changed = rule.change_all(&items, &step, flats).here()?;
            for ((name, _), (value, arrays)) in items.iter().zip(changed) {
                new.insert((*name).to_owned(), value);
                kept.push((name, arrays));
            }
        }
        for (name, arrays) in kept {
            if let Some(old) = self.kept.get_mut(name).or_else(|| fresh.get_mut(name)) {
                old.arrays = arrays;
            }
        }
        self.kept.append(&mut fresh);
        self.counter.advance();
        model.set(&new)
    }

    /// What it keeps, by the names of the parameters, and the number of steps as `step`.
    ///
    /// # Errors
    /// What making the number an array fails with.
    #[track_caller]
    pub fn state(&self) -> Result<Tree> {
        let mut state = self.parameters();
        state.insert(STEP.into(), Array::scalar(self.counter.count)?);
        Ok(state)
    }

    /// Goes on from a state, for a module of the same parameters. **Evaluates** the number of steps.
    ///
    /// # Errors
    /// [`Error::Argument`] with every name that is missing, has another shape or is none of the state's; nothing is changed then.
    #[track_caller]
    pub fn load_state(&mut self, model: &impl Module, state: &Tree) -> Result<()> {
        let mut state = state.clone();
        let Some(step) = state.remove(STEP) else {
            return Err(Error::argument("state", "one with `step`", "one without"));
        };
        let mut fresh = self.clone();
        fresh.kept.clear();
        fresh.flats.clear();
        fresh.prepare(model)?;
        fresh.load_arrays(&state)?;
        let count = step.astype(crate::Dtype::Float32)?.item::<f32>()?;
        if !(count >= 0.0 && count.fract() == 0.0) {
            return Err(Error::argument("step", "a whole number from 0 on", count));
        }
        fresh.counter.count = step.astype(crate::Dtype::Uint64)?.item::<u64>()?;
        *self = fresh;
        Ok(())
    }

    /// [`state`](Self::state) as a safetensors file. **Evaluates** it.
    ///
    /// ```
    /// use zmlx::{nn, optim};
    /// # let folder = tempfile::tempdir().map_err(zmlx::Error::other)?;
    /// # let path = folder.path().join("optimizer.safetensors");
    /// let model = nn::Linear::new(4, 2, &mut nn::Init::seed(7))?;
    /// let mut optimizer = optim::AdamW::new(1e-3);
    /// optimizer.prepare(&model)?;
    /// optimizer.save_state(&path)?;
    /// let mut resumed = optim::AdamW::new(1e-3);
    /// resumed.load_state_from(&model, &path)?;
    /// assert!(resumed.state()?.contains_key("weight.v"));
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Io`] for a file that cannot be written.
    #[track_caller]
    pub fn save_state(&self, path: impl AsRef<Path>) -> Result<()> {
        io::save_safetensors(path, &ArrayMap::from(self.state()?))
    }

    /// [`load_state`](Self::load_state) of such a file.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that cannot be read; as [`load_state`](Self::load_state).
    #[track_caller]
    pub fn load_state_from(&mut self, model: &impl Module, path: impl AsRef<Path>) -> Result<()> {
        self.load_state(model, &Tree::from(io::load_safetensors(path)?))
    }
}

#[track_caller]
fn check(values: &Tree, grads: &Tree) -> Result<()> {
    let mut wrong = Vec::new();
    for (name, grad) in grads {
        match values.get(name) {
            Err(_) => wrong.push(format!("`{name}`, which the module does not train")),
            Ok(value) if value.shape() != grad.shape() => {
                let (want, got) = (value.shape(), grad.shape());
                wrong.push(format!("`{name}` of shape {got:?} in place of {want:?}"));
            }
            Ok(_) => {}
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => {
            let expected = "gradients of trained parameters";
            Err(Error::argument("grads", expected, wrong.join(", ")))
        }
    }
}

impl<R: Rule> Module for Optimizer<R> {
    fn visit<'a>(&'a self, to: &mut Visit<'a, '_>) {
        for (name, kept) in &self.kept {
            to.field(name, kept);
        }
    }

    fn visit_mut(&mut self, to: &mut VisitMut<'_>) {
        to.field(STEP, &mut self.counter);
        for (name, kept) in &mut self.kept {
            to.field(name, kept);
        }
    }
}

impl Module for Kept {
    fn visit<'a>(&'a self, to: &mut Visit<'a, '_>) {
        for (slot, array) in self.slots.iter().zip(&self.arrays) {
            to.buffer(slot, array);
        }
    }

    fn visit_mut(&mut self, to: &mut VisitMut<'_>) {
        for (slot, array) in self.slots.iter().zip(&mut self.arrays) {
            to.buffer(slot, array);
        }
    }
}
