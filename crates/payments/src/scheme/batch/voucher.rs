//! A voucher, and what it must be for its channel as it stands.

use alloy_primitives::{Address, B256};
use protocol::Digest;
use serde_json::{Map, Value};

use crate::{
    scheme::{ChannelFacts, Offer, Refused, all_hold, batch::deposit::Deposit},
    signing::{channel, channel::ChannelConfig, recover},
    wire::{Network, WireError, json::Object},
};

/// A signature over a sum.
const SIGNATURE_BYTES: usize = 65;

/// What a channel's payer sent, its signature checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Voucher {
    pub config: ChannelConfig,
    pub channel: B256,
    pub network: Network,
    pub max_claimable: u128,
    pub signature: Vec<u8>,
    pub kind: VoucherKind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum VoucherKind {
    /// Pays for a call.
    Pay,
    /// Pays for a call, once the deposit that comes with it is in the channel.
    Deposit(Deposit),
    /// Asks for money back: so much, or all that is left.
    Refund(Option<u128>),
}

impl Voucher {
    /// The channel's identity among all networks'.
    pub fn purse(&self) -> Digest {
        crypto::hash("og/channel/v1", &[&self.network.chain_id().to_be_bytes(), self.channel.as_slice()])
    }
}

/// Reads a payload and checks all that needs no chain: the channel is one with us, and its payer signed.
pub fn read(payload: &Map<String, Value>, offer: &Offer, now_s: u64) -> Result<Voucher, Refused> {
    let object = Object::new("payload", payload);
    let config = read_config(object.object("channelConfig")?)?;
    check_config(&config, offer)?;
    let voucher = object.object("voucher")?;
    let named = voucher.word("channelId")?;
    let channel = channel::channel_id(&config, offer.asset.channels());
    if named != channel {
        return Err(Refused::ChannelId);
    }
    let max_claimable = voucher.amount("maxClaimableAmount")?;
    let signature = voucher.bytes("signature", SIGNATURE_BYTES)?;
    let digest = channel::voucher(channel, max_claimable, offer.asset.channels());
    if config.payer_authorizer == Address::ZERO {
        return Err(Refused::ContractWallet);
    }
    if recover(&digest, &signature)? != config.payer_authorizer {
        return Err(Refused::Channel("signature"));
    }
    let kind = match object.text("type")? {
        "voucher" => VoucherKind::Pay,
        "deposit" => VoucherKind::Deposit(Deposit::read(object.object("deposit")?, &config, channel, offer, now_s)?),
        "refund" => {
            let amount = object.optional("amount").map(|_| object.amount("amount")).transpose()?;
            VoucherKind::Refund(amount)
        }
        other => {
            let found = format!("{:?}", other.chars().take(24).collect::<String>());
            return Err(WireError::field("payload.type", found, "voucher, deposit or refund").into());
        }
    };
    Ok(Voucher { config, channel, network: offer.asset.network, max_claimable, signature, kind })
}

pub(crate) fn read_config(object: Object<'_>) -> Result<ChannelConfig, WireError> {
    Ok(ChannelConfig {
        payer: object.address("payer")?,
        payer_authorizer: object.address("payerAuthorizer")?,
        receiver: object.address("receiver")?,
        receiver_authorizer: object.address("receiverAuthorizer")?,
        token: object.address("token")?,
        withdraw_delay_s: object.whole("withdrawDelay")?,
        salt: object.word("salt")?,
    })
}

/// A channel of another receiver, or of another gateway of ours, is none with us: its vouchers could be spent there too.
pub(crate) fn check_config(config: &ChannelConfig, offer: &Offer) -> Result<(), Refused> {
    let recipient = &offer.recipient;
    let truths = [
        (config.receiver == recipient.pay_to, "receiver"),
        (config.receiver_authorizer == recipient.facilitator, "receiverAuthorizer"),
        (config.token == offer.asset.address, "token"),
        (config.withdraw_delay_s == recipient.withdraw_delay_s, "withdrawDelay"),
    ];
    all_hold(truths).map_err(Refused::Channel)
}

/// A channel as it stands with us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Charged in all.
    pub spent: u128,
    /// Promised to calls that are being answered.
    pub reserved: u128,
    /// What its chain says.
    pub facts: ChannelFacts,
}

/// Compares a voucher for a call of at most `max` with its channel.
pub fn against(voucher: &Voucher, max: u128, standing: &Standing) -> Result<(), Refused> {
    if standing.facts.withdraw_requested_at_s != 0 {
        return Err(Refused::Withdrawing);
    }
    let (found, claimed) = (voucher.max_claimable, standing.facts.total_claimed);
    if found < claimed {
        return Err(Refused::BelowClaimed { found, claimed });
    }
    let taken = standing.spent.checked_add(standing.reserved).and_then(|sum| sum.checked_add(max));
    let expected = taken.unwrap_or(u128::MAX);
    if found < expected {
        return Err(Refused::Cumulative { found, expected });
    }
    let balance = standing.facts.balance;
    if found > balance {
        return Err(Refused::OverBalance { found, balance });
    }
    Ok(())
}
