//! Gateways that do not pay in time: what their payees are owed is taken from their operators' own stake, and they are punished for it.
//!
//! What came up in a span of `share.epochs` must be paid before the next span is over. Nobody has to show anything: the ledger knows what
//! is due and what was paid.

use std::collections::BTreeMap;

use crypto::hash;
use evm::modules::parameters;
use protocol::{Amount, DuesRecord, NodeId, ShareRecord};

use crate::{
    event::{Event, Offence},
    present::Present,
    purse::LOCKED,
    rules::proportion,
    verdict::slash,
};

/// Payees whose span can end with one epoch; the others wait for the next.
const TURNS_MAX: usize = 4_096;

/// Ends the spans that are over.
pub(crate) fn end_spans(present: &mut Present) {
    let epoch = present.open.epoch;
    let span = u64::try_from(present.state.parameter(&parameters::SHARE_EPOCHS)).unwrap_or(u64::MAX);
    let over = present.state.turns.iter().take_while(|(since, ..)| since.saturating_add(span) <= epoch);
    let keys: Vec<_> = over.take(TURNS_MAX).map(|(_, gateway, payee)| (*gateway, *payee)).collect();
    let mut late: BTreeMap<NodeId, Vec<ShareRecord>> = BTreeMap::new();
    for row in keys.iter().filter_map(|key| present.state.shares.get(key)).filter(|row| row.old > 0) {
        late.entry(row.gateway).or_default().push(row.clone());
    }
    for (gateway, rows) in late {
        collect(present, gateway, &rows, span);
    }
    for key in keys {
        let Some(row) = present.state.shares.get(&key).cloned() else { continue };
        // What its stake did not cover stays the older part.
        let old = row.old.saturating_add(row.fresh);
        present.state.put_share(ShareRecord { old, fresh: 0, since: epoch, ..row });
    }
}

/// Pays what is late to its payees out of what is held for the gateway's debts and, where that is too little, out of its operator's own stake:
/// to each in proportion where both are. Then it is punished, once a span.
fn collect(present: &mut Present, gateway: NodeId, rows: &[ShareRecord], span: u64) {
    let epoch = present.open.epoch;
    let late = rows.iter().fold(0, |sum: Amount, row| sum.saturating_add(row.old));
    present.hold(gateway, late.saturating_sub(present.state.dues_of(&gateway).held));
    let dues = present.state.dues_of(&gateway);
    let paid = late.min(dues.held);
    let (mut sum, mut given, mut done) = (0_u128, 0_u128, 0_u128);
    for row in rows {
        sum = sum.saturating_add(row.old);
        let upto = proportion(paid, sum, late);
        let amount = upto.saturating_sub(given);
        given = upto;
        // It was taken for this, so it is there.
        if amount > 0 && present.pay_share(&LOCKED, &row.payee, amount).is_ok() {
            present.state.write_off(gateway, row.payee, amount);
            done = done.saturating_add(amount);
        }
    }
    let (paid, held) = (dues.paid.saturating_add(done), dues.held.saturating_sub(done));
    let is_punished = epoch < dues.punished_until;
    let punished_until = if is_punished { dues.punished_until } else { epoch.saturating_add(span) };
    present.state.dues.put(DuesRecord { paid, held, punished_until, ..dues });
    present.give_held_back(&gateway);
    if !is_punished {
        let shows = hash("og/evidence/unpaid-shares/v1", &[&gateway.0, &epoch.to_be_bytes()]);
        slash(present, gateway, Offence::UnpaidShares, (shows, epoch), None);
    }
    present.events.push(Event::SharesLate { gateway, late, paid: done });
}
