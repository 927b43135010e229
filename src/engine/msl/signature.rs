//! Finds the kernel function: its name, parameters, body, and template arguments.

use super::source::{Source, Stream};
use crate::engine::error::LowerError;

/// How many `uint` dimensions a parameter takes, and of which element type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GridType {
    /// `uint` or `ushort`, as written.
    pub element: String,
    /// 1 to 3.
    pub dims: u8,
}

/// Where a parameter's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding {
    /// `[[buffer(n)]]`.
    Buffer(usize),
    /// A grid attribute such as `thread_position_in_grid`.
    Grid(&'static str, GridType),
}

/// One parameter of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub binding: Binding,
    /// Tokens of the whole parameter in the program's stream: from, to.
    pub span: (usize, usize),
    /// Tokens of its type: from, to.
    pub type_span: (usize, usize),
    /// Whether it is a pointer (else a reference).
    pub pointer: bool,
}

/// The kernel function.
#[derive(Clone, Debug)]
pub struct Signature {
    /// Its name.
    pub name: String,
    /// First token (`template` or the attribute), in the program's stream.
    pub start: usize,
    /// Token of `void`.
    pub void: usize,
    /// Parameters in order.
    pub params: Vec<Param>,
    /// The bracket that opens the body.
    pub body: usize,
    /// Tokens of the instantiation line, if any: from, to.
    pub instantiation: Option<(usize, usize)>,
    /// Template arguments as written, without the angles.
    pub template_args: Option<String>,
}

/// The attributes that carry a position or a size, and whether they have one dimension only.
pub const ATTRIBUTES: [(&str, bool); 20] = [
    ("dispatch_quadgroups_per_threadgroup", true),
    ("dispatch_simdgroups_per_threadgroup", true),
    ("dispatch_threads_per_threadgroup", false),
    ("grid_origin", false),
    ("grid_size", false),
    ("quadgroup_index_in_threadgroup", true),
    ("quadgroups_per_threadgroup", true),
    ("simdgroup_index_in_threadgroup", true),
    ("simdgroups_per_threadgroup", true),
    ("thread_execution_width", true),
    ("thread_index_in_quadgroup", true),
    ("thread_index_in_simdgroup", true),
    ("thread_index_in_threadgroup", true),
    ("thread_position_in_grid", false),
    ("thread_position_in_threadgroup", false),
    ("threadgroup_position_in_grid", false),
    ("threadgroups_per_grid", false),
    ("threads_per_grid", false),
    ("threads_per_simdgroup", true),
    ("threads_per_threadgroup", false),
];

/// Attributes that do not depend on a thread's threadgroup.
const GROUPLESS: [&str; 6] = [
    "thread_position_in_grid",
    "threads_per_grid",
    "grid_size",
    "grid_origin",
    "threads_per_simdgroup",
    "thread_execution_width",
];

impl Signature {
    /// Whether a thread can tell which threadgroup it is in, or how large it is.
    pub fn asks_for_group(&self) -> bool {
        self.params.iter().any(|param| match param.binding {
            Binding::Buffer(_) => false,
            Binding::Grid(name, _) => !GROUPLESS.contains(&name),
        })
    }
}

impl Signature {
    /// The names of the buffers, by index.
    pub fn buffer_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for param in &self.params {
            if let Binding::Buffer(index) = param.binding {
                names.resize(names.len().max(index + 1), String::new());
                names[index].clone_from(&param.name);
            }
        }
        names
    }
}

/// Finds the kernel in `source`. MLX puts it last, so the last one counts.
pub fn find(source: &Source<'_>) -> Result<Signature, LowerError> {
    let stream = source.cursor(&source.program);
    let (mark, void) = (0..stream.len())
        .rev()
        .find_map(|at| Some((at, kernel_void(stream, at)?)))
        .ok_or(LowerError::NoKernel)?;
    let name = stream.str(void + 1).to_owned();
    let incomplete = |what| LowerError::Incomplete {
        kernel: name.clone(),
        what,
    };

    let start = template_start(stream, mark).unwrap_or(mark);
    let close = stream
        .close(void + 2)
        .ok_or_else(|| incomplete("parameter list"))?;
    let params = params(stream, void + 3, close, &name)?;
    let body = (close + 1..stream.len())
        .find(|&at| stream.str(at) == "{")
        .ok_or_else(|| incomplete("body"))?;
    let instantiation = instantiation(stream, body, &name);
    if instantiation.is_none() && stream.str(start) == "template" {
        return Err(LowerError::NotInstantiated { kernel: name });
    }
    Ok(Signature {
        name,
        start,
        void,
        params,
        body,
        instantiation: instantiation.as_ref().map(|(span, _)| *span),
        template_args: instantiation.map(|(_, args)| args),
    })
}

