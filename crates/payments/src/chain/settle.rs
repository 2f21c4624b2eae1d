//! Settlements: from what a purse keeps to the call that takes the money.

use alloy_primitives::{Address, B256, Bytes, U256, aliases::U40};
use alloy_sol_types::{SolCall as _, SolValue as _};
use contracts::abi::{IBatchSettlement, IExactPermit2Proxy, IToken, IUptoPermit2Proxy};
use thiserror::Error;

use crate::{
    books::PurseRecord,
    price,
    scheme::{
        Approved, Method, Scheme,
        batch::{self, Deposit, DepositMethod},
    },
    signing::{
        Domain, SignerKey,
        channel::{
            self, BATCH_SETTLEMENT, ChannelConfig, ClaimEntry, PERMIT2_COLLECTOR, TRANSFER_COLLECTOR, channel_id,
        },
        permit2::{EXACT_PROXY, PERMIT2, UPTO_PROXY},
    },
    wire::{
        PermitAuthorization, SIGNATURE_BYTES_MAX, TransferAuthorization, WireError,
        json::{self, Object},
    },
};

/// What a transaction does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub to: Address,
    pub data: Bytes,
}

/// All contracts that payments need somewhere.
pub const CONTRACTS: [Address; 6] =
    [PERMIT2, EXACT_PROXY, UPTO_PROXY, BATCH_SETTLEMENT, TRANSFER_COLLECTOR, PERMIT2_COLLECTOR];

/// Those that a payment needs on its chain, beside its token.
pub const fn needs(scheme: Scheme, method: Method) -> &'static [Address] {
    match (scheme, method) {
        (Scheme::Exact, Method::Transfer) => &[],
        (Scheme::Exact, Method::Permit2) => &[PERMIT2, EXACT_PROXY],
        (Scheme::Upto, _) => &[PERMIT2, UPTO_PROXY],
        (Scheme::Batch, Method::Transfer) => &[BATCH_SETTLEMENT, TRANSFER_COLLECTOR],
        (Scheme::Batch, Method::Permit2) => &[BATCH_SETTLEMENT, PERMIT2, PERMIT2_COLLECTOR],
    }
}

/// Why a purse's own record cannot be settled: it was not written by these books.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SettleError {
    #[error("the payment that was kept cannot be read: {0}")]
    Proof(#[from] WireError),
    #[error("the signature that was kept has {0} bytes, 65 expected")]
    Signature(usize),
    #[error("a channel is claimed, not settled by itself")]
    Channel,
}

/// Takes `amount` of a payment by `exact` or `upto`.
pub fn payment(purse: &PurseRecord, amount: u128) -> Result<Call, SettleError> {
    pay(purse.scheme, purse.method, price::address(&purse.asset), &purse.proof, amount)
}

/// The same of what a payer signed.
pub fn pay(scheme: Scheme, method: Method, asset: Address, proof: &[u8], amount: u128) -> Result<Call, SettleError> {
    let proof = json::parse(proof)?;
    let object = Object::new("proof", &proof);
    let signature = object.bytes("signature", SIGNATURE_BYTES_MAX)?;
    match (scheme, method) {
        (Scheme::Exact, Method::Transfer) => {
            let signed = TransferAuthorization::read(object.object("authorization")?)?;
            Ok(Call { to: asset, data: transfer(&signed, &signature)?.into() })
        }
        (Scheme::Exact, Method::Permit2) => {
            let signed = PermitAuthorization::read(object.object("permit2Authorization")?)?;
            let approved = Approved::of(object)?;
            Ok(Call { to: EXACT_PROXY, data: exact_permit(&signed, signature, approved)?.into() })
        }
        (Scheme::Upto, _) => {
            let signed = PermitAuthorization::read(object.object("permit2Authorization")?)?;
            let approved = Approved::of(object)?;
            Ok(Call { to: UPTO_PROXY, data: upto_permit(&signed, amount, signature, approved)?.into() })
        }
        (Scheme::Batch, _) => Err(SettleError::Channel),
    }
}

fn transfer(signed: &TransferAuthorization, signature: &[u8]) -> Result<Vec<u8>, SettleError> {
    let (r, s, v) = parts(signature)?;
    let call = IToken::transferWithAuthorization_0Call {
        from: signed.from,
        to: signed.to,
        value: U256::from(signed.value),
        validAfter: signed.valid_after,
        validBefore: signed.valid_before,
        nonce: signed.nonce,
        v,
        r,
        s,
    };
    Ok(call.abi_encode())
}

