//! The texts that answers begin with where their caller wants the prompt back.

use std::sync::Arc;

use api::{ApiError, Call, Job};
use protocol::{Digest, Input, Prompt};

use crate::{
    places::Purpose,
    shared::Shared,
    vocabulary::{TOKENS_AT_ONCE, Words},
};

/// One for each job; `None` where it is not wanted.
pub async fn echoes(
    shared: &Shared,
    call: &Call,
    root: &Digest,
    words: Option<&Arc<Words>>,
    purpose: Purpose,
) -> Result<Vec<Option<String>>, ApiError> {
    let mut echoes: Vec<Option<String>> = Vec::with_capacity(call.jobs.len());
    for (place, job) in call.jobs.iter().enumerate() {
        // Several answers to one prompt stand side by side.
        let before = place.checked_sub(1).and_then(|before| Some((call.jobs.get(before)?, echoes.get(before)?)));
        let same = before.filter(|(before, _)| before.echo == job.echo && before.input == job.input);
        let echo = match same {
            Some((_, echo)) => echo.clone(),
            None => echo(shared, job, root, words, purpose).await?,
        };
        echoes.push(echo);
    }
    Ok(echoes)
}

async fn echo(
    shared: &Shared,
    job: &Job,
    root: &Digest,
    words: Option<&Arc<Words>>,
    purpose: Purpose,
) -> Result<Option<String>, ApiError> {
    let Input::Prompt(prompt) = &job.input else { return Ok(None) };
    if !job.echo {
        return Ok(None);
    }
    match (prompt, words) {
        (Prompt::Text(text), _) => Ok(Some(text[..].to_owned())),
        (Prompt::Tokens(_), None) => Ok(Some(String::new())),
        (Prompt::Tokens(tokens), Some(words)) if tokens.len() <= TOKENS_AT_ONCE => {
            Ok(Some(words.tokenizer.decode(tokens)))
        }
        (Prompt::Tokens(tokens), Some(words)) => {
            let (tokens, words) = (tokens.clone(), Arc::clone(words));
            let decode = move || words.tokenizer.decode(&tokens);
            let decoded = shared.counting.run(root, purpose, decode).await;
            decoded.map(Some).map_err(|uncounted| uncounted.told())
        }
    }
}
