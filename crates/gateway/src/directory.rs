//! Who can serve what: the last view of the ledger's nodes, models and keys, and how each worker did lately.
//!
//! The view stays when validators are away. Nothing here is trusted to be complete: whoever is missing is asked for.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use api::{ApiError, Code};
use network::{LedgerClient, NetworkError};
use protocol::{
    Digest, KeyRecord, ModelRecord, NodeId, NodeRecord, PublicKey, Role,
    registry::{ModelKind, node_id},
};
use router::{Wanted, WorkerView};

/// Keys that are remembered.
const KEYS_MAX: usize = 4_096;
/// A remembered key is asked for again after this, so that a rotated one is noticed.
const KEY_LIFE: Duration = Duration::from_secs(5);
/// Models that an error names.
const NAMED_MAX: usize = 20;
/// Characters of a name that an error says.
const NAME_SHOWN_MAX: usize = 128;
/// Failures in a row that a lie counts for.
const LIE_FAILURES: u32 = 6;

/// What the ledger said last, and where in it the things are that every request looks for.
#[derive(Default)]
pub struct View {
    pub workers: Vec<NodeRecord>,
    pub models: Vec<ModelRecord>,
    /// Gateways that the ledger takes no receipts from.
    jailed_gateways: BTreeSet<NodeId>,
    /// `None` before the first answer.
    pub seen_at: Option<Instant>,
    by_root: BTreeMap<Digest, usize>,
    by_name: BTreeMap<String, usize>,
    by_node: BTreeMap<NodeId, usize>,
    /// The workers that serve a model.
    serving: BTreeMap<Digest, Vec<usize>>,
}

impl View {
    fn new(workers: Vec<NodeRecord>, models: Vec<ModelRecord>) -> Self {
        let by_root = models.iter().enumerate().map(|(index, model)| (model.root, index)).collect();
        // Names may be published again by anyone: the first to have published one keeps it.
        let mut named: Vec<(usize, &ModelRecord)> = models.iter().enumerate().collect();
        named.sort_by_key(|(_, model)| std::cmp::Reverse((model.published_epoch, model.published_at_ms, model.root)));
        let by_name = named.into_iter().map(|(index, model)| (model.name[..].to_owned(), index)).collect();
        let mut serving: BTreeMap<Digest, Vec<usize>> = BTreeMap::new();
        for (index, worker) in workers.iter().enumerate() {
            worker.models.iter().for_each(|model| serving.entry(*model).or_default().push(index));
        }
        let by_node = workers.iter().enumerate().map(|(index, worker)| (worker.node, index)).collect();
        let (jailed_gateways, seen_at) = (BTreeSet::new(), Some(Instant::now()));
        Self { workers, models, jailed_gateways, seen_at, by_root, by_name, by_node, serving }
    }

    pub fn worker(&self, node: &NodeId) -> Option<&NodeRecord> {
        self.workers.get(*self.by_node.get(node)?)
    }

    pub fn model(&self, root: &Digest) -> Option<&ModelRecord> {
        self.models.get(*self.by_root.get(root)?)
    }

    /// Of those with this name the one that was published first.
    pub fn named(&self, name: &str) -> Option<&ModelRecord> {
        self.models.get(*self.by_name.get(name)?)
    }

    /// Whether any worker that may act serves the model.
    pub fn is_served(&self, model: &Digest) -> bool {
        self.serving(model).any(|worker| !worker.jailed)
    }

    fn serving(&self, model: &Digest) -> impl Iterator<Item = &NodeRecord> {
        self.serving.get(model).into_iter().flatten().filter_map(|index| self.workers.get(*index))
    }
}

#[derive(Clone, Copy, Default)]
struct Conduct {
    in_flight: u32,
    failures: u32,
    last_latency_ms: Option<u64>,
}

struct KnownKey {
    record: KeyRecord,
    seen_at: Instant,
}

