//! What an errand does: from the payload of a payment to the call that settles it, everything checked that needs no chain.

use alloy_primitives::{Address, B256, U256};
use protocol::Digest;
use serde_json::{Map, Value};

use crate::{
    chain::{self, Call, ClaimLine, SettleError},
    facilitator::Asked,
    scheme::{
        ChannelFacts, Claim, Method, Offer, Refused, Scheme, Signer,
        batch::{self, Deposit, DepositMethod, Standing, Voucher, VoucherKind},
        exact, upto,
    },
    signing::{
        channel::{self, ChannelConfig, channel_id},
        recover,
    },
    wire::{WireError, json::Object},
};

/// Channels of one claim.
pub const LINES_MAX: usize = 100;
/// A signature over a digest.
const SIGNATURE_BYTES: usize = 65;
/// The receiver's sweep is one errand for so long.
const SWEEP_S: u64 = 10;

/// What is good as far as can be told without the chain.
#[derive(Clone, Debug, PartialEq)]
pub enum Good {
    /// A payment by `exact` or `upto`: its payer's wallet is asked about.
    Wallet(Claim),
    /// A voucher, perhaps with a deposit: its channel is asked about.
    Channel(Box<Voucher>),
}

impl Good {
    /// Reads what a server wants verified.
    pub fn read(asked: &Asked, offer: &Offer, now_s: u64) -> Result<Self, Refused> {
        let payload = &asked.payment.payload;
        let sponsored = |claim: Claim| claim.sponsored(&asked.payment.extensions, offer, now_s);
        match offer.scheme {
            Scheme::Exact => exact::read(payload, offer, now_s).and_then(sponsored).map(Self::Wallet),
            Scheme::Upto => upto::read(payload, offer, now_s).and_then(sponsored).map(Self::Wallet),
            Scheme::Batch => {
                let voucher = batch::read(payload, offer, now_s)?;
                let voucher = voucher.sponsored(&asked.payment.extensions, offer, now_s)?;
                Ok(Self::Channel(Box::new(voucher)))
            }
        }
    }

    pub fn payer(&self) -> Address {
        match self {
            Self::Wallet(claim) => claim.payer,
            Self::Channel(voucher) => voucher.config.payer,
        }
    }
}

/// A deposit as a claim on its payer's wallet, which is checked as any other.
pub fn claim_of(voucher: &Voucher, deposit: &Deposit) -> Claim {
    Claim {
        scheme: Scheme::Batch,
        method: match deposit.method {
            DepositMethod::Transfer { .. } => Method::Transfer,
            DepositMethod::Permit2 { .. } => Method::Permit2,
        },
        payer: voucher.config.payer,
        cap: deposit.amount,
        expires_at_s: deposit.expires_at_s,
        nonce: deposit.nonce(),
        signer: Signer::Payer,
        approved: match &deposit.method {
            DepositMethod::Permit2 { approved: Some(_), .. } => deposit.amount,
            DepositMethod::Permit2 { approved: None, .. } | DepositMethod::Transfer { .. } => 0,
        },
        proof: Default::default(),
    }
}

impl Voucher {
    /// What has to be known of the payer's wallet, where money is to leave it.
    pub fn wallet_claim(&self) -> Option<Claim> {
        match &self.kind {
            VoucherKind::Deposit(deposit) => Some(claim_of(self, deposit)),
            VoucherKind::Pay | VoucherKind::Refund(_) => None,
        }
    }

    /// Compares with the channel as its chain has it; how much was charged meanwhile is the server's to know.
    pub fn stands_against(&self, facts: ChannelFacts) -> Result<(), Refused> {
        let mut facts = facts;
        let least = match &self.kind {
            VoucherKind::Pay => 1,
            VoucherKind::Deposit(deposit) => {
                facts.balance = facts.balance.saturating_add(deposit.amount);
                1
            }
            // A payer that withdraws may ask for less of it at once.
            VoucherKind::Refund(_) => {
                facts.withdraw_requested_at_s = 0;
                0
            }
        };
        if facts.balance == 0 {
            return Err(Refused::UnknownChannel);
        }
        batch::against(self, least, &Standing { spent: facts.total_claimed, reserved: 0, facts })
    }
}

/// What is to be settled.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    Pay { claim: Claim, amount: u128 },
    Deposit { voucher: Box<Voucher>, deposit: Deposit },
    Claim(Claims),
    Refund { config: ChannelConfig, amount: u128, nonce: U256, signature: Vec<u8>, claims: Option<Claims> },
    Sweep { receiver: Address, token: Address },
}

