//! Names for what several expressions, or several parts of one, have in common.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::Expr;
use super::node::{Binary, Class, Kind, make, postorder};

/// Expressions with their common parts named.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Name and value; a value uses variables and the names before it.
    ///
    /// Values may be of any type, conditions for example, so `auto` declares them.
    pub bindings: Vec<(String, Expr)>,
    /// The expressions in terms of variables and names.
    pub results: Vec<Expr>,
}

/// Names the common parts of several expressions: `t0`, `t1`, ... for the prefix `t`, in the order in which
/// they have to be computed. Names that are taken are left out.
///
/// What is computed in one branch of a condition only, and must not be computed otherwise (an element
/// that may lie outside, a division of integers), is not moved out of it.
///
/// ```
/// use zmlx::expr::{Expr, share};
/// let y = Expr::parse("x * kk_sigmoid(x)", &["x"])?;
/// let shared = share(&[y.clone(), y.derivative("x")?], "t");
/// let (name, value) = &shared.bindings[0];
/// assert_eq!(format!("{name} = {value}"), "t0 = kk_sigmoid(x)");
/// assert_eq!(shared.results[0].to_msl(), "x * t0");
/// assert_eq!(shared.results[1].to_msl(), "t0 + x * (t0 * (1.0f - t0))");
/// # Ok::<(), zmlx::Error>(())
/// ```
pub fn share(exprs: &[Expr], prefix: &str) -> Shared {
    share_with(exprs, prefix, usize::MAX)
}

/// [`share`], with names for the parts of long expressions, too: compilers take many statements, but no endless
/// one.
pub(crate) fn share_in_pieces(exprs: &[Expr], prefix: &str) -> Shared {
    share_with(exprs, prefix, PIECE)
}

/// Nodes of a statement, about.
const PIECE: usize = 100;

impl Expr {
    /// Whether the text, in which common parts are written several times, is longer than a statement should be.
    pub(crate) fn is_long(&self) -> bool {
        let mut sizes: HashMap<Expr, usize> = HashMap::new();
        for node in postorder([self]) {
            let parts = node.0.args.iter().map(|a| sizes[a]);
            let size = parts.fold(1, usize::saturating_add);
            sizes.insert(node, size);
        }
        sizes[self] > PIECE
    }
}

fn share_with(exprs: &[Expr], prefix: &str, piece: usize) -> Shared {
    let order = postorder(exprs);
    let mut uses: HashMap<&Expr, usize> = HashMap::new();
    let mut taken = BTreeSet::new();
    for expr in exprs {
        *uses.entry(expr).or_default() += 1;
    }
    for node in &order {
        for arg in &node.0.args {
            *uses.entry(arg).or_default() += 1;
        }
        if let Kind::Var(name, _) = &node.0.kind {
            taken.insert(name.to_string());
        }
    }
    let always = unconditional(exprs);
    let mut bound_to_place = HashSet::new();
    let mut names = (0..)
        .map(|i| format!("{prefix}{i}"))
        .filter(|n| !taken.contains(n));
    let mut bindings = Vec::new();
    let mut new: HashMap<&Expr, Expr> = HashMap::new();
    // Nodes in the text of each.
    let mut sizes: HashMap<&Expr, usize> = HashMap::new();
    for node in &order {
        let args: Vec<Expr> = node.0.args.iter().map(|a| new[a].clone()).collect();
        let rebuilt = make(node.0.kind.clone(), args);
        if has_preconditions(node) || node.0.args.iter().any(|a| bound_to_place.contains(a)) {
            bound_to_place.insert(node);
        }
        let movable = always.contains(node) || !bound_to_place.contains(node);
        let parts = node.0.args.iter().map(|a| sizes[a]);
        let size = parts.fold(1, usize::saturating_add);
        let named = (uses[node] > 1 || size > piece) && movable && !is_leaf(node);
        let value = match named.then(|| names.next()).flatten() {
            Some(name) => {
                let reference = make(Kind::Var(name.as_str().into(), node.0.class), Vec::new());
                bindings.push((name, rebuilt));
                reference
            }
            None => {
                sizes.insert(node, size);
                rebuilt
            }
        };
        sizes.entry(node).or_insert(1);
        new.insert(node, value);
    }
    let results = exprs.iter().map(|e| new[e].clone()).collect();
    Shared { bindings, results }
}

/// Not worth a name.
fn is_leaf(node: &Expr) -> bool {
    match &node.0.kind {
        Kind::Const(_) | Kind::Var(..) | Kind::Member(_) => true,
        Kind::Unary(_) => node.0.args.iter().all(is_literal),
        _ => false,
    }
}

fn is_literal(node: &Expr) -> bool {
    matches!(node.0.kind, Kind::Const(_) | Kind::Var(..))
}

fn has_preconditions(node: &Expr) -> bool {
    match &node.0.kind {
        Kind::Index | Kind::Binary(Binary::Rem) => true,
        Kind::Binary(Binary::Div) => node.0.class == Class::Int,
        _ => false,
    }
}

/// What is computed whichever way conditions go.
fn unconditional(exprs: &[Expr]) -> HashSet<Expr> {
    let mut found = HashSet::new();
    let mut pending: Vec<Expr> = exprs.to_vec();
    while let Some(node) = pending.pop() {
        let always = match &node.0.kind {
            Kind::Select | Kind::Binary(Binary::And | Binary::Or) => 1,
            _ => node.0.args.len(),
        };
        if found.insert(node.clone()) {
            pending.extend(node.0.args.iter().take(always).cloned());
        }
    }
    found
}
