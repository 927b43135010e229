//! Overloads that differ in address spaces.
//!
//! MSL lets a function be overloaded on where its pointer points. Without address spaces such overloads are one
//! function defined several times. Mostly they do the same; then the first one stays. Where they do not, or
//! where an array and a pointer would become ambiguous, spaces have to be types ([`Plan::typed`]).

use std::collections::{HashMap, HashSet};

use super::{
    edits::Edits,
    functions::{Item, items},
    source::Stream,
    spaces::{Aliases, SPACES},
};

/// What overloads ask of the lowering.
#[derive(Debug, Default)]
pub struct Plan<'s> {
    /// Pointers have to know their address space.
    pub typed: bool,
    /// Functions that differ in where a parameter leads, and which of their parameters do.
    pub places: HashMap<&'s str, HashSet<usize>>,
    /// Member functions that differ in where their object is.
    pub members: HashSet<&'s str>,
    /// An operator whose overloads differ there: none can be told apart.
    pub refused: Option<String>,
}

/// Finds out which overloads before token `end` matter. `reached` are the words that the kernel can reach.
pub fn plan<'s>(
    stream: Stream<'s>,
    end: usize,
    aliases: &Aliases<'s>,
    reached: &HashSet<&str>,
) -> Plan<'s> {
    let mut plan = Plan::default();
    let mentions = |span: (usize, usize)| {
        (span.0..span.1)
            .any(|at| SPACES.contains(&stream.str(at)) || aliases.contains_key(stream.str(at)))
    };
    let items: Vec<Item<'s>> = items(stream, end, aliases)
        .into_iter()
        .filter(|item| item.has_body(stream) && mentions((item.span.0, item.head_end)))
        .collect();
    let mut groups: HashMap<(&[&str], &[&str]), Vec<&Item<'s>>> = HashMap::new();
    for item in &items {
        groups
            .entry((&item.scope, &item.name))
            .or_default()
            .push(item);
    }
    for ((_, name), group) in groups {
        let own = name.last().copied().unwrap_or("");
        let known = match name.first() {
            None => true,
            Some(&"operator") => group[0]
                .structure()
                .is_none_or(|structure| reached.contains(structure)),
            Some(_) => reached.contains(own),
        };
        if group.len() < 2 || !known {
            continue;
        }
        if own.is_empty() {
            plan.typed |= types_differ(stream, &group, aliases);
        } else {
            functions_differ(stream, &group, aliases, &mut plan);
        }
    }
    plan
}

/// Whether specializations for pointers into different spaces are different.
fn types_differ<'s>(stream: Stream<'s>, group: &[&Item<'s>], aliases: &Aliases<'s>) -> bool {
    let mut bodies: HashMap<Vec<String>, Vec<String>> = HashMap::new();
    group.iter().any(|item| {
        let head = head(stream, item, aliases, false);
        let body = item.body(stream, aliases);
        *bodies.entry(head).or_insert_with(|| body.clone()) != body
    })
}

fn functions_differ<'s>(
    stream: Stream<'s>,
    group: &[&Item<'s>],
    aliases: &Aliases<'s>,
    plan: &mut Plan<'s>,
) {
    let bodies: Vec<Vec<String>> = group
        .iter()
        .map(|item| item.body(stream, aliases))
        .collect();
    for (index, a) in group.iter().enumerate() {
        for (b, body) in group[..index].iter().zip(&bodies) {
            if !a.collides(b) || (*body == bodies[index] && !a.differs_in_form(b)) {
                continue;
            }
            // Objects elsewhere are not made by constructors.
            if a.this != b.this && a.is_constructor() {
                continue;
            }
            plan.typed = true;
            let operator = a.name.first() == Some(&"operator");
            if operator && (a.this != b.this || a.is_binary_on_references(b)) {
                plan.refused = Some(a.name.join(" "));
            } else if a.this != b.this {
                plan.members.insert(a.own_name());
            }
            for (at, (p, q)) in a.params.iter().zip(&b.params).enumerate() {
                if p.space != q.space {
                    plan.places.entry(a.own_name()).or_default().insert(at);
                }
            }
        }
    }
}

/// Takes out what became the same as something earlier. Where spaces are types (`typed`), pointers into
/// different spaces make different functions.
pub fn unify<'s>(
    stream: Stream<'s>,
    end: usize,
    aliases: &Aliases<'s>,
    typed: bool,
    plan: &Plan<'s>,
    edits: &mut Edits,
) {
    let has_spaces =
        |at: usize| SPACES.contains(&stream.str(at)) || aliases.contains_key(stream.str(at));
    let mut seen: HashSet<(Vec<&str>, bool, Vec<String>)> = HashSet::new();
    let mut items = items(stream, end, aliases);
    items.sort_by_key(|item| item.span);
    for item in items {
        let body = item.has_body(stream);
        if !body && !item.is_function() {
            continue;
        }
        let spaces = (item.span.0..item.head_end).any(has_spaces);
        // `S() threadgroup = default;` declares as well as it defines.
        let word = stream.str(item.span.1.saturating_sub(2));
        let defaulted = stream.str(item.head_end) == "=" && matches!(word, "default" | "delete");
        if stream.str(item.head_end) == "=" && !defaulted {
            continue;
        }
        let name = item.own_name();
        let tagged = plan.members.contains(name) || plan.places.contains_key(name);
        let head = head(stream, &item, aliases, typed);
        let repeated = !seen.insert((item.scope.clone(), body, head));
        if repeated && spaces && !tagged {
            stream.tokens[item.span.0..item.span.1]
                .iter()
                .for_each(|&token| edits.erase(token));
        }
    }
}

/// A definition up to its body, as it will look without address spaces.
fn head<'s>(
    stream: Stream<'s>,
    item: &Item<'s>,
    aliases: &Aliases<'s>,
    typed: bool,
) -> Vec<String> {
    let (from, open) = (item.span.0, item.head_end);
    let points = |at: usize| {
        (at..open)
            .map(|p| (p, stream.str(p)))
            .find(|(_, word)| matches!(*word, "*" | "&" | "[" | "," | ")" | ">"))
            .is_some_and(|(p, word)| {
                matches!(word, "*" | "[") || (word == "&" && stream.before(p) == "(")
            })
    };
    let mut head: Vec<String> = Vec::new();
    for at in from..open {
        let word = stream.str(at);
        if item.is_constructor() && at > item.parens.1 && SPACES.contains(&word) {
            continue;
        }
        let word = match aliases.get(word).copied().unwrap_or(word) {
            "thread" => continue,
            space if typed && SPACES.contains(&space) && points(at) => space,
            "constant" => "const",
            space if SPACES.contains(&space) => continue,
            _ => word,
        };
        if word != "const" || head.last().is_none_or(|last| last != "const") {
            head.push(item.called(word).unwrap_or(word).to_owned());
        }
    }
    head
}
