//! What tokens say: tokenizers of models, fetched from hubs and believed because the model's root commits to them.
//!
//! A receipt commits to tokens and a client reads text, so a worker could stream words that its tokens do not say.
//! Where no hub has the model, text passes unchecked and is counted. A tokenizer is its publisher's: it is read here after a process that is
//! bounded has read it. Models that no worker serves are fetched in places of their own, and are forgotten before the others: they cost
//! these neither time nor room.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use api::{Family, SaidToken, Thinking};
use engine::{Detokenizer, Tokenizer};
use futures::{FutureExt as _, future};
use graph::{Defaults, Head};
use network::{Bytes, Client};
use protocol::{Digest, request::Score};
use tokio::sync::Semaphore;

use crate::{
    counting::Counting,
    directory::{Directory, View},
    places::Purpose,
    question,
};

/// After a failure no hub is asked for a model for so long.
const PAUSE: Duration = Duration::from_secs(5);
/// Tokenizers that are remembered, and bytes of the heads that they are in.
const KNOWN_MAX: usize = 256;
const KNOWN_BYTES_MAX: usize = 1 << 30;
/// Models that are remembered as late.
const LATE_MAX: usize = 4_096;
/// Models that workers serve that are fetched at the same time, and as many again that nobody serves.
const FETCHES: usize = 4;
/// Of either kind, models that are fetched or whose heads are here and not yet read. Each may have the memory of a head.
const UNREAD_MAX: usize = 16;
/// Tokens that are put into words before whoever does so lets others have its thread.
pub const TOKENS_AT_ONCE: usize = 64;

