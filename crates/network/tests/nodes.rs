//! A server and a client over real loopback sockets: what comes back, what is refused, what ends.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use network::{
    Bytes, Client, Encoded, LedgerClient, Limits, NetworkError, Noun, Refusal, Server,
    axum::{
        Router,
        body::Body,
        http::StatusCode,
        response::IntoResponse as _,
        routing::{get, post},
    },
    frame_bytes, nouns,
};
use protocol::{Digest, KeyRecord, PublicKey, Role, registry::OPEN_END};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

fn free() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn router() -> Router {
    let frames = || async {
        let pieces = (0..3_u64).map(|i| Ok::<_, std::io::Error>(frame_bytes(&i)));
        Body::from_stream(futures::stream::iter(pieces)).into_response()
    };
    let cut = || async {
        let whole = frame_bytes(&7_u64);
        let pieces = [Ok(whole.clone()), Ok(Bytes::copy_from_slice(&whole[..6]))];
        Body::from_stream(futures::stream::iter(pieces.map(|p: Result<_, std::io::Error>| p))).into_response()
    };
    Router::new()
        .route("/double", post(|Noun(n): Noun<u64>| async move { Noun(n * 2) }))
        .route("/length", post(|Encoded(bytes): Encoded| async move { Noun(bytes.len() as u64) }))
        .route("/list", get(|| async { nouns(&[1_u64, 2, 3]) }))
        .route("/no", get(|| async { Refusal::new(StatusCode::CONFLICT, "nonce_too_low", "nonce too low") }))
        .route("/slow", get(|| async { tokio::time::sleep(Duration::from_secs(60)).await }))
        .route("/frames", post(frames))
        .route("/cut", post(cut))
}

async fn start() -> (Server, Client) {
    let limits = Limits { body_bytes: 64, ..Limits::default() };
    let server = Server::start(free(), router(), limits).await.unwrap();
    (server, Client::new(Duration::from_millis(500)))
}

#[tokio::test]
async fn nouns_lists_and_frames_come_back() {
    let (server, client) = start().await;
    let url = server.url();
    assert_eq!(client.post::<u64>(&format!("{url}/double"), &21_u64).await.unwrap(), 42);
    assert_eq!(client.get_list::<u64>(&format!("{url}/list")).await.unwrap(), [1, 2, 3]);
    let mut frames = client.post_for_frames(&format!("{url}/frames"), &0_u8).await.unwrap();
    let mut received = Vec::new();
    while let Some(number) = frames.next::<u64>().await.unwrap() {
        received.push(number);
    }
    assert_eq!(received, [0, 1, 2]);
}

#[tokio::test]
async fn a_refusal_arrives_with_its_code() {
    let (server, client) = start().await;
    let error = client.get_bytes(&format!("{}/no", server.url())).await.unwrap_err();
    assert_eq!(error.code(), Some("nonce_too_low"));
    assert!(!error.is_transient());
}

#[tokio::test]
async fn a_body_that_is_too_large_or_not_canonical_is_refused() {
    let (server, client) = start().await;
    let url = format!("{}/double", server.url());
    let error = client.post_bytes(&url, vec![0; 65]).await.unwrap_err();
    assert_eq!(error.code(), Some("body_too_large"));
    let error = client.post_bytes(&url, vec![0; 9]).await.unwrap_err();
    assert_eq!(error.code(), Some("bad_encoding"));
}

#[tokio::test]
async fn a_body_that_is_read_later_comes_as_it_is_and_within_the_same_limit() {
    let (server, client) = start().await;
    let url = format!("{}/length", server.url());
    assert_eq!(client.post_bytes(&url, vec![0xff; 64]).await.unwrap()[..], 64_u64.to_be_bytes());
    let error = client.post_bytes(&url, vec![0; 65]).await.unwrap_err();
    assert_eq!(error.code(), Some("body_too_large"));
}

#[tokio::test]
async fn a_stream_that_ends_inside_a_frame_is_an_error() {
    let (server, client) = start().await;
    let mut frames = client.post_for_frames(&format!("{}/cut", server.url()), &0_u8).await.unwrap();
    assert_eq!(frames.next::<u64>().await.unwrap(), Some(7));
    assert!(matches!(frames.next::<u64>().await, Err(NetworkError::Unreachable { .. })));
}

