//! Splits MSL text into tokens, losing nothing.
//!
//! Every byte of the text belongs to exactly one token, in order, so that what a pass does not touch
//! comes out as it went in: line structure and comments included. Arbitrary text is accepted: what
//! makes no sense becomes a token too, and the C++ compiler complains about it later, with a line
//! number.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A word, keyword or not.
    Ident,
    /// A preprocessing number, suffix included.
    Number,
    /// A string or character literal.
    Text,
    /// An operator or bracket.
    Punct,
    /// Blanks within a line.
    Space,
    /// The end of a line.
    Newline,
    /// A backslash that joins two lines.
    Continuation,
    /// Either kind of comment.
    Comment,
}

/// A token: its kind and its bytes in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// Whether it belongs to a preprocessor line.
    pub directive: bool,
}

impl Token {
    /// Whether a parser sees it.
    pub const fn is_significant(&self) -> bool {
        matches!(
            self.kind,
            Kind::Ident | Kind::Number | Kind::Text | Kind::Punct
        )
    }
}

/// Operators of more than one character, longest first. Those that begin with `>` are left apart,
/// since two of them may also close two template argument lists.
const OPERATORS: [&str; 20] = [
    "<<=", "...", "::", "->", "++", "--", "<<", "<=", "==", "!=", "&&", "||", "+=", "-=", "*=",
    "/=", "%=", "&=", "|=", "^=",
];

/// The tokens of `text`.
pub fn lex(text: &str) -> Vec<Token> {
    let mut lexer = Lexer {
        bytes: text.as_bytes(),
        at: 0,
        line_start: true,
        directive: false,
    };
    let mut tokens = Vec::with_capacity(text.len() / 4);
    while lexer.at < lexer.bytes.len() {
        tokens.push(lexer.next_token());
    }
    tokens
}

struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    line_start: bool,
    directive: bool,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn next_token(&mut self) -> Token {
        let start = self.at;
        let kind = self.scan();
        // Progress is the one promise that keeps arbitrary text from looping here.
        debug_assert!(self.at > start);
        if self.line_start && self.bytes[start] == b'#' {
            self.directive = true;
        }
        let directive = self.directive;
        match kind {
            Kind::Newline => (self.directive, self.line_start) = (false, true),
            Kind::Space | Kind::Comment | Kind::Continuation => {}
            _ => self.line_start = false,
        }
        Token {
            kind,
            start,
            end: self.at,
            directive,
        }
    }

    fn scan(&mut self) -> Kind {
        let byte = self.peek(0);
        match byte {
            b'\n' => {
                self.at += 1;
                Kind::Newline
            }
            b'\r' if self.peek(1) == b'\n' => {
                self.at += 2;
                Kind::Newline
            }
            b'\\' if self.continuation_len(0) > 0 => {
                self.at += self.continuation_len(0);
                Kind::Continuation
            }
            b' ' | b'\t' | b'\r' | 0x0b | 0x0c => {
                self.take_while(|b| matches!(b, b' ' | b'\t' | 0x0b | 0x0c));
                Kind::Space
            }
            b'/' if self.peek(1) == b'/' => self.line_comment(),
            b'/' if self.peek(1) == b'*' => self.block_comment(),
            b'"' | b'\'' => self.text(byte),
            b'0'..=b'9' => self.number(),
            b'.' if self.peek(1).is_ascii_digit() => self.number(),
            b if is_word(b) => {
                self.take_while(is_word);
                Kind::Ident
            }
            _ => self.operator(),
        }
    }

    /// Takes one byte, then all that satisfy `accept`.
    fn take_while(&mut self, accept: impl Fn(u8) -> bool) {
        self.at += 1;
        while self.at < self.bytes.len() && accept(self.peek(0)) {
            self.at += 1;
        }
    }

    /// Bytes of a line continuation at `ahead`, or 0. Blanks may stand before the line's end, as
    /// compilers allow.
    fn continuation_len(&self, ahead: usize) -> usize {
        if self.peek(ahead) != b'\\' {
            return 0;
        }
        let mut len = 1;
        while matches!(self.peek(ahead + len), b' ' | b'\t') {
            len += 1;
        }
        match (self.peek(ahead + len), self.peek(ahead + len + 1)) {
            (b'\n', _) => len + 1,
            (b'\r', b'\n') => len + 2,
            _ => 0,
        }
    }

    fn line_comment(&mut self) -> Kind {
        while self.at < self.bytes.len() && self.peek(0) != b'\n' {
            if self.peek(0) == b'\r' && self.peek(1) == b'\n' {
                break;
            }
            self.at += self.continuation_len(0).max(1);
        }
        Kind::Comment
    }

    fn block_comment(&mut self) -> Kind {
        self.at += 2;
        while self.at < self.bytes.len() {
            if self.peek(0) == b'*' && self.peek(1) == b'/' {
                self.at += 2;
                return Kind::Comment;
            }
            self.at += 1;
        }
        Kind::Comment
    }

    /// A quoted literal. One that does not end on its line ends there: an apostrophe in an `#error`
    /// must not swallow the rest of the text.
    fn text(&mut self, quote: u8) -> Kind {
        self.at += 1;
        while self.at < self.bytes.len() {
            let joined = self.continuation_len(0);
            match self.peek(0) {
                b if b == quote => {
                    self.at += 1;
                    break;
                }
                b'\n' => break,
                b'\\' if joined > 0 => self.at += joined,
                // The escaped byte may begin a longer character; its rest follows as usual.
                b'\\' if self.peek(1) != b'\n' && self.at + 1 < self.bytes.len() => self.at += 2,
                _ => self.at += 1,
            }
        }
        Kind::Text
    }

    fn number(&mut self) -> Kind {
        let hex = self.peek(0) == b'0' && matches!(self.peek(1), b'x' | b'X');
        self.at += 1;
        loop {
            let sign_follows = matches!(self.peek(1), b'+' | b'-');
            match self.peek(0) {
                b'e' | b'E' if sign_follows && !hex => self.at += 2,
                b'p' | b'P' if sign_follows => self.at += 2,
                b'\'' if self.peek(1).is_ascii_alphanumeric() => self.at += 2,
                b if is_word(b) || b == b'.' => self.at += 1,
                _ => return Kind::Number,
            }
        }
    }

    fn operator(&mut self) -> Kind {
        let rest = &self.bytes[self.at..];
        let len = OPERATORS
            .iter()
            .find(|op| rest.starts_with(op.as_bytes()))
            .map_or(1, |op| op.len());
        self.at += len;
        Kind::Punct
    }
}

/// Bytes of identifiers. Anything beyond ASCII counts, so that no token ever splits a character.
const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        lex(text)
            .iter()
            .filter(|t| t.is_significant())
            .map(|t| &text[t.start..t.end])
            .collect()
    }

    #[test]
    fn nothing_is_lost() {
        let text = "a /* b\n */ 1.5e-3f\t\"s\\\"\" // c \\\n d\r\n#define X(a) \\\r\n a##1 'x\nß";
        let back: String = lex(text).iter().map(|t| &text[t.start..t.end]).collect();
        assert_eq!(back, text);
    }

    #[test]
    fn numbers_keep_sign_and_suffix() {
        assert_eq!(
            words("1e-5+2 0x1p-3 0xE+1 .5h 1'000u"),
            ["1e-5", "+", "2", "0x1p-3", "0xE", "+", "1", ".5h", "1'000u"]
        );
    }

    #[test]
    fn closing_angles_stay_apart() {
        assert_eq!(
            words("a<b<c>>d>>=1"),
            ["a", "<", "b", "<", "c", ">", ">", "d", ">", ">", "=", "1"]
        );
    }

    #[test]
    fn directives_end_with_their_line() {
        let text = "#define A 1 \\\n + 2\nB";
        let flags: Vec<_> = lex(text)
            .iter()
            .filter(|t| t.is_significant())
            .map(|t| (&text[t.start..t.end], t.directive))
            .collect();
        assert_eq!(flags.last(), Some(&("B", false)));
        assert!(flags[..flags.len() - 1].iter().all(|(_, d)| *d));
    }

    #[test]
    fn an_apostrophe_ends_with_its_line() {
        assert_eq!(words("#error don't\nx"), ["#", "error", "don", "'t", "x"]);
    }
}
