//! An auditor's report that a receipt holds: counted, kept, and held against it if the receipt is refuted.

use protocol::{
    Digest, NodeRecord, PublicKey, ReceiptStatus, Role, Standing, service::VerdictRecord, transaction::ReportAudit,
};

use crate::{event::Event, present::Present, records::AuditRecord, refusal::Refusal};

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
    let (auditor, operator, epoch) = (auditor.node, auditor.operator, present.open.epoch);
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
    present.state.reward(&operator, present.state.network.rules.audit_reward);
    present.events.push(Event::ReceiptAudited { receipt, auditor });
    Ok(())
}

/// The sender's auditor and the receipt's status, where the one may speak about the other.
pub(super) fn auditable<'a>(
    present: &'a Present,
    sender: &PublicKey,
    receipt: &Digest,
) -> Result<(&'a NodeRecord, &'a ReceiptStatus), Refusal> {
    let auditor = present.acting(sender, Role::Auditor)?;
    let status = present.state.statuses.get(receipt).ok_or(Refusal::UnknownReceipt)?;
    present.within_window(status.epoch)?;
    if present.state.receipts.get(receipt).is_some_and(|signed| !signed.receipt.is_exact()) {
        return Err(Refusal::NoExactForm);
    }
    let worker = present.state.nodes.get(&status.worker);
    if worker.is_none_or(|worker| worker.operator == auditor.operator) {
        return Err(Refusal::OwnOperator);
    }
    Ok((auditor, status))
}
