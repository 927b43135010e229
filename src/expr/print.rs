//! The text of an expression.

use std::fmt::{self, Write};

use super::Expr;
use super::node::{Binary, Callee, Class, Kind, Number, Space, Unary};

/// Texts end here: common parts of common parts may make one endless.
const LONGEST: usize = 16 << 20;

/// How tightly the outermost operator binds, as in C++.
const TERNARY: u8 = 1;
const UNARY: u8 = 13;
const POSTFIX: u8 = 14;

impl Binary {
    pub(super) fn symbol(self) -> &'static str {
        use Binary::*;
        match self {
            Add => "+",
            Sub => "-",
            Mul => "*",
            Div => "/",
            Rem => "%",
            Shl => "<<",
            Shr => ">>",
            Lt => "<",
            Le => "<=",
            Gt => ">",
            Ge => ">=",
            Eq => "==",
            Ne => "!=",
            BitAnd => "&",
            BitXor => "^",
            BitOr => "|",
            And => "&&",
            Or => "||",
        }
    }

    pub(super) fn strength(self) -> u8 {
        use Binary::*;
        match self {
            Mul | Div | Rem => 12,
            Add | Sub => 11,
            Shl | Shr => 10,
            Lt | Le | Gt | Ge => 9,
            Eq | Ne => 8,
            BitAnd => 7,
            BitXor => 6,
            BitOr => 5,
            And => 4,
            Or => 3,
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if let Some(text) = &self.text {
            return f.write_str(text);
        }
        let value = self.value();
        if self.int {
            return write!(f, "{value}");
        }
        // The shortest text that gives the same 32-bit float.
        let single = value as f32;
        if single.is_nan() {
            return f.write_str("NAN");
        }
        if single.is_infinite() {
            return f.write_str(if single > 0.0 {
                "INFINITY"
            } else {
                "-INFINITY"
            });
        }
        let text = format!("{single:?}");
        match text.split_once("e-") {
            Some((digits, exponent)) if exponent.len() == 1 => write!(f, "{digits}e-0{exponent}f"),
            _ => write!(f, "{text}f"),
        }
    }
}

impl Expr {
    fn strength(&self) -> u8 {
        match &self.0.kind {
            Kind::Select => TERNARY,
            Kind::Binary(op) => op.strength(),
            Kind::Unary(_) => UNARY,
            Kind::Const(_) if self.starts_with_minus() => UNARY,
            _ => POSTFIX,
        }
    }

    fn starts_with_minus(&self) -> bool {
        match &self.0.kind {
            Kind::Const(n) => {
                n.text.as_ref().is_none_or(|t| t.starts_with('-'))
                    && n.value().is_sign_negative()
                    && !n.value().is_nan()
            }
            Kind::Unary(op) => *op == Unary::Neg,
            _ => false,
        }
    }

    /// The expression as MSL text, with as few parentheses as its structure allows.
    ///
    /// What several parts of the expression have in common is written several times; [`share`]
    /// names it instead.
    ///
    /// [`share`]: super::share()
    ///
    /// A text of more than 16 MiB is cut, which no compiler takes.
    ///
    /// ```
    /// use zmlx::expr::Expr;
    /// let e = Expr::parse("(x * (1.0 + exp(-x)))", &["x"])?;
    /// assert_eq!(e.to_msl(), "x * (1.0f + metal::exp(-x))");
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn to_msl(&self) -> String {
        self.to_msl_with(|_| None)
    }

    /// The same with template arguments for some of the functions that are not Metal's.
    pub(crate) fn to_msl_with(&self, template: impl Fn(&str) -> Option<&'static str>) -> String {
        let mut out = String::new();
        let mut writer = Writer::new(self, &template);
        while writer.step(&mut out) {
            if out.len() > LONGEST {
                out.push_str(
                    " ... /* cut: common parts are written several times, `share` names them */",
                );
                break;
            }
        }
        out
    }

    /// The text's beginning: shared parts may make the whole endless.
    pub(super) fn excerpt(&self) -> String {
        let mut out = String::new();
        let mut writer = Writer::new(self, &|_| None);
        while writer.step(&mut out) {
            if out.len() > 200 {
                out.push_str("...");
                break;
            }
        }
        out
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.to_msl())
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Expr({})", self.excerpt())
    }
}

impl Expr {
    /// Whether it is made of numbers of places, which are integers.
    fn counts(&self) -> bool {
        let names = self.variables();
        ["j", "elem", "row"].iter().any(|n| names.contains(*n))
    }
}