/// Lines of a claim and the receiver's consent to them.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims {
    pub lines: Vec<ClaimLine>,
    pub signature: Vec<u8>,
}

impl Work {
    /// Reads what a server wants settled.
    pub fn read(asked: &Asked, offer: &Offer, now_s: u64) -> Result<Self, Refused> {
        let payload = &asked.payment.payload;
        let object = Object::new("payload", payload);
        let kind = if offer.scheme == Scheme::Batch { object.text("type")? } else { "" };
        match kind {
            "claim" => Ok(Self::Claim(read_claims(object, offer)?)),
            "settle" => {
                let (receiver, token) = (object.address("receiver")?, object.address("token")?);
                match (token == offer.asset.address, receiver == asked.terms.pay_to) {
                    (true, true) => Ok(Self::Sweep { receiver, token }),
                    (false, _) => Err(Refused::Token),
                    (true, false) => Err(Refused::Unauthorised),
                }
            }
            "refund" => read_refund(object, offer),
            _ => match Good::read(asked, offer, now_s)? {
                Good::Wallet(claim) => pay(claim, asked.terms.amount),
                Good::Channel(voucher) => match voucher.kind.clone() {
                    VoucherKind::Deposit(deposit) => Ok(Self::Deposit { voucher, deposit }),
                    VoucherKind::Pay | VoucherKind::Refund(_) => Err(Refused::Channel("payload.type")),
                },
            },
        }
    }

    pub fn payer(&self) -> Option<Address> {
        match self {
            Self::Pay { claim, .. } => Some(claim.payer),
            Self::Deposit { voucher, .. } => Some(voucher.config.payer),
            Self::Refund { config, .. } => Some(config.payer),
            Self::Claim(_) | Self::Sweep { .. } => None,
        }
    }

    /// Whether it is its receiver's to ask for. What a payer signed moves the payer's money and can be asked for by anybody; a part of
    /// a cap, and claims, sweeps and refunds, which cost gas even where they change nothing, are the receiver's.
    pub fn is_the_receivers(&self, scheme: Scheme) -> bool {
        match self {
            Self::Pay { .. } => scheme == Scheme::Upto,
            Self::Deposit { .. } => false,
            Self::Claim(_) | Self::Refund { .. } | Self::Sweep { .. } => true,
        }
    }

    pub fn amount(&self) -> u128 {
        match self {
            Self::Pay { amount, .. } | Self::Refund { amount, .. } => *amount,
            Self::Deposit { deposit, .. } => deposit.amount,
            Self::Claim(_) | Self::Sweep { .. } => 0,
        }
    }

    /// What a payer signed to be moved: the cap, however much of it is taken. Nothing where no payer pays.
    pub fn signed(&self) -> u128 {
        match self {
            Self::Pay { claim, .. } => claim.cap,
            Self::Deposit { deposit, .. } => deposit.amount,
            Self::Claim(_) | Self::Refund { .. } | Self::Sweep { .. } => 0,
        }
    }

    /// What has to be known of the payer's wallet, where money is to leave it.
    pub fn wallet_claim(&self) -> Option<Claim> {
        match self {
            Self::Pay { claim, .. } => Some(claim.clone()),
            Self::Deposit { voucher, deposit } => Some(claim_of(voucher, deposit)),
            Self::Claim(_) | Self::Refund { .. } | Self::Sweep { .. } => None,
        }
    }

    /// The channel whose state the server wants to be told.
    pub fn channel(&self, offer: &Offer) -> Option<B256> {
        match self {
            Self::Deposit { voucher, .. } => Some(voucher.channel),
            Self::Refund { config, .. } => Some(channel_id(config, offer.asset.channels())),
            Self::Pay { .. } | Self::Claim(_) | Self::Sweep { .. } => None,
        }
    }

    /// The call that does it.
    pub fn call(&self, offer: &Offer) -> Result<Call, SettleError> {
        match self {
            Self::Pay { claim, amount } => {
                chain::pay(claim.scheme, claim.method, offer.asset.address, &claim.proof, *amount)
            }
            Self::Deposit { voucher, deposit } => chain::deposit(&voucher.config, deposit),
            Self::Claim(claims) => Ok(chain::claim_signed(&claims.lines, &claims.signature)),
            Self::Refund { config, amount, nonce, signature, claims } => {
                let claims = claims.as_ref().map(|claims| chain::claim_signed(&claims.lines, &claims.signature));
                Ok(chain::refund_signed(claims, config, *amount, *nonce, signature))
            }
            Self::Sweep { receiver, token } => Ok(chain::sweep(*receiver, *token)),
        }
    }

