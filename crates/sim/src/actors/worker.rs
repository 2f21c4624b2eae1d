//! A worker: runs requests on the real core, chains its receipts, keeps and opens evidence, or does not.

use std::collections::BTreeMap;

use crypto::{Digest, SigningKey};
use engine::Model;
use protocol::{Action, Opening, Request, SignedReceipt, service::FailedFrame, transaction::Respond};
use worker::{Adversary, Chain, Salts, Terms, answer};

use super::{sender::Sender, validators::Validators};
use crate::{draw::draw, seats};

/// How long an answer takes.
const ANSWER_MS: u64 = 7;

pub(crate) struct Worker {
    index: u64,
    seed: u64,
    key: SigningKey,
    adversary: Option<Adversary>,
    chain: Chain,
    /// Durable, as the chain is: nothing of a worker is lost in these runs.
    evidence: BTreeMap<Digest, Opening>,
    sender: Sender,
}

impl Worker {
    pub fn new(index: usize, seed: u64, adversary: Option<Adversary>) -> Self {
        let key = seats::worker(index);
        let sender = Sender::new(key.clone());
        let index = index as u64;
        Self { index, seed, key, adversary, chain: Chain::START, evidence: BTreeMap::new(), sender }
    }

    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    pub fn adversary(&self) -> Option<Adversary> {
        self.adversary
    }

    pub fn receipts(&self) -> u64 {
        self.chain.sequence
    }

    /// Answers `request` and signs for it.
    pub fn serve(
        &mut self,
        model: &Model,
        request: Request,
        now_ms: u64,
    ) -> Result<(SignedReceipt, Opening), FailedFrame> {
        let answer = answer(model, &request, self.adversary, &mut |_| true)?;
        let terms = Terms {
            spec_version: engine::SPEC_VERSION,
            worker: seats::node(&self.key),
            key_valid_from: 0,
            received_at_ms: now_ms,
            finished_at_ms: now_ms.saturating_add(ANSWER_MS),
        };
        let (receipt, opening) = self.chain.sign(&self.key, terms, self.salts(), request, answer);
        self.chain = Chain::after(&receipt.receipt);
        self.evidence.insert(receipt.receipt.id(), opening.clone());
        Ok((receipt, opening))
    }

    fn salts(&self) -> Salts {
        let place = self.index.wrapping_mul(1 << 32).wrapping_add(self.chain.sequence);
        let salt = |what| draw(self.seed, what, place);
        Salts { request: salt("request salt"), prompt: salt("prompt salt"), output: salt("output salt") }
    }

    /// What an auditor gets that asks for a receipt's opening.
    pub fn opening(&self, receipt: &Digest) -> Option<&Opening> {
        self.evidence.get(receipt).filter(|_| self.adversary != Some(Adversary::Withhold))
    }

    /// Opens on the ledger what was challenged as withheld.
    pub fn respond(&mut self, validators: &Validators<'_>) {
        let now_ms = validators.now_ms();
        let Some(node) = validators.asked(self.index).filter(|node| self.sender.is_idle(node, now_ms)) else { return };
        let open = node.ledger().open_challenges();
        let mine = open.iter().filter(|view| view.opening.is_none()).map(|view| view.receipt.receipt.id());
        let answers: Vec<Action> = mine
            .filter_map(|receipt| Some((receipt, self.opening(&receipt)?.clone())))
            .map(|(receipt, opening)| Action::Respond(Respond { receipt, opening }))
            .collect();
        answers.into_iter().for_each(|action| self.sender.send(node, now_ms, action));
    }
}
