//! The two sides of the room's door: what the application gives ([`Application`]) and what it may ask ([`Requests`]).
//!
//! No type parameter and no commonware type passes through it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use commonware_utils::{
    channel::{mpsc, oneshot},
    sync::Notify,
};

use crate::{Block, Seat, committee::TermKey, limits::MAX_SHARED_BYTES, reshare::KeyClock};

/// A block that two thirds of the validators have committed to. It cannot be undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinalizedBlock {
    pub block: Arc<Block>,
    /// SHA-256 over the block's canonical bytes.
    pub digest: [u8; 32],
    /// Who sits in the term that begins with this block; nothing in a term's other blocks, in the first of all
    /// terms, and where a block is read from the archive.
    pub seated: Option<Vec<Seat>>,
}

/// The network's signature over the root of one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochCertificate {
    pub epoch: u64,
    pub digest: [u8; 32],
    /// A compressed G1 point; see [`crate::epoch_message`] for what it signs.
    pub signature: [u8; 48],
}

/// The key after the present one, as the present one signed for it (`specs/rotation.md`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextKey {
    /// Which of the network's keys it is; the first is number zero.
    pub serial: u64,
    /// A compressed G2 point.
    pub key: [u8; 96],
    /// A compressed G1 point; see [`crate::verify_rotation`].
    pub signature: [u8; 48],
}

/// Our turn to propose: what a proposer needs to know.
pub struct Turn<'a> {
    pub parent_height: u64,
    /// Ancestors that are not yet finalized, newest first. Their transactions must not be proposed again.
    pub unfinalized: &'a [&'a Block],
    /// The most bytes, each transaction counted with a length prefix of at most five bytes.
    pub budget_bytes: usize,
}

/// What runs on top of agreement. All methods are called one at a time per kind, from the network's threads; only
/// [`finalized`](Self::finalized) may take long, because it has a thread of its own.
pub trait Application: Send + Sync + 'static {
    /// The height of the newest block whose effects are durable here, zero at genesis. Delivery begins above it, from
    /// our own archive if need be, so an application that restarts from an old snapshot only tells its height.
    fn height(&self) -> u64;

    /// Called once per start, before everything else. An application that holds epochs without a signature asks again
    /// with [`Requests::certify`].
    fn attach(&self, requests: Requests);

    /// Pending transactions for the next block, none if nothing is pending. They stay pending until they arrive in
    /// [`finalized`](Self::finalized): a proposal may be lost. Must be quick.
    fn propose(&self, turn: &Turn<'_>) -> Vec<Vec<u8>>;

    /// Whether the block may ever be valid. `false` is for permanent faults only, and every honest validator must say
    /// the same. Must be quick.
    fn check(&self, block: &Block) -> bool;

    /// A finalized block, in height order, without gaps, at least once over all restarts and once per start. It is
    /// acknowledged when this returns; what is not durable by then is delivered again if [`height`](Self::height)
    /// says so at the next start.
    fn finalized(&self, block: FinalizedBlock);

    /// The certificate of an epoch that this application asked for, in this life or an earlier one: after a restart it
    /// may come before the block that closes the epoch is given again. Epochs may arrive out of order and repeatedly.
    fn certified(&self, certificate: EpochCertificate);

    /// Bytes that another validator's application gave to [`Requests::share`]. Lossy, unordered, bounded.
    fn shared(&self, from: [u8; 32], bytes: &[u8]);

    /// Who shall sit in `term`, as of the newest block that was given: asked for right after the last block of the term two before
    /// it, so that whoever is named has a term to come and be dealt a share. All validators must say the same. A list that makes no
    /// committee (none, a key twice) leaves the seats as they are.
    fn committee(&self, term: u64) -> Vec<Seat>;

    /// What the network's keys grow old by, as of the newest block that was given. Asked for as [`committee`](Self::committee), and all
    /// validators must say the same. Without it keys are for ever.
    fn key_clock(&self) -> KeyClock {
        KeyClock::default()
    }

    /// The key that comes after the present one has its signature: to be put before the ledger, by everybody who sits, until the
    /// ledger has it. May come repeatedly, and for keys that the ledger took up long ago.
    fn next_key(&self, _next: NextKey) {}

    /// The key that the ledger took up last, and which of the network's keys that is, as of the newest block that was given. Asked for
    /// right after a term's last block: from the next one on that key signs. All validators must say the same.
    fn named_key(&self) -> Option<(u64, [u8; 96])> {
        None
    }

    /// Nodes that may take part one day, and where they and those that sit are reached, as far as it is known. Not every node must
    /// say the same.
    fn addresses(&self) -> Vec<([u8; 32], SocketAddr)>;

    /// A validator signed two votes that exclude each other. The evidence is checked; [`crate::evidence`] reads it.
    fn misbehaviour(&self, culprit: [u8; 32], evidence: Vec<u8>);
}

/// What the application may ask of agreement. Cheap to clone; never blocks; without effect after shutdown.
#[derive(Clone)]
pub struct Requests {
    wake: Arc<Notify>,
    commands: mpsc::UnboundedSender<Command>,
    shared: mpsc::Sender<Vec<u8>>,
    keep_from: Arc<AtomicU64>,
    /// The term of the block that is being given.
    term: Arc<AtomicU64>,
    finalized: Arc<AtomicU64>,
}

