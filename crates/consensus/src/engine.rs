//! Wires one validator together, generic over the surroundings and the network: the only such function of the room.
//!
//! Simplex orders digests, the broadcast engine carries blocks, marshal puts finalized blocks in order and fetches
//! missing ones, and the certifier signs epoch roots beside them. Everything started is a child of the given context.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use commonware_broadcast::buffered;
use commonware_consensus::{
    Reporters,
    marshal::{
        self,
        core::Actor,
        resolver::p2p as backfill,
        standard::{Deferred, Standard},
    },
    simplex::{
        self,
        config::{Floor, ForwardPolicy, SkipBudget, SkipPolicy},
        elector::RoundRobin,
        types::Finalization,
    },
    types::{Epoch, FixedEpocher, ViewDelta},
};
use commonware_cryptography::{
    Digestible,
    certificate::{ConstantProvider, Verifier as _},
    ed25519::PublicKey,
    sha256::Digest,
};
use commonware_p2p::{Blocker, Provider, Receiver, Sender};
use commonware_parallel::Sequential;
use commonware_runtime::{Handle as Task, buffer::paged::CacheRef};
use commonware_utils::{NZDuration, NZU64, NZUsize};

use crate::{
    Application, Block, Mailbox, Requests, Scheme,
    application::Inbox,
    archive,
    certifier::Certifier,
    counters::Counters,
    delivery::{Delivery, Queue},
    environment::Environment,
    evidence::Watch,
    member::Member,
    proposer::Proposer,
    sharing,
    store::{CertificateStore, REPLAY_BUFFER, StoreError, StoredBlock, WRITE_BUFFER, page_cache},
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
}

/// Messages per second and peer of each channel, in the order of [`Channels`]. Each registered channel reserves a
/// slot per message and peer, so these numbers decide how much memory a validator takes.
pub(crate) const QUOTAS: [u32; 7] = [512, 256, 64, 128, 128, 128, 256];

const MAILBOX: std::num::NonZeroUsize = NZUsize!(256);
const FETCH_TIMEOUT: Duration = Duration::from_secs(1);
const FETCH_RETRY: Duration = Duration::from_millis(100);
/// Views of votes and blocks kept behind the finalized tip.
const VIEW_RETENTION: ViewDelta = ViewDelta::new(64);
/// What a leader gets beyond the idle wait before the others move on.
const LEADER_GRACE: Duration = Duration::from_millis(800);

/// What a started validator leaves in the hands of its face.
pub(crate) struct Running {
    pub mailbox: Mailbox,
    pub requests: Requests,
    pub counters: Arc<Counters>,
    /// If any of these ends, the validator has failed.
    pub tasks: Vec<Task<()>>,
}

/// Starts a validator and returns once everything runs.
pub(crate) async fn start<E, S, R, P, B>(
    context: E,
    member: Member,
    application: Arc<dyn Application>,
    channels: Channels<S, R>,
    peers: P,
    blocker: B,
) -> Result<Running, StoreError>
where
    E: Environment,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
    P: Provider<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
{
    let (requests, Inbox { wake, commands, shared }) = Requests::new();
    let counters = Arc::new(Counters::default());
    let delivered = Arc::new(AtomicU64::new(application.height()));
    let cache = page_cache();
    let store = CertificateStore::open(context.child("epochs"), &member.store_prefix, cache.clone()).await?;
    application.attach(requests.clone());

    let (actor, mailbox) = open_marshal(context.child("marshal"), &member, cache.clone()).await?;
    let proposer =
        Proposer { application: application.clone(), wake, delivered: delivered.clone(), pacing: member.pacing };
    let (queue, delivered_blocks) = Queue::new();
    let mut tasks =
        start_blocks(&context, &member, actor, queue, peers, blocker.clone(), channels.blocks, channels.backfill);

    let watch = Watch {
        scheme: member.scheme.clone(),
        members: member.members.clone(),
        application: application.clone(),
        counters: counters.clone(),
    };
    let votes = (channels.votes, channels.certificates, channels.resolver);
    tasks.push(start_simplex(&context, &member, proposer, mailbox.clone(), watch, blocker, cache, votes));

    let (sender, receiver) = channels.epochs;
    let certifier = Certifier {
        context: context.child("epochs"),
        members: member.members.clone(),
        key: member.epoch_key.clone(),
        store,
        application: application.clone(),
        commands,
        sender,
        receiver,
        counters: counters.clone(),
    };
    tasks.push(certifier.start());
    tasks.push(sharing::start(context.child("shared"), application.clone(), shared, channels.shared));
    let delivery = Delivery { application, requests: requests.clone(), mailbox: mailbox.clone(), delivered };
    tasks.push(delivery.start(context.child("delivery"), delivered_blocks));
    Ok(Running { mailbox, requests, counters, tasks })
}