/// Shared by all requests of one gateway.
pub struct Directory {
    ledger: LedgerClient,
    view: Mutex<Arc<View>>,
    conduct: Mutex<BTreeMap<NodeId, Conduct>>,
    keys: Mutex<BTreeMap<PublicKey, KnownKey>>,
    turn: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing here panics while it holds a lock, and no value is left half-written.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Directory {
    pub fn new(ledger: LedgerClient) -> Self {
        Self {
            ledger,
            view: Mutex::default(),
            conduct: Mutex::default(),
            keys: Mutex::default(),
            turn: AtomicU64::new(0),
        }
    }

    pub fn view(&self) -> Arc<View> {
        Arc::clone(&lock(&self.view))
    }

    /// Asks the ledger once for everything, by a client of whoever asks; on an error the last view stays.
    pub async fn refresh(&self, ledger: &LedgerClient) -> Result<(), NetworkError> {
        let (nodes, models) = (ledger.nodes().await?, ledger.models().await?);
        let jailed = nodes.iter().filter(|node| node.role == Role::Gateway && node.jailed);
        let jailed_gateways = jailed.map(|gateway| gateway.node).collect();
        let workers: Vec<NodeRecord> = nodes.into_iter().filter(|node| node.role == Role::Worker).collect();
        let known: BTreeSet<NodeId> = workers.iter().map(|worker| worker.node).collect();
        lock(&self.conduct).retain(|node, conduct| known.contains(node) || conduct.in_flight > 0);
        let view = Arc::new(View { jailed_gateways, ..View::new(workers, models) });
        // The old one is taken apart outside of the lock.
        let _before = std::mem::replace(&mut *lock(&self.view), view);
        self.refresh_keys(ledger).await
    }

    async fn refresh_keys(&self, ledger: &LedgerClient) -> Result<(), NetworkError> {
        let is_old = |known: &KnownKey| known.seen_at.elapsed() > KEY_LIFE;
        let old: Vec<PublicKey> =
            lock(&self.keys).iter().filter(|(_, known)| is_old(known)).map(|(key, _)| *key).collect();
        for key in old {
            self.fetch_key(ledger, &key).await?;
        }
        Ok(())
    }

    /// The ledger's record of a key: remembered, or asked for. `None` if the ledger knows none.
    pub async fn key(&self, key: &PublicKey) -> Result<Option<KeyRecord>, NetworkError> {
        if let Some(known) = lock(&self.keys).get(key) {
            return Ok(Some(known.record.clone()));
        }
        self.fetch_key(&self.ledger, key).await
    }

    async fn fetch_key(&self, ledger: &LedgerClient, key: &PublicKey) -> Result<Option<KeyRecord>, NetworkError> {
        match ledger.key(key).await {
            Ok(record) => {
                let mut keys = lock(&self.keys);
                if keys.len() >= KEYS_MAX {
                    keys.clear();
                }
                keys.insert(*key, KnownKey { record: record.clone(), seen_at: Instant::now() });
                Ok(Some(record))
            }
            Err(NetworkError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the gateway of this key is jailed, as the ledger was heard last. A key that is not known is taken for its node's first.
    pub fn is_jailed(&self, gateway: &PublicKey) -> bool {
        let known = lock(&self.keys).get(gateway).map(|known| known.record.node);
        self.view().jailed_gateways.contains(&known.unwrap_or_else(|| node_id(gateway)))
    }

    /// The model that a client calls by its name or its root.
    pub fn resolve(&self, wish: &str) -> Result<ModelRecord, ApiError> {
        let view = self.view();
        let by_root = Digest::from_hex(wish).and_then(|root| view.model(&root));
        if let Some(model) = by_root.or_else(|| view.named(wish)) {
            return Ok(model.clone());
        }
        if view.seen_at.is_none() {
            let away =
                ApiError::new(Code::ValidatorsAway, "The list of models is not known yet: no validator answered.");
            return Err(away.with_retry_after_s(1));
        }
        let names: Vec<&str> = view.models.iter().take(NAMED_MAX).map(|model| &model.name[..]).collect();
        // No published name is longer.
        let wish: String = wish.chars().take(NAME_SHOWN_MAX).collect();
        let message = format!("The model `{wish}` does not exist; known are {}.", names.join(", "));
        let unknown = ApiError::new(Code::ModelNotFound, message).with_param("model");
        Err(unknown.with_hint("GET /v1/models lists all of them"))
    }

    pub fn is_served(&self, model: &Digest) -> bool {
        self.view().is_served(model)
    }

    /// Refuses a model that no worker may answer for now.
    pub fn refuse_unserved(&self, model: &ModelRecord) -> Result<(), ApiError> {
        let view = self.view();
        if view.is_served(&model.root) {
            return Ok(());
        }
        let why = match view.serving(&model.root).next() {
            None => "no worker serves it",
            Some(_) => "every worker that serves it is jailed",
        };
        let unserved = format!("Nobody answers for the model `{}` now: {why}.", &model.name[..]);
        Err(ApiError::new(Code::NoWorker, unserved).with_retry_after_s(2))
    }

    /// Whether answers of a model can be held against it. One that left the list was exact, as far as is known here.
    pub fn kind(&self, model: &Digest) -> ModelKind {
        self.view().model(model).map_or(ModelKind::Exact, |known| known.kind)
    }

    /// A worker for `model`, none of `exclude`; it counts as busy until the lease is dropped.
    pub fn choose(self: &Arc<Self>, model: &Digest, exclude: &[NodeId]) -> Option<Lease> {
        let view = self.view();
        // Made before the lock is taken, which all requests take.
        let mut views: Vec<WorkerView> = view.serving(model).map(|worker| seen(worker, model)).collect();
        let wanted = Wanted { model: *model, exclude: exclude.to_vec() };
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut conduct = lock(&self.conduct);
        for view in &mut views {
            let known = conduct.get(&view.node).copied().unwrap_or_default();
            (view.in_flight, view.failures, view.last_latency_ms) =
                (known.in_flight, known.failures, known.last_latency_ms);
        }
        let node = router::choose(&views, &wanted, turn)?;
        let busy = conduct.entry(node).or_default();
        busy.in_flight = busy.in_flight.saturating_add(1);
        drop(conduct);
        let endpoint = views.into_iter().find(|view| view.node == node)?.endpoint;
        Some(Lease { directory: Arc::clone(self), node, endpoint })
    }

    fn note(&self, node: &NodeId, change: impl FnOnce(&mut Conduct)) {
        change(lock(&self.conduct).entry(*node).or_default());
    }
}

/// A worker that serves `model`, before anything is known of how it did.
fn seen(worker: &NodeRecord, model: &Digest) -> WorkerView {
    WorkerView {
        node: worker.node,
        endpoint: worker.endpoint[..].to_owned(),
        // What else it serves is nothing to this request.
        models: vec![*model],
        jailed: worker.jailed,
        stake: worker.stake,
        in_flight: 0,
        failures: 0,
        last_latency_ms: None,
    }
}

/// A worker while it answers one request.
pub struct Lease {
    directory: Arc<Directory>,
    pub node: NodeId,
    pub endpoint: String,
}

impl Lease {
    /// Its first frame came after `latency`.
    pub fn began(&self, latency: Duration) {
        let latency_ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
        self.directory.note(&self.node, |conduct| conduct.last_latency_ms = Some(latency_ms));
    }

    pub fn succeeded(&self) {
        self.directory.note(&self.node, |conduct| conduct.failures = 0);
    }

    pub fn failed(&self) {
        self.directory.note(&self.node, |conduct| conduct.failures = conduct.failures.saturating_add(1));
    }

    pub fn lied(&self) {
        self.directory.note(&self.node, |conduct| conduct.failures = conduct.failures.saturating_add(LIE_FAILURES));
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.directory.note(&self.node, |conduct| conduct.in_flight = conduct.in_flight.saturating_sub(1));
    }
}

#[cfg(test)]
impl Directory {
    /// One that knows a worker for each of these models, and asks nobody.
    pub fn serving(models: &[Digest]) -> Arc<Self> {
        let directory = Self::new(LedgerClient::new(network::Client::default(), &[]));
        directory.serve(models);
        Arc::new(directory)
    }

    /// From now on workers serve these models, one each.
    pub fn serve(&self, models: &[Digest]) {
        let worker = |model: &Digest| NodeRecord {
            node: *model,
            role: Role::Worker,
            operator: protocol::EvmAddress([0; 20]),
            payout: protocol::EvmAddress([0; 20]),
            endpoint: protocol::Text::default(),
            stake: 0,
            slashed: 0,
            jailed: false,
            registered_epoch: 0,
            models: protocol::List::new(vec![*model]).unwrap_or_default(),
        };
        *lock(&self.view) = Arc::new(View::new(models.iter().map(worker).collect(), Vec::new()));
    }
}
