//! Transactions between validators: whoever takes one shows it to the others, in batches, so that whoever proposes next has it.
//!
//! Receipts go out so only while few of their gateway's wait: where many do, they come with the block of whoever took them
//! ([`crate::pool::Pool::hold_back`]), once through the network and not twice.
//!
//! Lossy by design: a transaction that got lost here waits for the turn of the validator that took it, or until that one shows it again.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use consensus::{MAX_SHARED_BYTES, Requests};
use protocol::{Bytes, Canonical as _, Digest, List};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::lock::locked;

/// Most transactions of one message.
const BATCH: usize = 2_048;
type Batch = List<Bytes<MAX_SHARED_BYTES>, BATCH>;
/// What gathers in one message. What is longer by itself goes alone: openings are, and the workers' time for them is short.
const BATCH_BYTES: usize = 256 << 10;
/// Between two messages: agreement's network takes so many a second from each validator and no more.
const SPACING: Duration = Duration::from_millis(6);
/// Transactions on their way out before more are dropped.
const OUTGOING: usize = 8_192;
/// Messages on their way in before more are dropped: of one node, and of all.
const INCOMING_EACH: usize = 32;
const INCOMING: usize = 256;
/// And their bytes.
const INCOMING_BYTES_EACH: usize = INCOMING_EACH * BATCH_BYTES;
const INCOMING_BYTES: usize = INCOMING * BATCH_BYTES;
/// Transactions of one node that may be refused within a second: each has cost a recovery or the check of a signature.
const REFUSED_MAX: usize = 2_048;
const SECOND: Duration = Duration::from_secs(1);

/// Where transactions go out.
pub(crate) type Outbox = mpsc::Sender<Vec<u8>>;
/// The key of the node that a message came from.
type Peer = [u8; 32];

/// Where messages come in. Whoever takes them ends once it is dropped.
pub(crate) struct Inbox(Arc<Incoming>);

#[derive(Default)]
struct Incoming {
    waiting: Mutex<Waiting>,
    news: Condvar,
}

/// What came in and is not read yet: of each node by itself and in turns, so that none keeps the others' waiting.
#[derive(Default)]
struct Waiting {
    peers: BTreeMap<Peer, Queue>,
    count: usize,
    bytes: usize,
    /// Whose turn it was last.
    last: Peer,
    is_closed: bool,
}

/// One node's.
#[derive(Default)]
struct Queue {
    messages: VecDeque<Vec<u8>>,
    bytes: usize,
    /// So many of its transactions were refused within the second that began then.
    refused: usize,
    begun: Option<Instant>,
}

impl Inbox {
    /// Leaves a message; where there is no room it is dropped, as the network may drop any.
    pub fn put(&self, from: Peer, message: &[u8]) {
        if locked(&self.0.waiting).put(from, message, Instant::now()) {
            self.0.news.notify_one();
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        locked(&self.0.waiting).is_closed = true;
        self.0.news.notify_one();
    }
}

impl Incoming {
    /// Waits for the next message; `None` once nobody can leave any more.
    fn next(&self) -> Option<(Peer, Vec<u8>)> {
        let mut waiting = locked(&self.waiting);
        while !waiting.is_closed {
            if let Some(next) = waiting.next() {
                return Some(next);
            }
            waiting = self.news.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        None
    }
}

impl Waiting {
    /// Whether there was room, and the node is heard.
    fn put(&mut self, from: Peer, message: &[u8], now: Instant) -> bool {
        let queue = self.peers.entry(from).or_default();
        let (bytes, all) = (queue.bytes.saturating_add(message.len()), self.bytes.saturating_add(message.len()));
        let is_full = self.count >= INCOMING || queue.messages.len() >= INCOMING_EACH;
        if is_full || bytes > INCOMING_BYTES_EACH || all > INCOMING_BYTES || queue.is_over(now) {
            return false;
        }
        (queue.bytes, self.bytes) = (bytes, all);
        queue.messages.push_back(message.to_vec());
        self.count = self.count.saturating_add(1);
        true
    }

