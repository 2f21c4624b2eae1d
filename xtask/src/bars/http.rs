//! Just enough HTTP to ask a node on loopback something: one request, one answer, no connection kept.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);
const ANSWER_BYTES_MAX: u64 = 64 << 20;

pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Asks `GET base/path`, expecting JSON.
pub fn get_json(base: &str, path: &str) -> Result<Value> {
    json_of(path, &exchange(base, "GET", path, b"")?)
}

/// Sends JSON to `base/path`, expecting JSON.
pub fn post_json(base: &str, path: &str, body: &Value) -> Result<Value> {
    json_of(path, &exchange(base, "POST", path, body.to_string().as_bytes())?)
}

fn json_of(path: &str, answer: &Answer) -> Result<Value> {
    if answer.status != 200 {
        bail!("{path} answered {}: {}", answer.status, String::from_utf8_lossy(&answer.body).trim());
    }
    serde_json::from_slice(&answer.body).with_context(|| format!("failed to read the answer of {path} as JSON"))
}

/// HTTP/1.0, so that no server sends chunks and each closes when it is done.
fn exchange(base: &str, method: &str, path: &str, body: &[u8]) -> Result<Answer> {
    let host = base.strip_prefix("http://").unwrap_or(base).trim_end_matches('/');
    let mut stream = TcpStream::connect(host).with_context(|| format!("failed to connect to {host}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(&[head.as_bytes(), body].concat()).context("failed to send a request")?;
    let mut bytes = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes).context("failed to read an answer")?;
    parse(&bytes).with_context(|| format!("failed to read the answer of {path} as HTTP"))
}

fn parse(bytes: &[u8]) -> Result<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").context("it has no end of its head")?;
    let (head, body) = bytes.split_at(end + 4);
    let head = String::from_utf8_lossy(head);
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("it has no status")?;
    Ok(Answer { status, body: body.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_its_status_and_its_body() {
        let answer = parse(b"HTTP/1.0 200 OK\r\nA: b\r\n\r\n{}").unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"{}".as_slice()));
    }

    #[test]
    fn a_torn_answer_is_refused() {
        assert!(parse(b"HTTP/1.0 200 OK\r\nA: b\r\n").is_err());
        assert!(parse(b"nonsense\r\n\r\n").is_err());
    }
}
