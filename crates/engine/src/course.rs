//! The course of one answer: when it ends, and which token comes next. Generating and checking both follow it.

use std::time::{Duration, Instant};

use graph::sampling::{self, Adjustment, Choice, Penalties, Scale, Scratch, Seen};
use protocol::{
    Finish, List, Parameters,
    request::{ALTERNATIVES_MAX, Alternative, Score},
};

use crate::{
    guide::{Allowed, ConstraintError, Guide},
    tokenizer::{Detokenizer, Tokenizer},
};

/// What an answer does at one position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    Token(u32),
    End(Finish),
}

/// A step, and the score of its token where scores are asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Said {
    pub step: Step,
    pub score: Option<Score>,
}

/// The rules of one answer, read out of a request's parameters.
pub struct Rules {
    max_tokens: usize,
    choice: Choice,
    penalties: Penalties,
    biases: Vec<(u32, i32)>,
    stops: Vec<String>,
    guidance: Guidance,
    /// How many alternatives each score names; no scores for `None`.
    alternatives: Option<usize>,
    scores_prompt: bool,
    /// Lets a test see what a panic in a choice comes to.
    #[cfg(test)]
    pub panics: bool,
}

/// What keeps an answer in its form.
enum Guidance {
    Free,
    Guided(Box<Guide>),
    /// The guide is on an errand.
    Away,
}

/// A guide that has to go on with a token and to find what may follow it. Both may take long and need nothing else of
/// the answer, so they can be done where nobody waits.
pub struct Errand {
    guide: Box<Guide>,
    token: u32,
}

impl Errand {
    #[cfg(test)]
    pub fn of(guide: Guide, token: u32) -> Self {
        Self { guide: Box::new(guide), token }
    }

    pub fn run(mut self) -> Result<Box<Guide>, ConstraintError> {
        let began_at = Instant::now();
        self.guide.take(self.token)?;
        self.guide.look_ahead();
        self.guide.spent(began_at.elapsed());
        Ok(self.guide)
    }

    /// How long it may take, by what its guide took before.
    pub fn cost(&self) -> Duration {
        self.guide.cost()
    }
}

/// What of a model the course of an answer depends on, besides its logits.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    pub tokenizer: &'a Tokenizer,
    pub stop_tokens: &'a [u32],
    /// Tokens of prompt and answer together.
    pub context: usize,
}

pub struct Course<'a> {
    rules: Rules,
    surroundings: Surroundings<'a>,
    detokenizer: Detokenizer<'a>,
    /// The end of the answer's text: as much as a stop text could still begin in.
    tail: String,
    seen: Seen,
    prompt: usize,
    /// Tokens of the answer.
    length: usize,
    stopped: bool,
    prompt_scores: Vec<Score>,
}

impl Rules {
    /// `guide` follows the parameters' constraint.
    pub fn new(parameters: &Parameters, guide: Option<Guide>) -> Self {
        let choice = Choice {
            temperature_micros: parameters.temperature_micros,
            min_p_micros: parameters.min_p_micros,
            top_k: parameters.top_k,
            top_p_micros: parameters.top_p_micros,
            seed: parameters.seed,
            position: 0,
        };
        let penalties = Penalties {
            repetition_micros: parameters.repetition_penalty_micros,
            presence_micros: parameters.presence_penalty_micros,
            frequency_micros: parameters.frequency_penalty_micros,
        };
        let has_scores = parameters.scores > 0 || parameters.prompt_scores;
        Self {
            max_tokens: parameters.max_tokens as usize,
            choice,
            penalties,
            biases: parameters.logit_bias.iter().map(|bias| (bias.token, bias.bias_micros)).collect(),
            stops: parameters.stop.iter().filter(|stop| !stop.is_empty()).map(|stop| (**stop).to_owned()).collect(),
            guidance: guide.map_or(Guidance::Free, |guide| Guidance::Guided(Box::new(guide))),
            alternatives: has_scores.then(|| usize::from(parameters.scores.saturating_sub(1))),
            scores_prompt: parameters.prompt_scores,
            #[cfg(test)]
            panics: false,
        }
    }
}

