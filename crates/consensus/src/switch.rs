//! One channel of the network, shared by all seats of all terms.
//!
//! Agreement of one term must not hear another's messages, and expects to be spoken to by seats, while the network knows nodes. So each
//! message begins with its term, the seat that it is from and the seat that it is to. Who speaks for a seat that its node does not
//! hold is not heard. What is of a term ahead of ours is a sign that its sender is further; of the very next term the first words of each
//! node are kept until that term begins here: its first votes come from those that were quicker by milliseconds, and without them a term
//! would begin by waiting for a leader that has long spoken.

mod sender;

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use commonware_actor::Feedback;
use commonware_codec::{Error as CodecError, FixedSize, ReadExt, Write};
use commonware_cryptography::ed25519::PublicKey;
use commonware_p2p::{BlockedSubscription, Blocker, Message, Receiver, Sender};
use commonware_runtime::Handle;
use commonware_utils::{Participant, channel::mpsc, ordered::Quorum};
use futures::FutureExt;

pub(crate) use sender::SeatSender;

use crate::{environment::Environment, seat::Seats};

/// What a message begins with.
pub(crate) const HEADER_BYTES: usize = 8 + 2 + 2;
/// To every seat and to everybody without one.
const ALL: u16 = u16::MAX;
/// Of or to a node that has no seat in the term.
const NO_SEAT: u16 = 0;

/// Term, from, to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub term: u64,
    pub from: u16,
    pub to: u16,
}

impl Header {
    /// What a seat says to everybody.
    pub fn to_all(term: u64, seat: Participant) -> Self {
        Self { term, from: port_of(Some(seat)), to: ALL }
    }

    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        self.term.write(&mut bytes);
        self.from.write(&mut bytes);
        self.to.write(&mut bytes);
        bytes
    }

    pub fn read(input: &mut impl commonware_codec::Buf) -> Result<Self, CodecError> {
        Ok(Self { term: u64::read(input)?, from: u16::read(input)?, to: u16::read(input)? })
    }
}

/// How a seat is named in a header; also without a seat there is a name.
fn port_of(seat: Option<Participant>) -> u16 {
    seat.and_then(|seat| u16::try_from(seat.get()).ok()).map_or(NO_SEAT, |seat| seat.saturating_add(1))
}

fn seat_of(port: u16) -> Option<Participant> {
    port.checked_sub(1).map(|index| Participant::new(u32::from(index)))
}

/// Messages of one node that are kept of the next term, and their bytes: more than anybody says in the milliseconds between two beginnings.
const EARLY_MESSAGES: usize = 64;
const EARLY_BYTES: usize = 256 << 10;

type Port = mpsc::Sender<Message<PublicKey>>;

/// One term on this channel.
struct Line {
    seats: Arc<Seats>,
    /// Where what is for a seat of this node goes; [`NO_SEAT`] where it has none.
    ports: BTreeMap<u16, Port>,
}

/// What nodes said of a term before it began here.
#[derive(Default)]
struct Early {
    /// In the order in which it came.
    said: Vec<(Header, Message<PublicKey>)>,
    /// Messages and bytes of each node that is kept; of authenticated nodes only, which are those of a few committees.
    kept: BTreeMap<PublicKey, (usize, usize)>,
}

impl Early {
    /// Of each node so much as is bounded, the first of it: that is what a term begins with.
    fn keep(&mut self, header: Header, message: Message<PublicKey>) {
        let (messages, bytes) = self.kept.entry(message.0.clone()).or_default();
        let size = bytes.saturating_add(message.1.len());
        if *messages < EARLY_MESSAGES && size <= EARLY_BYTES {
            (*messages, *bytes) = (*messages + 1, size);
            self.said.push((header, message));
        }
    }
}

/// Which terms are open here.
#[derive(Default)]
struct Terms {
    open: BTreeMap<u64, Line>,
    /// Of the term after the newest that is open, until all seats that this node has in it have heard it.
    early: BTreeMap<u64, Early>,
}

/// The terms of a channel, and who listens here.
pub(crate) struct Lines {
    me: PublicKey,
    terms: Mutex<Terms>,
}

impl Lines {
    fn terms(&self) -> MutexGuard<'_, Terms> {
        self.terms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A channel that is shared.
pub(crate) struct Switch<S> {
    lines: Arc<Lines>,
    sender: S,
    capacity: NonZeroUsize,
}

impl<S: Sender<PublicKey = PublicKey>> Switch<S> {
    /// Shares a channel; `ahead` hears who speaks of a term that is not open here yet.
    pub fn start<E, R>(
        context: E,
        me: PublicKey,
        (sender, receiver): (S, R),
        ahead: mpsc::Sender<(u64, PublicKey)>,
    ) -> (Self, Handle<()>)
    where
        E: Environment,
        R: Receiver<PublicKey = PublicKey>,
    {
        let lines = Arc::new(Lines { me, terms: Mutex::default() });
        let capacity = receiver.capacity();
        let distributing = Arc::clone(&lines);
        let task = context.spawn(move |_| distribute(distributing, receiver, ahead));
        (Self { lines, sender, capacity }, task)
    }

