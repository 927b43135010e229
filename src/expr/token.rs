//! From text to tokens.

use super::node::{Conversion, Number};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    Number(&'a str),
    Name(&'a str),
    /// An operator or a bracket.
    Sign(&'static str),
    End,
}

/// What is wrong, and at which byte of the text.
#[derive(Debug)]
pub(super) struct Problem {
    pub message: String,
    pub offset: usize,
}

pub(super) fn problem<T>(message: impl Into<String>, offset: usize) -> Result<T, Problem> {
    Err(Problem {
        message: message.into(),
        offset,
    })
}

/// Longer ones first.
const SIGNS: [&str; 30] = [
    "::", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "++", "--", "->", "+", "-", "*", "/",
    "%", "<", ">", "&", "^", "|", "!", "~", "?", ":", "(", ")", ",", "[",
];
const MORE: [&str; 3] = ["]", ".", "="];

/// The tokens with their offsets; the last one is the end.
pub(super) fn tokens(text: &str) -> Result<Vec<(Token<'_>, usize)>, Problem> {
    let bytes = text.as_bytes();
    let mut all = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let rest = &text[at..];
        let (token, length) = if byte.is_ascii_whitespace() {
            at += 1;
            continue;
        } else if byte.is_ascii_alphabetic() || byte == b'_' {
            let length = length_of(rest, |b| b.is_ascii_alphanumeric() || b == b'_');
            (Token::Name(&rest[..length]), length)
        } else if byte.is_ascii_digit()
            || byte == b'.' && bytes.get(at + 1).is_some_and(u8::is_ascii_digit)
        {
            let length = number_length(rest);
            (Token::Number(&rest[..length]), length)
        } else if let Some(sign) = SIGNS.iter().chain(&MORE).find(|s| rest.starts_with(**s)) {
            (Token::Sign(sign), sign.len())
        } else {
            let c = rest.chars().next().unwrap_or(' ');
            return problem(format!("unexpected character `{}`", c.escape_debug()), at);
        };
        all.push((token, at));
        at += length;
    }
    all.push((Token::End, text.len()));
    Ok(all)
}

fn length_of(text: &str, accept: impl Fn(u8) -> bool) -> usize {
    let bytes = text.as_bytes();
    bytes
        .iter()
        .position(|&b| !accept(b))
        .unwrap_or(bytes.len())
}

/// As C++ does: letters, digits and dots, and signs after an exponent's letter.
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let hexadecimal = text.starts_with("0x") || text.starts_with("0X");
    let mut n = 0;
    while let Some(&b) = bytes.get(n) {
        let exponent = !hexadecimal && n > 0 && matches!(bytes[n - 1], b'e' | b'E');
        match b {
            b'.' => n += 1,
            b'+' | b'-' if exponent => n += 1,
            _ if b.is_ascii_alphanumeric() => n += 1,
            _ => break,
        }
    }
    n
}

/// The value of a literal.
pub(super) fn number(text: &str) -> Option<Number> {
    let lower = text.to_ascii_lowercase();
    if let Some(digits) = lower.strip_prefix("0x") {
        let value = u64::from_str_radix(digits.trim_end_matches(['u', 'l']), 16).ok()?;
        return Some(Number::new(value as f64, true, Some(text)));
    }
    let digits = lower.trim_end_matches(['u', 'l']);
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        let octal = digits.len() > 1 && digits.starts_with('0');
        let value = u64::from_str_radix(digits, if octal { 8 } else { 10 }).ok()? as f64;
        let plain = value.to_string() == text;
        return Some(Number::new(value, true, (!plain).then_some(text)));
    }
    // Rust would take `inf` and `nan`, too; a literal begins with a digit or a dot.
    let digits = lower.trim_end_matches(['f', 'h', 'l']);
    if lower.len() > digits.len() + 1 {
        return None;
    }
    if lower.ends_with(['f', 'h', 'l']) && !digits.contains(['.', 'e']) {
        return None;
    }
    let value: f64 = digits.parse().ok()?;
    let half = lower.ends_with('h').then_some(text);
    let value = single(value);
    Some(Number::new(
        value,
        false,
        half.or(value.is_infinite().then_some("INFINITY")),
    ))
}

/// The number that the shortest text of the 32-bit float means: what printing and reading
/// again gives.
pub(super) fn single(value: f64) -> f64 {
    let float = value as f32;
    float.to_string().parse().unwrap_or(f64::from(float))
}

/// The value of a name that Metal defines.
pub(super) fn named_constant(name: &str) -> Option<Number> {
    use std::f64::consts as c;
    let float = |v| Some(Number::new(v, false, Some(name)));
    match name {
        "true" => Some(Number::new(1.0, true, Some(name))),
        "false" => Some(Number::new(0.0, true, Some(name))),
        "INFINITY" | "HUGE_VALF" => float(f64::INFINITY),
        "NAN" => float(f64::NAN),
        "MAXFLOAT" | "FLT_MAX" => float(f64::from(f32::MAX)),
        "FLT_MIN" => float(f64::from(f32::MIN_POSITIVE)),
        "FLT_EPSILON" => float(f64::from(f32::EPSILON)),
        "HALF_MAX" => float(65504.0),
        "HALF_MIN" => float(6.103_515_625e-5),
        "HALF_EPSILON" => float(9.765_625e-4),
        "M_E_F" => float(c::E),
        "M_LOG2E_F" => float(c::LOG2_E),
        "M_LOG10E_F" => float(c::LOG10_E),
        "M_LN2_F" => float(c::LN_2),
        "M_LN10_F" => float(c::LN_10),
        "M_PI_F" => float(c::PI),
        "M_PI_2_F" => float(c::FRAC_PI_2),
        "M_PI_4_F" => float(c::FRAC_PI_4),
        "M_1_PI_F" => float(c::FRAC_1_PI),
        "M_2_PI_F" => float(c::FRAC_2_PI),
        "M_2_SQRTPI_F" => float(c::FRAC_2_SQRT_PI),
        "M_SQRT2_F" => float(c::SQRT_2),
        "M_SQRT1_2_F" => float(c::FRAC_1_SQRT_2),
        "INT_MAX" => Some(Number::new(f64::from(i32::MAX), true, Some(name))),
        "INT_MIN" => Some(Number::new(f64::from(i32::MIN), true, Some(name))),
        "UINT_MAX" => Some(Number::new(f64::from(u32::MAX), true, Some(name))),
        _ => None,
    }
}

/// Scalar types, and template parameters such as `T` and `O`, which the toolkit uses for
/// floating types.
pub(super) fn conversion(name: &str) -> Option<Conversion> {
    match name {
        "float" | "half" | "bfloat" | "float16_t" | "bfloat16_t" | "float32_t" => {
            Some(Conversion::Float)
        }
        "bool" => Some(Conversion::Bool),
        "char" | "uchar" | "short" | "ushort" | "int" | "uint" | "long" | "ulong" | "size_t"
        | "int8_t" | "uint8_t" | "int16_t" | "uint16_t" | "int32_t" | "uint32_t" | "int64_t"
        | "uint64_t" | "unsigned" | "unsigned int" => Some(Conversion::Int),
        _ => {
            let mut chars = name.chars();
            let parameter = chars.next().is_some_and(|c| c.is_ascii_uppercase())
                && chars.all(|c| c.is_ascii_digit());
            parameter.then_some(Conversion::Float)
        }
    }
}
