//! Certifies epoch roots and records of terms beside agreement: feeds the [`Collector`] of each term from the network, the application and the clock,
//! and does what it answers, storing before reporting.
//!
//! A root is durable before it is signed, and an epoch has one root for ever: no crash makes this validator sign two. The committee of
//! the term in which an epoch is closed certifies it. A record of a term is certified in the same way, under the number of its term, by a
//! certifier with a channel, a store and a namespace of its own.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use commonware_codec::{Decode, Encode};
use commonware_cryptography::ed25519::PublicKey;
use commonware_p2p::{Receiver, Recipients, Sender};
use commonware_runtime::Handle;
use commonware_utils::channel::mpsc;
use futures::{FutureExt, select_biased};

use crate::{
    EpochCertificate,
    application::Command,
    asked::Asked,
    collector::{Collector, Effect, Refused},
    committee::{Signature, TermKey},
    counters::Counters,
    environment::{Environment, now_ms},
    message::EpochMessage,
    roster::Roster,
    store::{CertificateStore, StoreError, Uncertified, signature_bytes},
};

/// How often overdue partials are looked for while an epoch waits for its certificate.
const TICK: Duration = Duration::from_millis(250);

pub(crate) struct Certifier<E: Environment, S, R> {
    pub context: E,
    pub roster: Roster,
    pub store: CertificateStore<E>,
    pub told: Told,
    pub commands: mpsc::UnboundedReceiver<Command>,
    pub sender: S,
    pub receiver: R,
    pub counters: Arc<Counters>,
}

/// Hears of each certificate.
pub(crate) type Told = Arc<dyn Fn(EpochCertificate) + Send + Sync>;

impl<E, S, R> Certifier<E, S, R>
where
    E: Environment,
    S: Sender<PublicKey = PublicKey>,
    R: Receiver<PublicKey = PublicKey>,
{
    pub fn start(self) -> Handle<()> {
        let context = self.context.child("certifier");
        context.spawn(move |_| async move {
            if let Err(error) = self.run().await {
                // Nothing can be signed or stored any more: stop, as consensus does when its own stores fail.
                tracing::error!(%error, "certifier stopped");
                std::panic::panic_any(error.to_string());
            }
        })
    }

    async fn run(self) -> Result<(), StoreError> {
        let Self { context, roster, store, told, mut commands, sender, mut receiver, counters } = self;
        let (terms, ended) = (BTreeMap::new(), Refused::default());
        let mut desk = Desk { roster, told, sender, counters, terms, ended, asked: Asked::default() };
        let mut store = store;
        let mut next_tick = context.current();
        loop {
            let waiting = desk.terms.values().any(|collector| collector.open_count() > 0);
            let tick =
                async { if waiting { context.sleep_until(next_tick).await } else { futures::future::pending().await } };
            let input = select_biased! {
                command = commands.recv().fuse() => match command {
                    Some(command) => Input::Command(command),
                    None => return Ok(()),
                },
                message = receiver.recv().fuse() => match message {
                    Ok((from, bytes)) => Input::Message(from, EpochMessage::decode_cfg(bytes, &()).ok()),
                    Err(_) => return Ok(()),
                },
                () = tick.fuse() => Input::Tick,
            };
            if matches!(input, Input::Tick) {
                next_tick = context.current() + TICK;
            }
            store = desk.handle(store, input, now_ms(&context)).await?;
        }
    }
}

#[allow(clippy::large_enum_variant, reason = "one lives at a time, on the stack")]
enum Input {
    Command(Command),
    /// From which node, and what; nothing if the bytes are no message.
    Message(PublicKey, Option<EpochMessage>),
    Tick,
}

/// Everything but the store, which moves through each write.
struct Desk<S> {
    roster: Roster,
    told: Told,
    sender: S,
    counters: Arc<Counters>,
    /// The newest terms, and older ones that still wait for certificates.
    terms: BTreeMap<u64, Collector>,
    /// What collectors refused that are gone.
    ended: Refused,
    /// Of epochs that no collector knows.
    asked: Asked,
}

impl<S: Sender<PublicKey = PublicKey>> Desk<S> {
    async fn handle<E: Environment>(
        &mut self,
        store: CertificateStore<E>,
        input: Input,
        now_ms: u64,
    ) -> Result<CertificateStore<E>, StoreError> {
        match input {
            Input::Command(Command::Certify { epoch, digest, term }) => {
                return self.close(store, Uncertified { epoch, digest, term }, now_ms).await;
            }
            Input::Command(Command::Term { term, key }) => return self.begin(store, term, key, now_ms).await,
            Input::Command(Command::Certificate { epoch, answer }) => {
                let found = store.certificate(epoch).await?.map(|(certificate, _)| certificate);
                let _ = answer.send(found);
            }
            Input::Command(Command::Ask { epoch, digest, network_keys, answer }) => {
                let _ = answer.send(self.ask(epoch, digest, &network_keys, now_ms));
            }
            Input::Command(Command::Barrier(answer)) => {
                let _ = answer.send(());
            }
            Input::Message(from, Some(message)) => return self.hear(store, from, message).await,
            Input::Message(_, None) => self.counters.add_malformed(),
            Input::Tick => {
                let effects = self.terms.values_mut().flat_map(|collector| collector.tick(now_ms)).collect();
                return self.perform(store, None, effects).await;
            }
        }
        Ok(store)
    }

