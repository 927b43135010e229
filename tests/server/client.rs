//! A client for HTTP/1.1 over TCP, as small as can be and independent of the server's library.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

/// An answer.
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// The events of a stream, which ends with the known sign.
    #[track_caller]
    pub fn events(&self) -> Vec<Value> {
        let lines = self.body.lines().filter_map(|l| l.strip_prefix("data: "));
        let mut lines: Vec<&str> = lines.collect();
        assert_eq!(lines.pop(), Some("[DONE]"), "{}", self.body);
        lines
            .into_iter()
            .map(|l| serde_json::from_str(l).expect("JSON"))
            .collect()
    }
}

/// A connection whose answer is on its way.
pub struct Started {
    reader: BufReader<TcpStream>,
    head: Option<(u16, Vec<(String, String)>)>,
}

impl Started {
    /// Waits for the status.
    pub fn status(&mut self) -> u16 {
        if let Some((status, _)) = &self.head {
            return *status;
        }
        let mut line = String::new();
        self.reader.read_line(&mut line).expect("a status");
        let status = line
            .split(' ')
            .nth(1)
            .and_then(|s| s.parse().ok())
            .expect("a number");
        let mut headers = Vec::new();
        loop {
            line.clear();
            self.reader.read_line(&mut line).expect("a header");
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            headers.push((name.to_lowercase(), value.to_owned()));
        }
        self.head = Some((status, headers));
        status
    }

    /// Waits for the whole answer.
    pub fn rest(mut self) -> Answer {
        let status = self.status();
        let headers = self.head.take().map(|(_, h)| h).unwrap_or_default();
        let mut bytes = Vec::new();
        // The server closes the connection, as it was asked to.
        self.reader.read_to_end(&mut bytes).expect("a body");
        if headers
            .iter()
            .any(|(n, v)| n == "transfer-encoding" && v == "chunked")
        {
            bytes = joined(&bytes);
        }
        Answer {
            status,
            headers,
            body: String::from_utf8(bytes).expect("text"),
        }
    }
}

/// A body out of its chunks.
fn joined(mut bytes: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let end = bytes
            .windows(2)
            .position(|w| w == b"\r\n")
            .expect("a chunk's length");
        let length = std::str::from_utf8(&bytes[..end]).expect("text");
        let length = usize::from_str_radix(length, 16).expect("a number");
        if length == 0 {
            return all;
        }
        all.extend_from_slice(&bytes[end + 2..end + 2 + length]);
        bytes = &bytes[end + 2 + length + 2..];
    }
}

fn start(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
    headers: &[(&str, &str)],
) -> Started {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!(
        "content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("sent");
    // A server that refuses the length may close before the body is there.
    let _ = stream.write_all(body.as_bytes());
    Started {
        reader: BufReader::new(stream),
        head: None,
    }
}

pub fn start_post(address: SocketAddr, path: &str, body: &str) -> Started {
    start(address, "POST", path, body, &[])
}

pub fn post(address: SocketAddr, path: &str, body: &str, headers: &[(&str, &str)]) -> Answer {
    start(address, "POST", path, body, headers).rest()
}

pub fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Answer {
    start(address, "GET", path, "", headers).rest()
}