    /// The errand's identity: what its chain does once only.
    pub fn id(&self, offer: &Offer, call: &Call, now_s: u64) -> Digest {
        let chain_id = offer.asset.network.chain_id().to_be_bytes();
        match self.wallet_claim() {
            Some(claim) => claim.question(offer).id(),
            None => {
                let turn = if matches!(self, Self::Sweep { .. }) { now_s / SWEEP_S } else { 0 };
                crypto::hash("og/errand/v1", &[&chain_id, call.to.as_slice(), &call.data, &turn.to_be_bytes()])
            }
        }
    }
}

fn pay(claim: Claim, amount: u128) -> Result<Work, Refused> {
    let is_right = match claim.scheme {
        Scheme::Exact => amount == claim.cap,
        Scheme::Upto | Scheme::Batch => amount <= claim.cap,
    };
    if is_right { Ok(Work::Pay { claim, amount }) } else { Err(Refused::OverCap { found: amount, cap: claim.cap }) }
}

fn read_refund(object: Object<'_>, offer: &Offer) -> Result<Work, Refused> {
    let config = batch::read_config(object.object("channelConfig")?)?;
    batch::check_config(&config, offer)?;
    let (amount, nonce) = (object.amount("amount")?, object.number("refundNonce")?);
    let signature = consent(object, "refundAuthorizerSignature")?;
    let domain = offer.asset.channels();
    let digest = channel::refund(channel_id(&config, domain), nonce, amount, domain);
    if recover(&digest, &signature) != Ok(config.receiver_authorizer) {
        return Err(Refused::Authorizer("another key signed the refund"));
    }
    if amount == 0 {
        return Err(Refused::Refund(0, 0));
    }
    let has_claims = object.optional("claims").and_then(Value::as_array).is_some_and(|claims| !claims.is_empty());
    let claims = has_claims.then(|| read_claims(object, offer)).transpose()?;
    Ok(Work::Refund { config, amount, nonce, signature, claims })
}

fn read_claims(object: Object<'_>, offer: &Offer) -> Result<Claims, Refused> {
    let listed = object.list("claims")?;
    if listed.is_empty() || listed.len() > LINES_MAX {
        return Err(WireError::field("claims", format!("{} of them", listed.len()), "1 to 100 claims").into());
    }
    let domain = offer.asset.channels();
    let mut lines = Vec::new();
    for value in listed {
        let map = value.as_object().ok_or_else(|| WireError::field("claims", "another value", "objects"))?;
        lines.push(read_line(map, offer)?);
    }
    let signature = consent(object, "claimAuthorizerSignature")?;
    let signer = recover(&chain::claim_digest(&lines, domain), &signature);
    if lines.iter().any(|line| signer != Ok(line.config.receiver_authorizer)) {
        return Err(Refused::Authorizer("another key signed the claim"));
    }
    Ok(Claims { lines, signature })
}

fn read_line(map: &Map<String, Value>, offer: &Offer) -> Result<ClaimLine, Refused> {
    let object = Object::new("claims", map);
    let voucher = object.object("voucher")?;
    let line = ClaimLine {
        config: batch::read_config(voucher.object("channel")?)?,
        max_claimable: voucher.amount("maxClaimableAmount")?,
        signature: object.bytes("signature", SIGNATURE_BYTES)?,
        total_claimed: object.amount("totalClaimed")?,
    };
    let domain = offer.asset.channels();
    let digest = channel::voucher(line.channel(domain), line.max_claimable, domain);
    if recover(&digest, &line.signature) != Ok(line.config.payer_authorizer) {
        return Err(Refused::Channel("signature"));
    }
    if line.total_claimed > line.max_claimable {
        return Err(Refused::OverCap { found: line.total_claimed, cap: line.max_claimable });
    }
    Ok(line)
}

/// The receiver's own signature. A facilitator that signed in its place would let a payer take back what it owes.
fn consent(object: Object<'_>, name: &str) -> Result<Vec<u8>, Refused> {
    match object.optional(name) {
        None => Err(Refused::Authorizer("the receiver's signature is missing")),
        Some(_) => Ok(object.bytes(name, SIGNATURE_BYTES)?),
    }
}