enum Item<'a> {
    Text(&'a str),
    /// An expression that must bind at least so tightly.
    Node(&'a Expr, u8),
}

struct Writer<'a> {
    /// What is still to be written, last first: no recursion, for any depth.
    pending: Vec<Item<'a>>,
    template: &'a dyn Fn(&str) -> Option<&'static str>,
}

impl<'a> Writer<'a> {
    fn new(root: &'a Expr, template: &'a dyn Fn(&str) -> Option<&'static str>) -> Self {
        Writer {
            pending: vec![Item::Node(root, 0)],
            template,
        }
    }

    /// Writes the next piece; false at the end.
    fn step(&mut self, out: &mut String) -> bool {
        match self.pending.pop() {
            None => return false,
            Some(Item::Text(text)) => out.push_str(text),
            Some(Item::Node(node, least)) if node.strength() < least => {
                out.push('(');
                self.pending.push(Item::Text(")"));
                self.pending.push(Item::Node(node, 0));
            }
            Some(Item::Node(node, _)) => self.node(node, out),
        }
        true
    }

    fn node(&mut self, node: &'a Expr, out: &mut String) {
        use Item::{Node, Text};
        let args = &node.0.args;
        match (&node.0.kind, args.as_slice()) {
            (Kind::Const(number), _) => {
                let _ = write!(out, "{number}");
            }
            (Kind::Var(name, _), _) => out.push_str(name),
            (Kind::Unary(op), [a]) => {
                out.push(match op {
                    Unary::Neg => '-',
                    Unary::Not => '!',
                    Unary::BitNot => '~',
                });
                // `--x` would be a decrement.
                let twice = *op == Unary::Neg && a.starts_with_minus();
                self.pending
                    .push(Node(a, if twice { POSTFIX } else { UNARY }));
            }
            // The library's own division, where a less exact one will do.
            (Kind::Binary(Binary::Div), [a, b])
                if node.0.class != Class::Int
                    && (self.template)("/").is_some()
                    && !node.counts() =>
            {
                if let Some(added) = (self.template)("/") {
                    let _ = write!(out, "kk_divide<{added}>(");
                }
                self.pending
                    .extend([Text(")"), Node(b, 0), Text(", "), Node(a, 0)]);
            }
            (Kind::Binary(op), [a, b]) => self.pending.extend([
                Node(b, op.strength() + 1),
                Text(" "),
                Text(op.symbol()),
                Text(" "),
                Node(a, op.strength()),
            ]),
            (Kind::Select, [c, a, b]) => self.pending.extend([
                Node(b, TERNARY),
                Text(" : "),
                Node(a, TERNARY),
                Text(" ? "),
                Node(c, TERNARY + 1),
            ]),
            (Kind::Call(callee, template), args) => {
                match callee {
                    Callee::Known(f, space) => {
                        let added = (self.template)(f.name).filter(|_| template.is_none());
                        let short = *space == Space::Default && f.name == "exp";
                        out.push_str(match (f.in_metal(), space, added) {
                            (false, _, _) => "",
                            // The library's own, as Metal's takes no template argument.
                            (true, Space::Default, Some(_)) if short => "kk_",
                            (true, Space::Default, _) => "metal::",
                            (true, Space::Fast, _) => "metal::fast::",
                            (true, Space::Precise, _) => "metal::precise::",
                        });
                        out.push_str(f.name);
                        if let Some(added) = added
                            && (!f.in_metal() || short)
                        {
                            let _ = write!(out, "<{added}>");
                        }
                    }
                    Callee::Unknown(name) => out.push_str(name),
                }
                if let Some(template) = template {
                    let _ = write!(out, "<{template}>");
                }
                out.push('(');
                self.list(args);
            }
            (Kind::Cast(name, _), args) => {
                out.push_str(name);
                out.push('(');
                self.list(args);
            }
            (Kind::Index, [base, index]) => {
                self.pending
                    .extend([Text("]"), Node(index, 0), Text("["), Node(base, POSTFIX)])
            }
            (Kind::Member(name), [base]) => {
                self.pending
                    .extend([Text(name), Text("."), Node(base, POSTFIX)]);
            }
            // No other number of arguments is ever made.
            _ => {}
        }
    }

    fn list(&mut self, args: &'a [Expr]) {
        self.pending.push(Item::Text(")"));
        for (i, arg) in args.iter().enumerate().rev() {
            self.pending.push(Item::Node(arg, 0));
            if i > 0 {
                self.pending.push(Item::Text(", "));
            }
        }
    }
}
