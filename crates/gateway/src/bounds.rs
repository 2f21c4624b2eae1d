//! What one answer may have, whatever its worker sends: as many alternatives as were asked for, no more than an opening can hold, and no more
//! text than is held of one. Pure.

use protocol::{
    Canonical as _, Parameters, Request,
    request::{ALTERNATIVE_BYTES, Alternative, OPENING_BYTES_MAX, OPENING_REST_BYTES, SCORE_BYTES, Score, TOKEN_BYTES},
    service::TokenFrame,
};

use crate::worker_error::Setback;

/// Most text of one answer: 64 bytes a token of the longest one, though a token may have more.
const ANSWER_TEXT_BYTES_MAX: usize = 4 << 20;

/// How large an answer is so far.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Bytes of its opening, at least: nobody says how many tokens the prompt has before the end.
    opened: usize,
    text: usize,
}

impl Size {
    /// Of an answer without a token.
    pub fn of(request: &Request) -> Self {
        Self { opened: request.encode().len().saturating_add(OPENING_REST_BYTES), text: 0 }
    }

    /// One more token.
    pub fn token(&mut self, parameters: &Parameters, frame: &TokenFrame) -> Result<(), Setback> {
        self.text = self.text.saturating_add(frame.text.len());
        if self.text > ANSWER_TEXT_BYTES_MAX {
            return Err(Setback::Overlong { bytes_max: ANSWER_TEXT_BYTES_MAX });
        }
        let score = frame.score.as_ref().map_or(Ok(0), |score| score_bytes(parameters, score))?;
        self.open(score)
    }

    /// The scores of the prompt's tokens.
    pub fn prompt(&mut self, parameters: &Parameters, scores: &[Score]) -> Result<(), Setback> {
        scores.iter().try_for_each(|score| self.open(score_bytes(parameters, score)?))
    }

    /// A token with so many bytes of scores.
    fn open(&mut self, score: usize) -> Result<(), Setback> {
        self.opened = self.opened.saturating_add(TOKEN_BYTES).saturating_add(score);
        if self.opened > OPENING_BYTES_MAX {
            return Err(Setback::Broken("the worker sent more than an opening can hold".to_owned()));
        }
        Ok(())
    }
}

fn score_bytes(parameters: &Parameters, score: &Score) -> Result<usize, Setback> {
    let (asked, named) = (usize::from(parameters.scores.saturating_sub(1)), &score.alternatives);
    if named.len() > asked {
        let cause = format!("the worker named {} alternatives to a token, at most {asked} were asked for", named.len());
        return Err(Setback::Broken(cause));
    }
    let is_repeated =
        |(place, one): (usize, &Alternative)| named.iter().take(place).any(|before| before.token == one.token);
    if named.iter().enumerate().any(is_repeated) {
        return Err(Setback::Broken("the worker named an alternative twice".to_owned()));
    }
    Ok(ALTERNATIVE_BYTES.saturating_mul(named.len()).saturating_add(SCORE_BYTES))
}

#[cfg(test)]
mod tests {
    use crypto::SigningKey;
    use protocol::{
        Assurance, Chat, Digest, Input, List, Message, Output, Privacy, Speaker, Text, Version,
        request::{Scored, ScoredToken},
    };

    use super::*;

    fn request(scores: u8) -> Request {
        let hello = Message::say(Speaker::User, Text::new("hello").unwrap());
        Request {
            version: Version,
            chain_id: 1,
            model: Digest::ZERO,
            input: Input::Chat(Chat::of(List::new(vec![hello]).unwrap())),
            parameters: Parameters { scores, ..Parameters::default() },
            assurance: Assurance::Audited,
            privacy: Privacy::Private,
            template_time_ms: 0,
            issued_at_ms: 0,
            gateway: SigningKey::from_seed(&[1; 32]).public_key(),
            parents: List::default(),
            payment: None,
            nonce: Digest::ZERO,
        }
    }

    fn score(tokens: &[u32]) -> Score {
        let named = tokens.iter().map(|token| Alternative { token: *token, logprob_micros: -1 });
        Score { logprob_micros: -1, alternatives: List::new(named.collect()).unwrap() }
    }

    fn frame(text: &str, score: Option<Score>) -> TokenFrame {
        TokenFrame { token: 7, text: Text::new(text).unwrap(), score }
    }

    fn told(ended: Result<(), Setback>) -> String {
        format!("{:?}", ended.unwrap_err())
    }

    #[test]
    fn no_more_alternatives_are_taken_than_were_asked_for_and_none_twice() {
        let request = request(3);
        let (parameters, mut size) = (&request.parameters, Size::of(&request));
        for few in [&[][..], &[1], &[1, 2]] {
            assert_eq!(size.token(parameters, &frame("a", Some(score(few)))), Ok(()));
        }
        let many = size.token(parameters, &frame("a", Some(score(&[1, 2, 3]))));
        assert!(told(many).contains("3 alternatives to a token, at most 2"));
        assert!(told(size.token(parameters, &frame("a", Some(score(&[1, 1]))))).contains("twice"));
        assert!(told(size.prompt(parameters, &[score(&[1]), score(&[1, 2, 3])])).contains("at most 2"));
    }

    #[test]
    fn an_answer_ends_where_no_opening_could_hold_it_and_what_is_counted_is_what_it_has_there() {
        let request = request(21);
        let scored = score(&(0..20).collect::<Vec<u32>>());
        let (fresh, mut count) = (Size::of(&request), 0_usize);
        let mut size = fresh;
        let ended = loop {
            match size.token(&request.parameters, &frame("a", Some(scored.clone()))) {
                Ok(()) => count += 1,
                Err(setback) => break Err(setback),
            }
        };
        assert!(told(ended).contains("more than an opening can hold"));
        let token = ScoredToken { token: 7, score: scored };
        let output = |tokens: usize| {
            let tokens = List::new(vec![token.clone(); tokens]).unwrap();
            Output::Scored(Scored { prompt: List::default(), tokens }).encode().len()
        };
        assert_eq!(output(2) - output(1), TOKEN_BYTES + SCORE_BYTES + 20 * ALTERNATIVE_BYTES);
        let room = OPENING_BYTES_MAX - fresh.opened;
        assert_eq!(count, room / (output(2) - output(1)));
    }

    #[test]
    fn an_answer_of_more_text_than_is_held_of_one_is_nobodys_lie() {
        let request = request(0);
        let (mut size, long) = (Size::of(&request), "a".repeat(4_096));
        for _ in 0..ANSWER_TEXT_BYTES_MAX / long.len() {
            assert_eq!(size.token(&request.parameters, &frame(&long, None)), Ok(()));
        }
        assert_eq!(size.token(&request.parameters, &frame("a", None)), Err(Setback::Overlong { bytes_max: 4_194_304 }));
    }
}
