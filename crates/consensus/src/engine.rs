//! Wires one validator together, generic over the surroundings and the network: the only such function of the room.
//!
//! Marshal puts finalized blocks in order and fetches missing ones, the broadcast engine carries blocks, the keeper gives them to the
//! application and keeps the terms, the conductor runs simplex in each term, and the certifier signs epoch roots beside them.
//! Everything started is a child of the given context.

use std::sync::{Arc, atomic::AtomicU64};

use commonware_broadcast::buffered;
use commonware_consensus::{
    marshal::{self, core::Actor, resolver::p2p as backfill, standard::Standard},
    simplex::{self, types::Finalization},
};
use commonware_cryptography::{certificate::Verifier as _, ed25519::PublicKey, sha256::Digest};
use commonware_p2p::{Blocker, Provider, Receiver, Sender};
use commonware_parallel::Sequential;
use commonware_runtime::{Handle as Task, buffer::paged::CacheRef};
use commonware_utils::{NZDuration, NZU64, NZUsize, channel::mpsc};

use crate::{
    Application, Block, EpochCertificate, Mailbox, NextKey, Requests, Scheme,
    application::{Command, Inbox},
    archive,
    beginning::Beginnings,
    certifier::{Certifier, Told},
    conductor::{Conductor, Track},
    counters::Counters,
    environment::Environment,
    keeper::{Begun, Keeper, MAX_ROUND_MESSAGE_BYTES, Queue},
    limits::{FETCH_RETRY, FETCH_TIMEOUT, MAILBOX, MAX_VALIDATORS, VIEW_RETENTION},
    log_pool::LogPool,
    member::Member,
    proposer::Proposer,
    reshare::TermRules,
    roster::Roster,
    sharing,
    store::{CertificateStore, REPLAY_BUFFER, StoreError, StoredBlock, WRITE_BUFFER, page_cache},
    switch::{HEADER_BYTES, Switch},
    term_store::TermStore,
};

/// One sender and receiver per kind of message. The numbers are the channel ids, in order.
pub(crate) struct Channels<S, R> {
    pub votes: (S, R),
    pub certificates: (S, R),
    pub resolver: (S, R),
    pub blocks: (S, R),
    pub backfill: (S, R),
    pub epochs: (S, R),
    pub shared: (S, R),
    pub rounds: (S, R),
    pub records: (S, R),
    pub rotations: (S, R),
}

/// Messages per second and peer of each channel, in the order of [`Channels`]. Each registered channel reserves a
/// slot per message and peer, so these numbers decide how much memory a validator takes.
pub(crate) const QUOTAS: [u32; 10] = [512, 256, 64, 128, 128, 128, 256, 128, 16, 16];

/// Signs that others are ahead which wait to be looked at.
const AHEAD_WAITING: usize = 16;

/// What a started validator leaves in the hands of its face.
pub(crate) struct Running {
    pub mailbox: Mailbox,
    pub requests: Requests,
    pub counters: Arc<Counters>,
    pub beginnings: Beginnings,
    /// If any of these ends, the validator has failed.
    pub tasks: Vec<Task<()>>,
}