    fn next(&mut self) -> Option<(Peer, Vec<u8>)> {
        let behind = (Bound::Excluded(self.last), Bound::Unbounded);
        let found = self.peers.range(behind).find(waits).or_else(|| self.peers.iter().find(waits));
        let from = *found?.0;
        let queue = self.peers.get_mut(&from)?;
        let message = queue.messages.pop_front()?;
        queue.bytes = queue.bytes.saturating_sub(message.len());
        self.bytes = self.bytes.saturating_sub(message.len());
        self.count = self.count.saturating_sub(1);
        self.last = from;
        Some((from, message))
    }

    /// So many of a node's transactions were refused. Too many, and what else it sent and sends is dropped until its second is over.
    fn note(&mut self, from: Peer, refused: usize, now: Instant) {
        let Some(queue) = self.peers.get_mut(&from).filter(|_| refused > 0) else { return };
        if !queue.is_counting(now) {
            (queue.refused, queue.begun) = (0, Some(now));
        }
        queue.refused = queue.refused.saturating_add(refused);
        if queue.is_over(now) {
            self.count = self.count.saturating_sub(queue.messages.len());
            self.bytes = self.bytes.saturating_sub(std::mem::take(&mut queue.bytes));
            queue.messages.clear();
            tracing::warn!(from = %Digest(from), "what it shows is refused: not heard for the rest of a second");
        }
    }
}

fn waits((_, queue): &(&Peer, &Queue)) -> bool {
    !queue.messages.is_empty()
}

impl Queue {
    fn is_counting(&self, now: Instant) -> bool {
        self.begun.is_some_and(|begun| now.saturating_duration_since(begun) < SECOND)
    }

