//! One file for each kind of action: every check first, every effect after, so that a refused one changes nothing.

mod audit;
mod base;
mod call;
mod challenge;
mod double_vote;
mod model;
mod receipts;
mod refund;
mod registry;
mod shares;
mod transfer;

pub(crate) use call::BLOCK_CALL_GAS;
pub(crate) use registry::founding_of;
pub use registry::{COMMISSION_MAX, COMMISSION_STEP};

use protocol::{Action, Digest, PublicKey};

use crate::{present::Present, refusal::Refusal};

/// Executes what `sender` asks for. `receipts` tells of each receipt that it posts the id, and whether its worker signed it.
pub(crate) fn apply(
    present: &mut Present,
    sender: &PublicKey,
    action: Action,
    receipts: &[(Digest, bool)],
) -> Result<(), Refusal> {
    match action {
        Action::Transfer(transfer) => transfer::apply(present, sender, &transfer),
        Action::RegisterNode(node) => registry::register(present, sender, node),
        Action::UpdateNode(update) => registry::update(present, sender, update),
        Action::RotateKey(rotation) => registry::rotate(present, sender, &rotation),
        Action::PublishModel(model) => model::publish(present, sender, model),
        Action::PostReceipts(batch) => receipts::post(present, sender, batch, receipts),
        Action::ReportAudit(report) => audit::report(present, sender, &report),
        Action::Challenge(challenge) => challenge::open(present, sender, challenge),
        Action::Respond(response) => challenge::respond(present, sender, response),
        Action::Vote(vote) => challenge::vote(present, sender, &vote),
        Action::ReportBurns(report) => base::report_burns(present, sender, &report),
        Action::NameKey(named) => base::name_key(present, sender, &named),
        Action::Call(call) => call::apply(present, sender, call),
        Action::ShowDoubleVote(shown) => double_vote::show(present, sender, &shown),
        Action::PayShares(payment) => shares::pay(present, sender, &payment),
        Action::NameHome(home) => shares::name_home(present, sender, &home),
        Action::Announce(announced) => registry::announce(present, sender, &announced),
        Action::ClaimRefund(claim) => refund::claim(present, &claim),
    }
}
