//! Certifies epoch roots beside agreement: feeds the [`Collector`] from the network, the application and the clock,
//! and does what it answers, storing before reporting.
//!
//! A root is durable before it is signed, and an epoch has one root for ever: no crash makes this validator sign two.

use std::{sync::Arc, time::Duration};

use commonware_codec::{Decode, Encode};
use commonware_cryptography::ed25519::PublicKey;
use commonware_p2p::{Receiver, Recipients, Sender};
use commonware_runtime::Handle;
use commonware_utils::{
    Participant,
    channel::mpsc,
    ordered::{Quorum, Set},
};
use futures::{FutureExt, select_biased};

use crate::{
    Application,
    application::Command,
    collector::{Collector, Effect},
    committee::EpochKey,
    counters::Counters,
    environment::{Environment, now_ms},
    message::EpochMessage,
    store::{CertificateStore, StoreError, signature_bytes},
};

/// How often overdue partials are looked for while an epoch waits for its certificate.
const TICK: Duration = Duration::from_millis(250);

pub(crate) struct Certifier<E: Environment, S, R> {
    pub context: E,
    pub members: Set<PublicKey>,
    pub key: EpochKey,
    pub store: CertificateStore<E>,
    pub application: Arc<dyn Application>,
    pub commands: mpsc::UnboundedReceiver<Command>,
    pub sender: S,
    pub receiver: R,
    pub counters: Arc<Counters>,
}

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
        let Self { context, members, key, store, application, mut commands, sender, mut receiver, counters } = self;
        let collector = Collector::new(key, store.newest());
        let mut desk = Desk { members, application, sender, counters, collector };
        let mut store = store;
        for (epoch, digest) in store.uncertified() {
            let effects = desk.collector.close(epoch, digest, now_ms(&context));
            store = desk.perform(store, effects).await?;
        }
        let mut next_tick = context.current();
        loop {
            let waiting = desk.collector.open_count() > 0;
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
    /// From whom, and what; nothing if the bytes are no message.
    Message(PublicKey, Option<EpochMessage>),
    Tick,
}

/// Everything but the store, which moves through each write.
struct Desk<S> {
    members: Set<PublicKey>,
    application: Arc<dyn Application>,
    sender: S,
    counters: Arc<Counters>,
    collector: Collector,
}

impl<S: Sender<PublicKey = PublicKey>> Desk<S> {
    async fn handle<E: Environment>(
        &mut self,
        store: CertificateStore<E>,
        input: Input,
        now_ms: u64,
    ) -> Result<CertificateStore<E>, StoreError> {
        let effects = match input {
            Input::Command(Command::Certify { epoch, digest }) => {
                return self.close(store, epoch, digest, now_ms).await;
            }
            Input::Command(Command::Certificate { epoch, answer }) => {
                let found = store.certificate(epoch).await?.map(|(certificate, _)| certificate);
                let _ = answer.send(found);
                Vec::new()
            }
            Input::Command(Command::Barrier(answer)) => {
                let _ = answer.send(());
                Vec::new()
            }
            Input::Message(from, Some(message)) => match self.members.index(&from) {
                Some(from) => self.collector.receive(from, message),
                None => Vec::new(),
            },
            Input::Message(_, None) => {
                self.counters.add_malformed();
                Vec::new()
            }
            Input::Tick => self.collector.tick(now_ms),
        };
        self.perform(store, effects).await
    }

    /// The application closed an epoch.
    async fn close<E: Environment>(
        &mut self,
        store: CertificateStore<E>,
        epoch: u64,
        digest: [u8; 32],
        now_ms: u64,
    ) -> Result<CertificateStore<E>, StoreError> {
        let certified = store.certificate(epoch).await?.map(|(certificate, _)| certificate);
        let known = store.root(epoch).or(certified.as_ref().map(|certificate| certificate.digest));
        if known.is_some_and(|known| known != digest) {
            self.counters.add_contradiction();
            tracing::error!(epoch, "application gave a second root for an epoch; the first one stands");
            return Ok(store);
        }
        if let Some(certificate) = certified {
            self.application.certified(certificate);
            return Ok(store);
        }
        let store = if known.is_none() { store.put_root(epoch, digest).await? } else { store };
        let effects = self.collector.close(epoch, digest, now_ms);
        self.perform(store, effects).await
    }

    async fn perform<E: Environment>(
        &mut self,
        mut store: CertificateStore<E>,
        effects: Vec<Effect>,
    ) -> Result<CertificateStore<E>, StoreError> {
        for effect in effects {
            match effect {
                Effect::Broadcast(message) => self.send(Recipients::All, &message),
                Effect::Serve { to, epoch } => {
                    if let Some((_, signature)) = store.certificate(epoch).await? {
                        self.send_to(to, &EpochMessage::Certificate { epoch, signature });
                    }
                }
                Effect::Certified { epoch, digest, signature } => {
                    store = store.put_certificate(epoch, digest, signature).await?;
                    let signature = signature_bytes(&signature);
                    self.application.certified(crate::EpochCertificate { epoch, digest, signature });
                }
            }
        }
        self.counters.set_refused(self.collector.refused);
        Ok(store)
    }

    fn send_to(&mut self, member: Participant, message: &EpochMessage) {
        if let Some(key) = self.members.key(member).cloned() {
            self.send(Recipients::One(key), message);
        }
    }

    /// Whoever is offline or over quota misses it; the tick sends again what matters.
    fn send(&mut self, recipients: Recipients<PublicKey>, message: &EpochMessage) {
        let _ = self.sender.send(recipients, message.encode(), false);
    }
}
