//! Answers that were paid for under a payment identifier, for whoever sends the very same request with the very same payment again.
//!
//! A client whose connection broke asks once more and gets what it paid for, instead of hearing that its payment is used. Kept in memory,
//! for an hour and within bounds; streams are not kept, and nothing outlives a restart: then the repetition is refused as used.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use network::{
    axum::{
        body::{self, Body, Bytes},
        http::{HeaderMap, StatusCode},
        response::Response,
    },
    now_ms,
};
use protocol::{Digest, Milliseconds};

/// A larger answer is not kept.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// All answers together, each counted with its headers.
const BYTES_MAX: usize = 64 << 20;
const OVERHEAD: usize = 2 << 10;
const KEPT_FOR_MS: Milliseconds = 3_600_000;

struct KeptAnswer {
    headers: HeaderMap,
    body: Bytes,
    at_ms: Milliseconds,
}

/// What was answered, by the digest of identifier, payment and request.
#[derive(Default)]
pub struct Repeats {
    answers: BTreeMap<Digest, KeptAnswer>,
    /// Oldest first.
    order: VecDeque<Digest>,
    bytes: usize,
}

impl Repeats {
    /// The same answer once more.
    pub fn get(&self, key: &Digest, now_ms: Milliseconds) -> Option<Response> {
        let kept = self.answers.get(key).filter(|kept| !is_over(kept, now_ms))?;
        let mut response = Response::new(Body::from(kept.body.clone()));
        *response.headers_mut() = kept.headers.clone();
        Some(response)
    }

    fn put(&mut self, key: Digest, kept: KeptAnswer) {
        let now_ms = kept.at_ms;
        self.bytes = self.bytes.saturating_add(size(&kept));
        if let Some(before) = self.answers.insert(key, kept) {
            self.bytes = self.bytes.saturating_sub(size(&before));
        } else {
            self.order.push_back(key);
        }
        while let Some(oldest) = self.order.front() {
            let is_old = self.answers.get(oldest).is_none_or(|kept| is_over(kept, now_ms));
            if !is_old && self.bytes <= BYTES_MAX {
                return;
            }
            let gone = self.order.pop_front().and_then(|oldest| self.answers.remove(&oldest));
            self.bytes = self.bytes.saturating_sub(gone.map_or(0, |kept| size(&kept)));
        }
    }
}

fn is_over(kept: &KeptAnswer, now_ms: Milliseconds) -> bool {
    now_ms.saturating_sub(kept.at_ms) > KEPT_FOR_MS
}

fn size(kept: &KeptAnswer) -> usize {
    kept.body.len().saturating_add(OVERHEAD)
}

/// Keeps a whole answer, and gives it on.
pub async fn keep(repeats: &Mutex<Repeats>, key: Digest, response: Response) -> Response {
    let (parts, body) = response.into_parts();
    // Whole answers are made in memory: reading one cannot fail.
    let Ok(body) = body::to_bytes(body, usize::MAX).await else { return Response::from_parts(parts, Body::empty()) };
    if parts.status == StatusCode::OK && body.len() <= ANSWER_BYTES_MAX {
        let kept = KeptAnswer { headers: parts.headers.clone(), body: body.clone(), at_ms: now_ms() };
        // Nothing here panics while it holds the lock.
        repeats.lock().unwrap_or_else(PoisonError::into_inner).put(key, kept);
    }
    Response::from_parts(parts, Body::from(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(bytes: usize, at_ms: Milliseconds) -> KeptAnswer {
        KeptAnswer { headers: HeaderMap::new(), body: vec![7; bytes].into(), at_ms }
    }

    #[test]
    fn an_answer_is_kept_for_an_hour_and_while_there_is_room() {
        let (mut repeats, key) = (Repeats::default(), |index: u8| Digest([index; 32]));
        repeats.put(key(0), kept(10, 1_000));
        assert!(repeats.get(&key(0), 1_000 + KEPT_FOR_MS).is_some() && repeats.get(&key(1), 1_000).is_none());
        assert!(repeats.get(&key(0), 1_001 + KEPT_FOR_MS).is_none());
        for index in 1..=80 {
            repeats.put(key(index), kept(ANSWER_BYTES_MAX, 2_000));
        }
        assert!(repeats.bytes <= BYTES_MAX && repeats.answers.len() == repeats.order.len());
        assert!(repeats.get(&key(0), 2_000).is_none() && repeats.get(&key(80), 2_000).is_some(), "the oldest go first");
        repeats.put(key(81), kept(1, 2_001 + KEPT_FOR_MS));
        assert_eq!((repeats.answers.len(), repeats.bytes), (1, 1 + OVERHEAD));
    }
}