impl Rules {
    pub fn scores_prompt(&self) -> bool {
        self.scores_prompt
    }

    /// Memory, in bytes, that what keeps the answer in its form may come to take.
    pub fn guide_bytes(&self) -> usize {
        match &self.guidance {
            Guidance::Guided(guide) => guide.bytes(),
            Guidance::Free | Guidance::Away => 0,
        }
    }
}

impl<'a> Course<'a> {
    pub fn new(surroundings: Surroundings<'a>, rules: Rules, prompt: &[u32]) -> Self {
        Self {
            detokenizer: Detokenizer::new(surroundings.tokenizer),
            tail: String::new(),
            seen: if rules.penalties == Penalties::default() { Seen::default() } else { Seen::of_prompt(prompt) },
            prompt: prompt.len(),
            length: 0,
            stopped: false,
            prompt_scores: Vec::new(),
            rules,
            surroundings,
        }
    }

    /// The end that was reached without another choice.
    pub fn ended(&self) -> Option<Finish> {
        if self.stopped {
            return Some(Finish::Stop);
        }
        let used_up = self.length >= self.rules.max_tokens || self.prompt + self.length >= self.surroundings.context;
        used_up.then_some(Finish::Length)
    }

    /// The end of an answer of which nothing is run: it has no tokens, and its prompt is not scored.
    pub fn ended_unread(&self) -> Option<Finish> {
        self.ended().filter(|_| !self.rules.scores_prompt)
    }

    /// Whether the prompt's tokens are scored.
    pub fn scores_prompt(&self) -> bool {
        self.rules.scores_prompt
    }

    pub fn has_scores(&self) -> bool {
        self.rules.alternatives.is_some()
    }

    /// The first position whose logits are wanted.
    pub fn first_wanted(&self) -> usize {
        if self.rules.scores_prompt { 0 } else { self.prompt - 1 }
    }

    /// Notes how probable a token of the prompt was after those before it.
    pub fn score_prompt(&mut self, logits: &[i64], token: u32) {
        let score = self.score(logits, token);
        self.prompt_scores.push(score);
    }

    /// How probable a token was, and which were the most probable ones.
    pub fn score(&self, logits: &[i64], token: u32) -> Score {
        score(logits, token, self.rules.alternatives.unwrap_or(0))
    }

    /// The scores of the prompt's tokens from the second on.
    pub fn take_prompt_scores(&mut self) -> Vec<Score> {
        std::mem::take(&mut self.prompt_scores)
    }

    /// What is said at the next position: the end where it was reached, else what the logits make of it. Only then are
    /// they read, so that whoever ran a row behind the end does not stumble over it.
    pub fn say<E: From<ConstraintError>>(
        &mut self,
        logits: Result<&[i64], E>,
        scratch: &mut Scratch,
    ) -> Result<Said, E> {
        match self.ended() {
            Some(finish) => Ok(Said { step: Step::End(finish), score: None }),
            None => Ok(self.step(logits?, scratch)?),
        }
    }

    /// What these logits, of 16 fraction bits, make of the next position.
    fn step(&mut self, logits: &[i64], scratch: &mut Scratch) -> Result<Said, ConstraintError> {
        #[cfg(test)]
        assert!(!self.rules.panics, "as the test wants it");
        let allowed = match self.allowed()? {
            Some(Allowed::End) => return Ok(Said { step: Step::End(Finish::Stop), score: None }),
            Some(Allowed::Tokens(mask)) => Some(mask),
            None => None,
        };
        let adjustment = Adjustment {
            penalties: self.rules.penalties,
            seen: &self.seen,
            biases: &self.rules.biases,
            allowed: allowed.as_deref(),
        };
        let choice = Choice { position: (self.prompt + self.length) as u64, ..self.rules.choice };
        let chosen = sampling::choose(logits, &adjustment, &choice, scratch);
        let token = chosen.ok_or(ConstraintError::Stuck { cause: "no token may be chosen".to_owned() })? as u32;
        if self.surroundings.stop_tokens.contains(&token) {
            return Ok(Said { step: Step::End(Finish::Stop), score: None });
        }
        let score = self.rules.alternatives.map(|count| score(logits, token, count));
        Ok(Said { step: Step::Token(token), score })
    }

