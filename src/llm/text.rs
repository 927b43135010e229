//! Text out of the bytes of tokens, up to where it is to stop.

/// Puts the bytes of tokens together to text: holds back a character that is not whole yet, and what may be the beginning of a stop.
#[derive(Clone, Debug, Default)]
pub struct TextOut {
    stops: Vec<String>,
    bytes: Vec<u8>,
    text: String,
    stopped: bool,
}

impl TextOut {
    /// Text that ends before the first of these.
    pub fn new(stops: impl IntoIterator<Item = String>) -> Self {
        TextOut {
            stops: stops.into_iter().filter(|s| !s.is_empty()).collect(),
            ..TextOut::default()
        }
    }

    /// Adds the bytes of a token and gives the text that is certain now.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        if self.stopped {
            return String::new();
        }
        self.bytes.extend_from_slice(bytes);
        self.take_characters(false);
        self.release(false)
    }

    /// The rest, where no more tokens come.
    pub fn finish(&mut self) -> String {
        if self.stopped {
            return String::new();
        }
        self.take_characters(true);
        self.release(true)
    }

    /// Whether one of the stops came.
    pub fn stopped(&self) -> bool {
        self.stopped
    }

    /// Moves whole characters from the bytes to the text; what can never become one becomes the sign for that.
    fn take_characters(&mut self, end: bool) {
        loop {
            match std::str::from_utf8(&self.bytes) {
                Ok(text) => {
                    self.text.push_str(text);
                    self.bytes.clear();
                    return;
                }
                Err(e) => {
                    let good = e.valid_up_to();
                    self.text
                        .push_str(&String::from_utf8_lossy(&self.bytes[..good]));
                    let bad = match e.error_len() {
                        Some(bad) => bad,
                        None if end => self.bytes.len() - good,
                        None => 0,
                    };
                    self.bytes.drain(..good + bad);
                    if bad == 0 {
                        return;
                    }
                    self.text.push(char::REPLACEMENT_CHARACTER);
                }
            }
        }
    }

    fn release(&mut self, end: bool) -> String {
        let first = self
            .stops
            .iter()
            .filter_map(|s| self.text.find(s.as_str()))
            .min();
        if let Some(at) = first {
            self.stopped = true;
            self.text.truncate(at);
            return std::mem::take(&mut self.text);
        }
        if end {
            return std::mem::take(&mut self.text);
        }
        // The longest end of the text that is the beginning of a stop stays.
        let begins = |at: &usize| self.stops.iter().any(|s| s.starts_with(&self.text[*at..]));
        let boundaries = self.text.char_indices().map(|(at, _)| at);
        let keep = boundaries
            .into_iter()
            .find(begins)
            .unwrap_or(self.text.len());
        let rest = self.text.split_off(keep);
        std::mem::replace(&mut self.text, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_come_whole() {
        let mut out = TextOut::new([]);
        let bytes = "aß€🙂".as_bytes();
        let parts: Vec<String> = bytes.iter().map(|b| out.push(&[*b])).collect();
        assert_eq!(parts.concat(), "aß€🙂");
        assert_eq!(parts[1..3], ["".to_owned(), "ß".to_owned()]);
        assert_eq!(out.push(&[0xE2, 0x82]), "");
        assert_eq!(out.finish(), "\u{FFFD}");
        assert_eq!(TextOut::new([]).push(&[0xFF, b'x']), "\u{FFFD}x");
    }

    #[test]
    fn stops_are_found_across_tokens() {
        let mut out = TextOut::new(["END".into(), "\n\n".into()]);
        let parts = ["One E", "N", "T. E", "ND more"].map(|p| out.push(p.as_bytes()));
        assert_eq!(parts, ["One ", "", "ENT. ", ""]);
        assert!(out.stopped());
        assert_eq!(out.push(b"x") + &out.finish(), "");
        let mut other = TextOut::new(["END".into()]);
        assert_eq!(other.push(b"the E") + &other.finish(), "the E");
    }
}
