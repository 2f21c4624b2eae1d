//! A client for other nodes' interfaces: one pool of connections, bounded answers, deadlines.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{HeaderMap, Method, Request, Response, StatusCode, body::Incoming, header};
use protocol::{Canonical, Reader};

use crate::{
    error::NetworkError,
    frames::{FRAME_BYTES_MAX, Oversized, Splitter},
    transport::{Transport, TransportError},
};

/// Largest answer that is not a stream.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Items in a list of nouns.
const LIST_MAX: usize = 1 << 20;
/// How long the end of a stream is waited for whose last frame has come, and how much may come before it.
const END_WAIT: Duration = Duration::from_secs(1);
const END_BYTES_MAX: usize = 1 << 12;

/// Talks to nodes; clones share connections.
#[derive(Clone)]
pub struct Client {
    transport: Transport,
    deadline: Duration,
}

impl Default for Client {
    fn default() -> Self {
        Self::new(Duration::from_secs(10))
    }
}

impl Client {
    /// `deadline` bounds each call; for a stream, each wait for the next frame.
    pub fn new(deadline: Duration) -> Self {
        Self { transport: Transport::new(), deadline }
    }

    /// What bounds each call.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Sends to any server, and gives its answer whatever the status is. No redirect is followed.
    pub async fn ask(&self, request: Request<Bytes>) -> Result<Answer, NetworkError> {
        let url = request.uri().to_string();
        let response = self.sent(&url, request.map(Full::new)).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Answer { status, headers, body: self.pieces(&url, response) })
    }

    pub async fn get_bytes(&self, url: &str) -> Result<Bytes, NetworkError> {
        self.bytes(Method::GET, url, Bytes::new()).await
    }

    pub async fn post_bytes(&self, url: &str, body: impl Into<Bytes>) -> Result<Bytes, NetworkError> {
        self.bytes(Method::POST, url, body.into()).await
    }

    /// Sends JSON with further headers, as a client of the gateway does.
    pub async fn post_json(&self, url: &str, body: String, headers: &[(&str, &str)]) -> Result<Bytes, NetworkError> {
        let mut request = Request::post(url).header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.whole(url, request.body(Full::new(body.into()))).await
    }

    pub async fn get<T: Canonical>(&self, url: &str) -> Result<T, NetworkError> {
        decode(url, &self.get_bytes(url).await?)
    }

    pub async fn post<T: Canonical>(&self, url: &str, body: &impl Canonical) -> Result<T, NetworkError> {
        decode(url, &self.post_bytes(url, body.encode()).await?)
    }

    /// A list as `nouns` writes it.
    pub async fn get_list<T: Canonical>(&self, url: &str) -> Result<Vec<T>, NetworkError> {
        decode_list(url, &self.get_bytes(url).await?)
    }

    pub async fn post_for_list<T: Canonical>(&self, url: &str, body: &impl Canonical) -> Result<Vec<T>, NetworkError> {
        decode_list(url, &self.post_bytes(url, body.encode()).await?)
    }

    /// Sends `body` and reads frames as they come. Dropping the frames cuts the connection.
    pub async fn post_for_frames(&self, url: &str, body: &impl Canonical) -> Result<Frames, NetworkError> {
        let response = self.send(url, octets(Method::POST, url, body.encode().into())).await?;
        Ok(Frames { pieces: self.pieces(url, response), splitter: Splitter::default() })
    }

    /// Reads an answer of any length piece by piece. Dropping the pieces cuts the connection.
    pub async fn get_pieces(&self, url: &str) -> Result<Pieces, NetworkError> {
        let response = self.send(url, octets(Method::GET, url, Bytes::new())).await?;
        Ok(self.pieces(url, response))
    }

    fn pieces(&self, url: &str, response: Response<Incoming>) -> Pieces {
        Pieces { url: url.to_owned(), body: response.into_body(), deadline: self.deadline }
    }

    async fn bytes(&self, method: Method, url: &str, body: Bytes) -> Result<Bytes, NetworkError> {
        self.whole(url, octets(method, url, body)).await
    }

    async fn whole(&self, url: &str, request: Made) -> Result<Bytes, NetworkError> {
        let whole = async {
            let response = self.send(url, request).await?;
            collect(url, response, ANSWER_BYTES_MAX).await
        };
        tokio::time::timeout(self.deadline, whole).await.map_err(|_| timeout(url))?
    }

    /// Sends and waits for the head of the answer; a status that is no success becomes an error with its reason.
    async fn send(&self, url: &str, request: Made) -> Result<Response<Incoming>, NetworkError> {
        let request = request.map_err(|_| NetworkError::Address { url: url.to_owned() })?;
        let response = self.sent(url, request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let reason = collect(url, response, 1 << 16).await.unwrap_or_default();
        Err(NetworkError::refused(url, status.as_u16(), &reason))
    }

    async fn sent(&self, url: &str, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, NetworkError> {
        let sent = tokio::time::timeout(self.deadline, self.transport.request(request)).await;
        sent.map_err(|_| timeout(url))?.map_err(|error| match error {
            TransportError::Roots(cause) => NetworkError::Roots { url: url.to_owned(), cause },
            TransportError::Failed(error) => unreachable(url, &error),
        })
    }
}

/// A request, or the reason why its parts make none.
type Made = Result<Request<Full<Bytes>>, hyper::http::Error>;

fn octets(method: Method, url: &str, body: Bytes) -> Made {
    let request = Request::builder().method(method).uri(url);
    request.header(header::CONTENT_TYPE, "application/octet-stream").body(Full::new(body))
}

/// An answer of any status, its body still on its way.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Pieces,
}

