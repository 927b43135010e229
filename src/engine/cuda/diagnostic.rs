//! Finds, in what the run-time compiler said, the first error and the user's line it belongs to.
//!
//! It writes `file(line): error: words`, then the line and a caret. An error inside a runtime
//! header is shown where the user's text led there: `at line N of file`.

use crate::engine::{
    error::{Location, Region},
    msl::Lowered,
};

/// The first error's words, and its place.
pub fn first(output: &str, lowered: &Lowered) -> Option<(String, Option<Location>)> {
    let lines: Vec<&str> = output.lines().collect();
    let (at, message) = lines.iter().enumerate().find_map(|(at, line)| {
        let start = line.find("error")?;
        let (_, words) = line[start..].split_once(": ")?;
        Some((at, words.trim().to_owned()))
    })?;
    let locate = |file: &str, line: usize, column: usize| {
        lowered.map.locate(&lowered.text, file, line, column)
    };
    let own = entry(lines[at]).and_then(|(file, line)| {
        // The caret's line follows the text, both indented by two.
        let caret = lines[at + 1..]
            .iter()
            .take(3)
            .find(|l| l.trim() == "^")
            .map_or(1, |l| l.len().saturating_sub(2).max(1));
        locate(file, line, caret)
    });
    let place = own.or_else(|| {
        let after = lines[at + 1..].iter().take_while(|l| entry(l).is_none());
        after.into_iter().find_map(|l| {
            let (_, place) = l.rsplit_once("at line ")?;
            let (line, file) = place.split_once(" of ")?;
            locate(file.trim(), line.trim().parse().ok()?, 1)
        })
    });
    Some((message, place))
}

/// The file and line at the start of a message about one of the user's texts or a header.
fn entry(line: &str) -> Option<(&str, usize)> {
    const REGIONS: [Region; 3] = [Region::Header, Region::Signature, Region::Source];
    let (file, rest) = line.split_once('(')?;
    let (number, rest) = rest.split_once(')')?;
    let user = REGIONS.iter().any(|r| r.file() == file);
    (rest.starts_with(':') && (user || file.ends_with(".h")))
        .then_some((file, number.parse().ok()?))
}
