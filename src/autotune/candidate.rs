//! What a launch may be tuned to: threadgroups and template constants.

use std::fmt;

use crate::metal::{Extent, TemplateArg};
use crate::{Error, Result};

use super::device::Family;

/// One way to launch a kernel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Candidate {
    pub(super) threadgroup: [i64; 3],
    pub(super) template: Vec<(String, TemplateArg)>,
}

impl Candidate {
    /// Threads of a threadgroup along x, y and z.
    pub fn threadgroup(&self) -> [i64; 3] {
        self.threadgroup
    }

    /// The template constants that were tuned, in the order they were given.
    pub fn template(&self) -> &[(String, TemplateArg)] {
        &self.template
    }

    /// A tuned template constant that is an integer. Zero where there is none of that name, which
    /// no grid may be: a typing error shows as an error of the launch.
    pub fn int(&self, name: &str) -> i32 {
        let found = self.template.iter().find(|(n, _)| n == name);
        match found {
            Some((_, TemplateArg::Int(n))) => *n,
            _ => 0,
        }
    }

    /// Whether both say the same; the order of the constants does not count.
    pub(super) fn same(&self, other: &Candidate) -> bool {
        self.threadgroup == other.threadgroup
            && self.template.len() == other.template.len()
            && self.template.iter().all(|t| other.template.contains(t))
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = match self.threadgroup {
            [x, 1, 1] => x.to_string(),
            [x, y, 1] => format!("{x}x{y}"),
            [x, y, z] => format!("{x}x{y}x{z}"),
        };
        for (name, value) in &self.template {
            text += &format!(" {name}={}", value_text(value));
        }
        f.pad(&text)
    }
}

pub(super) fn value_text(value: &TemplateArg) -> String {
    match value {
        TemplateArg::Int(n) => n.to_string(),
        TemplateArg::TooLarge(n) => n.to_string(),
        TemplateArg::Bool(b) => b.to_string(),
        TemplateArg::Dtype(d) => d.name().to_owned(),
    }
}

/// A template constant and its values, the default first.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub(super) name: String,
    pub(super) values: Vec<TemplateArg>,
}

/// All candidates of a launch: a threadgroup and a value of each axis.
#[derive(Clone, Debug)]
pub(super) struct Space {
    pub(super) threadgroups: Vec<[i64; 3]>,
    pub(super) axes: Vec<Axis>,
}

impl Space {
    /// How many values each coordinate has: the threadgroup, then the axes.
    pub(super) fn sizes(&self) -> Vec<usize> {
        let axes = self.axes.iter().map(|a| a.values.len());
        std::iter::once(self.threadgroups.len())
            .chain(axes)
            .collect()
    }

    pub(super) fn len(&self) -> usize {
        self.sizes().iter().product()
    }

    /// The candidate with these coordinates.
    pub(super) fn at(&self, point: &[usize]) -> Candidate {
        let constants = self.axes.iter().zip(&point[1..]);
        Candidate {
            threadgroup: self.threadgroups[point[0]],
            template: constants
                .map(|(axis, &i)| (axis.name.clone(), axis.values[i]))
                .collect(),
        }
    }

    /// What is used where nothing was measured: the first of everything.
    pub(super) fn default(&self) -> Candidate {
        self.at(&vec![0; 1 + self.axes.len()])
    }

    /// Coordinates of all candidates, the default first.
    pub(super) fn points(&self) -> Vec<Vec<usize>> {
        let mut points = vec![Vec::new()];
        for size in self.sizes() {
            points = points
                .iter()
                .flat_map(|p| (0..size).map(move |i| [p.as_slice(), &[i]].concat()))
                .collect();
        }
        points
    }

    /// The candidate of this space that says the same, if there is one.
    pub(super) fn find(&self, wanted: &Candidate) -> Option<Candidate> {
        let threadgroup = self
            .threadgroups
            .iter()
            .position(|&t| t == wanted.threadgroup)?;
        let mut point = vec![threadgroup];
        for axis in &self.axes {
            let (_, value) = wanted.template.iter().find(|(n, _)| *n == axis.name)?;
            point.push(axis.values.iter().position(|v| v == value)?);
        }
        Some(self.at(&point)).filter(|found| found.same(wanted))
    }

