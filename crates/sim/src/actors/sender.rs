//! The transactions of one key: numbered, and sent again until a ledger shows that their numbers are used up.

use std::collections::BTreeMap;

use crypto::SigningKey;
use protocol::{Action, SignedTransaction, Transaction, Version};
use validator::Node;

use crate::seats::CHAIN_ID;

/// After this time without execution everything is sent again, to whichever validator is asked then.
const AGAIN_MS: u64 = 800;

pub(crate) struct Sender {
    key: SigningKey,
    next: u64,
    under_way: BTreeMap<u64, SignedTransaction>,
    sent_at_ms: u64,
}

impl Sender {
    pub fn new(key: SigningKey) -> Self {
        Self { key, next: 0, under_way: BTreeMap::new(), sent_at_ms: 0 }
    }

    /// True if nothing is under way any more, as far as this validator knows; sends again what has waited for long.
    pub fn is_idle(&mut self, node: &Node, now_ms: u64) -> bool {
        let executed = node.ledger().nonce(&self.key.public_key());
        self.next = self.next.max(executed);
        self.under_way = self.under_way.split_off(&executed);
        if !self.under_way.is_empty() && now_ms.saturating_sub(self.sent_at_ms) >= AGAIN_MS {
            self.sent_at_ms = now_ms;
            // What is known there already, or already executed, is refused: as it should be.
            for signed in self.under_way.values() {
                let _ = node.submit(signed);
            }
        }
        self.under_way.is_empty()
    }

    /// Signs `action` and sends it; it counts as sent whatever this validator says, because it is sent again.
    pub fn send(&mut self, node: &Node, now_ms: u64, action: Action) {
        let (sender, nonce) = (self.key.public_key(), self.next);
        let signed = Transaction { version: Version, chain_id: CHAIN_ID, sender, nonce, action }.sign(&self.key);
        let _ = node.submit(&signed);
        self.next = nonce.saturating_add(1);
        self.under_way.insert(nonce, signed);
        self.sent_at_ms = now_ms;
    }
}
