//! A WebSocket: requests as by POST, and what it subscribed to, pushed.
//!
//! Three parts share one queue to the reader: answers, news, signs of life. The queue is bounded in messages and bytes; a
//! reader that lets it fill up is dropped, because nothing else would bound what waits for it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use alloy_primitives::U128;
use alloy_rpc_types_eth::Filter;
use bytes::Bytes;
use evm::{Block, Transaction};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt as _, StreamExt as _};
use network::axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::{broadcast, mpsc, watch};

use crate::answer::{Answer, answer};
use crate::dispatch::{Connection, respond};
use crate::error::RpcError;
use crate::faces;
use crate::filters::{Kept, checked};
use crate::node::{Event, Syncing};
use crate::params::Params;
use crate::party::Party;
use crate::state::Desk;
use crate::turns::Work;

/// What is already queued may still be read for so long.
const FAREWELL: Duration = Duration::from_millis(500);
/// How often it is looked whether the chain goes on, and whether it is behind: it sends no news of that.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What a WebSocket can subscribe to.
enum Topic {
    Heads,
    Logs(Arc<Kept>),
    /// Hashes, or whole transactions.
    Waiting {
        whole: bool,
    },
    /// Whenever this node falls behind, and whenever it no longer is.
    Syncing,
}

/// One connection's subscriptions, and the queue to its reader.
struct Socket {
    desk: Arc<Desk>,
    party: Party,
    topics: Mutex<BTreeMap<U128, Topic>>,
    queue: Queue,
}

/// Messages on their way to the reader.
#[derive(Clone)]
struct Queue {
    messages: mpsc::Sender<Message>,
    bytes: Arc<AtomicUsize>,
    bytes_max: usize,
}

impl Queue {
    /// False if there is no room: the reader is too slow.
    fn push(&self, message: Message) -> bool {
        let length = length(&message);
        if self.bytes.fetch_add(length, Ordering::Relaxed).saturating_add(length) > self.bytes_max {
            return false;
        }
        self.messages.try_send(message).is_ok()
    }

    /// News of a subscription. False if there is no room.
    fn notify<T: Serialize>(&self, subscription: U128, result: &T) -> bool {
        #[derive(Serialize)]
        struct News<'a, T> {
            subscription: U128,
            result: &'a T,
        }
        #[derive(Serialize)]
        struct Notification<'a, T> {
            jsonrpc: &'static str,
            method: &'static str,
            params: News<'a, T>,
        }
        let params = News { subscription, result };
        let notification = Notification { jsonrpc: "2.0", method: "eth_subscription", params };
        serde_json::to_string(&notification).is_ok_and(|text| self.push(Message::Text(text.into())))
    }

    /// The logs of a block, to each subscription those that it asks for. False if there is no room.
    fn notify_logs(&self, block: &Block, asked: &[(U128, Arc<Kept>)]) -> bool {
        asked.iter().all(|(id, kept)| faces::logs(block, &kept.filter).all(|log| self.notify(*id, &log)))
    }
}

fn length(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes) => bytes.len(),
        Message::Close(_) => 0,
    }
}

/// Serves until the other end leaves, is too slow or too silent, or the server stops; whoever subscribed, until the chain ends.
pub(crate) async fn serve(connection: WebSocket, party: Party, desk: Arc<Desk>, mut stopped: watch::Receiver<bool>) {
    let (messages, waiting) = mpsc::channel(desk.limits.backlog);
    let bytes = Arc::new(AtomicUsize::new(0));
    let queue = Queue { messages, bytes: Arc::clone(&bytes), bytes_max: desk.limits.backlog_bytes };
    let events = desk.node.events();
    let socket = Socket { desk, party, topics: Mutex::default(), queue };
    let (sink, stream) = connection.split();
    let mut writing = std::pin::pin!(write(sink, waiting, bytes));
    let ended = tokio::select! {
        () = &mut writing => return,
        ended = socket.requests(stream) => ended,
        ended = socket.news(events) => ended,
        ended = socket.chain() => ended,
        _ = stopped.wait_for(|stopped| *stopped) => End::Stopped,
    };
    // Best effort: a reader that is too slow may not read why.
    let (code, reason) = ended.words();
    let _ = socket.queue.messages.try_send(Message::Close(Some(CloseFrame { code, reason: reason.into() })));
    drop(socket);
    let _ = tokio::time::timeout(FAREWELL, writing).await;
}