    /// What the guide allows next; `None` where there is none.
    fn allowed(&mut self) -> Result<Option<Allowed>, ConstraintError> {
        match &mut self.rules.guidance {
            Guidance::Free => Ok(None),
            Guidance::Guided(guide) => guide.allowed().map(Some),
            Guidance::Away => {
                let cause = "its guide has not come back".to_owned();
                Err(ConstraintError::OwnTrouble { kind: "constraint", cause })
            }
        }
    }

    /// The next step, gone on with where it is a token.
    pub fn advance<E: From<ConstraintError>>(
        &mut self,
        logits: Result<&[i64], E>,
        scratch: &mut Scratch,
    ) -> Result<Said, E> {
        let said = self.say(logits, scratch)?;
        if let Step::Token(token) = said.step {
            self.take(token)?;
        }
        Ok(said)
    }

    /// As `advance`, but where another step will follow, the guide leaves on an errand instead of going on here: give it
    /// back before that step.
    pub fn advance_ahead<E: From<ConstraintError>>(
        &mut self,
        logits: Result<&[i64], E>,
        scratch: &mut Scratch,
    ) -> Result<(Said, Option<Errand>), E> {
        let said = self.say(logits, scratch)?;
        let Step::Token(token) = said.step else { return Ok((said, None)) };
        self.note(token);
        match std::mem::replace(&mut self.rules.guidance, Guidance::Away) {
            Guidance::Guided(guide) if self.ended().is_none() => Ok((said, Some(Errand { guide, token }))),
            Guidance::Guided(mut guide) => {
                guide.take(token)?;
                Ok((said, None))
            }
            Guidance::Free | Guidance::Away => {
                self.rules.guidance = Guidance::Free;
                Ok((said, None))
            }
        }
    }

    /// Takes the guide back from its errand.
    pub fn give_back(&mut self, guide: Box<Guide>) {
        self.rules.guidance = Guidance::Guided(guide);
    }

    /// Goes on with a token of the answer.
    pub fn take(&mut self, token: u32) -> Result<(), ConstraintError> {
        if let Guidance::Guided(guide) = &mut self.rules.guidance {
            guide.take(token)?;
        }
        self.note(token);
        Ok(())
    }

    /// Notes a token of the answer, but for what it means to the guide.
    fn note(&mut self, token: u32) {
        self.length += 1;
        if self.rules.penalties != Penalties::default() {
            self.seen.take(token);
        }
        if self.rules.stops.is_empty() {
            return;
        }
        self.tail.push_str(&self.detokenizer.push(token));
        self.stopped = self.rules.stops.iter().any(|stop| self.tail.contains(stop));
        let longest = self.rules.stops.iter().map(String::len).max().unwrap_or(0);
        let mut cut = self.tail.len().saturating_sub(longest);
        while !self.tail.is_char_boundary(cut) {
            cut -= 1;
        }
        self.tail.drain(..cut);
    }
}

/// How probable a token was, and which were the most probable ones.
fn score(logits: &[i64], token: u32, alternatives: usize) -> Score {
    let scale = Scale::of(logits);
    let logprob = |token: u32| scale.logprob_micros(logits.get(token as usize).copied().unwrap_or(i64::MIN));
    let best = sampling::best(logits, alternatives.min(ALTERNATIVES_MAX));
    let named = |token| Alternative { token, logprob_micros: logprob(token) };
    let alternatives = List::new(best.into_iter().map(named).collect()).unwrap_or_default();
    Score { logprob_micros: logprob(token), alternatives }
}