type Finalizations<E> = archive::Store<E, Finalization<Scheme, Digest>>;
type Blocks<E> = archive::Store<E, StoredBlock>;
type Marshal<E> =
    Actor<E, Standard<Block>, ConstantProvider<Scheme, Epoch>, Finalizations<E>, Blocks<E>, FixedEpocher, Sequential>;

/// One validator set for ever, so one epoch of agreement that never ends. (The ledger's epochs are another thing.)
fn epocher() -> FixedEpocher {
    FixedEpocher::new(NZU64!(1 << 40))
}

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
        provider: ConstantProvider::new(member.scheme.clone()),
        epocher: epocher(),
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

#[allow(clippy::too_many_arguments, reason = "a wiring step: each argument is one part that is plugged in")]
fn start_simplex<E, S, R, B>(
    context: &E,
    member: &Member,
    proposer: Proposer,
    mailbox: Mailbox,
    watch: Watch,
    blocker: B,
    page_cache: CacheRef,
    (votes, certificates, resolver): ((S, R), (S, R), (S, R)),
) -> Task<()>
where
    E: Environment,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
    B: Blocker<PublicKey = PublicKey>,
{
    let leader_timeout = Duration::from_millis(member.pacing.idle_ms) + LEADER_GRACE;
    let automaton = Deferred::new(context.child("automaton"), proposer, mailbox, epocher());
    let config = simplex::Config {
        scheme: member.scheme.clone(),
        elector: <RoundRobin>::default(),
        blocker,
        automaton: automaton.clone(),
        relay: automaton.clone(),
        reporter: Reporters::from((automaton, watch)),
        track_historical_votes: true,
        strategy: Sequential,
        // One epoch for ever, so one partition; see `epocher`.
        partition: format!("{}simplex-0", member.store_prefix),
        mailbox_size: MAILBOX,
        epoch: Epoch::zero(),
        floor: member.floor.clone().map_or_else(|| Floor::Genesis(member.genesis().digest()), Floor::Finalized),
        replay_buffer: REPLAY_BUFFER,
        write_buffer: WRITE_BUFFER,
        page_cache,
        leader_timeout,
        certification_timeout: leader_timeout + LEADER_GRACE,
        timeout_retry: leader_timeout,
        view_retention: VIEW_RETENTION,
        skip: SkipPolicy::Enabled { timeout: leader_timeout * 5, budget: SkipBudget::Participants },
        fetch_timeout: NZDuration!(FETCH_TIMEOUT),
        fetch_retry_delay: FETCH_RETRY,
        forward: ForwardPolicy::Disabled,
    };
    simplex::Engine::new(context.child("simplex"), config).start(votes, certificates, resolver)
}

/// The longest payload on any channel: every peer must use the same.
pub(crate) fn max_message_bytes(validators: usize) -> u32 {
    let count = u32::try_from(validators).unwrap_or(u32::MAX);
    commonware_p2p::max_message_size(&[
        simplex::max_payload_size::<Scheme, Digest>(count),
        marshal::max_payload_size::<Standard<Block>, Scheme>(count, &()),
        crate::message::MAX_EPOCH_MESSAGE_BYTES,
        crate::limits::MAX_SHARED_BYTES,
    ])
}
