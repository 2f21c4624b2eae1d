//! What tokens say: tokenizers of models, fetched from hubs and believed because the model's root commits to them.
//!
//! A receipt commits to tokens and a client reads text, so a worker could stream words that its tokens do not say.
//! Where no hub has the model, text passes unchecked and is counted.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use api::{Defaults, Family, SaidToken};
use engine::{Detokenizer, Template, Tokenizer};
use graph::Head;
use network::Client;
use protocol::{Digest, request::Score};

/// After a failure no hub is asked for so long.
const PAUSE: Duration = Duration::from_secs(5);
/// Tokenizers that are remembered.
const KNOWN_MAX: usize = 256;
/// Tokens that are put into words before whoever does so lets others have its thread.
pub const TOKENS_AT_ONCE: usize = 64;

/// What a language model's words are, and how its template frames them.
pub struct Words {
    pub tokenizer: Tokenizer,
    pub template: Template,
    /// How it calls tools.
    pub family: &'static Family,
    /// What applies where a caller names nothing.
    pub defaults: Defaults,
}

/// A model's words; `None` for a model without text.
type Known = Option<Arc<Words>>;

impl Words {
    /// The text of one token by itself; a control token shows its name.
    fn word(&self, token: u32) -> String {
        let special = self.tokenizer.specials().iter().find(|special| special.id == token);
        special.map_or_else(|| self.tokenizer.decode(&[token]), |special| special.content.clone())
    }

    /// A token and its score, in words.
    pub fn said(&self, token: u32, score: Option<&Score>) -> SaidToken {
        let alternatives = score.map(|score| &score.alternatives[..]).unwrap_or_default();
        SaidToken {
            text: self.word(token),
            logprob_micros: score.map(|score| score.logprob_micros),
            alternatives: alternatives.iter().map(|other| (self.word(other.token), other.logprob_micros)).collect(),
        }
    }
}

pub struct Vocabularies {
    hubs: Vec<String>,
    client: Client,
    known: Mutex<BTreeMap<Digest, Known>>,
    /// One model is fetched at a time.
    fetching: tokio::sync::Mutex<()>,
    /// Until when none is, after a failure.
    paused: Mutex<Option<Instant>>,
}

impl Vocabularies {
    /// `hubs` are base addresses of the form `http://host:port`.
    pub fn new(hubs: Vec<String>, client: Client) -> Self {
        Self {
            hubs,
            client,
            known: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
            paused: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, Known>> {
        // Nothing here panics while it holds the lock, and no value is left half-written.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_paused(&self) -> bool {
        let until = *self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// The model's words, if it has any and a hub has the model.
    pub async fn of(&self, root: &Digest) -> Known {
        if let Some(known) = self.lock().get(root) {
            return known.clone();
        }
        // Every answer asks: where there is nothing to fetch, none waits for another.
        if self.hubs.is_empty() || self.is_paused() {
            return None;
        }
        let _fetching = self.fetching.lock().await;
        if let Some(known) = self.lock().get(root) {
            return known.clone();
        }
        if self.is_paused() {
            return None;
        }
        for hub in &self.hubs {
            if let Some(words) = self.fetch(hub, *root).await {
                let mut all = self.lock();
                if all.len() >= KNOWN_MAX {
                    all.clear();
                }
                all.insert(*root, words.clone());
                return words;
            }
        }
        *self.paused.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now().checked_add(PAUSE);
        None
    }

    async fn fetch(&self, hub: &str, root: Digest) -> Option<Known> {
        let fetched = self.client.get_bytes(&format!("{hub}/artefacts/{root}/head")).await;
        let head = fetched.inspect_err(|error| tracing::debug!(%error, "failed to fetch a model's head")).ok()?;
        // A tokenizer is large: not on a thread that others wait for.
        let read = tokio::task::spawn_blocking(move || read(&head, &root)).await.ok()?;
        if read.is_none() {
            tracing::warn!(hub, model = %root, "a hub sent something else than the model");
        }
        read
    }
}

/// The words of the model that has this root.
fn read(head: &[u8], root: &Digest) -> Option<Known> {
    let head = Head::read(head).ok().filter(|head| head.root == *root)?;
    match head.language {
        Some(language) => {
            let tokenizer = Tokenizer::load(&language.tokenizer, usize::MAX).ok()?;
            let template = Template::parse(&language.template).ok()?;
            let family = Family::of(&language.template);
            let graph::Defaults { max_tokens, temperature_micros, top_p_micros, top_k } = language.defaults;
            let defaults = Defaults { max_tokens, temperature_micros, top_p_micros, top_k };
            Some(Some(Arc::new(Words { tokenizer, template, family, defaults })))
        }
        None => Some(None),
    }
}

/// True only if `texts` together are what `tokens` say, with or without a last character that is not whole. Ends where they differ, and
/// lets others have the thread now and then: an answer may be long.
pub async fn says(tokenizer: &Tokenizer, tokens: &[u32], texts: &[String]) -> bool {
    let (mut detokenizer, text) = (Detokenizer::new(tokenizer), texts.concat());
    let mut rest = &text[..];
    for (place, tokens) in tokens.chunks(TOKENS_AT_ONCE).enumerate() {
        if place > 0 {
            tokio::task::yield_now().await;
        }
        for token in tokens {
            let Some(after) = rest.strip_prefix(&detokenizer.push(*token)[..]) else { return false };
            rest = after;
        }
    }
    rest.is_empty() || rest == detokenizer.finish()
}
