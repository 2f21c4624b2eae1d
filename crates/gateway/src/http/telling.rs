//! One answer on its way from its worker to whoever tells it: pieces become parts, the last becomes the whole.

use std::sync::Arc;

use api::{ApiError, Part, Reading, Said, SaidToken};
use protocol::request::Score;

use crate::{
    delivery::{Delivered, Delivery, Piece},
    http::{
        answered,
        room::{Room, Share},
    },
    vocabulary::{TOKENS_AT_ONCE, Words},
};

pub struct Course {
    delivery: Delivery,
    /// As it was before the first piece.
    fresh: Reading,
    /// `None` after the end.
    reading: Option<Reading>,
    words: Option<Arc<Words>>,
    /// The prompt's text, where the answer begins with it.
    echo: Option<String>,
    has_echoed: bool,
    prompt_scores: Vec<Score>,
    include_opening: bool,
    /// Of what is held until the end, where anything is.
    share: Share,
}

/// What comes out of a course.
pub enum Told {
    Part(Part),
    End(Box<Said>),
}

impl Course {
    pub fn new(
        delivery: Delivery,
        reading: Reading,
        words: Option<Arc<Words>>,
        echo: Option<String>,
        include_opening: bool,
        room: Option<Arc<Room>>,
    ) -> Self {
        Self {
            delivery,
            fresh: reading.clone(),
            reading: Some(reading),
            words,
            echo,
            has_echoed: false,
            prompt_scores: Vec::new(),
            include_opening,
            share: Share::new(room),
        }
    }

    /// The whole answer at once.
    pub async fn whole(mut self) -> Result<Said, ApiError> {
        loop {
            if let Told::End(said) = self.next().await? {
                return Ok(*said);
            }
        }
    }

    /// The next part that shows anything, or the end; after the end or an error there is none.
    pub async fn next(&mut self) -> Result<Told, ApiError> {
        loop {
            let piece = self.delivery.next().await?;
            let Some(reading) = &mut self.reading else {
                return Err(ApiError::new(api::Code::Internal, "The answer has ended."));
            };
            let mut part = match piece {
                Piece::Afresh => {
                    *reading = self.fresh.clone();
                    self.share.give_back();
                    self.prompt_scores.clear();
                    self.has_echoed = false;
                    continue;
                }
                Piece::Prompt(scores) => {
                    self.prompt_scores = scores;
                    Part::default()
                }
                Piece::Token { token, text, score } => {
                    let words = self.words.as_ref();
                    let said = score.and_then(|score| Some(words?.said(token, Some(&score))));
                    self.share.take(text.len())?;
                    said.as_ref().map_or(Ok(()), |said| self.share.take_words(said))?;
                    let mark = words.filter(|_| text.is_empty()).and_then(|words| words.mark(token));
                    reading.push(&text, mark, said)
                }
                Piece::Done(delivered) => return self.end(*delivered).await,
            };
            if let Some(echo) = self.echo.as_ref().filter(|_| !self.has_echoed) {
                self.has_echoed = true;
                part.text.insert_str(0, echo);
            }
            if !part.is_empty() {
                return Ok(Told::Part(part));
            }
        }
    }

    /// The whole; what was held back is the part before it.
    async fn end(&mut self, delivered: Delivered) -> Result<Told, ApiError> {
        let Some(mut reading) = self.reading.take() else { return Ok(Told::Part(Part::default())) };
        let last = reading.finish();
        let scores = std::mem::take(&mut self.prompt_scores);
        let words = self.words.clone();
        let prompt = prompt_tokens(words, &scores, &delivered.opening.prompt, &mut self.share).await?;
        let finish = delivered.finish;
        let mut said = reading.into_said(finish, answered::answered(delivered, self.include_opening));
        said.last = last;
        if let Some(echo) = &self.echo {
            said.text.insert_str(0, echo);
            if !self.has_echoed {
                said.last.text.insert_str(0, echo);
            }
            said.tokens.splice(..0, prompt);
        }
        Ok(Told::End(Box::new(said)))
    }
}

/// The prompt's tokens in words: the first has no score, because nothing comes before it. A prompt may be long, so that others have the
/// thread now and then.
async fn prompt_tokens(
    words: Option<Arc<Words>>,
    scores: &[Score],
    prompt: &[u32],
    share: &mut Share,
) -> Result<Vec<SaidToken>, ApiError> {
    let Some(words) = words.filter(|_| !scores.is_empty()) else { return Ok(Vec::new()) };
    let scores = [None].into_iter().chain(scores.iter().map(Some));
    let mut said = Vec::with_capacity(prompt.len());
    for (place, (token, score)) in prompt.iter().zip(scores).enumerate() {
        if place % TOKENS_AT_ONCE == TOKENS_AT_ONCE - 1 {
            tokio::task::yield_now().await;
        }
        let token = words.said(*token, score);
        share.take_words(&token)?;
        said.push(token);
    }
    Ok(said)
}