/// Starts a validator and returns once everything runs.
pub(crate) async fn start<E, S, R, P, B, T>(
    context: E,
    member: Member,
    application: Arc<dyn Application>,
    channels: Channels<S, R>,
    peers: P,
    blocker: B,
    track: T,
) -> Result<Running, StoreError>
where
    E: Environment,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
    P: Provider<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
    T: Track,
{
    let member = Arc::new(member);
    let roster = member.roster.clone();
    let (requests, Inbox { wake, commands, shared }) = Requests::new();
    let counters = Arc::new(Counters::default());
    let delivered = Arc::new(AtomicU64::new(application.height()));
    let (cache, prefix) = (page_cache(), &member.store_prefix);
    let certificates = open_certificates(&context, prefix, &cache).await?;
    let unsigned = certificates.iter().flat_map(CertificateStore::uncertified);
    let unsigned_from = unsigned.map(|unsigned| unsigned.term).min().unwrap_or(u64::MAX);
    let terms = TermStore::open(context.child("terms"), prefix, &member.signing_key, cache.clone()).await?;
    requests.set_term(terms.newest().unwrap_or(0));
    application.attach(requests.clone());

    let (actor, mailbox) = open_marshal(context.child("marshal"), &member, cache.clone()).await?;
    let (queue, delivered_blocks) = Queue::new(requests.clone());
    let mut tasks =
        start_blocks(&context, &member, actor, queue, peers, blocker.clone(), channels.blocks, channels.backfill);

    let logs = LogPool::new(member.rules);
    let (told, given) = (application.clone(), delivered.clone());
    let (pacing, is_silent) = (member.pacing, member.is_silent);
    let proposer = Proposer { application: told, wake, delivered: given, pacing, logs: logs.clone(), is_silent };
    let (begun, beginning) = mpsc::unbounded_channel();
    let conductor = |switches| Conductor {
        context: context.child("conductor"),
        member: Arc::clone(&member),
        proposer,
        mailbox: mailbox.clone(),
        blocker,
        track,
        switches,
        counters: counters.clone(),
        cache,
    };
    let voting = [channels.votes, channels.certificates, channels.resolver];
    tasks.extend(start_terms(&context, &member, conductor, voting, beginning));

    let (records, records_asked) = mpsc::unbounded_channel();
    let (rotations, rotations_asked) = mpsc::unbounded_channel();
    let beginnings = Beginnings::new(member.rules, roster.clone(), mailbox.clone(), records.clone());
    let certifying =
        [(commands, channels.epochs), (records_asked, channels.records), (rotations_asked, channels.rotations)];
    tasks.extend(start_certifiers(&context, &roster, &application, &counters, certificates, certifying));
    tasks.push(sharing::start(context.child("shared"), application.clone(), shared, channels.shared));
    let (sender, receiver) = channels.rounds;
    let keeper = Keeper {
        context: context.child("terms"),
        member,
        application,
        requests: requests.clone(),
        mailbox: mailbox.clone(),
        delivered,
        roster,
        records,
        rotations,
        unsigned_from,
        logs,
        begun,
        sender,
    };
    tasks.push(keeper.start(terms, delivered_blocks, receiver));
    Ok(Running { mailbox, requests, counters, beginnings, tasks })
}

/// Of epochs, of records of terms, and of keys that come next.
async fn open_certificates<E: Environment>(
    context: &E,
    prefix: &str,
    cache: &CacheRef,
) -> Result<[CertificateStore<E>; 3], StoreError> {
    let epochs = CertificateStore::open(context.child("epochs"), prefix, cache.clone()).await?;
    let (of_records, of_rotations) = (format!("{prefix}records-"), format!("{prefix}rotations-"));
    let records = CertificateStore::open(context.child("records"), &of_records, cache.clone()).await?;
    let rotations = CertificateStore::open(context.child("rotations"), &of_rotations, cache.clone()).await?;
    Ok([epochs, records, rotations])
}

type Certifying<S, R> = (mpsc::UnboundedReceiver<Command>, (S, R));

/// One certifies epochs for the application, one records of terms for whoever asks, one the key that comes next.
fn start_certifiers<E, S, R>(
    context: &E,
    roster: &Roster,
    application: &Arc<dyn Application>,
    counters: &Arc<Counters>,
    [epochs, records, rotations]: [CertificateStore<E>; 3],
    [epochs_asked, records_asked, rotations_asked]: [Certifying<S, R>; 3],
) -> [Task<()>; 3]
where
    E: Environment,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
{
    let (for_epochs, for_keys, of_terms) = (Arc::clone(application), Arc::clone(application), roster.clone());
    let told: Told = Arc::new(move |certificate| for_epochs.certified(certificate));
    let told_of_key: Told = Arc::new(move |certificate: EpochCertificate| {
        let fresh = of_terms.record(certificate.epoch).and_then(|record| record.fresh_key().ok().flatten());
        if let Some((serial, key)) = fresh {
            for_keys.next_key(NextKey { serial, key, signature: certificate.signature });
        }
    });
    let start = |context: E, store, told: Told, (commands, (sender, receiver)): Certifying<S, R>, counters| {
        Certifier { context, roster: roster.clone(), store, told, commands, sender, receiver, counters }.start()
    };
    [
        start(context.child("epochs"), epochs, told, epochs_asked, Arc::clone(counters)),
        start(context.child("records"), records, Arc::new(drop), records_asked, Arc::default()),
        start(context.child("rotations"), rotations, told_of_key, rotations_asked, Arc::default()),
    ]
}