/// The position of `void` when `[[kernel]] void name(` or `kernel void name(` starts at `at`.
pub fn kernel_void(stream: Stream<'_>, at: usize) -> Option<usize> {
    let mut void = if stream.opens_attribute(at) && stream.str(at + 2) == "kernel" {
        stream.close(at)? + 1
    } else if stream.str(at) == "kernel" && stream.before(at) != "[" {
        at + 1
    } else {
        return None;
    };
    while stream.opens_attribute(void) {
        void = stream.close(void)? + 1;
    }
    (stream.str(void) == "void" && stream.is_ident(void + 1) && stream.str(void + 2) == "(")
        .then_some(void)
}

/// The `template` keyword whose parameter list ends just before `mark`.
pub fn template_start(stream: Stream<'_>, mark: usize) -> Option<usize> {
    // Further attributes may stand between the list and the mark.
    (0..mark).rev().take(4096).find(|&at| {
        stream.str(at) == "template"
            && stream.str(at + 1) == "<"
            && stream.close_angle(at + 1).is_some_and(|end| {
                let mut next = end + 1;
                while next < mark && stream.opens_attribute(next) {
                    next = stream.close(next).map_or(usize::MAX, |c| c + 1);
                }
                next == mark
            })
    })
}

fn params(
    stream: Stream<'_>,
    from: usize,
    to: usize,
    kernel: &str,
) -> Result<Vec<Param>, LowerError> {
    let mut params = Vec::new();
    let (mut start, mut at) = (from, from);
    while at <= to {
        match stream.str(at) {
            "<" => at = stream.close_angle(at).unwrap_or(at),
            "(" | "[" if at < to => at = stream.close(at).unwrap_or(at),
            _ if at == to || stream.str(at) == "," => {
                if start < at {
                    params.push(
                        param(stream, start, at).ok_or_else(|| LowerError::Parameter {
                            kernel: kernel.to_owned(),
                            parameter: stream.slice(start, at).to_owned(),
                        })?,
                    );
                }
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    Ok(params)
}

fn param(stream: Stream<'_>, from: usize, to: usize) -> Option<Param> {
    let open = (from..to).find(|&at| stream.opens_attribute(at))?;
    let name_at = open
        .checked_sub(1)
        .filter(|&at| at > from && stream.is_ident(at))?;
    let attribute = stream.str(open + 2);
    let pointer = stream.before(name_at) == "*";
    let binding = if attribute == "buffer" {
        if !pointer && stream.before(name_at) != "&" {
            return None;
        }
        Binding::Buffer(
            stream
                .str(open + 4)
                .parse()
                .ok()
                .filter(|&n: &usize| n < 256)?,
        )
    } else {
        let (attribute, single) = ATTRIBUTES
            .into_iter()
            .find(|(name, _)| *name == attribute)?;
        let grid = grid_type(stream.before(name_at))?;
        if single && grid.dims > 1 {
            return None;
        }
        Binding::Grid(attribute, grid)
    };
    Some(Param {
        name: stream.str(name_at).to_owned(),
        binding,
        span: (from, to),
        type_span: (from, name_at),
        pointer,
    })
}

fn grid_type(written: &str) -> Option<GridType> {
    let (element, dims) = match written.as_bytes() {
        [element @ .., dims @ b'2'..=b'3'] => (element, dims - b'0'),
        element => (element, 1),
    };
    let element = std::str::from_utf8(element).ok()?;
    matches!(element, "uint" | "ushort" | "uint32_t" | "uint16_t").then(|| GridType {
        element: element.to_owned(),
        dims,
    })
}

/// The line `template [[host_name("...")]] [[kernel]] decltype(name<args>) name<args>;`.
fn instantiation(stream: Stream<'_>, body: usize, name: &str) -> Option<((usize, usize), String)> {
    let start = (body..stream.len())
        .rev()
        .find(|&at| stream.str(at) == "template" && stream.opens_attribute(at + 1))?;
    let end = (start..stream.len()).find(|&at| stream.str(at) == ";")?;
    let decl = (start..end).find(|&at| stream.str(at) == "decltype")?;
    if stream.str(decl + 2) != name || stream.str(decl + 3) != "<" {
        return None;
    }
    let close = stream
        .close(decl + 1)
        .filter(|&c| stream.before(c) == ">" && c < end)?;
    Some((
        (start, end + 1),
        stream.slice(decl + 4, close - 1).to_owned(),
    ))
}
