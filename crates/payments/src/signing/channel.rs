//! Payment channels of the `batch-settlement` scheme: a channel's id, its vouchers, claims and refunds.

use alloy_primitives::{Address, B256, Keccak256, U256, address, keccak256};

use crate::signing::{
    permit2::TOKEN,
    typed::{Domain, Words, digest},
};

/// The same on every chain.
pub const BATCH_SETTLEMENT: Address = address!("4020074e9dF2ce1deE5A9C1b5c3f541D02a10003");
pub const TRANSFER_COLLECTOR: Address = address!("4020806089470a89826cB9fB1f4059150b550004");
pub const PERMIT2_COLLECTOR: Address = address!("4020425FAf3B746C082C2f942b4E5159887B0005");

const CHANNEL: &str = "ChannelConfig(address payer,address payerAuthorizer,address receiver,address receiverAuthorizer,\
                       address token,uint40 withdrawDelay,bytes32 salt)";
const VOUCHER: &str = "Voucher(bytes32 channelId,uint128 maxClaimableAmount)";
const REFUND: &str = "Refund(bytes32 channelId,uint256 nonce,uint128 amount)";
const CLAIM_BATCH: &str = "ClaimBatch(ClaimEntry[] claims)ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,\
                           uint128 totalClaimed)";
const CLAIM_ENTRY: &str = "ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed)";
const DEPOSIT: &str = "PermitWitnessTransferFrom(TokenPermissions permitted,address spender,uint256 nonce,uint256 \
                       deadline,DepositWitness witness)DepositWitness(bytes32 channelId)TokenPermissions(address token,\
                       uint256 amount)";
const DEPOSIT_WITNESS: &str = "DepositWitness(bytes32 channelId)";

/// What a channel is; all of it is in its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelConfig {
    pub payer: Address,
    /// Whose key signs vouchers; zero where the payer's own contract decides.
    pub payer_authorizer: Address,
    pub receiver: Address,
    /// Whose key signs claims and refunds: one gateway's.
    pub receiver_authorizer: Address,
    pub token: Address,
    /// Between a payer's wish to withdraw and the withdrawal.
    pub withdraw_delay_s: u64,
    pub salt: B256,
}

/// One channel's line in a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimEntry {
    pub channel: B256,
    pub max_claimable: u128,
    pub total_claimed: u128,
}

pub fn domain(chain_id: u64) -> Domain {
    Domain::new("x402 Batch Settlement", "1", chain_id, BATCH_SETTLEMENT)
}

pub fn channel_id(config: &ChannelConfig, domain: &Domain) -> B256 {
    let mut words = Words::new(CHANNEL);
    words
        .address(config.payer)
        .address(config.payer_authorizer)
        .address(config.receiver)
        .address(config.receiver_authorizer)
        .address(config.token)
        .number(U256::from(config.withdraw_delay_s))
        .word(config.salt);
    digest(domain, words.hash())
}

/// What the payer's authorizer signs: that so much in all may be claimed.
pub fn voucher(channel: B256, max_claimable: u128, domain: &Domain) -> B256 {
    let mut words = Words::new(VOUCHER);
    words.word(channel).number(U256::from(max_claimable));
    digest(domain, words.hash())
}

/// What the receiver's authorizer signs to give money back.
pub fn refund(channel: B256, nonce: U256, amount: u128, domain: &Domain) -> B256 {
    let mut words = Words::new(REFUND);
    words.word(channel).number(nonce).number(U256::from(amount));
    digest(domain, words.hash())
}

/// What the receiver's authorizer signs to claim from many channels.
pub fn claim_batch(claims: &[ClaimEntry], domain: &Domain) -> B256 {
    let of_entry = keccak256(CLAIM_ENTRY);
    let mut list = Keccak256::new();
    for claim in claims {
        let mut words = Words::of_hash(of_entry);
        let (max, total) = (U256::from(claim.max_claimable), U256::from(claim.total_claimed));
        words.word(claim.channel).number(max).number(total);
        list.update(words.hash());
    }
    let mut words = Words::new(CLAIM_BATCH);
    words.word(list.finalize());
    digest(domain, words.hash())
}

/// The nonce of a deposit by EIP-3009: it binds the authorisation to the channel.
pub fn deposit_nonce(channel: B256, salt: B256) -> B256 {
    keccak256([channel.as_slice(), salt.as_slice()].concat())
}

/// What a payer signs to deposit through Permit2.
pub fn permit_deposit(
    token: Address,
    amount: u128,
    nonce: U256,
    deadline: U256,
    channel: B256,
    permit2: &Domain,
) -> B256 {
    let mut permitted = Words::new(TOKEN);
    permitted.address(token).number(U256::from(amount));
    let mut witness = Words::new(DEPOSIT_WITNESS);
    witness.word(channel);
    let mut words = Words::new(DEPOSIT);
    words.word(permitted.hash()).address(PERMIT2_COLLECTOR).number(nonce).number(deadline).word(witness.hash());
    digest(permit2, words.hash())
}