    /// The space in words: part of the key of a result, because another list of candidates may
    /// have another best.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{:?}", self.threadgroups);
        for axis in &self.axes {
            let values: Vec<_> = axis.values.iter().map(value_text).collect();
            text += &format!(" {}={}", axis.name, values.join("|"));
        }
        text
    }
}

/// The candidate's threadgroup as Metal limits it.
#[track_caller]
pub(super) fn check_threadgroup(Extent(t): Extent) -> Result<[i64; 3]> {
    let fits = t.iter().all(|n| (1..=1024).contains(n));
    if !fits || t.iter().product::<i64>() > 1024 {
        return Err(Error::argument(
            "threadgroups",
            "sizes from 1 on with a product of at most 1024",
            format_args!("{t:?}"),
        ));
    }
    Ok(t)
}

/// Threadgroups to try where none were given, for a grid of so many dimensions, likely ones first.
///
/// On a CPU the threads of a group are one loop. A kernel whose threads work together (`joint`)
/// is best without company there: a threadgroup of one has no barriers.
pub(super) fn threadgroups(family: Family, dimensions: usize, joint: bool) -> Vec<[i64; 3]> {
    const LINE: fn(&[i64]) -> Vec<[i64; 3]> = |xs| xs.iter().map(|&x| [x, 1, 1]).collect();
    match (family, dimensions, joint) {
        (Family::Cpu, _, true) => LINE(&[1, 32]),
        (_, _, true) => LINE(&[256, 128, 512, 64, 1024, 32]),
        (Family::Cpu, 0 | 1, _) => LINE(&[256, 1024, 64]),
        (_, 0 | 1, _) => LINE(&[256, 512, 128, 1024, 64, 32]),
        (_, 2, _) => vec![
            [256, 1, 1],
            [64, 4, 1],
            [32, 8, 1],
            [16, 16, 1],
            [1024, 1, 1],
        ],
        _ => vec![[256, 1, 1], [64, 4, 1], [32, 4, 2], [8, 8, 4], [16, 16, 1]],
    }
}

/// Values to try for `VEC`, the elements that a thread takes at a time.
pub(super) fn vector_lengths(family: Family) -> Vec<TemplateArg> {
    let values: &[i32] = match family {
        Family::Cpu => &[64, 16, 4],
        Family::Metal | Family::Cuda => &[4, 8, 2, 1],
    };
    values.iter().map(|&v| v.into()).collect()
}

/// The words of a text: identifiers and keywords.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|w| w.starts_with(|c: char| !c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space() -> Space {
        Space {
            threadgroups: vec![[1, 1, 1], [8, 4, 2]],
            axes: vec![Axis {
                name: "VEC".into(),
                values: vec![64.into(), 1.into(), 4.into()],
            }],
        }
    }

    #[test]
    fn all_points_are_there_once_and_the_default_is_first() {
        let space = space();
        let points = space.points();
        assert_eq!(points.len(), space.len());
        assert_eq!(space.at(&points[0]), space.default());
        let texts: std::collections::HashSet<_> =
            points.iter().map(|p| space.at(p).to_string()).collect();
        assert_eq!(texts.len(), 6);
        assert!(texts.contains("8x4x2 VEC=4"));
    }

    #[test]
    fn only_members_are_found() {
        let space = space();
        let mut c = space.at(&[1, 2]);
        assert_eq!(space.find(&c), Some(c.clone()));
        c.threadgroup = [7, 1, 1];
        assert_eq!(space.find(&c), None);
        c = space.default();
        c.template.push(("MORE".into(), 1.into()));
        assert_eq!(space.find(&c), None);
    }

    #[test]
    fn words_are_whole() {
        let found: Vec<_> = words("row<T, TG>(x_1, 2u) + ATG;").collect();
        assert_eq!(found, ["row", "T", "TG", "x_1", "ATG"]);
    }

    #[test]
    fn every_default_is_a_legal_threadgroup() {
        for family in [Family::Cpu, Family::Metal, Family::Cuda] {
            for dimensions in 0..4 {
                for joint in [false, true] {
                    for t in threadgroups(family, dimensions, joint) {
                        assert!(check_threadgroup(Extent(t)).is_ok(), "{t:?}");
                    }
                }
            }
        }
    }
}
