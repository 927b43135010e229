//! From MSL text to an expression.

use super::Expr;
use super::build::call;
use super::functions;
use super::node::{Binary, Callee, Class, Conversion, Kind, Number, Space, Unary, make};
use super::rows::{self, Language};
use super::token::{Problem, Token, conversion, named_constant, number, problem, tokens};

/// Longer texts are refused.
const MAX_LENGTH: usize = 64 * 1024;
/// Deeper nesting is refused: the parser is recursive.
const MAX_DEPTH: usize = 200;

/// Above all binary operators of MSL.
const POWER: u8 = 100;

/// The expression in `text`, or what is wrong with it.
pub(super) fn parse<'a>(
    text: &'a str,
    variables: &'a [&'a str],
    language: Language,
) -> Result<Expr, Problem> {
    if text.len() > MAX_LENGTH {
        let message = format!("too long: {} bytes of {MAX_LENGTH} at most", text.len());
        return problem(message, 0);
    }
    let mut parser = Parser {
        tokens: tokens(text)?,
        next: 0,
        depth: 0,
        language,
        variables: variables.iter().map(|v| declared(v)).collect(),
    };
    let expr = parser.expression(0)?;
    match parser.peek() {
        Token::End => Ok(expr),
        other => problem(
            format!("expected an operator or the end, got {}", shown(other)),
            parser.offset(),
        ),
    }
}

fn shown(token: &Token) -> String {
    match token {
        Token::Number(text) | Token::Name(text) => format!("`{text}`"),
        Token::Sign(text) => format!("`{text}`"),
        Token::End => "the end".into(),
    }
}