/// What a language model's words are.
pub struct Words {
    pub tokenizer: Tokenizer,
    /// As it was fetched: what counts prompts reads it for itself.
    pub head: Bytes,
    /// Tokens of prompt and answer together.
    pub context: u64,
    /// How it calls tools.
    pub family: &'static Family,
    /// How it thinks before it answers, if it does.
    pub thinking: Option<&'static Thinking>,
    /// Of its control tokens, which have no text, those that mark up thoughts or calls.
    pub marks: Vec<(u32, &'static str)>,
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

    /// What a token marks that has no text.
    pub fn mark(&self, token: u32) -> Option<&'static str> {
        self.marks.iter().find(|(mark, _)| *mark == token).map(|(_, mark)| *mark)
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

/// What is fetched, for all that wait for it.
type Fetch = future::Shared<future::BoxFuture<'static, Known>>;

pub struct Vocabularies {
    hubs: Vec<String>,
    client: Client,
    /// Where heads are read before they are read here.
    counting: Arc<Counting>,
    directory: Arc<Directory>,
    state: Mutex<State>,
    served: Lane,
    unserved: Lane,
}

/// Room for models that are fetched and read.
struct Lane {
    /// Taken while a hub is waited for, and by nobody who waits for anything else.
    fetches: Semaphore,
    unread: Semaphore,
}

impl Default for Lane {
    fn default() -> Self {
        Self { fetches: Semaphore::new(FETCHES), unread: Semaphore::new(UNREAD_MAX) }
    }
}

#[derive(Default)]
struct State {
    known: BTreeMap<Digest, Used>,
    /// Counts what was asked for.
    uses: u64,
    /// By whether a worker served the model when its fetch began, and so where it is fetched.
    fetching: BTreeMap<(bool, Digest), Fetch>,
    /// Until when which models are not asked for, after a failure.
    paused: BTreeMap<Digest, Instant>,
    /// Models that somebody has waited for in vain: until one is known, nobody waits for it again.
    late: BTreeSet<Digest>,
}

struct Used {
    known: Known,
    last: u64,
}

impl State {
    fn known(&mut self, root: &Digest) -> Option<Known> {
        self.uses = self.uses.saturating_add(1);
        let used = self.known.get_mut(root)?;
        used.last = self.uses;
        Some(used.known.clone())
    }

    fn is_paused(&self, root: &Digest) -> bool {
        self.paused.get(root).is_some_and(|until| Instant::now() < *until)
    }

    fn note_late(&mut self, root: Digest) {
        if !self.known.contains_key(&root) {
            self.late.insert(root);
        }
        if self.late.len() > LATE_MAX {
            self.late.pop_first();
        }
    }

    /// Bytes of all heads that are remembered.
    fn bytes(&self) -> usize {
        self.known.values().filter_map(|used| used.known.as_ref()).map(|words| words.head.len()).sum()
    }

    /// Whether one more, of a model that nobody has asked for yet, may be remembered, and no other that is as good forgotten for it.
    fn has_room(&self, root: &Digest, view: &View) -> bool {
        let is_full =
            self.known.len() >= KNOWN_MAX || self.bytes().saturating_add(question::MESSAGE_BYTES_MAX) > KNOWN_BYTES_MAX;
        !is_full || view.is_served(root) && self.known.keys().any(|known| !view.is_served(known))
    }

    /// Ends a fetch. Where there is too little room, models that nobody serves go first, then what was not asked for longest.
    fn end(&mut self, is_served: bool, root: Digest, fetched: Option<Known>, view: &View) {
        self.fetching.remove(&(is_served, root));
        let now = Instant::now();
        let Some(known) = fetched else {
            self.paused.retain(|_, until| now < *until);
            self.paused.extend(now.checked_add(PAUSE).map(|until| (root, until)));
            return;
        };
        self.uses = self.uses.saturating_add(1);
        self.late.remove(&root);
        self.known.insert(root, Used { known, last: self.uses });
        while self.known.len() > KNOWN_MAX || self.bytes() > KNOWN_BYTES_MAX {
            let rank = |(root, used): &(&Digest, &Used)| (view.is_served(root), used.last);
            let Some(first) = self.known.iter().min_by_key(rank).map(|(root, _)| *root) else { break };
            self.known.remove(&first);
        }
    }
}

impl Vocabularies {
    /// `hubs` are base addresses of the form `http://host:port`.
    pub fn new(hubs: Vec<String>, client: Client, counting: Arc<Counting>, directory: Arc<Directory>) -> Self {
        let (served, unserved) = (Lane::default(), Lane::default());
        Self { hubs, client, counting, directory, state: Mutex::default(), served, unserved }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing here panics while it holds the lock, and no value is left half-written.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The model's words, if it has any and a hub has the model. Whoever stops waiting stops nothing: a tokenizer that takes long is known
    /// to those that ask later.
    pub async fn of(self: &Arc<Self>, root: &Digest) -> Known {
        match self.find(root) {
            Ok(known) => known,
            Err(fetch) => fetch.await,
        }
    }

    /// The same for whoever does not wait for longer: a hub that hangs costs one caller the wait, and not each of them.
    pub async fn within(self: &Arc<Self>, root: &Digest, wait: Duration) -> Known {
        let fetch = match self.find(root) {
            Ok(known) => return known,
            Err(fetch) => fetch,
        };
        let wait = if self.lock().late.contains(root) { Duration::ZERO } else { wait };
        let fetched = tokio::time::timeout(wait, fetch).await;
        if fetched.is_err() {
            self.lock().note_late(*root);
        }
        fetched.ok().flatten()
    }

    /// What is known, or is being fetched.
    fn find(self: &Arc<Self>, root: &Digest) -> Result<Known, Fetch> {
        let mut state = self.lock();
        match state.known(root) {
            Some(known) => Ok(known),
            // Every answer asks: where there is nothing to fetch, none waits.
            None if self.hubs.is_empty() || state.is_paused(root) => Ok(None),
            None => {
                // One that a worker serves since its fetch began is fetched among its like as well, whichever comes first.
                let is_served = self.directory.is_served(root) || state.fetching.contains_key(&(true, *root));
                let fetch = state.fetching.entry((is_served, *root)).or_insert_with(|| self.begin(is_served, *root));
                Err(fetch.clone())
            }
        }
    }

    /// Fetches a model's words before an answer needs them, unless others that are as good would be forgotten for it.
    pub async fn keep(self: &Arc<Self>, root: &Digest) {
        let view = self.directory.view();
        let is_done = {
            let state = self.lock();
            state.known.contains_key(root) || !state.has_room(root, &view)
        };
        if !is_done {
            self.of(root).await;
        }
    }

    fn begin(self: &Arc<Self>, is_served: bool, root: Digest) -> Fetch {
        let all = Arc::clone(self);
        let fetched = tokio::spawn(async move {
            let fetched = all.fetch_anywhere(is_served, root).await;
            let view = all.directory.view();
            all.lock().end(is_served, root, fetched.clone(), &view);
            fetched.flatten()
        });
        fetched.map(|fetched| fetched.ok().flatten()).boxed().shared()
    }

    async fn fetch_anywhere(&self, is_served: bool, root: Digest) -> Option<Known> {
        let lane = if is_served { &self.served } else { &self.unserved };
        let _unread = lane.unread.acquire().await.ok()?;
        let fetching = lane.fetches.acquire().await.ok()?;
        // While it waited, it may have been fetched in the other lane.
        let known = self.lock().known(&root);
        if known.is_some() {
            return known;
        }
        // What would not be read is not fetched.
        self.counting.admits(&root).ok()?;
        let mut found = None;
        for hub in &self.hubs {
            found = self.fetch(hub, root).await;
            if found.is_some() {
                break;
            }
        }
        drop(fetching);
        self.read(found?).await
    }

    async fn fetch(&self, hub: &str, root: Digest) -> Option<(Bytes, Head)> {
        let fetched = self.client.get_bytes(&format!("{hub}/artefacts/{root}/head")).await;
        let bytes = fetched.inspect_err(|error| tracing::debug!(%error, "failed to fetch a model's head")).ok()?;
        let read = move || Head::read(&bytes).ok().filter(|head| head.root == root).map(|head| (bytes, head));
        // It is large: not on a thread that others wait for. One that cannot be read fails by itself.
        let head = tokio::task::spawn_blocking(read).await.ok()?;
        if head.is_none() {
            tracing::warn!(hub, model = %root, "a hub sent something else than the model");
        }
        head
    }

    async fn read(&self, (bytes, head): (Bytes, Head)) -> Option<Known> {
        let Some(language) = head.language else { return Some(None) };
        let proven = self.counting.count(&head.root, &bytes, Purpose::Count, Vec::new()).await;
        proven.inspect_err(|error| tracing::debug!(?error, model = %head.root, "a head was not read")).ok()?;
        let read = move || {
            let tokenizer = Tokenizer::load(&language.tokenizer, usize::MAX).ok()?;
            let (family, thinking) = (Family::of(&language.template), Thinking::of(&language.template));
            let marks = marks(&tokenizer, family, thinking);
            let (context, defaults) = (head.context.into(), language.defaults);
            Some(Words { tokenizer, head: bytes, context, family, thinking, marks, defaults })
        };
        let words = tokio::task::spawn_blocking(read).await.ok()??;
        Some(Some(Arc::new(words)))
    }
}

/// The control tokens that mark up thoughts or calls.
fn marks(tokenizer: &Tokenizer, family: &Family, thinking: Option<&'static Thinking>) -> Vec<(u32, &'static str)> {
    let own = thinking.into_iter().flat_map(Thinking::marks);
    let all: Vec<&'static str> = family.marks().iter().copied().chain(own).collect();
    let mark = |content: &str| all.iter().copied().find(|mark| *mark == content);
    tokenizer.specials().iter().filter_map(|special| Some((special.id, mark(&special.content)?))).collect()
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

/// What tokens say; others have the thread now and then.
pub async fn text(tokenizer: &Tokenizer, tokens: &[u32]) -> String {
    let (mut detokenizer, mut text) = (Detokenizer::new(tokenizer), String::new());
    for (place, tokens) in tokens.chunks(TOKENS_AT_ONCE).enumerate() {
        if place > 0 {
            tokio::task::yield_now().await;
        }
        tokens.iter().for_each(|token| text.push_str(&detokenizer.push(*token)));
    }
    text + &detokenizer.finish()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use network::{
        Limits, Server,
        axum::{Router, extract::Path, routing::get},
    };

    use super::*;
    use crate::counting::Setting;

    fn digest(index: usize) -> Digest {
        crypto::hash("og/test", &[&index.to_be_bytes()])
    }

    /// A model without text.
    fn artefact(name: &str) -> (Vec<u8>, Digest) {
        let model = graph::Model::of_float(name, 0, b"weights".to_vec().into());
        let head = graph::Head::cut(&model.to_artefact().into()).unwrap();
        (head, model.root())
    }

    /// A hub that answers after so long, and how often it was asked.
    async fn hub(head: Vec<u8>, delay: Duration) -> (Server, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let serve = move |Path(_): Path<String>| async move {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(delay).await;
            head
        };
        let router = Router::new().route("/artefacts/{root}/head", get(serve));
        let address = "127.0.0.1:0".parse().unwrap();
        (Server::start(address, router, Limits::default()).await.unwrap(), asked)
    }

    fn vocabularies(hub: &Server) -> Arc<Vocabularies> {
        vocabularies_serving(hub, &[])
    }

    fn vocabularies_serving(hub: &Server, models: &[Digest]) -> Arc<Vocabularies> {
        let directory = Directory::serving(models);
        let setting = Setting {
            // Models without text are read nowhere else.
            program: network::process::Program { path: "/nowhere".into(), arguments: Vec::new() },
            places: 2,
            wait: Duration::from_secs(1),
            directory: Arc::clone(&directory),
            proven: "/nowhere".into(),
            metrics: Arc::default(),
        };
        let counting = Arc::new(Counting::new(setting));
        Arc::new(Vocabularies::new(vec![hub.url()], Client::new(Duration::from_secs(10)), counting, directory))
    }

    impl Vocabularies {
        fn end(&self, root: Digest, fetched: Option<Known>) {
            let view = self.directory.view();
            self.lock().end(view.is_served(&root), root, fetched, &view);
        }
    }

    #[tokio::test]
    async fn a_fetch_outlives_whoever_asked_and_is_shared_by_all_that_ask() {
        let (head, root) = artefact("slow");
        let (hub, asked) = hub(head, Duration::from_millis(300)).await;
        let vocabularies = vocabularies(&hub);
        for _ in 0..3 {
            let gone = tokio::time::timeout(Duration::from_millis(20), vocabularies.of(&root)).await;
            assert!(gone.is_err());
        }
        vocabularies.of(&root).await;
        assert!(vocabularies.lock().known.contains_key(&root) && vocabularies.lock().fetching.is_empty());
        vocabularies.of(&root).await;
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_hub_that_hangs_costs_one_caller_the_wait() {
        let (head, root) = artefact("hanging");
        let (hub, asked) = hub(head, Duration::from_millis(1_500)).await;
        let (vocabularies, wait) = (vocabularies(&hub), Duration::from_millis(200));
        let began_at = Instant::now();
        for _ in 0..20 {
            assert!(vocabularies.within(&root, wait).await.is_none());
        }
        assert!((wait..5 * wait).contains(&began_at.elapsed()), "{:?}", began_at.elapsed());
        vocabularies.of(&root).await;
        assert!(vocabularies.lock().known.contains_key(&root) && vocabularies.lock().late.is_empty());
        assert_eq!(asked.load(Ordering::Relaxed), 1, "what is late is fetched all the same");
        // One that fails is late for as long as it is not known.
        vocabularies.lock().note_late(digest(1));
        vocabularies.end(digest(1), None);
        assert!(vocabularies.lock().late.contains(&digest(1)));
    }

    #[tokio::test]
    async fn a_model_that_no_hub_has_keeps_no_other_from_being_fetched() {
        let (head, root) = artefact("here");
        let (hub, asked) = hub(head, Duration::ZERO).await;
        let vocabularies = vocabularies(&hub);
        for _ in 0..3 {
            assert!(vocabularies.of(&digest(1)).await.is_none());
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1, "it is asked for once in a while");
        vocabularies.of(&root).await;
        assert!(vocabularies.lock().known.contains_key(&root));
    }

    #[tokio::test]
    async fn where_all_room_is_taken_the_least_recently_used_goes_and_none_for_what_nobody_asked_for() {
        let (head, root) = artefact("new");
        let (hub, asked) = hub(head, Duration::ZERO).await;
        let vocabularies = vocabularies(&hub);
        for index in 0..KNOWN_MAX {
            vocabularies.end(digest(index), Some(None));
        }
        vocabularies.of(&digest(0)).await;
        vocabularies.keep(&root).await;
        assert_eq!(asked.load(Ordering::Relaxed), 0);
        vocabularies.of(&root).await;
        let state = vocabularies.lock();
        assert_eq!(state.known.len(), KNOWN_MAX);
        assert!(state.known.contains_key(&digest(0)) && !state.known.contains_key(&digest(1)));
        assert!(state.known.contains_key(&digest(2)) && state.known.contains_key(&root));
    }

    #[tokio::test]
    async fn where_all_room_is_taken_models_that_nobody_serves_go_first_whatever_was_asked_for_last() {
        let (head, root) = artefact("served");
        let (hub, asked) = hub(head, Duration::ZERO).await;
        let vocabularies = vocabularies_serving(&hub, &[root, digest(0), digest(1)]);
        for index in 0..KNOWN_MAX {
            vocabularies.end(digest(index), Some(None));
        }
        vocabularies.end(digest(KNOWN_MAX), Some(None));
        assert!(!vocabularies.lock().known.contains_key(&digest(2)), "of those that nobody serves the oldest");
        vocabularies.keep(&root).await;
        assert_eq!(asked.load(Ordering::Relaxed), 1, "it is better than what is forgotten for it");
        let state = vocabularies.lock();
        assert_eq!(state.known.len(), KNOWN_MAX);
        assert!([root, digest(0), digest(1), digest(4)].iter().all(|root| state.known.contains_key(root)));
        assert!(!state.known.contains_key(&digest(3)));
    }

    #[tokio::test]
    async fn a_model_that_nobody_serves_is_not_remembered_where_all_others_are_served() {
        let roots: Vec<Digest> = (0..=KNOWN_MAX).map(digest).collect();
        let served = Directory::serving(&roots[..KNOWN_MAX]).view();
        let mut state = State::default();
        for root in &roots {
            state.end(served.is_served(root), *root, Some(None), &served);
        }
        assert_eq!(state.known.len(), KNOWN_MAX);
        assert!(!state.known.contains_key(&roots[KNOWN_MAX]));
        assert!(!state.has_room(&roots[KNOWN_MAX], &served) && !state.has_room(&roots[0], &served));
    }

    /// A hub that has this model, and says nothing of the others for long.
    async fn hub_that_hangs_but_for(root: Digest, head: Vec<u8>) -> Server {
        let quick = root.to_string();
        let serve = move |Path(root): Path<String>| async move {
            let delay = if root == quick { 0 } else { 60 };
            tokio::time::sleep(Duration::from_secs(delay)).await;
            head
        };
        let router = Router::new().route("/artefacts/{root}/head", get(serve));
        Server::start("127.0.0.1:0".parse().unwrap(), router, Limits::default()).await.unwrap()
    }

    /// Asks for more models than are fetched at once, none of which anybody serves.
    async fn crowd(vocabularies: &Arc<Vocabularies>) {
        for index in 0..2 * UNREAD_MAX {
            assert!(tokio::time::timeout(Duration::from_millis(1), vocabularies.of(&digest(index))).await.is_err());
        }
    }

    #[tokio::test]
    async fn however_many_models_that_nobody_serves_are_fetched_one_that_is_served_waits_for_none_of_them() {
        let (head, root) = artefact("served");
        let hub = hub_that_hangs_but_for(root, head).await;
        let vocabularies = vocabularies_serving(&hub, &[root]);
        crowd(&vocabularies).await;
        let known = tokio::time::timeout(Duration::from_secs(5), vocabularies.of(&root)).await;
        assert!(known.is_ok() && vocabularies.lock().known.contains_key(&root));
    }

    #[tokio::test]
    async fn a_model_that_is_served_since_its_fetch_began_waits_for_none_that_nobody_serves() {
        let (head, root) = artefact("served since");
        let hub = hub_that_hangs_but_for(root, head).await;
        let vocabularies = vocabularies(&hub);
        crowd(&vocabularies).await;
        assert!(vocabularies.within(&root, Duration::from_millis(50)).await.is_none());
        vocabularies.directory.serve(&[root]);
        let known = tokio::time::timeout(Duration::from_secs(5), vocabularies.of(&root)).await;
        assert!(known.is_ok() && vocabularies.lock().known.contains_key(&root));
        assert!(
            vocabularies.lock().fetching.contains_key(&(false, root)),
            "the first waits on, and will find it known"
        );
    }
}
