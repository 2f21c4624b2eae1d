//! How much of the answers of one call is held until they are told: texts, and the words of scored tokens. What its caller may ask for could
//! be gigabytes, above all where a model's tokens are long.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use api::{ApiError, Call, Code, Job, SaidToken};

/// Of one call; the body that is written of it has some times as much.
const BYTES_MAX: usize = 64 << 20;
/// What a scored token's word takes beside its letters, of which each is written as a number too.
const WORD_BYTES: usize = 64;
const LETTER_BYTES: usize = 8;

/// What is left for the answers of a call.
pub struct Room(AtomicUsize);

impl Room {
    /// Whether a call's answers are held until they are told.
    pub fn is_needed(call: &Call) -> bool {
        !call.stream || call.teller.keeps_words()
    }

    /// Refuses a call whose answers would not have room, before anything is computed and paid for: what scores of tokens take, if each answer
    /// is as long as it may be. How long the words are is not known yet.
    pub fn check(call: &Call) -> Result<(), ApiError> {
        let scores = |job: &Job| {
            let words = usize::from(job.parameters.scores).saturating_mul(WORD_BYTES);
            words.saturating_mul(usize::try_from(job.parameters.max_tokens).unwrap_or(usize::MAX))
        };
        let all = call.jobs.iter().map(scores).fold(0, usize::saturating_add);
        if all > BYTES_MAX && Self::is_needed(call) { Err(too_large()) } else { Ok(()) }
    }

    pub fn new() -> Arc<Self> {
        Arc::new(Self(AtomicUsize::new(BYTES_MAX)))
    }
}

/// What one of them has taken; where nothing is kept, there is no room.
pub struct Share {
    room: Option<Arc<Room>>,
    taken: usize,
}

impl Share {
    pub const fn new(room: Option<Arc<Room>>) -> Self {
        Self { room, taken: 0 }
    }

    pub fn take(&mut self, bytes: usize) -> Result<(), ApiError> {
        let Some(Room(left)) = self.room.as_deref() else { return Ok(()) };
        let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        taken.map_err(|_| too_large())?;
        self.taken = self.taken.saturating_add(bytes);
        Ok(())
    }

    pub fn take_words(&mut self, token: &SaidToken) -> Result<(), ApiError> {
        let word = |text: &str| text.len().saturating_mul(LETTER_BYTES).saturating_add(WORD_BYTES);
        let others = token.alternatives.iter().map(|(text, _)| word(text));
        self.take(others.fold(word(&token.text), usize::saturating_add))
    }

    /// What was taken is void.
    pub fn give_back(&mut self) {
        let taken = std::mem::take(&mut self.taken);
        if let Some(Room(left)) = self.room.as_deref() {
            left.fetch_add(taken, Ordering::Relaxed);
        }
    }
}

fn too_large() -> ApiError {
    let message = format!("The answers of this call take more than {BYTES_MAX} bytes here, scores of tokens included.");
    ApiError::new(Code::RequestTooLarge, message)
        .with_hint("ask for fewer or shorter answers at once, for fewer log-probabilities, or for a stream")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_one_call_share_its_room_and_what_is_void_comes_back() {
        let room = Room::new();
        let (mut first, mut second) = (Share::new(Some(Arc::clone(&room))), Share::new(Some(room)));
        first.take(BYTES_MAX - 1).unwrap();
        second.take(1).unwrap();
        let refused = second.take(1).unwrap_err();
        assert_eq!(refused.code, Code::RequestTooLarge);
        assert!(refused.message.contains("67108864 bytes"), "{refused}");
        first.give_back();
        second.take(BYTES_MAX - 1).unwrap();
        assert!(first.take(1).is_err());
        assert_eq!(Share::new(None).take(usize::MAX), Ok(()), "nothing is kept of it");
    }

    #[test]
    fn scored_tokens_take_what_their_words_do() {
        let word = "a".repeat(4_096);
        let token = SaidToken { text: word.clone(), logprob_micros: Some(-1), alternatives: vec![(word, -1); 20] };
        let mut share = Share::new(Some(Room::new()));
        let taken = (0..BYTES_MAX).take_while(|_| share.take_words(&token).is_ok()).count();
        assert_eq!(taken, BYTES_MAX / (21 * (8 * 4_096 + 64)));
    }
}
