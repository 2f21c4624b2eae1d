//! What anyone may read.

use alloy_primitives::{B256, Bytes, U256, Uint};

use super::records::Proposal;
use super::vote::Ballot;
use super::{IGovernance, slots, trust};
use crate::modules::layout::List;
use crate::modules::{Frame, Method, Stop};

pub(super) const PROPOSAL_COUNT: Method = Method::view::<IGovernance::proposalCountCall>(|frame| {
    let count = frame.load(slots::COUNT)?;
    frame.returns::<IGovernance::proposalCountCall>(&count)
});
pub(super) const PROPOSAL: Method = Method::view::<IGovernance::proposalCall>(proposal);
pub(super) const BALLOT: Method = Method::view::<IGovernance::ballotCall>(|frame| {
    let call = frame.arguments::<IGovernance::ballotCall>()?;
    let Ballot { cast, support, votes } = Ballot::get(frame, call.id, call.voter)?;
    frame.returns::<IGovernance::ballotCall>(&IGovernance::Ballot { cast, support, votes: U256::from(votes) })
});
pub(super) const GUARDIAN: Method = Method::view::<IGovernance::guardianCall>(|frame| {
    let guardian = trust::guardian(frame)?;
    frame.returns::<IGovernance::guardianCall>(&guardian)
});
pub(super) const IS_TRUSTED: Method = Method::view::<IGovernance::isTrustedCall>(|frame| {
    let call = frame.arguments::<IGovernance::isTrustedCall>()?;
    let (vendor, accepted) = trust::measurement(frame, call.measurement)?;
    let trusted = accepted && trust::trusts_vendor(frame, vendor)?;
    frame.returns::<IGovernance::isTrustedCall>(&trusted)
});
pub(super) const MEASUREMENT: Method = Method::view::<IGovernance::measurementCall>(|frame| {
    let call = frame.arguments::<IGovernance::measurementCall>()?;
    let (vendor, accepted) = trust::measurement(frame, call.digest)?;
    frame.returns::<IGovernance::measurementCall>(&IGovernance::measurementReturn { vendor, accepted })
});
pub(super) const MEASUREMENTS: Method = Method::view::<IGovernance::measurementsCall>(|frame| {
    let call = frame.arguments::<IGovernance::measurementsCall>()?;
    let page = List(slots::MEASUREMENT_LIST).page(frame, call.from, call.count)?;
    frame.returns::<IGovernance::measurementsCall>(&page.into_iter().map(B256::from).collect())
});
pub(super) const IS_VENDOR_TRUSTED: Method = Method::view::<IGovernance::isVendorTrustedCall>(|frame| {
    let call = frame.arguments::<IGovernance::isVendorTrustedCall>()?;
    let trusted = trust::trusts_vendor(frame, call.vendor)?;
    frame.returns::<IGovernance::isVendorTrustedCall>(&trusted)
});
pub(super) const VENDOR_ROOTS: Method = Method::view::<IGovernance::vendorRootsCall>(|frame| {
    let call = frame.arguments::<IGovernance::vendorRootsCall>()?;
    let vendor = trust::Vendor::numbered(U256::from(call.vendor))?;
    frame.returns::<IGovernance::vendorRootsCall>(&vendor.roots().to_vec())
});
pub(super) const UPGRADES: Method = Method::view::<IGovernance::upgradesCall>(upgrades);

fn proposal(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IGovernance::proposalCall>()?;
    let proposal = Proposal::get(frame, call.id)?;
    let told = IGovernance::Proposal {
        proposer: proposal.proposer,
        state: proposal.stage(frame)?.number(),
        snapshot: Uint::saturating_from(proposal.snapshot),
        deadline: Uint::saturating_from(proposal.deadline),
        executableFrom: Uint::saturating_from(proposal.executable_from),
        executableUntil: Uint::saturating_from(proposal.executable_until),
        quorum: proposal.quorum,
        majority: proposal.majority,
        votesFor: U256::from(proposal.votes_for),
        votesAgainst: U256::from(proposal.votes_against),
        votesAbstain: U256::from(proposal.votes_abstain),
        descriptionHash: proposal.description,
        actions: proposal.all_actions(frame)?,
    };
    frame.returns::<IGovernance::proposalCall>(&told)
}

/// Every rule that was ever scheduled; those taken back have height zero.
fn upgrades(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IGovernance::upgradesCall>()?;
    let page = List(slots::UPGRADE_LIST).page(frame, call.from, call.count)?;
    let told: Vec<_> = page
        .into_iter()
        .map(|rules| {
            let slot = frame.mapping(slots::UPGRADES, rules.into())?;
            Ok(IGovernance::Upgrade { rules: rules.into(), height: frame.load(slot)? })
        })
        .collect::<Result<_, Stop>>()?;
    frame.returns::<IGovernance::upgradesCall>(&told)
}
