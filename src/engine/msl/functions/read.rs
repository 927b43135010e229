//! Reads the items out of a text.

use std::collections::HashMap;

use super::{Form, Item, Param};
use crate::engine::msl::{
    reach::chunks,
    source::Stream,
    spaces::{Aliases, SPACES},
};

/// All items before token `end`, those of structures included.
pub fn items<'s>(stream: Stream<'s>, end: usize, aliases: &Aliases<'s>) -> Vec<Item<'s>> {
    let namespaces = namespaces(stream, end);
    let mut found = Vec::new();
    collect(stream, (0, end), &namespaces, &[], aliases, &mut found);
    found
}

fn collect<'s>(
    stream: Stream<'s>,
    (from, end): (usize, usize),
    namespaces: &[(&'s str, usize, usize)],
    outer: &[&'s str],
    aliases: &Aliases<'s>,
    found: &mut Vec<Item<'s>>,
) {
    for (from, to) in chunks(stream, from, end) {
        let head_end = head_end(stream, from, to);
        let mut scope: Vec<&str> = namespaces
            .iter()
            .filter(|(_, open, close)| (*open..*close).contains(&from))
            .map(|n| n.0)
            .collect();
        scope.extend(outer);
        let structure = (template_end(stream, from)..head_end)
            .find(|&at| matches!(stream.str(at), "struct" | "class" | "union"));
        let item = item(
            stream,
            (from, to),
            head_end,
            scope,
            structure.is_some(),
            aliases,
        );
        if let Some(at) = structure
            && stream.str(head_end) == "{"
        {
            let mut inner = item.scope.clone();
            // With what it specializes.
            let name = (at + 1..head_end).find(|&p| stream.str(p) == ":" || stream.str(p) == "{");
            inner.push(stream.slice(at + 1, name.unwrap_or(head_end)));
            let close = stream.close(head_end).unwrap_or(to).min(to);
            collect(stream, (head_end + 1, close), &[], &inner, aliases, found);
        }
        found.push(item);
    }
}

/// Namespaces: name, first and last token.
fn namespaces<'s>(stream: Stream<'s>, end: usize) -> Vec<(&'s str, usize, usize)> {
    (0..end)
        .filter(|&at| stream.str(at) == "namespace" && stream.before(at) != "using")
        .filter_map(|at| {
            let open =
                (at + 1..(at + 12).min(end)).find(|&p| matches!(stream.str(p), "{" | ";" | "="))?;
            (stream.str(open) == "{").then_some(())?;
            Some((stream.slice(at + 1, open), open, stream.close(open)?))
        })
        .collect()
}

/// One past the template list that begins an item.
fn template_end(stream: Stream<'_>, from: usize) -> usize {
    let mut at = from;
    while stream.str(at) == "template" && stream.str(at + 1) == "<" {
        match stream.close_angle(at + 1) {
            Some(close) => at = close + 1,
            None => break,
        }
    }
    at
}

/// Where the body, the initializer or the end of an item is.
fn head_end(stream: Stream<'_>, from: usize, to: usize) -> usize {
    let mut at = template_end(stream, from);
    while at < to {
        match stream.str(at) {
            "{" | ";" => return at,
            "=" if stream.before(at) != "operator" => return at,
            "(" | "[" => at = stream.close(at).unwrap_or(to),
            _ => {}
        }
        at += 1;
    }
    to
}

fn item<'s>(
    stream: Stream<'s>,
    span: (usize, usize),
    head_end: usize,
    scope: Vec<&'s str>,
    structure: bool,
    aliases: &Aliases<'s>,
) -> Item<'s> {
    let mut item = Item {
        span,
        head_end,
        scope,
        name: Vec::new(),
        parens: (0, 0),
        params: Vec::new(),
        this: None,
        names: template_names(stream, span.0),
    };
    let Some(open) =
        parameters(stream, template_end(stream, span.0), head_end).filter(|_| !structure)
    else {
        return item;
    };
    let Some(close) = stream.close(open).filter(|&close| close <= head_end) else {
        return item;
    };
    item.name = name(stream, span.0, open);
    item.parens = (open, close);
    let space = |p: usize| {
        let word = stream.str(p);
        let word = aliases.get(word).copied().unwrap_or(word);
        SPACES.into_iter().find(|space| *space == word)
    };
    // The end of a constructor's initializers is not looked for: no space stands among them.
    item.this = (close + 1..head_end)
        .take_while(|&p| !matches!(stream.str(p), ":" | "->"))
        .find_map(space)
        .filter(|&space| space != "thread");
    let mut from = open + 1;
    let mut at = from;
    while at <= close {
        match stream.str(at) {
            "(" | "[" | "{" => at = stream.close(at).unwrap_or(close),
            "<" => at = stream.close_angle(at).filter(|&c| c < close).unwrap_or(at),
            _ if at == close || stream.str(at) == "," => {
                if from < at {
                    let param = param(stream, (from, at), space, &item.names);
                    item.params.push(param);
                }
                from = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    for (index, param) in item.params.iter().enumerate() {
        if let Some(name) = param.name {
            item.names.insert(stream.str(name), format!("#{index}"));
        }
    }
    item
}

/// The bracket that opens a function's parameters.
fn parameters(stream: Stream<'_>, from: usize, end: usize) -> Option<usize> {
    let mut at = from;
    while at < end {
        match stream.str(at) {
            "[" => at = stream.close(at)?,
            "<" if stream.before(at) != "operator" => at = stream.close_angle(at).unwrap_or(at),
            "(" if matches!(
                stream.before(at),
                "alignas" | "decltype" | "__attribute__" | "explicit"
            ) =>
            {
                at = stream.close(at)?;
            }
            "(" if stream.before(at) == "operator" && stream.str(at + 1) == ")" => {
                return Some(at + 2);
            }
            "(" if at > from => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

/// The words of the name before the bracket at `open`.
fn name<'s>(stream: Stream<'s>, from: usize, open: usize) -> Vec<&'s str> {
    if let Some(operator) = (from..open).rev().find(|&at| stream.str(at) == "operator") {
        return (operator..open).map(|at| stream.str(at)).collect();
    }
    let Some(mut last) = open.checked_sub(1) else {
        return Vec::new();
    };
    // `S<T>() = default;`
    if stream.str(last) == ">" {
        let opens = (from..last)
            .rev()
            .find(|&at| stream.close_angle(at) == Some(last));
        last = opens.and_then(|open| open.checked_sub(1)).unwrap_or(last);
    }
    if !stream.is_ident(last) {
        return Vec::new();
    }
    let mut first = last;
    while first >= from + 2 && stream.str(first - 1) == "::" {
        let before = first - 2;
        let opens = (from..before)
            .rev()
            .find(|&at| stream.close_angle(at) == Some(before));
        first = match (stream.is_ident(before), opens) {
            (true, _) => before,
            (false, Some(open)) if stream.str(before) == ">" && open > from => open - 1,
            _ => break,
        };
    }
    (first..=last).map(|at| stream.str(at)).collect()
}

/// The parameters of the template list, numbered.
fn template_names<'s>(stream: Stream<'s>, from: usize) -> HashMap<&'s str, String> {
    let mut names = HashMap::new();
    let end = template_end(stream, from);
    let mut at = from;
    while at < end {
        let ends = matches!(stream.str(at + 1), "," | ">" | "=");
        if ends && stream.is_ident(at) && !matches!(stream.before(at), "<" | ",") {
            let number = names.len();
            names
                .entry(stream.str(at))
                .or_insert_with(|| format!("${number}"));
        }
        // A default may name anything.
        if stream.str(at + 1) == "=" {
            while at + 1 < end && !matches!(stream.str(at + 1), "," | ">") {
                at += 1;
            }
        }
        at += 1;
    }
    names
}

fn param<'s>(
    stream: Stream<'s>,
    (from, to): (usize, usize),
    space: impl Fn(usize) -> Option<&'static str>,
    names: &HashMap<&'s str, String>,
) -> Param<'s> {
    let end = (from..to).find(|&at| stream.str(at) == "=").unwrap_or(to);
    let mut form = Form::Value;
    let mut ty: Vec<String> = Vec::new();
    let mut name = None;
    let mut found = None;
    let mut at = from;
    while at < end {
        let word = stream.str(at);
        match word {
            "[" if stream.opens_attribute(at) => at = stream.close(at).unwrap_or(end),
            "[" => {
                form = if form == Form::Reference {
                    Form::Array
                } else {
                    Form::Pointer
                };
                at = stream.close(at).unwrap_or(end);
            }
            "(" => form = Form::Value,
            // A reference to a pointer is told apart as the pointer is.
            "&" | "&&" if form != Form::Pointer => form = Form::Reference,
            "*" if form == Form::Pointer => ty.push("*".to_owned()),
            "*" => form = Form::Pointer,
            "const" | "volatile" | "typename" | "struct" | ")" | "&" | "&&" => {}
            _ if space(at).is_some() => found = found.or(space(at)),
            _ => {
                // The last word is the name, if a type stands before it.
                let last = at + 1 >= end || matches!(stream.str(at + 1), "[" | ")");
                if last && stream.is_ident(at) && !ty.is_empty() && stream.before(at) != "::" {
                    name = Some(at);
                } else {
                    ty.push(names.get(word).cloned().unwrap_or_else(|| word.to_owned()));
                }
            }
        }
        at += 1;
    }
    Param {
        span: (from, to),
        name,
        space: found,
        form,
        ty,
    }
}