    /// The channel as one seat of this node has it in a term, or as the node has it that sits nowhere.
    pub fn open(&self, term: u64, seats: &Arc<Seats>, seat: Option<Participant>) -> (SeatSender<S>, SeatReceiver) {
        let (sender, receiver) = mpsc::channel(self.capacity.get());
        let port = port_of(seat);
        let mut terms = self.lines.terms();
        let Terms { open, early } = &mut *terms;
        let line = open.entry(term).or_insert_with(|| Line { seats: Arc::clone(seats), ports: BTreeMap::new() });
        for (header, (node, bytes)) in early.get(&term).into_iter().flat_map(|early| &early.said) {
            let speaker = line.speaker(header.from, node).filter(|_| header.to == ALL || header.to == port);
            if let Some(from) = speaker {
                let _ = sender.try_send((from, bytes.clone()));
            }
        }
        line.ports.insert(port, sender);
        drop(terms);
        let sender = SeatSender::new(self.sender.clone(), Arc::clone(&self.lines), Arc::clone(seats), term, seat);
        (sender, SeatReceiver { receiver, capacity: self.capacity })
    }

    /// All seats of this node listen in the term: what was said before it is not needed any more.
    pub fn begun(&self, term: u64) {
        let mut terms = self.lines.terms();
        terms.early = terms.early.split_off(&term.saturating_add(1));
    }

    /// Ends everything before this term.
    pub fn close_before(&self, term: u64) {
        let mut terms = self.lines.terms();
        terms.open = terms.open.split_off(&term);
    }
}

async fn distribute<R: Receiver<PublicKey = PublicKey>>(
    lines: Arc<Lines>,
    mut receiver: R,
    ahead: mpsc::Sender<(u64, PublicKey)>,
) {
    while let Ok((node, mut bytes)) = receiver.recv().await {
        let Ok(header) = Header::read(&mut bytes) else { continue };
        let mut terms = lines.terms();
        let Some(line) = terms.open.get(&header.term) else {
            let ahead_by = terms.open.last_key_value().and_then(|(newest, _)| header.term.checked_sub(*newest));
            if ahead_by == Some(1) {
                terms.early.entry(header.term).or_default().keep(header, (node.clone(), bytes));
            }
            drop(terms);
            if ahead_by.is_some() {
                // Full: it was said often enough.
                let _ = ahead.try_send((header.term, node));
            }
            continue;
        };
        let Some(from) = line.speaker(header.from, &node) else { continue };
        line.hand(header.to, None, &(from, bytes));
    }
}

impl Line {
    /// As whom a node speaks, if it may.
    fn speaker(&self, from: u16, node: &PublicKey) -> Option<PublicKey> {
        let Some(seat) = seat_of(from) else { return Some(node.clone()) };
        let key = self.seats.keys().key(seat)?;
        (self.seats.node(seat)? == node).then(|| key.clone())
    }

    /// Gives a message to whom it is for here, but to one of them. Who is slow loses it.
    fn hand(&self, to: u16, except: Option<u16>, message: &Message<PublicKey>) {
        let wanted = |port: &&u16| (to == ALL || to == **port) && Some(**port) != except;
        for port in self.ports.keys().filter(wanted) {
            if let Some(sender) = self.ports.get(port) {
                let _ = sender.try_send(message.clone());
            }
        }
    }
}

/// What one seat hears.
#[derive(Debug)]
pub(crate) struct SeatReceiver {
    receiver: mpsc::Receiver<Message<PublicKey>>,
    capacity: NonZeroUsize,
}

/// The term is over.
#[derive(Debug, thiserror::Error)]
#[error("the term is over")]
pub(crate) struct Over;

impl Receiver for SeatReceiver {
    type Error = Over;
    type PublicKey = PublicKey;

    async fn recv(&mut self) -> Result<Message<PublicKey>, Over> {
        self.receiver.recv().map(|message| message.ok_or(Over)).await
    }

    fn capacity(&self) -> NonZeroUsize {
        self.capacity
    }
}

/// Blocks the node of a seat that broke the protocol.
#[derive(Clone)]
pub(crate) struct SeatBlocker<B> {
    pub inner: B,
    pub me: PublicKey,
    pub seats: Arc<Seats>,
}

impl<B: Blocker<PublicKey = PublicKey>> Blocker for SeatBlocker<B> {
    type PublicKey = PublicKey;

    fn block(&mut self, peer: PublicKey) -> Feedback {
        let node = self.seats.node_of(&peer).cloned().unwrap_or(peer);
        if node == self.me { Feedback::Ok } else { self.inner.block(node) }
    }

    fn blocked(&mut self) -> BlockedSubscription<PublicKey> {
        self.inner.blocked()
    }
}

const _: () = assert!(HEADER_BYTES == u64::SIZE + u16::SIZE + u16::SIZE);
