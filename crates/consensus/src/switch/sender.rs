//! What one seat says: to all, or to another seat, which may be one of the same node.

use std::{sync::Arc, time::SystemTime};

use commonware_actor::{Feedback, Unreliable};
use commonware_cryptography::ed25519::PublicKey;
use commonware_p2p::{CheckedSender, LimitedSender, Recipients, Sender};
use commonware_runtime::IoBufs;
use commonware_utils::{Participant, ordered::Quorum};

use super::{ALL, Header, Lines, NO_SEAT, port_of};
use crate::seat::Seats;

/// A seat's end of a shared channel.
#[derive(Clone)]
pub(crate) struct SeatSender<S> {
    inner: S,
    lines: Arc<Lines>,
    seats: Arc<Seats>,
    term: u64,
    port: u16,
    /// As whom we speak.
    key: PublicKey,
}

impl<S> SeatSender<S> {
    pub(super) fn new(inner: S, lines: Arc<Lines>, seats: Arc<Seats>, term: u64, seat: Option<Participant>) -> Self {
        let key = seat.and_then(|seat| seats.keys().key(seat)).unwrap_or(&lines.me).clone();
        Self { inner, lines, seats, term, port: port_of(seat), key }
    }

    /// The node and the port of somebody, who without a seat is a node.
    fn place(&self, of: &PublicKey) -> (PublicKey, u16) {
        let seat = self.seats.keys().index(of);
        let node = seat.and_then(|seat| self.seats.node(seat));
        node.map_or_else(|| (of.clone(), NO_SEAT), |node| (node.clone(), port_of(seat)))
    }
}

impl<S: Sender<PublicKey = PublicKey>> LimitedSender for SeatSender<S> {
    type PublicKey = PublicKey;
    type Checked<'a> = Checked<'a, S>;

    fn check(&mut self, recipients: Recipients<PublicKey>) -> Result<Checked<'_, S>, SystemTime> {
        let me = self.lines.me.clone();
        let (nodes, to, is_local) = match recipients {
            Recipients::All => (Some(Recipients::All), ALL, true),
            Recipients::One(one) => {
                let (node, port) = self.place(&one);
                let is_local = node == me;
                ((!is_local).then_some(Recipients::One(node)), port, is_local)
            }
            Recipients::Some(some) => {
                let mut nodes: Vec<PublicKey> = some.iter().map(|one| self.place(one).0).collect();
                nodes.sort();
                nodes.dedup();
                let count = nodes.len();
                nodes.retain(|node| *node != me);
                let is_local = nodes.len() < count;
                (Some(Recipients::Some(nodes)), ALL, is_local)
            }
        };
        let header = Header { term: self.term, from: self.port, to };
        let (lines, seats, key) = (Arc::clone(&self.lines), Arc::clone(&self.seats), self.key.clone());
        let inner = match nodes.map(|nodes| self.inner.check(nodes)) {
            Some(Ok(inner)) => Some(inner),
            Some(Err(until)) if !is_local => return Err(until),
            Some(Err(_)) | None => None,
        };
        Ok(Checked { inner, header, is_local, lines, seats, key })
    }
}

/// A message that may be sent now.
pub(crate) struct Checked<'a, S: Sender<PublicKey = PublicKey> + 'a> {
    inner: Option<S::Checked<'a>>,
    header: Header,
    /// Whether it is also for seats of this node.
    is_local: bool,
    lines: Arc<Lines>,
    seats: Arc<Seats>,
    key: PublicKey,
}

impl<'a, S: Sender<PublicKey = PublicKey> + 'a> CheckedSender for Checked<'a, S> {
    type PublicKey = PublicKey;

    fn recipients(&self) -> Vec<PublicKey> {
        let mut nodes = self.inner.as_ref().map_or_else(Vec::new, CheckedSender::recipients);
        if self.is_local {
            nodes.push(self.lines.me.clone());
        }
        let mut seats = Vec::new();
        for (seat, key, node) in self.seats.iter() {
            let port = port_of(Some(seat));
            let is_meant = self.header.to == ALL || self.header.to == port;
            if is_meant && port != self.header.from && nodes.contains(node) {
                seats.push(key.clone());
            }
        }
        if seats.is_empty() && self.header.to == NO_SEAT { nodes } else { seats }
    }

    fn send(self, message: impl Into<IoBufs> + Send, priority: bool) -> Unreliable<Feedback> {
        let mut message: IoBufs = message.into();
        if self.is_local {
            let terms = self.lines.terms();
            if let Some(line) = terms.open.get(&self.header.term) {
                let bytes = message.clone().coalesce();
                line.hand(self.header.to, Some(self.header.from), &(self.key, bytes));
            }
        }
        let Some(inner) = self.inner else { return Unreliable::new(Feedback::Ok) };
        message.prepend(self.header.to_bytes().into());
        inner.send(message, priority)
    }
}