    /// A term began: its committee certifies what is closed from now on, and what was closed in it before a restart.
    async fn begin<E: Environment>(
        &mut self,
        mut store: CertificateStore<E>,
        term: u64,
        key: TermKey,
        now_ms: u64,
    ) -> Result<CertificateStore<E>, StoreError> {
        let is_over = |of: &u64, collector: &mut Collector| of.saturating_add(1) < term && collector.open_count() == 0;
        for (_, collector) in self.terms.extract_if(.., |of, collector| is_over(of, collector)) {
            self.ended.add(collector.refused);
        }
        self.terms.insert(term, Collector::new(term, key, store.newest()));
        for waiting in store.uncertified() {
            store = self.open(store, waiting, now_ms).await?;
        }
        Ok(store)
    }

    /// Asks the others for the certificate of an epoch that was closed before this node's time; whether they are asked now, or were before.
    fn ask(&mut self, epoch: u64, digest: [u8; 32], network_keys: &[[u8; 96]], now_ms: u64) -> bool {
        let Some(newest) = self.terms.values().next_back() else { return false };
        if self.asked.has_room(epoch, now_ms) {
            let key = newest.key().clone().with_earlier(network_keys);
            let question = self.asked.ask(epoch, digest, key, now_ms);
            self.send(Recipients::All, &question);
        }
        self.asked.is_asked(epoch)
    }

    async fn hear<E: Environment>(
        &mut self,
        store: CertificateStore<E>,
        from: PublicKey,
        message: EpochMessage,
    ) -> Result<CertificateStore<E>, StoreError> {
        let effects = match message {
            EpochMessage::Partial { term, epoch, digest, partial } => match self.terms.get_mut(&term) {
                Some(collector) => {
                    let seats = self.roster.seats(term);
                    let is_its_own = seats.is_some_and(|seats| seats.node(partial.index) == Some(&from));
                    collector.receive_partial(is_its_own, epoch, digest, partial)
                }
                // Of a term that is long over, or not begun here: what is certified is given anyhow.
                None => vec![Effect::Serve { epoch }],
            },
            EpochMessage::Certificate { epoch, signature } => {
                match self.terms.values_mut().find(|collector| collector.is_open(epoch)) {
                    Some(collector) => collector.receive_certificate(epoch, signature),
                    None => self.asked.receive(&from, epoch, signature),
                }
            }
            EpochMessage::Question { epoch } => vec![Effect::Serve { epoch }],
        };
        self.perform(store, Some(from), effects).await
    }

    /// The application closed an epoch.
    async fn close<E: Environment>(
        &mut self,
        store: CertificateStore<E>,
        closed: Uncertified,
        now_ms: u64,
    ) -> Result<CertificateStore<E>, StoreError> {
        let Uncertified { epoch, digest, .. } = closed;
        let certified = store.certificate(epoch).await?.map(|(certificate, _)| certificate);
        let known = store.root(epoch).or(certified.as_ref().map(|certificate| certificate.digest));
        if known.is_some_and(|known| known != digest) {
            self.counters.add_contradiction();
            tracing::error!(epoch, "application gave a second root for an epoch; the first one stands");
            return Ok(store);
        }
        if let Some(certificate) = certified {
            (self.told)(certificate);
            return Ok(store);
        }
        // The term in which it was closed first stays.
        if known.is_some() {
            return Ok(store);
        }
        let store = store.put_root(closed).await?;
        self.open(store, closed, now_ms).await
    }

    /// Collects for an epoch whose root is durable, unless that is done already or its term has not begun here.
    async fn open<E: Environment>(
        &mut self,
        store: CertificateStore<E>,
        waiting: Uncertified,
        now_ms: u64,
    ) -> Result<CertificateStore<E>, StoreError> {
        if self.terms.values().any(|collector| collector.is_open(waiting.epoch)) {
            return Ok(store);
        }
        // A term before those that we know of: another committee's signature is the same one.
        let term = self.terms.range_mut(waiting.term..).next();
        let effects = term.map(|(_, collector)| collector.close(waiting.epoch, waiting.digest, now_ms));
        self.perform(store, None, effects.unwrap_or_default()).await
    }

    /// Does what a collector says; `asked` sent what it answers.
    async fn perform<E: Environment>(
        &mut self,
        mut store: CertificateStore<E>,
        asked: Option<PublicKey>,
        effects: Vec<Effect>,
    ) -> Result<CertificateStore<E>, StoreError> {
        for effect in effects {
            match effect {
                Effect::Broadcast(message) => self.send(Recipients::All, &message),
                Effect::Serve { epoch } => {
                    let found = store.certificate(epoch).await?;
                    if let (Some((_, signature)), Some(asked)) = (found, &asked) {
                        self.send(Recipients::One(asked.clone()), &EpochMessage::Certificate { epoch, signature });
                    }
                }
                Effect::Certified { epoch, digest, signature } => {
                    store = self.keep(store, epoch, digest, signature).await?;
                }
            }
        }
        let mut refused = self.ended;
        refused.add(self.asked.refused);
        self.terms.values().for_each(|collector| refused.add(collector.refused));
        self.counters.set_refused(refused);
        Ok(store)
    }

    async fn keep<E: Environment>(
        &mut self,
        store: CertificateStore<E>,
        epoch: u64,
        digest: [u8; 32],
        signature: Signature,
    ) -> Result<CertificateStore<E>, StoreError> {
        let store = store.put_certificate(epoch, digest, signature).await?;
        let signature = signature_bytes(&signature);
        (self.told)(EpochCertificate { epoch, digest, signature });
        Ok(store)
    }

    /// Whoever is offline or over quota misses it; the tick sends again what matters.
    fn send(&mut self, recipients: Recipients<PublicKey>, message: &EpochMessage) {
        let _ = self.sender.send(recipients, message.encode(), false);
    }
}