/// Why a WebSocket ended.
#[derive(Clone, Copy)]
enum End {
    Left,
    Slow,
    Silent,
    Stopped,
    Closed,
}

impl End {
    const fn words(self) -> (u16, &'static str) {
        match self {
            Self::Left => (close_code::NORMAL, "bye"),
            Self::Slow => (close_code::POLICY, "too slow: the backlog is full"),
            Self::Silent => (close_code::POLICY, "no sign of life"),
            Self::Stopped => (close_code::AWAY, "the server stops"),
            Self::Closed => (close_code::AWAY, "no more news will come: ask another"),
        }
    }
}

async fn write(mut sink: SplitSink<WebSocket, Message>, mut waiting: mpsc::Receiver<Message>, bytes: Arc<AtomicUsize>) {
    while let Some(message) = waiting.recv().await {
        let length = length(&message);
        if sink.send(message).await.is_err() {
            return;
        }
        bytes.fetch_sub(length, Ordering::Relaxed);
    }
}

impl Socket {
    /// One request after the other, so that answers keep the order of requests.
    async fn requests(&self, mut stream: SplitStream<WebSocket>) -> End {
        let mut silences = 0;
        loop {
            let message = match tokio::time::timeout(self.desk.limits.ping, stream.next()).await {
                Ok(Some(Ok(message))) => message,
                Ok(None | Some(Err(_))) => return End::Left,
                Err(_) if silences >= 2 => return End::Silent,
                Err(_) => {
                    silences += 1;
                    if !self.queue.push(Message::Ping(Bytes::new())) {
                        return End::Slow;
                    }
                    continue;
                }
            };
            silences = 0;
            let body = match message {
                Message::Text(text) => Bytes::from(text),
                Message::Binary(bytes) => bytes,
                Message::Close(_) => return End::Left,
                Message::Ping(_) | Message::Pong(_) => continue,
            };
            if let Some(answered) = respond(&self.desk, self, &body).await
                && !self.queue.push(Message::Text(answered.into()))
            {
                return End::Slow;
            }
        }
    }

    /// What happens on the chain, to whoever subscribed to it.
    async fn news(&self, mut events: broadcast::Receiver<Event>) -> End {
        loop {
            match events.recv().await {
                Ok(event) => {
                    if !self.tell(event).await {
                        return End::Slow;
                    }
                }
                // News that were missed cannot be made up for, and to leave them out would be a lie.
                Err(broadcast::error::RecvError::Lagged(_)) if self.has_topics() => return End::Slow,
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return End::Stopped,
            }
        }
    }

