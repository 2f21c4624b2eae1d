//! From a journal to books, and back to the shortest journal that says the same.

use protocol::{Canonical as _, DecodeError, Milliseconds};
use thiserror::Error;

use crate::books::{
    entry::{Deposited, Entry, Freed, Lost, Owed, Raise, Repriced, Revenue, SendingOn},
    state::Books,
};

/// Why a journal could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line} of the payment journal cannot be read: {source}")]
pub struct RecoverError {
    pub line: usize,
    #[source]
    pub source: DecodeError,
}

impl Books {
    /// Reads a journal. Calls that were open when it ended are ended now, charged for what it says was delivered and what has receipts: the entries that do so
    /// are returned and must be written down before anything else.
    pub fn recover(lines: &[Vec<u8>], now_ms: Milliseconds) -> Result<(Self, Vec<Entry>), RecoverError> {
        let mut books = Self::default();
        for (line, bytes) in lines.iter().enumerate() {
            let entry = Entry::decode(bytes).map_err(|source| RecoverError { line, source })?;
            books.apply(&entry);
        }
        let open: Vec<u64> = books.calls.keys().copied().collect();
        let mut ends = Vec::new();
        for call in open {
            if let Ok(entry) = books.abandon(call, now_ms) {
                books.apply(&entry);
                ends.push(entry);
            }
        }
        // No session survives a restart: its client signs a new cap.
        let orphans: Vec<_> = books
            .purses
            .values()
            .filter(|purse| purse.scheme != crate::scheme::Scheme::Batch && !purse.is_closed)
            .map(|purse| Entry::Closed(purse.id))
            .collect();
        orphans.iter().for_each(|entry| books.apply(entry));
        ends.extend(orphans);
        Ok((books, ends))
    }

    /// The state as entries: applied to empty books they give these.
    pub fn entries(&self) -> Vec<Entry> {
        let mut entries = vec![Entry::NextCall(self.next_call)];
        entries.extend(self.lineages.values().cloned().map(Entry::Lineage));
        // Before their purses, by whose charges they are forgotten.
        let published =
            self.published.iter().flat_map(|(purse, amounts)| amounts.iter().map(move |amount| (*purse, *amount)));
        entries.extend(published.map(|(purse, amount)| Entry::Published(Raise { purse, amount })));
        // Calls before purses and names, which count them.
        entries.extend(self.calls.values().cloned().map(Entry::Call));
        entries.extend(self.ended.values().flatten().cloned().map(Entry::AnswerEnded));
        entries.extend(self.held.values().cloned().map(Entry::Charged));
        entries.extend(self.purses.values().cloned().map(Entry::Purse));
        entries.extend(self.names.values().cloned().map(Entry::Name));
        entries
            .extend(self.free.iter().map(|(holder, amount)| Entry::Freed(Freed { holder: *holder, amount: *amount })));
        // The last payment that was made leaves its number, and nothing else.
        entries.extend(self.next_payment.checked_sub(1).map(Entry::PaidOut));
        entries.extend(self.paying_out.clone().map(Entry::PayingOut));
        entries.extend(self.owed.iter().map(|((network, asset, payer), amount)| {
            Entry::Owed(Owed { network: *network, asset: *asset, payer: *payer, amount: *amount })
        }));
        entries.extend(self.depositing.values().cloned().map(Entry::Depositing));
        entries.extend(
            self.deposited
                .iter()
                .map(|(id, expires_at_s)| Entry::Deposited(Deposited { id: *id, expires_at_s: *expires_at_s })),
        );
        entries.extend(self.repaying.values().cloned().map(Entry::Repaying));
        entries.extend(self.returning.values().cloned().map(Entry::Returning));
        entries.extend(self.sending.iter().map(|(transaction, network)| match network {
            Some(network) => Entry::SendingOn(SendingOn { network: *network, transaction: *transaction }),
            None => Entry::Sending(*transaction),
        }));
        let repriced = self.repriced.iter().flat_map(|(first, again)| again.iter().map(move |again| (*first, *again)));
        entries.extend(repriced.map(|(transaction, again)| Entry::Repriced(Repriced { transaction, again })));
        entries.extend(self.lost.iter().map(|((network, asset), (amount, count))| {
            Entry::Lost(Lost { network: *network, asset: *asset, amount: *amount, count: *count })
        }));
        entries.extend(self.converted().map(Entry::Converted));
        entries.extend(self.worths().map(Entry::Worth));
        entries.extend(self.valued().map(Entry::Valued));
        entries.extend(self.revenue.iter().map(|((model, day), (amount, calls))| {
            Entry::Revenue(Revenue { model: *model, day: *day, amount: *amount, calls: *calls })
        }));
        entries
    }

    /// Forgets identifiers of calls that ended, and deposits that expired, before `before_ms`, and transactions whose end is known; for a
    /// journal that is begun anew.
    pub fn drop_names(&mut self, before_ms: Milliseconds) {
        self.drop_repriced();
        self.names.retain(|_, name| !name.is_over || name.at_ms >= before_ms);
        // Their chain refuses them by now.
        self.deposited.retain(|_, expires_at_s| expires_at_s.saturating_mul(1_000) >= before_ms);
    }
}