/// Starts agreement, in whatever term begins, on the three channels that its terms share.
fn start_terms<E, S, R, B, T>(
    context: &E,
    member: &Member,
    conductor: impl FnOnce([Switch<S>; 3]) -> Conductor<E, S, B, T>,
    voting: [(S, R); 3],
    beginning: mpsc::UnboundedReceiver<Begun>,
) -> [Task<()>; 4]
where
    E: Environment,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
    T: Track,
{
    let (ahead, heard_ahead) = mpsc::channel(AHEAD_WAITING);
    let share = |channel| Switch::start(context.child("switch"), member.me.clone(), channel, ahead.clone());
    let [(votes, first), (certificates, second), (missing, third)] = voting.map(share);
    [first, second, third, conductor([votes, certificates, missing]).start(beginning, heard_ahead)]
}

type Finalizations<E> = archive::Store<E, Finalization<Scheme, Digest>>;
type Blocks<E> = archive::Store<E, StoredBlock>;
type Marshal<E> = Actor<E, Standard<Block>, Roster, Finalizations<E>, Blocks<E>, TermRules, Sequential>;

async fn open_marshal<E: Environment>(
    context: E,
    member: &Member,
    cache: CacheRef,
) -> Result<(Marshal<E>, Mailbox), StoreError> {
    let prefix = &member.store_prefix;
    let codec = Scheme::certificate_codec_config_unbounded();
    let (finalizations, blocks) = (context.child("finalizations"), context.child("blocks"));
    let finalizations =
        archive::Store::open(finalizations, member.archive, prefix, "finalizations", cache.clone(), codec).await?;
    let blocks = archive::Store::open(blocks, member.archive, prefix, "blocks", cache.clone(), ()).await?;
    let config = marshal::Config {
        provider: member.roster.clone(),
        epocher: member.rules,
        start: member.floor.clone().map_or_else(|| marshal::Start::Genesis(member.genesis()), marshal::Start::Floor),
        partition_prefix: format!("{prefix}marshal"),
        mailbox_size: MAILBOX,
        view_retention: VIEW_RETENTION,
        prunable_items_per_section: NZU64!(256),
        page_cache: cache,
        replay_buffer: REPLAY_BUFFER,
        key_write_buffer: WRITE_BUFFER,
        value_write_buffer: WRITE_BUFFER,
        block_codec_config: (),
        max_repair: NZUsize!(32),
        max_pending_acks: NZUsize!(16),
        strategy: Sequential,
    };
    let (actor, mailbox, _) = Actor::init(context, finalizations, blocks, config).await;
    Ok((actor, mailbox))
}

/// Starts marshal with its two ways of getting blocks: broadcast by proposers, and fetched from peers.
#[allow(clippy::too_many_arguments, reason = "a wiring step: each argument is one part that is plugged in")]
fn start_blocks<E, S, R, P, B>(
    context: &E,
    member: &Member,
    actor: Marshal<E>,
    queue: Queue,
    peers: P,
    blocker: B,
    blocks: (S, R),
    missing: (S, R),
) -> Vec<Task<()>>
where
    E: Environment,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
    P: Provider<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
{
    let resolver_config = backfill::Config {
        public_key: member.me.clone(),
        peer_provider: peers.clone(),
        blocker,
        mailbox_size: MAILBOX,
        fetch_timeout: NZDuration!(FETCH_TIMEOUT),
        fetch_retry_delay: FETCH_RETRY,
        priority_requests: false,
        priority_responses: false,
    };
    let resolver = backfill::init(context.child("backfill"), resolver_config, missing);
    let broadcast_config = buffered::Config {
        public_key: member.me.clone(),
        mailbox_size: MAILBOX,
        deque_size: 8,
        priority: true,
        codec_config: (),
        peer_provider: peers,
        strategy: Sequential,
    };
    let (engine, buffer) = buffered::Engine::new(context.child("broadcast"), broadcast_config);
    vec![engine.start(blocks), actor.start(queue, buffer, resolver)]
}

/// The longest payload on any channel: every peer must use the same, however many sit.
pub(crate) fn max_message_bytes() -> u32 {
    commonware_p2p::max_message_size(&[
        HEADER_BYTES + simplex::max_payload_size::<Scheme, Digest>(MAX_VALIDATORS),
        marshal::max_payload_size::<Standard<Block>, Scheme>(MAX_VALIDATORS, &()),
        crate::message::MAX_EPOCH_MESSAGE_BYTES,
        crate::limits::MAX_SHARED_BYTES,
        MAX_ROUND_MESSAGE_BYTES,
    ])
}