    /// Until the chain has ended, where somebody waits for news of it: else they would wait for ever, and could not tell.
    async fn chain(&self) -> End {
        let mut was_behind = self.desk.node.syncing().is_some();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if !self.has_topics() {
                continue;
            }
            if self.desk.node.closed().is_some() {
                return End::Closed;
            }
            let syncing = self.desk.node.syncing();
            let is_behind = syncing.is_some();
            if is_behind != std::mem::replace(&mut was_behind, is_behind) && !self.tell_syncing(syncing) {
                return End::Slow;
            }
        }
    }

    /// False if the reader is too slow.
    fn tell_syncing(&self, syncing: Option<Syncing>) -> bool {
        let status = syncing.map(faces::syncing);
        let topics = self.topics();
        let mut asked = topics.iter().filter(|(_, topic)| matches!(topic, Topic::Syncing));
        asked.all(|(id, _)| match status {
            Some(status) => self.queue.notify(*id, &json!({ "syncing": true, "status": status })),
            None => self.queue.notify(*id, &false),
        })
    }

    fn topics(&self) -> MutexGuard<'_, BTreeMap<U128, Topic>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_topics(&self) -> bool {
        !self.topics().is_empty()
    }

    /// False if the reader is too slow.
    async fn tell(&self, event: Event) -> bool {
        match event {
            Event::Waiting(transaction) => self.tell_waiting(&transaction),
            Event::Block(block) => match self.tell_header(&block) {
                Some(asked) if asked.is_empty() => true,
                Some(asked) => self.tell_logs(block, asked).await,
                None => false,
            },
        }
    }

    /// False if the reader is too slow.
    fn tell_waiting(&self, transaction: &Transaction) -> bool {
        self.topics().iter().all(|(id, topic)| match topic {
            Topic::Waiting { whole: false } => self.queue.notify(*id, &transaction.hash()),
            Topic::Waiting { whole: true } => self.queue.notify(*id, &faces::transaction_waiting(transaction)),
            Topic::Heads | Topic::Logs(_) | Topic::Syncing => true,
        })
    }

    /// Those subscriptions whose logs this block may have, by its bloom: what that costs is bounded, because the bytes of all filters are. Nothing
    /// if the reader is too slow.
    fn tell_header(&self, block: &Block) -> Option<Vec<(U128, Arc<Kept>)>> {
        let mut asked = Vec::new();
        for (id, topic) in self.topics().iter() {
            match topic {
                Topic::Heads => {
                    if !self.queue.notify(*id, &faces::header(&block.header)) {
                        return None;
                    }
                }
                Topic::Logs(kept) if kept.filter.matches_bloom(block.header.logs_bloom) => {
                    asked.push((*id, Arc::clone(kept)));
                }
                Topic::Logs(_) | Topic::Waiting { .. } | Topic::Syncing => {}
            }
        }
        Some(asked)
    }

    /// A block may have many logs, and each is compared with each filter: in turns, and not where connections are served. False if the reader
    /// is too slow.
    async fn tell_logs(&self, block: Arc<Block>, asked: Vec<(U128, Arc<Kept>)>) -> bool {
        let Some(place) = self.desk.lines.of(Work::News).take(self.party).await else { return false };
        let queue = self.queue.clone();
        let told = tokio::task::spawn_blocking(move || {
            let _place = place;
            queue.notify_logs(&block, &asked)
        });
        told.await.unwrap_or(false)
    }

    fn subscribe(&self, params: Option<&RawValue>) -> Answer {
        let mut params = Params::read(params)?;
        let topic = self.topic(&mut params)?;
        let id = storage::random_bytes().map_err(|error| RpcError::internal(error.to_string()))?;
        let id = U128::from_be_bytes::<16>(id);
        let mut topics = self.topics();
        let most = self.desk.limits.subscriptions;
        if topics.len() >= most {
            return Err(RpcError::limit(format!("too many subscriptions on this connection: {most}")));
        }
        topics.insert(id, topic);
        answer(&id)
    }

    fn unsubscribe(&self, params: Option<&RawValue>) -> Answer {
        let mut params = Params::read(params)?;
        let id: U128 = params.required("subscription", "a subscription's id as 0x…")?;
        params.end()?;
        answer(&self.topics().remove(&id).is_some())
    }

    fn topic(&self, params: &mut Params) -> Result<Topic, RpcError> {
        const NAMES: &str = "newHeads, logs, newPendingTransactions or syncing";
        let name: String = params.required("subscription", NAMES)?;
        let topic = match name.as_str() {
            "newHeads" => Topic::Heads,
            "logs" => {
                let filter = params.optional::<Filter>("filter", "an object with address and topics")?;
                let filter = checked(filter.unwrap_or_default())?;
                Topic::Logs(self.desk.filters.keep(self.party, filter)?)
            }
            "newPendingTransactions" => {
                let whole = params.optional::<bool>("fullTransactions", "true or false")?;
                Topic::Waiting { whole: whole.unwrap_or_default() }
            }
            "syncing" => Topic::Syncing,
            other => {
                let name: String = other.chars().take(40).collect();
                return Err(RpcError::params(format!("no {name:?} subscription: expected {NAMES}")));
            }
        };
        params.end()?;
        Ok(topic)
    }
}

impl Connection for Socket {
    fn party(&self) -> Party {
        self.party
    }

    fn own(&self, method: &str, params: Option<&RawValue>) -> Option<Answer> {
        match method {
            "eth_subscribe" => Some(self.subscribe(params)),
            "eth_unsubscribe" => Some(self.unsubscribe(params)),
            _ => None,
        }
    }
}
