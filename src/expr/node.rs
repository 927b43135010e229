//! Nodes of an expression, each of them stored once.
//!
//! Equal expressions are the same node (hash-consing): comparing costs a pointer, a derivative of a
//! derivative keeps what its parts have in common, and a pass over an expression visits each
//! node once. A global table holds weak references, so a node lives as long as someone uses it.

use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

use super::Expr;
use super::functions::Function;

/// A literal: its value and how it is written.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Number {
    bits: u64,
    /// Of an integral type: decides between the two divisions.
    pub int: bool,
    /// Kept where the type or the spelling says more than the value: `0x1F`, `1u`, `0.5h`, `M_PI_F`.
    pub text: Option<Arc<str>>,
}

impl Number {
    pub fn float(value: f64) -> Self {
        Self::new(value, false, None)
    }

    pub fn new(value: f64, int: bool, text: Option<&str>) -> Self {
        Number {
            bits: value.to_bits(),
            int,
            text: text.map(Arc::from),
        }
    }

    pub fn value(&self) -> f64 {
        f64::from_bits(self.bits)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Unary {
    Neg,
    Not,
    BitNot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    Shl,
    Shr,
    Lt,
    Le,
    Gt,
    Ge,
    Eq,
    Ne,
    BitAnd,
    BitXor,
    BitOr,
    And,
    Or,
}

/// Which of Metal's variants of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Space {
    Default,
    Fast,
    Precise,
}

/// What a call calls.
#[derive(Clone)]
pub(super) enum Callee {
    Known(&'static Function, Space),
    /// By its name as written: it may come from the kernel's header.
    Unknown(Arc<str>),
}

impl Callee {
    fn identity(&self) -> (&str, Option<Space>) {
        match self {
            Callee::Known(f, space) => (f.name, Some(*space)),
            Callee::Unknown(name) => (name, None),
        }
    }
}

impl PartialEq for Callee {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}
impl Eq for Callee {}
impl Hash for Callee {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

/// What a conversion does to values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Conversion {
    /// To a floating type: the identity but for rounding.
    Float,
    /// To an integral type.
    Int,
    /// To `bool`.
    Bool,
    /// The same bits as another type.
    Bits,
}

/// What a node is, beside its arguments.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Const(Number),
    /// With what its declaration says about its type.
    Var(Arc<str>, Class),
    Unary(Unary),
    Binary(Binary),
    /// Condition, value if it holds, value if not.
    Select,
    /// With the template arguments as written.
    Call(Callee, Option<Arc<str>>),
    /// With the text before the parenthesis: `float`, `static_cast<float>`.
    Cast(Arc<str>, Conversion),
    /// Base and index.
    Index,
    Member(Arc<str>),
}

/// What is known about a node's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Class {
    Float,
    Int,
    Unknown,
}

pub(super) struct Node {
    pub id: u64,
    pub kind: Kind,
    pub args: Vec<Expr>,
    pub class: Class,
}

type Key = (Kind, Vec<u64>);

/// Weak, with the node's number: it decides who may remove the entry.
type Table = HashMap<Key, (u64, Weak<Node>)>;

static TABLE: LazyLock<Mutex<Table>> = LazyLock::new(Mutex::default);
static NEXT: AtomicU64 = AtomicU64::new(0);

fn table() -> MutexGuard<'static, Table> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Node {
    fn key(&self) -> Key {
        (
            self.kind.clone(),
            self.args.iter().map(|a| a.0.id).collect(),
        )
    }

    fn unregister(&self) {
        let key = self.key();
        let mut table = table();
        // An equal node may have been made since this one lost its last user.
        if table.get(&key).is_some_and(|(id, _)| *id == self.id) {
            table.remove(&key);
        }
    }
}

/// The node with this content.
pub(super) fn make(kind: Kind, args: Vec<Expr>) -> Expr {
    let key: Key = (kind, args.iter().map(|a| a.0.id).collect());
    let mut table = table();
    // Nothing may drop a node while the table is locked: the drop locks it, too.
    if let Some(found) = table.get(&key).and_then(|(_, node)| node.upgrade()) {
        drop(table);
        return Expr(found);
    }
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let class = class_of(&key.0, &args);
    let node = Arc::new(Node {
        id,
        kind: key.0.clone(),
        args,
        class,
    });
    table.insert(key, (id, Arc::downgrade(&node)));
    drop(table);
    Expr(node)
}

impl Drop for Node {
    fn drop(&mut self) {
        self.unregister();
        // A loop: an expression traced from a long loop is deeper than the stack.
        let mut pending = std::mem::take(&mut self.args);
        while let Some(next) = pending.pop() {
            if let Some(mut node) = Arc::into_inner(next.0) {
                node.unregister();
                pending.append(&mut node.args);
            }
        }
    }
}

fn class_of(kind: &Kind, args: &[Expr]) -> Class {
    let joined = |args: &[Expr]| {
        if args.iter().any(|a| a.0.class == Class::Float) {
            Class::Float
        } else if args.iter().all(|a| a.0.class == Class::Int) {
            Class::Int
        } else {
            Class::Unknown
        }
    };
    match kind {
        Kind::Const(n) if n.int => Class::Int,
        Kind::Const(_) | Kind::Cast(_, Conversion::Float) => Class::Float,
        Kind::Cast(_, Conversion::Int | Conversion::Bool) => Class::Int,
        Kind::Unary(Unary::Not | Unary::BitNot) => Class::Int,
        Kind::Unary(Unary::Neg) => joined(args),
        Kind::Binary(Binary::Add | Binary::Sub | Binary::Mul | Binary::Div) => joined(args),
        Kind::Binary(_) => Class::Int,
        Kind::Select => joined(&args[1..]),
        Kind::Call(Callee::Known(f, _), _) if !f.generic => match f.integer {
            true => Class::Int,
            false => Class::Float,
        },
        Kind::Call(Callee::Known(..), _) => joined(args),
        Kind::Var(_, class) => *class,
        // As the variable that they belong to.
        Kind::Index | Kind::Member(_) => args.first().map_or(Class::Unknown, |a| a.0.class),
        Kind::Call(Callee::Unknown(_), _) | Kind::Cast(_, Conversion::Bits) => Class::Unknown,
    }
}

/// Every node under the roots once, arguments before what uses them.
pub(super) fn postorder<'a>(roots: impl IntoIterator<Item = &'a Expr>) -> Vec<Expr> {
    postorder_except(roots, |_| false)
}

/// [`postorder`] without what is `done` and what only that uses.
pub(super) fn postorder_except<'a>(
    roots: impl IntoIterator<Item = &'a Expr>,
    done: impl Fn(&Expr) -> bool,
) -> Vec<Expr> {
    let mut seen = HashSet::new();
    let mut order = Vec::new();
    for root in roots {
        if done(root) || !seen.insert(root.0.id) {
            continue;
        }
        let mut stack = vec![(root.clone(), 0)];
        while let Some((node, next)) = stack.last_mut() {
            match node.0.args.get(*next) {
                Some(arg) => {
                    *next += 1;
                    if !done(arg) && seen.insert(arg.0.id) {
                        let arg = arg.clone();
                        stack.push((arg, 0));
                    }
                }
                None => order.extend(stack.pop().map(|(node, _)| node)),
            }
        }
    }
    order
}
