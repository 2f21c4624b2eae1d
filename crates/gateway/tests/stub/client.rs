//! An HTTP client that shows everything: status, headers, body, and when each piece arrived.

use std::{collections::BTreeMap, net::SocketAddr, time::Instant};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

#[derive(Clone, Copy)]
pub struct Client {
    address: SocketAddr,
}

pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
    /// When each piece of the body arrived, and what had arrived by then.
    pub arrivals: Vec<(Instant, usize)>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// Status, code and parameter of an error.
    pub fn error(&self) -> (u16, String, String) {
        let error = &self.json()["error"];
        assert!(error["message"].as_str().is_some_and(|message| message.len() > 10), "{}", self.body);
        let word = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        (self.status, word("code"), word("param"))
    }

    /// The events of a stream; `[DONE]` stays text.
    pub fn events(&self) -> Vec<Value> {
        let events = self.body.split("\n\n").filter(|event| !event.is_empty());
        let data = events.map(|event| event.strip_prefix("data: ").unwrap());
        data.map(|data| serde_json::from_str(data).unwrap_or_else(|_| Value::String(data.to_owned()))).collect()
    }

    /// All text of a stream.
    pub fn streamed_text(&self) -> String {
        let text = |event: &Value| event["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned();
        self.events().iter().map(text).collect()
    }

    pub fn is_done(&self) -> bool {
        self.events().last() == Some(&Value::String("[DONE]".to_owned()))
    }
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.exchange(&format!("GET {path} HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n")).await
    }

    pub async fn post(&self, path: &str, body: &str) -> Answer {
        self.post_with(path, "content-type: application/json\r\n", body).await
    }

    /// `headers` are whole lines.
    pub async fn post_with(&self, path: &str, headers: &str, body: &str) -> Answer {
        self.exchange(&request(path, headers, body)).await
    }

    pub async fn chat(&self, fields: &str) -> Answer {
        self.post("/v1/chat/completions", &chat_body(fields)).await
    }

    pub async fn exchange(&self, request: &str) -> Answer {
        let mut stream = self.open(request).await;
        let (mut bytes, mut arrivals, mut piece) = (Vec::new(), Vec::new(), vec![0; 1 << 16]);
        while let Ok(count @ 1..) = stream.read(&mut piece).await {
            bytes.extend_from_slice(&piece[..count]);
            arrivals.push((Instant::now(), bytes.len()));
        }
        parse(&bytes, arrivals)
    }

    /// Sends and leaves the reading to the caller, with so little room for what is not read that a server notices.
    pub async fn open_narrow(&self, request: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(1 << 14).unwrap();
        let mut stream = socket.connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// Sends and leaves the reading to the caller.
    pub async fn open(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }
}

pub fn chat_body(fields: &str) -> String {
    format!(r#"{{"model":"tiny","messages":[{{"role":"user","content":"hi"}}]{fields}}}"#)
}

pub fn request(path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nhost: g\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}")
}

fn parse(bytes: &[u8], arrivals: Vec<(Instant, usize)>) -> Answer {
    let whole = String::from_utf8_lossy(bytes).into_owned();
    let (head, rest) = whole.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {whole:?}"));
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let headers: BTreeMap<String, String> = lines.filter_map(header).collect();
    let chunked = headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked");
    let body = if chunked { unchunk(rest) } else { rest.to_owned() };
    Answer { status, headers, body, arrivals }
}

fn unchunk(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, tail)) = rest.split_once("\r\n") {
        let Ok(size) = usize::from_str_radix(size, 16) else { break };
        body.push_str(&tail[..size.min(tail.len())]);
        rest = tail.get(size + 2..).unwrap_or_default();
    }
    body
}
