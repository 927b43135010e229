//! Kernels that stand before the one that is launched, as in a whole `.metal` file used as header.
//!
//! Nothing can launch them, and what they need (textures, function constants, matrices of other sizes) may be
//! beyond the engine. They go, with the lines that instantiate them and the types made from them, unless
//! something else mentions them.

use std::collections::{HashMap, HashSet};

use super::{
    edits::Edits,
    reach::chunks,
    signature::{Signature, kernel_void, template_start},
    source::{Source, Stream},
};

/// A part of the text that goes if none of its names is used.
struct Part {
    names: Vec<usize>,
    from: usize,
    to: usize,
}

/// Takes unused kernels out, and makes those that stay cost nothing where they are not called.
pub fn erase(source: &Source<'_>, signature: &Signature, edits: &mut Edits) {
    let stream = source.cursor(&source.program);
    let mut parts = Vec::new();
    for (from, to) in chunks(stream, 0, signature.start) {
        // Behind a macro that needs no semicolon it does not begin the chunk.
        let made = (from..to).find(|&at| {
            (at == from || stream.before(at) == ")") && is_instantiation(stream, at, to)
        });
        if let Some(from) = made {
            parts.push(Part {
                names: Vec::new(),
                from,
                to,
            });
        } else if let Some((from, name)) = kernel(stream, from, to) {
            // A body that does not end before the kernel's has been cut by the preprocessor.
            if stream.str(to - 1) == "}" && stream.str(name) != signature.name {
                parts.push(Part {
                    names: vec![name],
                    from,
                    to,
                });
            }
        } else if let Some(name) = type_of_function(stream, from, to) {
            parts.push(Part {
                names: vec![name],
                from,
                to,
            });
        }
    }
    if parts.is_empty() {
        return;
    }
    let bodies: Vec<(Stream<'_>, Vec<(usize, usize)>)> = source
        .macros
        .iter()
        .map(|m| source.cursor(&m.body))
        .map(|body| (body, instantiations(body)))
        .collect();
    let used = used(stream, &parts, &bodies);
    for part in &parts {
        if part
            .names
            .iter()
            .all(|&name| !used.contains(stream.str(name)))
        {
            erase_range(stream, (part.from, part.to), edits);
        }
    }
    for (body, ranges) in bodies {
        ranges
            .into_iter()
            .for_each(|range| erase_range(body, range, edits));
    }
}

fn erase_range(stream: Stream<'_>, (from, to): (usize, usize), edits: &mut Edits) {
    stream.tokens[from..to]
        .iter()
        .for_each(|&token| edits.erase(token));
}

/// The names of parts that something that stays mentions.
fn used<'s>(
    stream: Stream<'s>,
    parts: &[Part],
    bodies: &[(Stream<'s>, Vec<(usize, usize)>)],
) -> HashSet<&'s str> {
    let mut owners: HashMap<&str, Vec<&Part>> = HashMap::new();
    for part in parts {
        for &name in &part.names {
            owners.entry(stream.str(name)).or_default().push(part);
        }
    }
    let within = |ranges: &[(usize, usize)], at: usize| {
        ranges.iter().any(|&(from, to)| (from..to).contains(&at))
    };
    let mut ranges: Vec<(usize, usize)> = parts.iter().map(|p| (p.from, p.to)).collect();
    ranges.sort_unstable();
    let mut queue: Vec<&str> = Vec::new();
    let mut next = ranges.iter().peekable();
    let mut at = 0;
    while at < stream.len() {
        while next.next_if(|range| range.1 <= at).is_some() {}
        match next.peek() {
            Some(&&(from, to)) if from <= at => at = to,
            _ => {
                queue.push(stream.str(at));
                at += 1;
            }
        }
    }
    for (body, ranges) in bodies {
        queue.extend(
            (0..body.len())
                .filter(|&at| !within(ranges, at))
                .map(|at| body.str(at)),
        );
    }
    let mut used = HashSet::new();
    while let Some(word) = queue.pop() {
        if let Some(parts) = owners.get(word)
            && used.insert(word)
        {
            let words = parts.iter().flat_map(|p| p.from..p.to);
            queue.extend(words.map(|at| stream.str(at)));
        }
    }
    used
}

/// `template [[host_name("x")]] kernel ...;`, which makes a kernel for Metal's library.
pub fn is_instantiation(stream: Stream<'_>, from: usize, to: usize) -> bool {
    stream.str(from) == "template"
        && stream.str(from + 1) != "<"
        && (from..to).any(|at| matches!(stream.str(at), "kernel" | "host_name"))
}

/// The same in a macro's body, as far as its semicolon.
fn instantiations(body: Stream<'_>) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < body.len() {
        let end = (at..body.len())
            .find(|&p| body.str(p) == ";")
            .map_or(body.len(), |p| p + 1);
        if is_instantiation(body, at, end) {
            found.push((at, end));
            at = end;
        } else {
            at += 1;
        }
    }
    found
}

/// Where the kernel function in a chunk begins, and its name.
fn kernel(stream: Stream<'_>, from: usize, to: usize) -> Option<(usize, usize)> {
    let head = (from..to).find(|&at| stream.str(at) == "{").unwrap_or(to);
    let (mark, void) = (from..head).find_map(|at| Some((at, kernel_void(stream, at)?)))?;
    let start = template_start(stream, mark).filter(|&at| at >= from);
    Some((start.unwrap_or(mark), void + 1))
}

/// The name in `typedef decltype(kernel<T>) name;` or `using name = decltype(kernel<T>);`.
fn type_of_function(stream: Stream<'_>, from: usize, to: usize) -> Option<usize> {
    let decltype = (from..to).find(|&at| stream.str(at) == "decltype")?;
    match stream.str(from) {
        "typedef" if decltype == from + 1 => Some(to.checked_sub(2)?),
        "using" => Some(from + 1),
        _ => None,
    }
    .filter(|&at| stream.is_ident(at))
}