struct Parser<'a> {
    tokens: Vec<(Token<'a>, usize)>,
    next: usize,
    depth: usize,
    language: Language,
    variables: Vec<(&'a str, Class)>,
}

impl<'a> Parser<'a> {
    fn variable(&self, name: &str) -> Option<Class> {
        self.variables.iter().find(|v| v.0 == name).map(|v| v.1)
    }

    fn ahead(&self, n: usize) -> &Token<'a> {
        self.tokens.get(self.next + n).map_or(&Token::End, |t| &t.0)
    }

    fn peek(&self) -> &Token<'a> {
        self.ahead(0)
    }

    fn offset(&self) -> usize {
        let last = self.tokens.len() - 1;
        self.tokens[self.next.min(last)].1
    }

    fn accept(&mut self, sign: &'static str) -> bool {
        let found = *self.peek() == Token::Sign(sign);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), Problem> {
        if self.accept(sign) {
            return Ok(());
        }
        problem(
            format!("expected `{sign}`, got {}", shown(self.peek())),
            self.offset(),
        )
    }

    /// What binds at least so tightly as `least`.
    fn expression(&mut self, least: u8) -> Result<Expr, Problem> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return problem(
                format!("nested deeper than {MAX_DEPTH} levels"),
                self.offset(),
            );
        }
        let mut left = self.unary()?;
        while let Token::Sign(sign) = *self.peek() {
            if sign == "?" && least <= 1 {
                self.next += 1;
                let a = self.expression(0)?;
                self.expect(":")?;
                let b = self.expression(1)?;
                left = make(Kind::Select, vec![left, a, b]);
                continue;
            }
            if sign == "^" && self.language == Language::Textbook {
                if least > POWER {
                    break;
                }
                self.next += 1;
                // From the right: 2^3^2 is 2^9.
                let exponent = self.expression(POWER)?;
                left = call("pow", vec![left, exponent]);
                continue;
            }
            let Some(op) = operator(sign).filter(|op| op.strength() >= least.max(2)) else {
                break;
            };
            self.next += 1;
            let at = self.offset();
            let right = self.expression(op.strength() + 1)?;
            let zero = matches!(&right.0.kind, Kind::Const(n) if n.int && n.value() == 0.0);
            let divides = matches!(op, Binary::Div | Binary::Rem);
            if zero && divides && left.0.class == Class::Int {
                return problem("an integer divided by 0".to_owned(), at);
            }
            left = make(Kind::Binary(op), vec![left, right]);
        }
        self.depth -= 1;
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, Problem> {
        let Token::Sign(sign) = *self.peek() else {
            return self.postfix();
        };
        let op = match sign {
            "+" => None,
            "-" => Some(Unary::Neg),
            "!" => Some(Unary::Not),
            "~" => Some(Unary::BitNot),
            _ => return self.postfix(),
        };
        self.next += 1;
        // Tighter than every binary operator of MSL; in books -x^2 is -(x^2).
        let operand = self.expression(match self.language {
            Language::Textbook => POWER,
            _ => u8::MAX,
        })?;
        Ok(match op {
            None => operand,
            Some(op) => make(Kind::Unary(op), vec![operand]),
        })
    }

    fn postfix(&mut self) -> Result<Expr, Problem> {
        let start = self.offset();
        let mut expr = self.primary()?;
        loop {
            let index = match self.peek() {
                Token::Sign("[") => true,
                Token::Sign(".") => false,
                _ => return Ok(expr),
            };
            if !matches!(expr.0.kind, Kind::Var(..) | Kind::Index | Kind::Member(_)) {
                return problem("only a variable has elements and members", self.offset());
            }
            if self.offset() - start > 4096 {
                return problem("too many elements and members", self.offset());
            }
            self.next += 1;
            expr = if index {
                let at = self.expression(0)?;
                self.expect("]")?;
                make(Kind::Index, vec![expr, at])
            } else {
                let Token::Name(name) = *self.peek() else {
                    return problem("expected the name of a member", self.offset());
                };
                self.next += 1;
                make(Kind::Member(name.into()), vec![expr])
            };
        }
    }

    fn primary(&mut self) -> Result<Expr, Problem> {
        let offset = self.offset();
        match *self.peek() {
            Token::Number(text) => {
                self.next += 1;
                if self.language == Language::Textbook {
                    return match text.parse::<f64>() {
                        Ok(value) => Ok(constant(Number::float(value))),
                        Err(_) => problem(format!("`{text}` is not a number"), offset),
                    };
                }
                match number(text) {
                    Some(n) => Ok(constant(n)),
                    None => problem(format!("`{text}` is not a number"), offset),
                }
            }
            Token::Name(_) => self.name(),
            Token::Sign("(") => {
                self.next += 1;
                if let Some(cast) = self.c_cast()? {
                    return Ok(cast);
                }
                let inner = self.expression(0)?;
                self.expect(")")?;
                Ok(inner)
            }
            ref other => problem(format!("expected a value, got {}", shown(other)), offset),
        }
    }

    /// `(float)x`, after its first parenthesis.
    fn c_cast(&mut self) -> Result<Option<Expr>, Problem> {
        let (Token::Name(name), Token::Sign(")")) = (self.peek(), self.ahead(1)) else {
            return Ok(None);
        };
        let name = *name;
        let Some(conversion) = conversion(name).filter(|_| self.variable(name).is_none()) else {
            return Ok(None);
        };
        self.next += 2;
        let operand = self.expression(u8::MAX)?;
        Ok(Some(make(
            Kind::Cast(name.into(), conversion),
            vec![operand],
        )))
    }

    /// A variable, a named constant or a call.
    fn name(&mut self) -> Result<Expr, Problem> {
        let offset = self.offset();
        let mut path: Vec<&str> = Vec::new();
        while let Token::Name(part) = *self.peek() {
            path.push(part);
            self.next += 1;
            if !self.accept("::") {
                break;
            }
        }
        let name = path.join("::");
        let declared = self.variable(&name);
        let template = match declared {
            Some(_) => None,
            None => self.template(),
        };
        if self.accept("(") {
            let args = self.arguments()?;
            if let Some(result) = rows::called(self.language, &name, &args, offset) {
                return result;
            }
            return called(&path, &name, template, args, offset);
        }
        if let Some(class) = declared {
            return Ok(make(Kind::Var(name.into(), class), Vec::new()));
        }
        let last = path.last().copied().unwrap_or_default();
        if self.language == Language::Textbook && last == "pi" {
            return Ok(constant(Number::float(std::f64::consts::PI)));
        }
        if let Some(n) = named_constant(last).filter(|_| path.len() == 1) {
            return Ok(constant(n));
        }
        let names: Vec<&str> = self.variables.iter().map(|v| v.0).collect();
        let list = match names.as_slice() {
            [] => "none".to_owned(),
            some => some.join(", "),
        };
        problem(
            format!("undeclared variable `{name}` (declared: {list})"),
            offset,
        )
    }

    /// `<float>`, if a call follows: else it is a comparison.
    fn template(&mut self) -> Option<String> {
        let mut n = usize::from(*self.peek() == Token::Sign("<"));
        if n == 0 {
            return None;
        }
        let mut text = String::new();
        loop {
            match self.ahead(n) {
                Token::Sign(">") => break,
                Token::Name(part) | Token::Number(part) => {
                    // `unsigned int`
                    if text.ends_with(|c: char| c.is_ascii_alphanumeric()) {
                        text.push(' ');
                    }
                    text.push_str(part);
                }
                Token::Sign("::") => text.push_str("::"),
                Token::Sign(",") => text.push_str(", "),
                _ => return None,
            }
            n += 1;
        }
        if text.is_empty() || *self.ahead(n + 1) != Token::Sign("(") {
            return None;
        }
        self.next += n + 1;
        Some(text)
    }

    fn arguments(&mut self) -> Result<Vec<Expr>, Problem> {
        let mut args = Vec::new();
        if self.accept(")") {
            return Ok(args);
        }
        loop {
            args.push(self.expression(0)?);
            if !self.accept(",") {
                self.expect(")")?;
                return Ok(args);
            }
        }
    }
}

