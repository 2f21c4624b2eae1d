//! A stand-in for the gateway: hands requests to workers, checks what comes back, and keeps receipts in an outbox until
//! the ledger has them. The outbox outlives a crash, everything else does not.

use std::collections::BTreeMap;

use crypto::{Digest, SigningKey};
use engine::Model;
use protocol::{
    Action, Assurance, Bytes, Chat, Element, Input, List, Message, Opening, Parameters, Privacy, Request,
    SignedReceipt, Speaker, Tensor, Text, Version,
    transaction::{BATCH_MAX, PostReceipts},
};

use super::{sender::Sender, validators::Validators, worker::Worker};
use crate::{
    draw::{below, draw},
    seats,
};

/// The gateway's number when it chooses a validator.
const ACTOR: u64 = 3;
/// A receipt that the ledger does not show is posted again after this time.
const AGAIN_MS: u64 = 400;
/// Postings after which a receipt is set aside: the ledger refuses it.
const POSTINGS_MAX: u32 = 6;

struct Waiting {
    receipt: SignedReceipt,
    postings: u32,
    post_at_ms: u64,
}

/// A receipt that its caller was told of.
pub(crate) struct Acknowledged {
    pub worker: usize,
    pub receipt: SignedReceipt,
    pub opening: Opening,
}

pub(crate) struct Gateway {
    seed: u64,
    key: SigningKey,
    /// Durable: requests served so far, receipts on their way by their number, and those that were set aside.
    issued: u64,
    outbox: BTreeMap<u64, Waiting>,
    set_aside: Vec<Digest>,
    /// Lost with a crash; `None` while the gateway is down.
    sender: Option<Sender>,
}

impl Gateway {
    pub fn new(seed: u64) -> Self {
        let key = seats::gateway();
        let sender = Some(Sender::new(key.clone()));
        Self { seed, key, issued: 0, outbox: BTreeMap::new(), set_aside: Vec::new(), sender }
    }

    pub fn is_up(&self) -> bool {
        self.sender.is_some()
    }

    pub fn issued(&self) -> u64 {
        self.issued
    }

    pub fn waiting(&self) -> usize {
        self.outbox.len()
    }

    pub fn set_aside(&self) -> &[Digest] {
        &self.set_aside
    }

    pub fn crash(&mut self) {
        self.sender = None;
    }

    /// Starts on what is durable: nobody remembers what was posted, so all of it is posted, some of it again.
    pub fn start(&mut self) {
        self.sender = Some(Sender::new(self.key.clone()));
        for waiting in self.outbox.values_mut() {
            (waiting.postings, waiting.post_at_ms) = (0, 0);
        }
    }

    /// Has the next request served by the next worker; `None` if what came back is not what a worker must give.
    pub fn request(&mut self, model: &Model, workers: &mut [Worker], now_ms: u64) -> Option<Acknowledged> {
        let number = self.issued;
        let place = usize::try_from(number.checked_rem(workers.len() as u64)?).ok()?;
        let request = self.next_request(model, now_ms);
        self.issued = number.saturating_add(1);
        let (receipt, opening) = workers.get_mut(place)?.serve(model, request.clone(), now_ms).ok()?;
        let holds =
            receipt.signature_holds() && opening.matches(&receipt.receipt).is_ok() && opening.request == request;
        let waiting = Waiting { receipt: receipt.clone(), postings: 0, post_at_ms: 0 };
        holds.then(|| self.outbox.insert(number, waiting));
        holds.then_some(Acknowledged { worker: place, receipt, opening })
    }

    fn next_request(&self, model: &Model, now_ms: u64) -> Request {
        let number = self.issued;
        let input = match model.as_language() {
            Some(_) => Input::Chat(Chat::of(bounded(vec![Message::say(
                Speaker::User,
                Text::new(format!("What is an epoch? ({number})")).unwrap_or_default(),
            )]))),
            None => Input::Tensors(bounded(self.tensors(model))),
        };
        Request {
            version: Version,
            chain_id: seats::CHAIN_ID,
            model: model.root(),
            input,
            parameters: Parameters { max_tokens: 6, ..Parameters::default() },
            assurance: Assurance::Audited,
            privacy: Privacy::Private,
            template_time_ms: 0,
            issued_at_ms: now_ms,
            gateway: self.key.public_key(),
            parents: List::default(),
            payment: None,
            nonce: draw(self.seed, "nonce", number),
        }
    }

    /// One row for each input of the model, drawn between -8 and 8.
    fn tensors(&self, model: &Model) -> Vec<Tensor> {
        let ports = model.as_tensor().map(|tensors| tensors.inputs()).unwrap_or_default();
        let tensor = |port: &engine::Port| {
            let shape: Vec<u64> = port.shape.iter().map(|size| size.unwrap_or(1)).collect();
            let value = |index| {
                let drawn = below(self.seed, &port.name, self.issued.wrapping_mul(1 << 20).wrapping_add(index), 1_600);
                (f32::from(u16::try_from(drawn).unwrap_or(0)) - 800.0) / 100.0
            };
            let data: Vec<u8> = (0..shape.iter().product()).flat_map(|index| value(index).to_le_bytes()).collect();
            Tensor {
                name: Text::new(port.name.clone()).unwrap_or_default(),
                element: Element::F32,
                shape: bounded(shape),
                data: Bytes::new(data).unwrap_or_default(),
            }
        };
        ports.iter().map(tensor).collect()
    }

    /// Posts what waits and forgets what is anchored.
    pub fn post(&mut self, validators: &Validators<'_>) {
        let now_ms = validators.now_ms();
        let (Some(node), Some(sender)) = (validators.asked(ACTOR), self.sender.as_mut()) else { return };
        if !sender.is_idle(node, now_ms) {
            return;
        }
        // What was never posted by this life is posted without asking: the ledger knows a receipt by its id.
        self.outbox.retain(|_, waiting| {
            waiting.postings == 0 || node.ledger().status(&waiting.receipt.receipt.id()).is_none()
        });
        let (set_aside, outbox): (BTreeMap<u64, Waiting>, _) =
            std::mem::take(&mut self.outbox).into_iter().partition(|(_, waiting)| waiting.postings >= POSTINGS_MAX);
        self.outbox = outbox;
        self.set_aside.extend(set_aside.values().map(|waiting| waiting.receipt.receipt.id()));
        let mut due = Vec::new();
        for waiting in self.outbox.values_mut().filter(|waiting| waiting.post_at_ms <= now_ms).take(BATCH_MAX) {
            due.push(waiting.receipt.clone());
            waiting.post_at_ms = now_ms.saturating_add(AGAIN_MS);
            waiting.postings = waiting.postings.saturating_add(1);
        }
        if !due.is_empty() {
            sender.send(node, now_ms, Action::PostReceipts(PostReceipts { receipts: bounded(due) }));
        }
    }
}

/// What a run puts into a list is far below its limit.
fn bounded<T, const MAX: usize>(items: Vec<T>) -> List<T, MAX> {
    List::new(items).unwrap_or_default()
}
