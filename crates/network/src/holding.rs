//! Answers that hold something while they are on their way, as a place among few.
//!
//! They go in pieces: whole, one would be out of hand at once, and in memory for as long as a slow client likes. A reader that falls behind the
//! pace is cut, so that nobody keeps what an answer holds by taking a little of it now and then.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    Error,
    body::{Body, BodyDataStream},
    response::Response,
};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use tokio::time::{Instant, sleep_until};

/// Bytes of a piece.
const PIECE: usize = 64 << 10;

const PACE: Pace = Pace { grace: Duration::from_secs(4), bytes_a_second: 1 << 20 };

/// How slow a reader may be.
#[derive(Clone, Copy)]
struct Pace {
    /// Beyond what its bytes take.
    grace: Duration,
    bytes_a_second: u64,
}

impl Pace {
    /// How long so many bytes may have taken.
    fn allows(self, taken: u64) -> Duration {
        let millis = taken.saturating_mul(1_000) / self.bytes_a_second;
        self.grace.saturating_add(Duration::from_millis(millis))
    }
}

/// An answer that holds something until nearly all of it has left, nobody takes it any more, or its reader is too slow.
pub fn holding(answer: Response, held: impl Send + 'static) -> Response {
    paced(answer, held, PACE)
}

fn paced<H: Send + 'static>(answer: Response, held: H, pace: Pace) -> Response {
    answer.map(|body| {
        let rest = Rest { body: body.into_data_stream(), bytes: Bytes::new(), taken: 0, _held: held };
        let sending = Arc::new(Mutex::new(Sending::Going(rest)));
        tokio::spawn(watch(Arc::downgrade(&sending), pace));
        Body::from_stream(stream::poll_fn(move |context| next(&mut locked(&sending), context)))
    })
}

/// An answer on its way.
enum Sending<H> {
    Going(Rest<H>),
    /// Its reader was too slow.
    Cut,
    Over,
}

/// What is left of it, and what it holds.
struct Rest<H> {
    body: BodyDataStream,
    /// What came of the body, and was not taken.
    bytes: Bytes,
    taken: u64,
    _held: H,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The next piece. One that was cut ends with an error: it must not look whole.
fn next<H>(sending: &mut Sending<H>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
    let rest = match sending {
        Sending::Going(rest) => rest,
        Sending::Cut => return Poll::Ready(Some(Err(Error::new(io::Error::from(io::ErrorKind::TimedOut))))),
        Sending::Over => return Poll::Ready(None),
    };
    while rest.bytes.is_empty() {
        match ready!(rest.body.poll_next_unpin(context)) {
            Some(Ok(bytes)) => rest.bytes = bytes,
            end => {
                *sending = Sending::Over;
                return Poll::Ready(end);
            }
        }
    }
    let piece = rest.bytes.split_to(rest.bytes.len().min(PIECE));
    rest.taken = rest.taken.saturating_add(piece.len() as u64);
    Poll::Ready(Some(Ok(piece)))
}

/// Lets go of an answer once its reader has fallen behind. Nobody asks for the next piece as long as the one before has not left, so this
/// looks by itself.
async fn watch<H: Send + 'static>(sending: Weak<Mutex<Sending<H>>>, pace: Pace) {
    let (begun, mut seen) = (Instant::now(), 0);
    loop {
        sleep_until(begun + pace.allows(seen)).await;
        let Some(sending) = sending.upgrade() else { return };
        let mut sending = locked(&sending);
        let Sending::Going(Rest { taken, .. }) = &*sending else { return };
        seen = *taken;
        if begun.elapsed() >= pace.allows(seen) {
            tracing::debug!(taken = seen, "an answer is cut: its reader is too slow");
            *sending = Sending::Cut;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;

    use super::*;

    #[tokio::test]
    async fn what_an_answer_holds_is_let_go_when_all_of_it_is_taken_or_it_is_given_up() {
        let answer = |held: &Arc<()>| holding(vec![7_u8; 2 * PIECE + 1].into_response(), Arc::clone(held));
        let held = Arc::new(());
        let mut pieces = answer(&held).into_body().into_data_stream();
        let mut taken = 0;
        while let Some(piece) = pieces.next().await {
            let piece = piece.unwrap();
            assert!(piece.len() <= PIECE && Arc::strong_count(&held) == 2);
            taken += piece.len();
        }
        drop(pieces);
        assert_eq!((taken, Arc::strong_count(&held)), (2 * PIECE + 1, 1));
        let mut given_up = answer(&held).into_body().into_data_stream();
        given_up.next().await.unwrap().unwrap();
        assert_eq!(Arc::strong_count(&held), 2);
        drop(given_up);
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[tokio::test]
    async fn a_reader_that_falls_behind_is_cut_and_holds_nothing_any_more() {
        let pace = Pace { grace: Duration::from_millis(300), bytes_a_second: 64 << 20 };
        let held = Arc::new(());
        let answer = paced(vec![7_u8; 4 * PIECE].into_response(), Arc::clone(&held), pace);
        let mut pieces = answer.into_body().into_data_stream();
        pieces.next().await.unwrap().unwrap();
        assert_eq!(Arc::strong_count(&held), 2);
        let let_go = async {
            while Arc::strong_count(&held) > 1 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), let_go).await.unwrap();
        assert!(pieces.next().await.unwrap().is_err(), "it does not end as if it were whole");
    }

    #[tokio::test]
    async fn a_reader_that_keeps_the_pace_gets_all_of_it_however_long_that_takes() {
        let (count, grace) = (60, Duration::from_secs(1));
        let pace = Pace { grace, bytes_a_second: 10 * PIECE as u64 };
        let answer = paced(vec![7_u8; count * PIECE].into_response(), (), pace);
        let (mut pieces, begun, mut taken) = (answer.into_body().into_data_stream(), Instant::now(), 0);
        while let Some(piece) = pieces.next().await {
            taken += piece.unwrap().len();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(taken == count * PIECE && begun.elapsed() > grace);
    }
}
