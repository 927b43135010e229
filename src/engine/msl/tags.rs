//! Address spaces where no pointer carries them: references, and the objects of member functions.
//!
//! Only functions whose overloads differ there are touched. A parameter `device T& x` takes a reference that
//! knows its space, and each call says of its arguments where they are: by the variable that they begin with.

use super::{
    checked::addresses::{operand, operand_before, root},
    checked::{type_around, variables::declarators},
    edits::Edits,
    functions::{Form, Item, items},
    overloads::Plan,
    source::Stream,
    spaces::{Aliases, SPACES, declares_variable},
};

/// A name that stands for something in an address space, and where it does: from, to.
struct Known<'s> {
    name: &'s str,
    space: String,
    span: (usize, usize),
}

/// Rewrites definitions before token `end` and calls everywhere.
pub fn rewrite<'s>(
    stream: Stream<'s>,
    end: usize,
    plan: &Plan<'s>,
    aliases: &Aliases<'s>,
    edits: &mut Edits,
) {
    if plan.places.is_empty() && plan.members.is_empty() {
        return;
    }
    let items = items(stream, end, aliases);
    let mut defined = Vec::new();
    for item in items.iter().filter(|item| item.is_function()) {
        defined.push(item.parens.0 - 1);
        if let Some(places) = plan.places.get(item.own_name()) {
            for &at in places {
                reference(stream, item, at, aliases, edits);
            }
        }
        let member =
            item.name.len() > 1 || items.iter().any(|i| !i.is_function() && within(item, i));
        if member && plan.members.contains(item.own_name()) {
            let others = items
                .iter()
                .any(|i| i.name == item.name && i.scope == item.scope && i.this != item.this);
            let tag = match item.this {
                Some(space) => format!("zmlx::tag<zmlx::{space}_space>"),
                None if others => "zmlx::tag<void>".to_owned(),
                None => "zmlx::any_tag".to_owned(),
            };
            first_argument(stream, item.parens.0, &tag, edits);
        }
    }
    let known = known(stream, aliases);
    for at in 0..stream.len() {
        let word = stream.str(at);
        if !stream.is_ident(at) || defined.contains(&at) {
            continue;
        }
        let open = match stream.str(at + 1) {
            "<" => stream.close_angle(at + 1).map_or(at + 1, |close| close + 1),
            _ => at + 1,
        };
        if stream.str(open) != "(" {
            continue;
        }
        if let Some(places) = plan.places.get(word) {
            for (index, (from, to)) in arguments(stream, open).into_iter().enumerate() {
                if places.contains(&index)
                    && let Some((end, space)) = space_of(stream, from, to, &known, aliases)
                {
                    edits.insert_before(stream.tokens[from], &format!("zmlx_lv<{space}>("));
                    edits.insert_after(stream.tokens[end - 1], ")");
                }
            }
        }
        if plan.members.contains(word) && matches!(stream.before(at), "." | "->") {
            let start = operand_before(stream, at - 1);
            let space = start.map_or("void".to_owned(), |start| {
                leads_to(stream, start, &known, aliases)
            });
            first_argument(stream, open, &format!("zmlx_tag<{space}>()"), edits);
        }
    }
}

fn within(inner: &Item<'_>, outer: &Item<'_>) -> bool {
    outer.span.0 < inner.span.0 && inner.span.1 < outer.span.1
}

fn first_argument(stream: Stream<'_>, open: usize, text: &str, edits: &mut Edits) {
    let comma = if stream.str(open + 1) == ")" {
        ""
    } else {
        ", "
    };
    edits.insert_after(stream.tokens[open], &format!("{text}{comma}"));
}

