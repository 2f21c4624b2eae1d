//! The texts that answers begin with where their caller wants the prompt back.

use std::sync::Arc;

use api::{Call, Job};
use protocol::{Input, Prompt};

use crate::vocabulary::{Words, text};

/// One for each job; `None` where it is not wanted.
pub async fn echoes(call: &Call, words: Option<&Arc<Words>>) -> Vec<Option<String>> {
    let mut echoes: Vec<Option<String>> = Vec::with_capacity(call.jobs.len());
    for (place, job) in call.jobs.iter().enumerate() {
        // Several answers to one prompt stand side by side.
        let before = place.checked_sub(1).and_then(|before| Some((call.jobs.get(before)?, echoes.get(before)?)));
        let same = before.filter(|(before, _)| before.echo == job.echo && before.input == job.input);
        let echo = match same {
            Some((_, echo)) => echo.clone(),
            None => echo(job, words).await,
        };
        echoes.push(echo);
    }
    echoes
}

async fn echo(job: &Job, words: Option<&Arc<Words>>) -> Option<String> {
    match (&job.input, words) {
        _ if !job.echo => None,
        (Input::Prompt(Prompt::Text(own)), _) => Some(own[..].to_owned()),
        (Input::Prompt(Prompt::Tokens(tokens)), Some(words)) => Some(text(&words.tokenizer, tokens).await),
        (Input::Prompt(Prompt::Tokens(_)), None) => Some(String::new()),
        (Input::Chat(_) | Input::Tensors(_) | Input::Embed(_), _) => None,
    }
}