/// A signature's r, s and v.
fn parts(signature: &[u8]) -> Result<(B256, B256, u8), SettleError> {
    let [rest @ .., v] = signature else { return Err(SettleError::Signature(0)) };
    let (Some(r), Some(s)) = (rest.get(..32), rest.get(32..64)) else {
        return Err(SettleError::Signature(signature.len()));
    };
    Ok((B256::from_slice(r), B256::from_slice(s), *v))
}

fn exact_permit(
    signed: &PermitAuthorization,
    signature: Vec<u8>,
    approved: Option<Approved>,
) -> Result<Vec<u8>, SettleError> {
    let permitted = IExactPermit2Proxy::TokenPermissions { token: signed.token, amount: U256::from(signed.amount) };
    let (nonce, deadline) = (signed.nonce, signed.deadline);
    let permit = IExactPermit2Proxy::PermitTransferFrom { permitted, nonce, deadline };
    let witness = IExactPermit2Proxy::Witness { to: signed.to, validAfter: signed.valid_after };
    let (owner, signature) = (signed.from, signature.into());
    let Some(Approved { value, deadline, signature: approval }) = approved else {
        return Ok(IExactPermit2Proxy::settleCall { permit, owner, witness, signature }.abi_encode());
    };
    let (r, s, v) = parts(&approval)?;
    let permit2612 = IExactPermit2Proxy::EIP2612Permit { value, deadline, r, s, v };
    Ok(IExactPermit2Proxy::settleWithPermitCall { permit2612, permit, owner, witness, signature }.abi_encode())
}

fn upto_permit(
    signed: &PermitAuthorization,
    amount: u128,
    signature: Vec<u8>,
    approved: Option<Approved>,
) -> Result<Vec<u8>, SettleError> {
    let permitted = IUptoPermit2Proxy::TokenPermissions { token: signed.token, amount: U256::from(signed.amount) };
    let (nonce, deadline) = (signed.nonce, signed.deadline);
    let (to, facilitator) = (signed.to, signed.facilitator.unwrap_or_default());
    let permit = IUptoPermit2Proxy::PermitTransferFrom { permitted, nonce, deadline };
    let witness = IUptoPermit2Proxy::Witness { to, facilitator, validAfter: signed.valid_after };
    let (amount, owner, signature) = (U256::from(amount), signed.from, signature.into());
    let Some(Approved { value, deadline, signature: approval }) = approved else {
        return Ok(IUptoPermit2Proxy::settleCall { permit, amount, owner, witness, signature }.abi_encode());
    };
    let (r, s, v) = parts(&approval)?;
    let permit2612 = IUptoPermit2Proxy::EIP2612Permit { value, deadline, r, s, v };
    let call = IUptoPermit2Proxy::settleWithPermitCall { permit2612, permit, amount, owner, witness, signature };
    Ok(call.abi_encode())
}

/// One channel's line of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimLine {
    pub config: ChannelConfig,
    pub max_claimable: u128,
    pub signature: Vec<u8>,
    pub total_claimed: u128,
}

impl ClaimLine {
    /// What a channel's purse keeps, to be claimed up to `total_claimed`.
    pub fn of(purse: &PurseRecord, total_claimed: u128) -> Result<Self, SettleError> {
        let proof = json::parse(&purse.proof)?;
        let object = Object::new("proof", &proof);
        let voucher = object.object("voucher")?;
        Ok(Self {
            config: batch::read_config(object.object("channelConfig")?)?,
            max_claimable: voucher.amount("maxClaimableAmount")?,
            signature: voucher.bytes("signature", SIGNATURE_BYTES_MAX)?,
            total_claimed,
        })
    }

    pub fn channel(&self, domain: &Domain) -> B256 {
        channel_id(&self.config, domain)
    }
}

/// What the receiver's authorizer signs to claim by these lines.
pub fn claim_digest(lines: &[ClaimLine], domain: &Domain) -> B256 {
    let entry = |line: &ClaimLine| ClaimEntry {
        channel: line.channel(domain),
        max_claimable: line.max_claimable,
        total_claimed: line.total_claimed,
    };
    let entries: Vec<ClaimEntry> = lines.iter().map(entry).collect();
    channel::claim_batch(&entries, domain)
}

/// Claims from many channels at once, signed by our key as their receiver's authorizer.
pub fn claim(lines: &[ClaimLine], domain: &Domain, key: &SignerKey) -> Call {
    claim_signed(lines, &key.sign(&claim_digest(lines, domain)))
}

