//! The peers that something is loaded from, in turns; who gives what is false, or nothing again and again, is left aside.

use std::{sync::Mutex, time::Duration};

use network::{Client, NetworkError};
use thiserror::Error;
use tokio::time::Instant;

use crate::lock::locked;

/// Failures after which a peer is left aside; one false answer is enough.
pub(super) const FAILURES_MAX: u32 = 3;
/// How long one is asked before it is the next one's turn: who is slow costs its share of the time, and no more.
const TURN: Duration = Duration::from_secs(10);

/// What is wrong with an answer.
#[derive(Debug, Error)]
pub(super) enum Fault {
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error("it took too long")]
    Slow,
    #[error("more than the {expected} bytes of this chunk")]
    TooLarge { expected: usize },
    #[error("{found} bytes instead of {expected}")]
    Short { found: usize, expected: usize },
    #[error("another digest than offered")]
    False,
    #[error("{0}")]
    Refused(String),
    /// No fault of the peer.
    #[error("its turn was over")]
    TurnOver,
}

pub(super) struct Peers {
    client: Client,
    /// Failures of each.
    peers: Mutex<Vec<(String, u32)>>,
}

impl Peers {
    pub fn new(peers: &[String], client: &Client) -> Self {
        let peers = Mutex::new(peers.iter().map(|peer| (peer.clone(), 0)).collect());
        Self { client: client.clone(), peers }
    }

    /// One of those that are not left aside, in turns.
    pub fn peer(&self, turn: usize) -> Option<String> {
        let peers = locked(&self.peers);
        let left: Vec<&String> =
            peers.iter().filter(|(_, failures)| *failures < FAILURES_MAX).map(|(peer, _)| peer).collect();
        left.get(turn.checked_rem(left.len())?).map(|peer| (*peer).clone())
    }

    pub fn blame(&self, peer: &str, fault: &Fault) {
        let weight = match fault {
            Fault::False | Fault::Refused(_) | Fault::TooLarge { .. } => FAILURES_MAX,
            Fault::Network(_) | Fault::Slow | Fault::Short { .. } => 1,
            Fault::TurnOver => 0,
        };
        if let Some((_, failures)) = locked(&self.peers).iter_mut().find(|(known, _)| known == peer) {
            *failures = failures.saturating_add(weight);
        }
    }

    /// An answer of at most so many bytes, in time also from one that gives a byte now and then.
    pub async fn asked(&self, url: &str, limit: usize) -> Result<Vec<u8>, Fault> {
        let load = async {
            let mut pieces = self.client.get_pieces(url).await?;
            let mut bytes = Vec::new();
            while let Some(piece) = pieces.next().await? {
                if bytes.len().saturating_add(piece.len()) > limit {
                    return Err(Fault::TooLarge { expected: limit });
                }
                bytes.extend_from_slice(&piece);
            }
            Ok(bytes)
        };
        let patience: Duration = self.client.deadline() * 2;
        tokio::time::timeout(patience, load).await.map_err(|_| Fault::Slow)?
    }

    /// Its place among all of them.
    fn place(&self, peer: &str) -> usize {
        locked(&self.peers).iter().position(|(known, _)| known == peer).unwrap_or(usize::MAX)
    }
}

/// Peers that are asked one at a time, each until its turn is over or it is at fault.
pub(super) struct Turns {
    peers: Peers,
    turn: usize,
    since: Instant,
    span: Duration,
    /// What was wrong with an answer last.
    pub last: String,
}

/// Whose turn it is.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub url: String,
    /// Its place among all peers.
    pub place: usize,
}

impl Turns {
    pub fn new(peers: Peers) -> Self {
        Self { peers, turn: 0, since: Instant::now(), span: TURN, last: "none was asked".to_owned() }
    }

    #[cfg(test)]
    pub fn with_span(self, span: Duration) -> Self {
        Self { span, ..self }
    }

    /// Whose turn it is; `None` where all are left aside.
    pub fn peer(&self) -> Option<Asked> {
        let url = self.peers.peer(self.turn)?;
        Some(Asked { place: self.peers.place(&url), url })
    }

    pub fn is_over(&self) -> bool {
        self.since.elapsed() >= self.span
    }

    /// Goes on to the next where the turn is over.
    pub fn pass(&mut self) {
        if self.is_over() {
            self.next();
        }
    }

    /// The same where what was asked for did not come to its end: whoever is asked for it next has twice as long.
    pub fn lengthen(&mut self) {
        self.span *= 2;
        self.next();
    }

    /// What was asked for came: turns are as long as they were.
    pub fn came(&mut self) {
        self.span = self.span.min(TURN);
        self.pass();
    }

    /// A peer was at fault, and the next one is asked.
    pub fn blame(&mut self, peer: &Asked, what: &str, fault: &Fault) {
        tracing::warn!(peer = peer.url, %fault, what, "refused");
        self.last = format!("{}: {fault}", peer.url);
        self.peers.blame(&peer.url, fault);
        self.next();
    }

    fn next(&mut self) {
        self.turn = self.turn.wrapping_add(1);
        self.since = Instant::now();
    }

    pub async fn asked(&self, url: &str, limit: usize) -> Result<Vec<u8>, Fault> {
        self.peers.asked(url, limit).await
    }
}