/// The receiving ends of [`Requests`].
pub(crate) struct Inbox {
    pub wake: Arc<Notify>,
    pub commands: mpsc::UnboundedReceiver<Command>,
    pub shared: mpsc::Receiver<Vec<u8>>,
}

/// What the certifier is asked to do.
pub(crate) enum Command {
    Certify {
        epoch: u64,
        digest: [u8; 32],
        term: u64,
    },
    /// A term begins.
    Term {
        term: u64,
        key: TermKey,
    },
    Certificate {
        epoch: u64,
        answer: oneshot::Sender<Option<EpochCertificate>>,
    },
    /// To ask the others for the certificate of an epoch that was closed before this node's time; any of these keys may have signed it,
    /// the last one most likely. Answered with whether they are asked now, or were before.
    Ask {
        epoch: u64,
        digest: [u8; 32],
        network_keys: Vec<[u8; 96]>,
        answer: oneshot::Sender<bool>,
    },
    /// Answered when everything asked before is durable.
    Barrier(oneshot::Sender<()>),
}

/// Why bytes were not handed to the other validators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    #[error(
        "failed to share bytes: {length} given, at most {MAX_SHARED_BYTES} are allowed; hint: send smaller batches"
    )]
    TooLong { length: usize },
    #[error("failed to share bytes: too many are waiting already; hint: they can be sent again later")]
    Busy,
}

impl Requests {
    /// How many hand-overs may wait for the network.
    const SHARED_WAITING: usize = 64;

    pub(crate) fn new() -> (Self, Inbox) {
        let wake = Arc::new(Notify::new());
        let (commands, command_inbox) = mpsc::unbounded_channel();
        let (shared, shared_inbox) = mpsc::channel(Self::SHARED_WAITING);
        let inbox = Inbox { wake: wake.clone(), commands: command_inbox, shared: shared_inbox };
        (
            Self { wake, commands, shared, keep_from: Arc::default(), term: Arc::default(), finalized: Arc::default() },
            inbox,
        )
    }

    /// A transaction is pending: if it is our turn, propose now.
    pub fn wake(&self) {
        self.wake.notify_waiters();
    }

    /// The ledger closed an epoch, with the block that is being given now or before this start. Idempotent; another digest for the same epoch is refused, logged and never signed.
    pub fn certify(&self, epoch: u64, digest: [u8; 32]) {
        let term = self.term.load(Ordering::Relaxed);
        self.command(Command::Certify { epoch, digest, term });
    }

    /// Gives bytes (say, a batch of transactions) to the other validators' applications. Lossy: it may be dropped.
    pub fn share(&self, bytes: Vec<u8>) -> Result<(), ShareError> {
        if bytes.len() > MAX_SHARED_BYTES {
            return Err(ShareError::TooLong { length: bytes.len() });
        }
        self.shared.try_send(bytes).map_err(|_| ShareError::Busy)
    }

    /// Blocks below `height` are needed no more, neither here nor, as far as it is ours to say, by others. An archive that keeps
    /// everything does not heed it.
    pub fn keep_from(&self, height: u64) {
        self.keep_from.fetch_max(height, Ordering::Relaxed);
    }

    /// Height of the newest block that is known here to be final: it and those before it may still be on their way. Zero until the first
    /// is heard of.
    pub fn finalized(&self) -> u64 {
        self.finalized.load(Ordering::Relaxed)
    }

    pub(crate) fn set_finalized(&self, height: u64) {
        self.finalized.fetch_max(height, Ordering::Relaxed);
    }

    /// Blocks of which term are given from now on.
    pub(crate) fn set_term(&self, term: u64) {
        self.term.store(term, Ordering::Relaxed);
    }

    pub(crate) fn kept_from(&self) -> u64 {
        self.keep_from.load(Ordering::Relaxed)
    }

    /// A send fails only after shutdown, when nobody waits for the outcome.
    pub(crate) fn command(&self, command: Command) {
        let _ = self.commands.send(command);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sharing_is_bounded_in_length_and_number() {
        let (requests, _inbox) = Requests::new();
        let length = MAX_SHARED_BYTES + 1;
        assert_eq!(requests.share(vec![0; length]), Err(ShareError::TooLong { length }));
        for _ in 0..Requests::SHARED_WAITING {
            assert_eq!(requests.share(vec![0; MAX_SHARED_BYTES]), Ok(()));
        }
        assert_eq!(requests.share(Vec::new()), Err(ShareError::Busy));
    }

    #[test]
    fn what_is_known_to_be_final_never_goes_back() {
        let (requests, _inbox) = Requests::new();
        assert_eq!(requests.finalized(), 0);
        for (heard, known) in [(3, 3), (2, 3), (7, 7)] {
            requests.set_finalized(heard);
            assert_eq!(requests.clone().finalized(), known);
        }
    }

    #[test]
    fn requests_after_shutdown_are_without_effect() {
        let (requests, inbox) = Requests::new();
        drop(inbox);
        requests.wake();
        requests.certify(1, [0; 32]);
        assert_eq!(requests.share(Vec::new()), Err(ShareError::Busy));
    }
}