/// Claims from many channels at once, with their receiver's authorizer's signature.
pub fn claim_signed(lines: &[ClaimLine], signature: &[u8]) -> Call {
    let claims = lines.iter().map(|line| IBatchSettlement::VoucherClaim {
        voucher: IBatchSettlement::Voucher { channel: config_of(&line.config), maxClaimableAmount: line.max_claimable },
        signature: line.signature.clone().into(),
        totalClaimed: line.total_claimed,
    });
    let call = IBatchSettlement::claimWithSignatureCall {
        voucherClaims: claims.collect(),
        authorizerSignature: Bytes::copy_from_slice(signature),
    };
    Call { to: BATCH_SETTLEMENT, data: call.abi_encode().into() }
}

/// Sends what was claimed to its receiver.
pub fn sweep(receiver: Address, token: Address) -> Call {
    Call { to: BATCH_SETTLEMENT, data: IBatchSettlement::settleCall { receiver, token }.abi_encode().into() }
}

/// Sends `amount` of a token from whoever signs the transaction.
pub fn send(token: Address, to: Address, amount: u128) -> Call {
    Call { to: token, data: IToken::transferCall { to, value: U256::from(amount) }.abi_encode().into() }
}

/// Puts a deposit into its channel.
pub fn deposit(config: &ChannelConfig, deposit: &Deposit) -> Result<Call, SettleError> {
    let signature = Bytes::from(deposit.signature.clone());
    let (collector, data) = match &deposit.method {
        DepositMethod::Transfer { valid_after, valid_before, salt, .. } => {
            let salt = U256::from_be_bytes(salt.0);
            (TRANSFER_COLLECTOR, (*valid_after, *valid_before, salt, signature).abi_encode_params())
        }
        DepositMethod::Permit2 { nonce, deadline, approved } => {
            let permit = approved.as_ref().map_or(Ok(Bytes::new()), permit_of)?;
            (PERMIT2_COLLECTOR, (*nonce, *deadline, signature, permit).abi_encode_params())
        }
    };
    let call = IBatchSettlement::depositCall {
        config: config_of(config),
        amount: deposit.amount,
        collector,
        collectorData: data.into(),
    };
    Ok(Call { to: BATCH_SETTLEMENT, data: call.abi_encode().into() })
}

/// An approval as the collector of deposits reads it.
fn permit_of(approved: &Approved) -> Result<Bytes, SettleError> {
    let (r, s, v) = parts(&approved.signature)?;
    Ok((approved.value, approved.deadline, U256::from(v), r, s).abi_encode_params().into())
}

/// Gives `amount` back to a channel's payer, after claiming what is ours.
pub fn refund(
    line: Option<&ClaimLine>,
    config: &ChannelConfig,
    amount: u128,
    nonce: U256,
    domain: &Domain,
    key: &SignerKey,
) -> Call {
    let digest = channel::refund(channel_id(config, domain), nonce, amount, domain);
    let claimed = line.map(|line| claim(std::slice::from_ref(line), domain, key));
    refund_signed(claimed, config, amount, nonce, &key.sign(&digest))
}

/// The same with the receiver's authorizer's signature, after what it claims.
pub fn refund_signed(
    claimed: Option<Call>,
    config: &ChannelConfig,
    amount: u128,
    nonce: U256,
    signature: &[u8],
) -> Call {
    let refund = IBatchSettlement::refundWithSignatureCall {
        config: config_of(config),
        amount,
        nonce,
        receiverAuthorizerSignature: Bytes::copy_from_slice(signature),
    };
    let refund = refund.abi_encode();
    let data = match claimed {
        None => refund,
        Some(claimed) => IBatchSettlement::multicallCall { data: vec![claimed.data, refund.into()] }.abi_encode(),
    };
    Call { to: BATCH_SETTLEMENT, data: data.into() }
}

/// A payer's own: says that it leaves a channel with `amount`.
pub fn begin_withdrawal(config: &ChannelConfig, amount: u128) -> Call {
    let call = IBatchSettlement::initiateWithdrawCall { config: config_of(config), amount };
    Call { to: BATCH_SETTLEMENT, data: call.abi_encode().into() }
}

/// Takes out what is left of that after the channel's delay.
pub fn end_withdrawal(config: &ChannelConfig) -> Call {
    let call = IBatchSettlement::finalizeWithdrawCall { config: config_of(config) };
    Call { to: BATCH_SETTLEMENT, data: call.abi_encode().into() }
}

fn config_of(config: &ChannelConfig) -> IBatchSettlement::ChannelConfig {
    IBatchSettlement::ChannelConfig {
        payer: config.payer,
        payerAuthorizer: config.payer_authorizer,
        receiver: config.receiver,
        receiverAuthorizer: config.receiver_authorizer,
        token: config.token,
        withdrawDelay: U40::saturating_from(config.withdraw_delay_s),
        salt: config.salt,
    }
}
