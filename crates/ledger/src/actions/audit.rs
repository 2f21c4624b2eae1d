//! An auditor's report that a receipt holds: counted, kept, and held against it if the receipt is refuted.

use alloy_primitives::B256;
use evm::modules::{
    parameters,
    staking::{self, Observe, Reward},
};
use protocol::{Digest, PublicKey, ReceiptStatus, Role, Standing, service::VerdictRecord, transaction::ReportAudit};

use crate::{
    event::Event,
    present::Present,
    records::{AuditRecord, ListedNode},
    refusal::Refusal,
};

pub(super) fn report(present: &mut Present, sender: &PublicKey, action: &ReportAudit) -> Result<(), Refusal> {
    let receipt = action.receipt;
    let (auditor, status) = auditable(present, sender, &receipt)?;
    match status.standing {
        Standing::Challenged => return Err(Refusal::UnderChallenge),
        Standing::Refuted | Standing::Withheld => return Err(Refusal::AlreadyDecided),
        Standing::Anchored | Standing::Audited | Standing::Upheld => {}
    }
    if present.state.audits.contains(&(receipt, auditor.node)) {
        return Err(Refusal::AlreadyReported);
    }
    let (auditor, worker, epoch) = (auditor.node, status.worker, present.open.epoch);
    if status.standing == Standing::Anchored {
        present.open.verdicts.push(VerdictRecord { receipt, standing: Standing::Audited, epoch });
    }
    present.state.audits.put(AuditRecord { receipt, auditor, epoch });
    present.state.statuses.change(&receipt, |status| {
        status.audits = status.audits.saturating_add(1);
        if status.standing == Standing::Anchored {
            status.standing = Standing::Audited;
        }
    });
    let seen = Observe { node: B256::from(worker.0), audits_passed: 1, ..Observe::default() };
    let said = Observe { node: B256::from(auditor.0), reports: 1, ..Observe::default() };
    for told in [seen, said] {
        let _: Result<(), _> = present.perform(&told);
    }
    let pool = present.state.purse.read(staking::reward_pool).unwrap_or(0);
    let coins = present.state.parameter(&parameters::AUDIT_REWARD).min(pool);
    if coins > 0 && present.perform(&Reward { node: B256::from(auditor.0), coins }).is_ok() {
        present.events.push(Event::Rewarded { node: auditor, amount: coins });
    }
    present.events.push(Event::ReceiptAudited { receipt, auditor });
    Ok(())
}

/// The sender's auditor and the receipt's status, where the one may speak about the other.
pub(super) fn auditable<'a>(
    present: &'a Present,
    sender: &PublicKey,
    receipt: &Digest,
) -> Result<(&'a ListedNode, ReceiptStatus), Refusal> {
    let auditor = present.acting(sender, Role::Auditor)?;
    let status = present.state.statuses.get(receipt).ok_or(Refusal::UnknownReceipt)?;
    if !present.is_in_question(&status) {
        present.within_window(status.epoch)?;
    }
    if present.receipt_at(&status).is_some_and(|signed| !signed.receipt.is_exact()) {
        return Err(Refusal::NoExactForm);
    }
    let worker = present.state.nodes.get(&status.worker);
    if worker.is_none_or(|worker| worker.operator == auditor.operator) {
        return Err(Refusal::OwnOperator);
    }
    Ok((auditor, status))
}