fn called(
    path: &[&str],
    name: &str,
    template: Option<String>,
    args: Vec<Expr>,
    offset: usize,
) -> Result<Expr, Problem> {
    let counted = |expected: usize| match args.len() {
        n if n == expected => Ok(()),
        n => problem(
            format!("`{name}` takes {expected} argument(s), got {n}"),
            offset,
        ),
    };
    let cast = match (path, &template) {
        (["static_cast"], Some(to)) => conversion(to).or(Some(Conversion::Bits)),
        (["as_type"] | ["metal", "as_type"], Some(_)) => Some(Conversion::Bits),
        ([to], None) => conversion(to),
        _ => None,
    };
    if let Some(conversion) = cast {
        counted(1)?;
        let text = match template {
            Some(to) => format!("{name}<{to}>"),
            None => name.to_owned(),
        };
        return Ok(make(Kind::Cast(text.into(), conversion), args));
    }
    let (space, last) = match path {
        [f] | ["metal", f] => (Space::Default, *f),
        ["metal", "fast", f] | ["fast", f] => (Space::Fast, *f),
        ["metal", "precise", f] | ["precise", f] => (Space::Precise, *f),
        _ => (Space::Default, ""),
    };
    let known = functions::lookup(last).filter(|f| f.in_metal() || path.len() == 1);
    let callee = match known {
        Some(f) => {
            counted(f.arity)?;
            Callee::Known(f, space)
        }
        None => Callee::Unknown(name.into()),
    };
    Ok(make(Kind::Call(callee, template.map(Into::into)), args))
}

fn constant(n: Number) -> Expr {
    make(Kind::Const(n), Vec::new())
}

/// Name and type of a variable: `x` is a float, `uint n` is not.
pub(super) fn declared(declaration: &str) -> (&str, Class) {
    match declaration.trim().rsplit_once(char::is_whitespace) {
        None => (declaration.trim(), Class::Float),
        // A vector's type says what its members are.
        Some((of, name)) => match conversion(of.trim().trim_end_matches(['2', '3', '4'])) {
            Some(Conversion::Float) => (name, Class::Float),
            Some(_) => (name, Class::Int),
            None => (name, Class::Unknown),
        },
    }
}

fn operator(sign: &str) -> Option<Binary> {
    use Binary::*;
    [
        Add, Sub, Mul, Div, Rem, Shl, Shr, Lt, Le, Gt, Ge, Eq, Ne, BitAnd, BitXor, BitOr, And, Or,
    ]
    .into_iter()
    .find(|op| op.symbol() == sign)
}
