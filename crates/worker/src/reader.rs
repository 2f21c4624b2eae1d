//! Whoever reads an answer, and how long a model waits for them.
//!
//! A reader that takes nothing must not hold a place for ever: the waits of one answer have an end together.

use std::time::{Duration, Instant};

use network::{Bytes, frame_bytes};
use protocol::service::Frame;
use tokio::sync::mpsc::{Sender, error::TrySendError};

/// How long a model waits for its reader, in all waits of one answer together.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The reading end as the worker sees it.
pub(crate) struct Reader {
    frames: Sender<Bytes>,
    patience: Duration,
}

impl Reader {
    pub fn new(frames: Sender<Bytes>, patience: Duration) -> Self {
        Self { frames, patience }
    }

    /// Hands a frame on; false if the reader left or was too slow.
    pub async fn deliver(&mut self, frame: &Frame) -> bool {
        match self.frames.try_send(frame_bytes(frame)) {
            Ok(()) => true,
            Err(TrySendError::Closed(_)) => false,
            Err(TrySendError::Full(frame)) => {
                let since = Instant::now();
                let sent = self.frames.send_timeout(frame, self.patience).await;
                self.patience = self.patience.saturating_sub(since.elapsed());
                sent.is_ok()
            }
        }
    }

    /// Returns when the reader left.
    pub async fn left(&self) {
        self.frames.closed().await;
    }
}

#[cfg(test)]
mod tests {
    use protocol::{List, service::Frame};
    use tokio::sync::mpsc;

    use super::*;

    const SHORT: Duration = Duration::from_millis(80);

    fn frame() -> Frame {
        Frame::Tensors(List::default())
    }

    /// What delivering `count` frames comes to, with a channel of two and a reader that waits before each frame.
    async fn delivered(count: usize, patience: Duration, wait: Option<Duration>) -> (usize, Duration) {
        let (frames, mut receiver) = mpsc::channel(2);
        let mut reader = Reader::new(frames, patience);
        let reading = tokio::spawn(async move {
            while let Some(wait) = wait {
                tokio::time::sleep(wait).await;
                if receiver.recv().await.is_none() {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_secs(60)).await;
            drop(receiver);
        });
        let since = Instant::now();
        let mut sent = 0;
        while sent < count && reader.deliver(&frame()).await {
            sent += 1;
        }
        reading.abort();
        (sent, since.elapsed())
    }

    #[tokio::test]
    async fn a_reader_that_takes_nothing_is_left_after_a_while() {
        let (sent, took) = delivered(10, SHORT, None).await;
        assert_eq!(sent, 2, "what the channel holds");
        assert!(took >= SHORT && took < SHORT * 20, "{took:?}");
    }

    #[tokio::test]
    async fn a_reader_that_is_always_just_in_time_does_not_hold_the_model_for_long_either() {
        let (sent, _) = delivered(1_000, SHORT, Some(SHORT / 4)).await;
        assert!(sent < 20, "the waits add up: {sent}");
    }

    #[tokio::test]
    async fn a_quick_reader_gets_everything() {
        assert_eq!(delivered(100, SHORT * 1_000, Some(Duration::ZERO)).await.0, 100);
    }
}