/// Answers each request with a frame at once, and ends the answer a moment later.
async fn end_late(mut stream: TcpStream) {
    let frame = frame_bytes(&7_u64);
    let (mut asked, mut piece) = (Vec::new(), [0; 1024]);
    while let Ok(count @ 1..) = stream.read(&mut piece).await {
        asked.extend_from_slice(&piece[..count]);
        // The body is one zero.
        if !asked.ends_with(b"\r\n\r\n\0") {
            continue;
        }
        asked.clear();
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nc\r\n";
        stream.write_all(&[head, &frame[..], b"\r\n"].concat()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        if stream.write_all(b"0\r\n\r\n").await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn a_stream_that_is_read_to_its_end_leaves_its_connection_to_the_next_request() {
    let listener = TcpListener::bind(free()).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(end_late(stream));
        }
    });
    let client = Client::new(Duration::from_secs(5));
    for (is_read_on, expected) in [(true, 1), (true, 1), (false, 1), (true, 2)] {
        let mut frames = client.post_for_frames(&url, &0_u8).await.unwrap();
        assert_eq!(frames.next::<u64>().await.unwrap(), Some(7));
        if is_read_on {
            frames.end().await;
        } else {
            drop(frames);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(connections.load(Ordering::SeqCst), expected);
    }
}

#[tokio::test]
async fn a_node_that_does_not_answer_is_given_up() {
    let (server, client) = start().await;
    let error = client.get_bytes(&format!("{}/slow", server.url())).await.unwrap_err();
    assert!(matches!(error, NetworkError::Timeout { .. }));
    let gone = server.url();
    server.stop().await;
    let error = client.get_bytes(&format!("{gone}/list")).await.unwrap_err();
    assert!(error.is_transient());
    assert!(matches!(client.get_bytes("nowhere at all").await, Err(NetworkError::Address { .. })));
}

#[tokio::test]
async fn a_key_that_one_validator_lacks_is_asked_of_the_others() {
    let record = KeyRecord {
        key: PublicKey([7; 32]),
        node: Digest([8; 32]),
        role: Role::Worker,
        valid_from: 1,
        valid_until: OPEN_END,
    };
    let lagging =
        || Router::new().route("/keys/{key}", get(|| async { Refusal::not_found("unknown_key", "no such key") }));
    let (known, asked) = (record.clone(), record.key);
    let knowing = Router::new().route("/keys/{key}", get(move || async move { Noun(known) }));
    let behind = Server::start(free(), lagging(), Limits::default()).await.unwrap();
    let ahead = Server::start(free(), knowing, Limits::default()).await.unwrap();
    let of = |servers: &[&Server]| {
        let urls: Vec<String> = servers.iter().map(|server| server.url()).collect();
        LedgerClient::new(Client::new(Duration::from_millis(500)), &urls)
    };
    assert_eq!(of(&[&behind, &ahead]).key(&asked).await.unwrap(), record);
    let nobody = of(&[&behind, &behind]).key(&asked).await.unwrap_err();
    assert!(matches!(nobody, NetworkError::Refused { status: 404, .. }), "{nobody}");
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let (server, _) = start().await;
    let error = Server::start(server.address(), router(), Limits::default()).await.err().unwrap();
    assert!(error.to_string().contains(&server.address().to_string()));
}

#[tokio::test]
async fn a_client_that_never_finishes_its_headers_is_dropped() {
    let limits = Limits { header_wait: Duration::from_millis(100), ..Limits::default() };
    let server = Server::start(free(), router(), limits).await.unwrap();
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(b"GET / HT").await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "still open");
}

/// Tells when it is dropped.
struct Leaving(Arc<tokio::sync::Notify>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tokio::test]
async fn a_client_that_never_reads_its_answer_is_dropped() {
    let dropped = Arc::new(tokio::sync::Notify::new());
    let told = Arc::clone(&dropped);
    let endless = move || async move {
        let leaving = Leaving(told);
        let pieces = futures::stream::repeat_with(move || {
            let _held = &leaving;
            Ok::<_, std::io::Error>(Bytes::from_static(&[7; 1 << 16]))
        });
        Body::from_stream(pieces).into_response()
    };
    let router = Router::new().route("/endless", get(endless));
    let limits = Limits { write_wait: Duration::from_millis(200), ..Limits::default() };
    let server = Server::start(free(), router, limits).await.unwrap();
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET /endless HTTP/1.1\r\nhost: s\r\n\r\n").await.unwrap();
    let told = tokio::time::timeout(Duration::from_secs(20), dropped.notified()).await;
    assert!(told.is_ok(), "the server still holds the answer");
    drop(stream);
}