/// An answer's body as it arrives.
pub struct Pieces {
    url: String,
    body: Incoming,
    deadline: Duration,
}

/// Frames of one answer.
pub struct Frames {
    pieces: Pieces,
    splitter: Splitter,
}

impl Frames {
    /// The next frame; `None` at the end of the stream. A stream that ends inside a frame is an error.
    pub async fn next<T: Canonical>(&mut self) -> Result<Option<T>, NetworkError> {
        loop {
            let frame = self.splitter.next().map_err(|Oversized(_)| NetworkError::TooLarge {
                url: self.pieces.url.clone(),
                limit: FRAME_BYTES_MAX,
            })?;
            if let Some(frame) = frame {
                return decode(&self.pieces.url, &frame).map(Some);
            }
            match self.pieces.next().await? {
                Some(piece) => self.splitter.push(&piece),
                None if self.splitter.is_empty() => return Ok(None),
                None => return Err(self.pieces.cut()),
            }
        }
    }
}

impl Frames {
    /// Reads to the stream's end after its last frame, so that its connection serves the next request. Dropped before it, the connection
    /// is closed, and the next request waits for another.
    pub async fn end(mut self) {
        let read_on = async {
            let mut read = 0_usize;
            while let Some(Ok(frame)) = self.pieces.body.frame().await {
                read = read.saturating_add(frame.data_ref().map_or(0, Bytes::len));
                if read > END_BYTES_MAX {
                    return;
                }
            }
        };
        // One that does not end is closed after all.
        let _ended = tokio::time::timeout(END_WAIT, read_on).await;
    }
}

impl Pieces {
    /// The next piece; `None` at the end of the answer. Each wait is bounded by the client's deadline.
    pub async fn next(&mut self) -> Result<Option<Bytes>, NetworkError> {
        loop {
            let waited = tokio::time::timeout(self.deadline, self.body.frame()).await;
            match waited.map_err(|_| timeout(&self.url))? {
                None => return Ok(None),
                Some(Err(_)) => return Err(self.cut()),
                Some(Ok(frame)) => {
                    if let Ok(piece) = frame.into_data() {
                        return Ok(Some(piece));
                    }
                }
            }
        }
    }

    /// All that is left of the answer, at most `limit` bytes of it.
    pub async fn whole(mut self, limit: usize) -> Result<Bytes, NetworkError> {
        let mut whole = Vec::new();
        while let Some(piece) = self.next().await? {
            whole.extend_from_slice(&piece);
            if whole.len() > limit {
                return Err(NetworkError::TooLarge { url: self.url, limit });
            }
        }
        Ok(whole.into())
    }

    fn cut(&self) -> NetworkError {
        NetworkError::Unreachable { url: self.url.clone(), cause: "the stream was cut".to_owned() }
    }
}

async fn collect(url: &str, response: Response<Incoming>, limit: usize) -> Result<Bytes, NetworkError> {
    let collected = Limited::new(response.into_body(), limit).collect().await;
    collected.map(http_body_util::Collected::to_bytes).map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            NetworkError::TooLarge { url: url.to_owned(), limit }
        } else {
            unreachable(url, error.as_ref())
        }
    })
}

fn decode<T: Canonical>(url: &str, bytes: &[u8]) -> Result<T, NetworkError> {
    T::decode(bytes).map_err(|source| NetworkError::Decode { url: url.to_owned(), source })
}

fn decode_list<T: Canonical>(url: &str, bytes: &[u8]) -> Result<Vec<T>, NetworkError> {
    let mut reader = Reader::new(bytes);
    let mut read = || {
        let count = reader.count(LIST_MAX)?;
        (0..count).map(|_| T::read(&mut reader)).collect::<Result<Vec<_>, _>>()
    };
    read().map_err(|source| NetworkError::Decode { url: url.to_owned(), source })
}

fn timeout(url: &str) -> NetworkError {
    NetworkError::Timeout { url: url.to_owned() }
}

fn unreachable(url: &str, error: &dyn std::error::Error) -> NetworkError {
    let mut cause = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        cause = format!("{cause}: {inner}");
        source = inner.source();
    }
    NetworkError::Unreachable { url: url.to_owned(), cause }
}
