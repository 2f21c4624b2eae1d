//! Votes of staked OPG: what ERC-5805's readers ask, over the records that staking keeps.
//!
//! Balances have no votes, because coins move by plain transfers, past every module; stake moves through one.

use alloy_primitives::{Address, B256, Bytes, U256, b256, fixed_bytes};
use alloy_sol_types::SolEvent as _;

use super::opg::domain;
use super::staking::{self, IStakedVotes, ballots};
use super::{Frame, Method, Module, Stop};

/// Where the module lives.
pub const ADDRESS: Address = staking::VOTES_ADDRESS;

/// `mapping(address owner => uint256)`: the next delegation's number, in this module's own storage.
const NONCES: U256 = U256::ZERO;

/// `keccak256("Delegation(address delegatee,uint256 nonce,uint256 expiry)")`.
const DELEGATION: B256 = b256!("e48329057bfd03d55e49b547132e39cffd9c1820ad7b9d4c5307691425d15adf");

/// The module.
pub const MODULE: Module = Module { name: "votes", address: ADDRESS, methods: METHODS };

static METHODS: &[Method] = &[
    Method::view::<IStakedVotes::clockCall>(clock),
    Method::view::<IStakedVotes::CLOCK_MODECall>(|frame| {
        frame.returns::<IStakedVotes::CLOCK_MODECall>(&"mode=timestamp".to_owned())
    }),
    Method::view::<IStakedVotes::getVotesCall>(get_votes),
    Method::view::<IStakedVotes::getPastVotesCall>(get_past_votes),
    Method::view::<IStakedVotes::getPastTotalSupplyCall>(get_past_total_supply),
    Method::view::<IStakedVotes::delegatesCall>(delegates),
    Method::write::<IStakedVotes::delegateCall>(delegate),
    Method::write::<IStakedVotes::delegateBySigCall>(delegate_by_signature),
    Method::view::<IStakedVotes::noncesCall>(nonces),
    Method::view::<IStakedVotes::eip712DomainCall>(eip712_domain),
];

fn clock(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let now = alloy_primitives::Uint::saturating_from(frame.now());
    frame.returns::<IStakedVotes::clockCall>(&now)
}

fn get_votes(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IStakedVotes::getVotesCall>()?;
    let votes = frame.within(staking::ADDRESS, |frame| ballots::votes(frame, call.account, None))?;
    frame.returns::<IStakedVotes::getVotesCall>(&U256::from(votes))
}

fn get_past_votes(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IStakedVotes::getPastVotesCall>()?;
    let at = over(frame, call.timepoint)?;
    let votes = frame.within(staking::ADDRESS, |frame| ballots::votes(frame, call.account, Some(at)))?;
    frame.returns::<IStakedVotes::getPastVotesCall>(&U256::from(votes))
}

fn get_past_total_supply(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IStakedVotes::getPastTotalSupplyCall>()?;
    let at = over(frame, call.timepoint)?;
    let votes = frame.within(staking::ADDRESS, |frame| ballots::all_votes(frame, at))?;
    frame.returns::<IStakedVotes::getPastTotalSupplyCall>(&U256::from(votes))
}

/// A second that is over: what happens in this one can still change.
fn over(frame: &Frame<'_>, timepoint: U256) -> Result<u64, Stop> {
    let now = frame.now();
    if timepoint >= U256::from(now) {
        let clock = alloy_primitives::Uint::saturating_from(now);
        return Err(Stop::revert(&IStakedVotes::ERC5805FutureLookup { timepoint, clock }));
    }
    Ok(timepoint.saturating_to())
}

fn delegates(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IStakedVotes::delegatesCall>()?;
    let voter = frame.within(staking::ADDRESS, |frame| ballots::delegatee(frame, call.account))?;
    frame.returns::<IStakedVotes::delegatesCall>(&voter)
}

fn delegate(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IStakedVotes::delegateCall>()?;
    let delegator = frame.caller();
    give(frame, delegator, call.delegatee)
}

fn delegate_by_signature(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IStakedVotes::delegateBySigCall>()?;
    if frame.timestamp() > call.expiry {
        return Err(Stop::revert(&IStakedVotes::VotesExpiredSignature { expiry: call.expiry }));
    }
    let words = [call.delegatee.into_word(), domain::word(call.nonce), domain::word(call.expiry)];
    let signature = domain::split(call.v, call.r, call.s);
    let signer = domain::signer_for(frame, ADDRESS, DELEGATION, &words, signature)?;
    let signer = signer.ok_or_else(|| Stop::revert(&IStakedVotes::InvalidSignature {}))?;
    let slot = frame.mapping(NONCES, signer.into_word())?;
    let nonce = frame.load(slot)?;
    if nonce != call.nonce {
        let error = IStakedVotes::InvalidAccountNonce { account: signer, currentNonce: nonce };
        return Err(Stop::revert(&error));
    }
    frame.store(slot, nonce.saturating_add(U256::ONE))?;
    give(frame, signer, call.delegatee)
}

fn nonces(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IStakedVotes::noncesCall>()?;
    let slot = frame.mapping(NONCES, call.owner.into_word())?;
    let nonce = frame.load(slot)?;
    frame.returns::<IStakedVotes::noncesCall>(&nonce)
}

fn eip712_domain(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let domain = IStakedVotes::eip712DomainReturn {
        // Name, version, chain id and contract are in use; a salt is not.
        fields: fixed_bytes!("0f"),
        name: domain::name(),
        version: domain::version(),
        chainId: U256::from(frame.chain_id()),
        verifyingContract: ADDRESS,
        salt: B256::ZERO,
        extensions: Vec::new(),
    };
    frame.returns::<IStakedVotes::eip712DomainCall>(&domain)
}

fn give(frame: &mut Frame<'_>, delegator: Address, delegatee: Address) -> Result<Bytes, Stop> {
    let to = if delegatee.is_zero() { delegator } else { delegatee };
    let from = frame.within(staking::ADDRESS, |frame| ballots::give(frame, delegator, to))?;
    frame.log(IStakedVotes::DelegateChanged { delegator, fromDelegate: from, toDelegate: to }.encode_log_data())?;
    Ok(Bytes::new())
}