/// `device T& x` becomes a reference that knows its space, and `x` what it refers to.
fn reference(
    stream: Stream<'_>,
    item: &Item<'_>,
    at: usize,
    aliases: &Aliases<'_>,
    edits: &mut Edits,
) {
    let Some(param) = item.params.get(at) else {
        return;
    };
    let Some(space) = param
        .space
        .filter(|space| *space != "thread" && param.form == Form::Reference)
    else {
        return;
    };
    let (from, to) = param.span;
    let Some(and) = (from..to).find(|&p| matches!(stream.str(p), "&" | "&&")) else {
        return;
    };
    for p in from..and {
        let word = stream.str(p);
        if SPACES.contains(&word) || aliases.contains_key(word) {
            edits.blank(stream.tokens[p]);
        }
    }
    edits.insert_before(stream.tokens[from], &format!("zmlx_{space}_ref<"));
    edits.replace(stream.tokens[and], "> ");
    if let Some(name) = param.name {
        let word = stream.str(name);
        edits.replace(stream.tokens[name], format!("zmlx_r_{word}"));
        if stream.str(item.head_end) == "{" {
            let body = stream.tokens[item.head_end];
            edits.insert_after(body, &format!(" auto& {word} = *zmlx_r_{word}.p;"));
        }
    }
}

