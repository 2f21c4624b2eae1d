//! The peers that something is loaded from, in turns; who gives what is false, or nothing again and again, is left aside.

use std::{sync::Mutex, time::Duration};

use network::{Client, NetworkError};
use thiserror::Error;

use crate::lock::locked;

/// Failures after which a peer is left aside; one false answer is enough.
pub(super) const FAILURES_MAX: u32 = 3;

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
}
