//! Lists whose elements say where they go: `{ [0 ... 3] = x }`, `{ [2] = a, b }`. C++ has none.
//!
//! Where all places are literals the list is written out. Where they are constants of the program, what is
//! declared is zero first, and filled behind its declaration.

use std::fmt::Write as _;

use super::{
    edits::Edits,
    lexer::Kind,
    source::{Source, Stream},
};

/// Elements that a list may have when written out.
const LONGEST: usize = 4096;

/// An element: its place, first and last, if it says so, and its value.
struct Element {
    place: Option<[(usize, usize); 2]>,
    value: (usize, usize),
}

/// Rewrites the lists of one stream. All other passes have been over it: what they made of a value is copied.
pub fn rewrite(source: &Source<'_>, stream: Stream<'_>, edits: &mut Edits) {
    if !(0..stream.len()).any(|at| designates(stream, at).is_some()) {
        return;
    }
    // Inner lists first, as outer ones copy them.
    for open in (0..stream.len()).rev().filter(|&at| stream.str(at) == "{") {
        let Some((close, elements)) = elements(stream, open) else {
            continue;
        };
        if elements.iter().all(|e| e.place.is_none()) {
            continue;
        }
        if let Some(list) = written_out(source, stream, &elements, edits) {
            clear(stream, open, close, edits);
            edits.insert_after(stream.tokens[open], &list);
        } else if let Some((start, end, text)) = filled(source, stream, open, edits) {
            clear(stream, open, close, edits);
            // What is filled afterwards can be no constant.
            (start..open)
                .filter(|&at| stream.str(at) == "const")
                .for_each(|at| edits.blank(stream.tokens[at]));
            edits.insert_after(stream.tokens[end], &text);
        }
    }
}

/// The brackets of a designator at `at`: its two ends.
fn designates(stream: Stream<'_>, at: usize) -> Option<usize> {
    if stream.str(at) != "[" || !matches!(stream.before(at), "{" | ",") || stream.str(at + 1) == "["
    {
        return None;
    }
    stream
        .close(at)
        .filter(|&close| close > at + 1 && stream.str(close + 1) == "=")
}

/// The elements of the list that opens at `open`, and where it closes.
fn elements(stream: Stream<'_>, open: usize) -> Option<(usize, Vec<Element>)> {
    let close = stream.close(open)?;
    let mut elements = Vec::new();
    let mut from = open + 1;
    let mut at = from;
    while at <= close {
        match stream.str(at) {
            ";" => return None,
            "(" | "[" | "{" => at = stream.close(at)?,
            "<" => at = stream.close_angle(at).filter(|&c| c < close).unwrap_or(at),
            _ if at == close || stream.str(at) == "," => {
                if from < at {
                    elements.push(element(stream, from, at));
                }
                from = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    Some((close, elements))
}

/// The elements of a value that is a list.
fn elements_of(stream: Stream<'_>, (from, to): (usize, usize)) -> Option<(usize, Vec<Element>)> {
    let is_list = stream.str(from) == "{" && stream.close(from).is_some_and(|c| c + 1 == to);
    is_list.then(|| elements(stream, from)).flatten()
}

fn element(stream: Stream<'_>, from: usize, to: usize) -> Element {
    let Some(close) = designates(stream, from) else {
        return Element {
            place: None,
            value: (from, to),
        };
    };
    let dots = (from..close).find(|&at| stream.str(at) == "...");
    let first = (from + 1, dots.unwrap_or(close));
    let last = dots.map_or(first, |dots| (dots + 1, close));
    Element {
        place: Some([first, last]),
        value: (close + 2, to),
    }
}

/// The list with one value for each element, if all places are literals.
fn written_out(
    source: &Source<'_>,
    stream: Stream<'_>,
    elements: &[Element],
    edits: &Edits,
) -> Option<String> {
    let literal = |(from, to): (usize, usize)| -> Option<usize> {
        let number = stream.str(from).trim_end_matches(['u', 'U', 'l', 'L']);
        (to == from + 1 && stream.kind(from) == Some(Kind::Number))
            .then(|| number.parse().ok())
            .flatten()
            .filter(|&n| n < LONGEST)
    };
    let mut list: Vec<Option<String>> = Vec::new();
    let mut next = 0;
    for element in elements {
        let (first, last) = match element.place {
            Some([first, last]) => (literal(first)?, literal(last)?),
            None => (next, next),
        };
        if last < first || last >= LONGEST {
            return None;
        }
        // A list within that cannot be written out.
        if let Some((_, within)) = elements_of(stream, element.value)
            && within.iter().any(|e| e.place.is_some())
        {
            written_out(source, stream, &within, edits)?;
        }
        let value = edits.render(source, stream, element.value);
        list.resize(list.len().max(last + 1), None);
        list[first..=last].fill(Some(value));
        next = last + 1;
    }
    let list: Vec<String> = list
        .into_iter()
        .map(|value| value.unwrap_or_else(|| "{}".to_owned()))
        .collect();
    Some(list.join(", "))
}

/// Statements that fill the variable whose initializer opens at `open`, where its declaration begins, and the
/// semicolon that they follow.
fn filled(
    source: &Source<'_>,
    stream: Stream<'_>,
    open: usize,
    edits: &Edits,
) -> Option<(usize, usize, String)> {
    let close = stream.close(open)?;
    if stream.before(open) != "=" || stream.str(close + 1) != ";" {
        return None;
    }
    // `T name[N][M] = {`
    let declares = (0..open - 1)
        .rev()
        .take_while(|&at| !matches!(stream.str(at), ";" | "{" | "}"))
        .collect::<Vec<_>>();
    let fixed = |&at: &usize| matches!(stream.str(at), "constexpr" | "constant" | "static" | "(");
    if declares.iter().any(fixed) {
        return None;
    }
    let bracket = declares
        .iter()
        .copied()
        .filter(|&at| stream.str(at) == "[")
        .min()?;
    let name = bracket.checked_sub(1).filter(|&at| stream.is_ident(at))?;
    let text = fill(source, stream, open, stream.str(name), 0, edits)?;
    let start = declares.last().copied().unwrap_or(open);
    Some((start, close + 1, text))
}

fn fill(
    source: &Source<'_>,
    stream: Stream<'_>,
    open: usize,
    target: &str,
    depth: usize,
    edits: &Edits,
) -> Option<String> {
    let (_, elements) = elements(stream, open)?;
    let mut text = String::new();
    for element in elements {
        let [first, last] = element
            .place?
            .map(|place| edits.render(source, stream, place));
        let target = format!("{target}[zmlx_i{depth}]");
        let (from, to) = element.value;
        let whole = stream.str(from) == "{" && stream.close(from) == Some(to - 1);
        let inner = if whole && designates(stream, from + 1).is_some() {
            fill(source, stream, from, &target, depth + 1, edits)?
        } else {
            format!(
                "{target} = {};",
                edits.render(source, stream, element.value)
            )
        };
        let _ = write!(
            text,
            " for (int zmlx_i{depth} = {first}; zmlx_i{depth} <= {last}; ++zmlx_i{depth}) {{ {inner} }}"
        );
    }
    Some(text)
}

fn clear(stream: Stream<'_>, open: usize, close: usize, edits: &mut Edits) {
    stream.tokens[open + 1..close]
        .iter()
        .for_each(|&token| edits.erase(token));
}
