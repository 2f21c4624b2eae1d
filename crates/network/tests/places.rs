//! A server whose places are all taken: who gives way, and who does not.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

use std::{net::SocketAddr, time::Duration};

use network::{
    Bytes, Client, Limits, Server,
    axum::{
        Router,
        body::Body,
        response::IntoResponse as _,
        routing::{get, post},
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const PLACES: usize = 4;

async fn start() -> Server {
    let drops = || async {
        let pieces = futures::stream::unfold(0, |i| async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            (i < 10).then(|| (Ok::<_, std::io::Error>(Bytes::from_static(b"drop ")), i + 1))
        });
        Body::from_stream(pieces).into_response()
    };
    let router = Router::new().route("/list", get(|| async { network::nouns(&[1_u64]) })).route("/drops", post(drops));
    let limits = Limits { connections: PLACES, ..Limits::default() };
    Server::start(SocketAddr::from(([127, 0, 0, 1], 0)), router, limits).await.unwrap()
}

/// Clients that send this and nothing more.
async fn hold(server: &Server, said: &[u8], count: usize) -> Vec<TcpStream> {
    let mut held = Vec::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(said).await.unwrap();
        held.push(stream);
    }
    // Let the server read it.
    tokio::time::sleep(Duration::from_millis(50)).await;
    held
}

/// Whether somebody who comes now is answered long before anybody's time runs out.
async fn answers(server: &Server) -> bool {
    let client = Client::new(Duration::from_secs(5));
    client.get_list::<u64>(&format!("{}/list", server.url())).await.is_ok_and(|list| list == [1])
}

#[tokio::test]
async fn whoever_says_nothing_gives_way() {
    let server = start().await;
    let _silent = hold(&server, b"", 3 * PLACES).await;
    assert!(answers(&server).await);
}

#[tokio::test]
async fn whoever_stops_within_headers_or_body_gives_way() {
    let server = start().await;
    let _headers = hold(&server, b"POST /drops HTTP/1.1\r\nhost: x\r\n", PLACES).await;
    assert!(answers(&server).await);
    let _bodies = hold(&server, b"POST /list HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf", PLACES).await;
    assert!(answers(&server).await);
}

#[tokio::test]
async fn whoever_was_answered_and_only_stays_gives_way() {
    let server = start().await;
    let mut kept = hold(&server, b"GET /list HTTP/1.1\r\nhost: x\r\n\r\n", PLACES).await;
    let mut first = [0; 12];
    for stream in &mut kept {
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
    }
    assert!(answers(&server).await);
}

#[tokio::test]
async fn whoever_is_being_answered_stays_to_the_end() {
    let server = start().await;
    let asked = b"POST /drops HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
    let mut asked = hold(&server, asked, 1).await;
    let _silent = hold(&server, b"", 3 * PLACES).await;
    for _ in 0..PLACES {
        assert!(answers(&server).await);
    }
    let mut whole = Vec::new();
    let mut stream = asked.remove(0);
    while !whole.ends_with(b"0\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut whole).await.unwrap(), 0, "cut after {} bytes", whole.len());
    }
    assert_eq!(String::from_utf8(whole).unwrap().matches("drop").count(), 10);
}

#[tokio::test]
async fn who_comes_when_all_are_being_answered_waits_for_the_first_to_end() {
    let server = start().await;
    let asked = b"POST /drops HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
    let _asked = hold(&server, asked, PLACES).await;
    assert!(answers(&server).await);
}
