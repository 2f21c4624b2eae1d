//! What validators show each other of what they take, so that whoever proposes next has it.

use std::sync::atomic::Ordering;

use consensus::TRANSACTION_BUDGET_BYTES;
use ledger::{Kind, Ordered};

use super::Node;
use crate::{
    lock::locked,
    relay::{self, Inbox, Outbox},
};

/// Blocks between two of a node's turns before others are shown all that it takes: more than seats, unless there are very many.
pub(super) const TURNS_APART_MAX: u64 = 64;

impl Node {
    /// Asks for a block.
    pub(super) fn wake(&self) {
        if let Some(requests) = self.requests.get() {
            requests.wake();
        }
    }

    /// Whether this node led lately, and so is going to.
    pub(super) fn has_turns(&self) -> bool {
        let (height, led) = (self.height.load(Ordering::Relaxed), self.led.load(Ordering::Relaxed));
        led > 0 && height.saturating_sub(led) <= TURNS_APART_MAX
    }

    /// After a block with so many bytes of transactions: shows what was held back where it had room for it, or where this node's turn does
    /// not come. An empty one is no sign of room: it comes where execution is behind as well.
    pub(super) fn show_held_back(&self, used: usize) {
        if !self.has_turns() || (1..TRANSACTION_BUDGET_BYTES / 2).contains(&used) {
            let shown = locked(&self.pool).take_held_back(TRANSACTION_BUDGET_BYTES);
            shown.into_iter().for_each(|bytes| self.show(bytes));
        }
    }

    /// Shows a transaction to the other validators and asks for a block.
    pub(super) fn show(&self, bytes: Vec<u8>) {
        let Some(requests) = self.requests.get() else { return };
        if let Some(outbox) = self.outbox.get() {
            // Full: others see it when it is proposed.
            let _ = outbox.try_send(bytes);
        } else {
            for message in relay::messages([bytes]) {
                if let Err(error) = requests.share(message) {
                    tracing::debug!(%error, "transaction not shared");
                }
            }
        }
        self.wake();
    }

    /// Sends and takes in transactions beside everything else, where there are threads.
    pub(crate) fn connect(&self, outbox: Outbox, inbox: Inbox) {
        // Once per start.
        let _ = self.outbox.set(outbox);
        let _ = self.inbox.set(inbox);
    }

    /// Takes in what another validator has shown; how many of its transactions are refused.
    pub(crate) fn take_shared(&self, message: &[u8]) -> usize {
        let Some(transactions) = relay::read(message) else {
            tracing::warn!("shared bytes are no transactions");
            // No validator sends such by mistake.
            return usize::MAX;
        };
        let (mut is_news, mut refused) = (false, 0_usize);
        let mut note = |taken: Result<(), String>| match taken {
            Ok(()) => is_news = true,
            Err(refusal) => {
                refused = refused.saturating_add(1);
                tracing::debug!(refusal, "shared transaction refused");
            }
        };
        let (natives, wallets): (Vec<Vec<u8>>, Vec<Vec<u8>>) =
            transactions.into_iter().partition(|bytes| Kind::of(bytes) == Kind::Native);
        // Nothing of what waits here is checked again, as with wallets'.
        for bytes in natives.into_iter().filter(|bytes| locked(&self.pool).find(bytes).is_none()) {
            note(self.take(bytes).map(|_| ()).map_err(|error| error.to_string()));
        }
        let wallets: Vec<&[u8]> = wallets.iter().map(Vec::as_slice).collect();
        for ordered in self.ethereum.read_unknown(&wallets) {
            note(match ordered {
                Ordered::Ethereum(transaction) => self.ethereum.admit(&transaction).map_err(|error| error.to_string()),
                Ordered::Unreadable(refusal) => Err(refusal.to_string()),
                Ordered::Native(_) => Err("not a wallet's".to_owned()),
            });
        }
        if is_news {
            self.wake();
        }
        refused
    }
}