    fn is_over(&self, now: Instant) -> bool {
        self.refused >= REFUSED_MAX && self.is_counting(now)
    }
}

/// Messages of as many transactions as each holds, in order. One that no message holds is left out.
pub(crate) fn messages(transactions: impl IntoIterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
    let (mut messages, mut batch, mut used) = (Vec::new(), Vec::new(), 4);
    for transaction in transactions {
        let size = transaction.len() + 4;
        let Ok(bytes) = Bytes::new(transaction) else { continue };
        if size + 4 > MAX_SHARED_BYTES {
            continue;
        }
        if used + size > BATCH_BYTES || batch.len() == BATCH {
            messages.extend(message(std::mem::take(&mut batch)));
            used = 4;
        }
        used += size;
        batch.push(bytes);
    }
    messages.extend(message(batch));
    messages
}

fn message(batch: Vec<Bytes<MAX_SHARED_BYTES>>) -> Option<Vec<u8>> {
    if batch.is_empty() { None } else { Batch::new(batch).ok().map(|batch| batch.encode()) }
}

/// The transactions of a message; `None` if it is none.
pub(crate) fn read(message: &[u8]) -> Option<Vec<Vec<u8>>> {
    let batch = Batch::decode(message).ok()?;
    Some(batch.into_inner().into_iter().map(Bytes::into_inner).collect())
}

/// Sends what comes in here, the first at once and what gathers after it together.
pub(crate) fn send(requests: Requests) -> (Outbox, JoinHandle<()>) {
    let (outbox, mut waiting) = mpsc::channel(OUTGOING);
    let sending = tokio::spawn(async move {
        let mut batch = Vec::new();
        while waiting.recv_many(&mut batch, BATCH).await > 0 {
            for message in messages(batch.drain(..)) {
                if let Err(error) = requests.share(message) {
                    tracing::debug!(%error, "transactions not shared");
                }
                tokio::time::sleep(SPACING).await;
            }
        }
    });
    (outbox, sending)
}

/// Hands messages of others to `take`, on a thread of its own: senders are recovered there. It tells how many of a message's
/// transactions were refused, or that there is nobody left to take any.
pub(crate) fn receive(take: impl Fn(&[u8]) -> Option<usize> + Send + 'static) -> std::io::Result<Inbox> {
    let inbox = Inbox(Arc::default());
    let incoming = Arc::clone(&inbox.0);
    let take_in = move || {
        while let Some((from, message)) = incoming.next() {
            let Some(refused) = take(&message) else { return };
            locked(&incoming.waiting).note(from, refused, Instant::now());
        }
    };
    std::thread::Builder::new().name("intake".to_owned()).spawn(take_in)?;
    Ok(inbox)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Peer = [1; 32];
    const OTHER: Peer = [2; 32];

    #[test]
    fn whoever_sends_much_fills_its_own_queue_and_the_others_have_their_turns() {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        let taken = (0..2 * INCOMING_EACH).filter(|_| waiting.put(ONE, b"much", now)).count();
        assert_eq!(taken, INCOMING_EACH);
        assert!(waiting.put(OTHER, b"first", now) && waiting.put(OTHER, b"second", now));
        let order: Vec<Peer> = std::iter::from_fn(|| waiting.next()).map(|(from, _)| from).collect();
        assert_eq!(order[..5], [ONE, OTHER, ONE, OTHER, ONE]);
        assert_eq!((order.len(), waiting.count), (INCOMING_EACH + 2, 0));
        let long = vec![0; MAX_SHARED_BYTES];
        let taken = (0..INCOMING_EACH).filter(|_| waiting.put(ONE, &long, now)).count();
        assert_eq!(taken * MAX_SHARED_BYTES, INCOMING_BYTES_EACH);
        while waiting.next().is_some() {}
        assert_eq!((waiting.count, waiting.bytes), (0, 0));
        let many = (0..u8::MAX).flat_map(|peer| [[peer; 32]; 2]).filter(|peer| waiting.put(*peer, b"", now));
        assert_eq!(many.count(), INCOMING);
    }

    #[test]
    fn whoever_shows_what_is_refused_is_not_heard_until_its_second_is_over() {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        let soon = now + SECOND / 2;
        assert!(waiting.put(ONE, b"", now) && waiting.put(ONE, b"", now) && waiting.put(OTHER, b"", now));
        waiting.note(ONE, REFUSED_MAX - 1, now);
        assert!(waiting.put(ONE, b"", soon));
        waiting.note(ONE, 1, soon);
        assert!(!waiting.put(ONE, b"", soon) && waiting.put(OTHER, b"", soon));
        assert_eq!((waiting.count, waiting.bytes), (2, 0), "what it sent before is dropped as well");
        assert!(waiting.put(ONE, b"", now + SECOND));
        waiting.note(ONE, 1, now + SECOND);
        assert!(waiting.put(ONE, b"", now + SECOND), "its next second begins with nothing");
        // What is nothing at all counts as much as one can.
        waiting.note(OTHER, usize::MAX, now);
        waiting.note(OTHER, usize::MAX, soon);
        assert!(!waiting.put(OTHER, b"", soon));
    }

    #[test]
    fn messages_are_taken_until_there_is_no_inbox() {
        let (sender, taken) = std::sync::mpsc::channel();
        let inbox = receive(move |message| sender.send(message.to_vec()).ok().map(|()| 0)).unwrap();
        inbox.put(ONE, b"a message");
        assert_eq!(taken.recv().unwrap(), b"a message");
        drop(inbox);
        assert!(taken.recv().is_err(), "its thread has ended");
    }

    #[test]
    fn what_is_sent_is_read() {
        let sent = vec![vec![1; 10], vec![], vec![2; 500]];
        let messages = messages(sent.clone());
        assert_eq!(messages.len(), 1);
        assert_eq!(read(&messages[0]), Some(sent));
        assert_eq!(read(&messages[0][1..]), None);
        assert_eq!(read(&[]), None);
    }

    #[test]
    fn many_go_in_several_messages_none_over_the_limit_and_what_is_long_goes_alone() {
        let sent: Vec<Vec<u8>> = (0..5_000_usize).map(|index| vec![7; index % 300]).collect();
        let larger = vec![0; MAX_SHARED_BYTES - 7];
        let messages = messages(sent.iter().cloned().chain([larger]));
        assert!(messages.len() > 2 && messages.iter().all(|message| message.len() <= MAX_SHARED_BYTES));
        let received: Vec<Vec<u8>> = messages.iter().flat_map(|message| read(message).unwrap()).collect();
        assert_eq!(received, sent);
        assert!(messages.iter().all(|message| message.len() <= BATCH_BYTES));
        // An answer to a challenge may be as long as a transaction may be, and has to reach whoever leads next.
        for length in [BATCH_BYTES, ledger::TRANSACTION_BYTES_MAX, MAX_SHARED_BYTES - 8] {
            let messages = super::messages([vec![1; 9], vec![0; length], vec![2; 9]]);
            let lengths: Vec<usize> =
                messages.iter().flat_map(|message| read(message).unwrap()).map(|one| one.len()).collect();
            assert_eq!((messages.len(), lengths), (3, vec![9, length, 9]));
        }
    }
}
