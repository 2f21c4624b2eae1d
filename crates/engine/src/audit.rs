//! Checks of answers that others claim: one prefill over prompt and claim, along the course that generating takes.

use graph::sampling::Scratch;
use protocol::{
    Finish, Parameters,
    request::{Score, Scored},
};

use crate::{
    course::{Course, Said, Step},
    language::{LanguageModel, Logits, RunError},
};

/// The outcome of comparing a claimed answer with what the model says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Check {
    Equal,
    /// The first position, counted from the start of the answer, at which they differ.
    Differs {
        position: usize,
        expected: Step,
        claimed: Step,
    },
    /// The answer is right so far, but not the score of the token in this place.
    Score {
        position: usize,
    },
    /// The score of the prompt's token in this place, counted from the second, or how many scores there are.
    PromptScore {
        position: usize,
    },
    /// The answer has scores and none were asked for, or the other way about.
    Form,
}

/// A claimed answer.
#[derive(Clone, Copy)]
struct Claim<'a> {
    tokens: &'a [u32],
    scores: Option<(&'a [Score], &'a Scored)>,
    finish: Finish,
}

impl LanguageModel {
    /// Compares a claimed answer with what this model says, by one prefill over prompt and claim.
    pub fn check(
        &self,
        prompt: &[u32],
        parameters: &Parameters,
        claimed: &[u32],
        finish: Finish,
    ) -> Result<Check, RunError> {
        self.compare(prompt, parameters, Claim { tokens: claimed, scores: None, finish })
    }

    /// As `check`, of an answer with scores.
    pub fn check_scored(
        &self,
        prompt: &[u32],
        parameters: &Parameters,
        claimed: &Scored,
        finish: Finish,
    ) -> Result<Check, RunError> {
        let tokens: Vec<u32> = claimed.tokens.iter().map(|scored| scored.token).collect();
        self.compare(prompt, parameters, Claim { tokens: &tokens, scores: Some((&claimed.prompt, claimed)), finish })
    }

    fn compare(&self, prompt: &[u32], parameters: &Parameters, claim: Claim) -> Result<Check, RunError> {
        self.check_prompt(prompt)?;
        let mut course = self.course(prompt, self.rules(parameters)?);
        let prompt_scores = if course.scores_prompt() { prompt.len() - 1 } else { 0 };
        match claim.scores {
            None if course.has_scores() => return Ok(Check::Form),
            Some(_) if !course.has_scores() => return Ok(Check::Form),
            Some((claimed, _)) if claimed.len() != prompt_scores => {
                return Ok(Check::PromptScore { position: claimed.len().min(prompt_scores) });
            }
            None | Some(_) => {}
        }
        // What no honest answer could hold is not run: it differs where it begins.
        let room = (parameters.max_tokens as usize).min(self.context() - prompt.len());
        let is_known = |&&token: &&u32| (token as usize) < self.vocabulary();
        let known = claim.tokens.iter().take(room).take_while(is_known).count();
        let mut run = prompt.to_vec();
        // The last claimed token's own logits matter only where another choice could follow it.
        run.extend(claim.tokens.iter().take(known.min(room.saturating_sub(1))));
        let (is_run, first_wanted) = (course.ended_unread().is_none(), course.first_wanted());
        let mut comparison = Comparison { course: &mut course, claim, position: 0, found: None };
        if is_run {
            let mut text = self.text();
            text.skip(first_wanted);
            text.run(&run, &mut |position, logits, scratch| match prompt.get(position + 1) {
                Some(&token) => comparison.prompt(position, token, logits),
                None => comparison.answer(Some((logits, scratch))),
            })?;
        }
        // What is left has no logits because the answer had to end before it.
        while comparison.found.is_none() && comparison.position <= claim.tokens.len() {
            comparison.answer(None)?;
        }
        Ok(comparison.found.unwrap_or(Check::Equal))
    }
}

struct Comparison<'c, 'a> {
    course: &'c mut Course<'a>,
    claim: Claim<'c>,
    /// Of the next claim.
    position: usize,
    found: Option<Check>,
}

impl Comparison<'_, '_> {
    /// Compares the score of the prompt's token after `position`.
    fn prompt(&mut self, position: usize, token: u32, logits: Logits) -> Result<(), RunError> {
        if self.found.is_some() {
            return Ok(());
        }
        let claimed = self.claim.scores.and_then(|(prompt, _)| prompt.get(position));
        if claimed != Some(&self.course.score(logits?, token)) {
            self.found = Some(Check::PromptScore { position });
        }
        Ok(())
    }

    /// Compares one claim with what the course of the answer says, given its position's logits where there are any.
    fn answer(&mut self, logits: Option<(Logits, &mut Scratch)>) -> Result<(), RunError> {
        if self.found.is_some() || self.position > self.claim.tokens.len() {
            return Ok(());
        }
        let position = self.position;
        self.position += 1;
        let token = self.claim.tokens.get(position).copied();
        let claimed = token.map_or(Step::End(self.claim.finish), Step::Token);
        let said = match logits {
            Some((logits, scratch)) => self.course.say(logits, scratch)?,
            None => Said { step: Step::End(self.course.ended().unwrap_or(Finish::Length)), score: None },
        };
        // A caller may go away after any token.
        if claimed != said.step && claimed != Step::End(Finish::Cancelled) {
            self.found = Some(Check::Differs { position, expected: said.step, claimed });
            return Ok(());
        }
        let Some(token) = token else { return Ok(()) };
        let claimed = self.claim.scores.and_then(|(_, scored)| scored.tokens.get(position)).map(|scored| &scored.score);
        if claimed != said.score.as_ref() {
            self.found = Some(Check::Score { position });
        }
        Ok(self.course.take(token)?)
    }
}