/// The arguments of a call whose bracket opens at `open`.
fn arguments(stream: Stream<'_>, open: usize) -> Vec<(usize, usize)> {
    let mut arguments = Vec::new();
    let Some(close) = stream.close(open) else {
        return arguments;
    };
    let (mut from, mut at) = (open + 1, open + 1);
    while at <= close {
        match stream.str(at) {
            "(" | "[" | "{" => at = stream.close(at).unwrap_or(close),
            "<" => {
                let end = stream.close_angle(at).filter(|&c| c < close);
                at = end
                    .filter(|&c| matches!(stream.str(c + 1), "(" | "::" | "{"))
                    .unwrap_or(at);
            }
            _ if at == close || stream.str(at) == "," => {
                if from < at {
                    arguments.push((from, at));
                }
                from = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    arguments
}

/// Where the argument `from..to` is, as a type, if it is a variable or a part of one, and where that ends: an
/// array may have something added to it.
fn space_of(
    stream: Stream<'_>,
    from: usize,
    to: usize,
    known: &[Known<'_>],
    aliases: &Aliases<'_>,
) -> Option<(usize, String)> {
    match stream.str(from) {
        "*" => {
            let end = match cast(stream, from + 1, aliases) {
                Some((end, _)) if stream.str(from + 1) != "(" => parts(stream, end)?,
                Some((end, _)) => operand(stream, end + usize::from(stream.str(end) == "&"))?.0,
                None => operand(stream, from + 1)?.0,
            };
            (end == to).then(|| (to, leads_to(stream, from, known, aliases)))
        }
        "(" if stream.close(from) == Some(to - 1) => {
            space_of(stream, from + 1, to - 1, known, aliases)
        }
        "reinterpret_cast" | "static_cast" | "const_cast" => {
            let (end, space) = cast(stream, from, aliases)?;
            (parts(stream, end)? == to).then_some((to, space))
        }
        _ => {
            let (end, ..) = operand(stream, from)?;
            let part = end == to || (end > from + 1 && matches!(stream.str(end), "+" | "-"));
            part.then(|| (end, leads_to(stream, from, known, aliases)))
        }
    }
}

/// Where a cast to a pointer or a reference that names its space ends, and the space as a type: `(device T*)`
/// without what it is applied to, or `reinterpret_cast<device T*>(x)`.
fn cast(stream: Stream<'_>, at: usize, aliases: &Aliases<'_>) -> Option<(usize, String)> {
    let (from, close, end) = match stream.str(at) {
        "(" => {
            let close = stream.close(at)?;
            (at + 1, close, close + 1)
        }
        "reinterpret_cast" | "static_cast" | "const_cast" => {
            let close = stream.close_angle(at + 1)?;
            (at + 2, close, stream.close(close + 1)? + 1)
        }
        _ => return None,
    };
    if !matches!(stream.str(close - 1), "*" | "&") {
        return None;
    }
    let space = (from..close).find_map(|p| {
        let word = stream.str(p);
        let space = aliases.get(word).copied().unwrap_or(word);
        SPACES.into_iter().find(|s| *s == space)
    })?;
    Some((end, space_type(space)))
}

/// One past the subscripts and members that follow at `at`.
fn parts(stream: Stream<'_>, mut at: usize) -> Option<usize> {
    loop {
        match stream.str(at) {
            "[" => at = stream.close(at)? + 1,
            "." | "->" if stream.is_ident(at + 1) => at += 2,
            _ => return Some(at),
        }
    }
}

/// A type that tells the space.
fn space_type(space: &str) -> String {
    match space {
        "thread" => "void".to_owned(),
        space => format!("zmlx::ptr<char, zmlx::{space}_space>"),
    }
}

/// The space that an expression is in which begins with the variable at `start`.
fn leads_to(
    stream: Stream<'_>,
    start: usize,
    known: &[Known<'_>],
    aliases: &Aliases<'_>,
) -> String {
    let mut at = start;
    while stream.str(at) == "(" || stream.str(at) == "*" {
        if let Some((_, space)) = cast(stream, at, aliases) {
            return space;
        }
        // `(p + 1)->m`
        if stream.str(at) == "("
            && let Some(close) = stream.close(at)
            && stream.str(close + 1) == "->"
            && cast(stream, at + 1, aliases).is_none()
        {
            return format!("decltype({})", stream.slice(at + 1, close));
        }
        at += 1;
    }
    if let Some((_, space)) = cast(stream, at, aliases) {
        return space;
    }
    let entry = known
        .iter()
        .rev()
        .find(|k| k.name == stream.str(at) && (k.span.0..k.span.1).contains(&at));
    match entry {
        Some(entry) => entry.space.clone(),
        None if stream.before(at) == "*" && stream.is_ident(at) => {
            format!("decltype({})", stream.str(at))
        }
        None => root(stream, at),
    }
}

/// References and variables whose declarations name a space, in order.
fn known<'s>(stream: Stream<'s>, aliases: &Aliases<'s>) -> Vec<Known<'s>> {
    let mut known: Vec<Known<'s>> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    for at in 0..stream.len() {
        let word = stream.str(at);
        match word {
            "(" | "[" | "{" => open.push(at),
            ")" | "]" | "}" => drop(open.pop()),
            // `auto& r = p[i];`
            "auto"
                if stream.str(at + 1) == "&"
                    && stream.is_ident(at + 2)
                    && stream.str(at + 3) == "=" =>
            {
                let space = leads_to(stream, at + 4, &known, aliases);
                let span = (at + 2, extent(stream, open.last().copied()));
                known.push(Known {
                    name: stream.str(at + 2),
                    space,
                    span,
                });
            }
            _ => {}
        }
        let space = aliases.get(word).copied().unwrap_or(word);
        let Some(space) = SPACES.into_iter().find(|s| *s == space) else {
            continue;
        };
        if matches!(stream.before(at), "." | "->" | "::") {
            continue;
        }
        let Some((_, to)) = type_around(stream, at, aliases) else {
            continue;
        };
        let names = match stream.str(to) {
            "&" | "&&" => vec![to + 1],
            _ if declares_variable(stream, at, aliases) => declarators(stream, to),
            _ => continue,
        };
        let space = space_type(space);
        let end = extent(stream, open.last().copied());
        for name in names.into_iter().filter(|&name| stream.is_ident(name)) {
            // Arrays have handles, which tell their space by their type.
            if stream.str(name + 1) != "[" || space == "void" {
                let (name, span) = (stream.str(name), (name, end));
                known.push(Known {
                    name,
                    space: space.clone(),
                    span,
                });
            }
        }
    }
    known
}

/// Where a name declared within the bracket at `open` ends to be known.
fn extent(stream: Stream<'_>, open: Option<usize>) -> usize {
    let Some(open) = open else {
        return stream.len();
    };
    let close = stream.close(open).unwrap_or(stream.len());
    if stream.str(open) != "(" {
        return close;
    }
    // A parameter, or a variable of a loop: known in the body that follows.
    let body = (close..stream.len()).find(|&at| matches!(stream.str(at), "{" | ";"));
    match body {
        Some(at) if stream.str(at) == "{" => stream.close(at).unwrap_or(stream.len()),
        Some(at) => at,
        None => stream.len(),
    }
}
