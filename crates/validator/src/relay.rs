//! Transactions between validators: whoever takes one shows it to the others, in batches, so that whoever proposes next has it.
//!
//! Lossy by design: a transaction that got lost here waits for the turn of the validator that took it.

use std::time::Duration;

use consensus::{MAX_SHARED_BYTES, Requests};
use protocol::{Bytes, Canonical as _, List};
use tokio::{sync::mpsc, task::JoinHandle};

/// Most transactions of one message.
const BATCH: usize = 2_048;
type Batch = List<Bytes<MAX_SHARED_BYTES>, BATCH>;
/// Between two messages: agreement's network takes so many a second from each validator and no more.
const SPACING: Duration = Duration::from_millis(6);
/// Transactions on their way out, and messages on their way in, before more are dropped.
const OUTGOING: usize = 8_192;
const INCOMING: usize = 64;

/// Where transactions go out.
pub(crate) type Outbox = mpsc::Sender<Vec<u8>>;
/// Where messages come in.
pub(crate) type Inbox = std::sync::mpsc::SyncSender<Vec<u8>>;

/// Messages of as many transactions as each holds, in order. One that no message holds is left out.
pub(crate) fn messages(transactions: impl IntoIterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
    let (mut messages, mut batch, mut used) = (Vec::new(), Vec::new(), 4);
    for transaction in transactions {
        let size = transaction.len() + 4;
        let Ok(bytes) = Bytes::new(transaction) else { continue };
        if size + 4 > MAX_SHARED_BYTES {
            continue;
        }
        if used + size > MAX_SHARED_BYTES || batch.len() == BATCH {
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

/// Hands messages of others to `take`, on a thread of its own: senders are recovered there. Ends once `take` says so, or nobody can
/// send any more.
pub(crate) fn receive(take: impl Fn(&[u8]) -> bool + Send + 'static) -> std::io::Result<Inbox> {
    let (inbox, waiting) = std::sync::mpsc::sync_channel::<Vec<u8>>(INCOMING);
    let take_in = move || while waiting.recv().is_ok_and(|message| take(&message)) {};
    std::thread::Builder::new().name("intake".to_owned()).spawn(take_in)?;
    Ok(inbox)
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn many_go_in_several_messages_none_over_the_limit_and_the_largest_stay() {
        let sent: Vec<Vec<u8>> = (0..5_000_usize).map(|index| vec![7; index % 300]).collect();
        let larger = vec![0; MAX_SHARED_BYTES - 7];
        let messages = messages(sent.iter().cloned().chain([larger]));
        assert!(messages.len() > 2 && messages.iter().all(|message| message.len() <= MAX_SHARED_BYTES));
        let received: Vec<Vec<u8>> = messages.iter().flat_map(|message| read(message).unwrap()).collect();
        assert_eq!(received, sent);
        let largest = vec![0; MAX_SHARED_BYTES - 8];
        assert_eq!(super::messages([largest]).len(), 1);
    }
}
