//! What we offer: an asset, a way, an amount. Everything that a check needs is taken from here, nothing from a client's echo.

use alloy_primitives::{Address, address};
use serde_json::{Map, Value, json};

use crate::{
    price::{Money, Unit},
    scheme::{Scheme, refused::Refused},
    signing::{self, Domain},
    wire::{Accepted, Network, PaymentPayload, Requirements},
};

/// OPG on its own ledger, where it is the coin: its module.
pub(super) const OPG_LEDGER: Address = address!("0000000000000000000000000000000000000a00");

protocol::words! {
    /// How the money leaves the payer.
    Method {
        /// EIP-3009: the token itself checks the authorisation.
        Transfer = 1, "eip3009";
        /// Permit2 does, for tokens that cannot.
        Permit2 = 2, "permit2";
    }
}

/// A token that is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asset {
    pub network: Network,
    pub address: Address,
    /// Of its EIP-712 domain.
    pub name: String,
    pub version: String,
    pub money: Money,
    domain: Domain,
    permit2: Domain,
    channels: Domain,
}

impl Asset {
    pub fn new(network: Network, address: Address, name: &str, version: &str, money: Money) -> Self {
        let chain_id = network.chain_id();
        Self {
            network,
            address,
            name: name.to_owned(),
            version: version.to_owned(),
            money,
            domain: Domain::new(name, version, chain_id, address),
            permit2: signing::permit2::domain(chain_id),
            channels: signing::channel::domain(chain_id),
        }
    }

    /// A hundredth of a whole token: less than that is not worth a transaction.
    pub fn hundredth(&self) -> u128 {
        10_u128.saturating_pow(u32::from(self.money.decimals).saturating_sub(2))
    }

    /// A thousandth of it: about what settling it costs whoever does.
    pub fn thousandth(&self) -> u128 {
        self.hundredth() / 10
    }

    /// Whether it takes EIP-3009, so that nothing has to be approved before: dollars do, and OPG where it is the coin. Base's does not.
    pub fn takes_transfers(&self) -> bool {
        self.money.unit == Unit::Usd || self.address == OPG_LEDGER
    }

    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    pub fn permit2(&self) -> &Domain {
        &self.permit2
    }

    pub fn channels(&self) -> &Domain {
        &self.channels
    }
}

/// Who is paid, and who may settle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipient {
    pub pay_to: Address,
    /// Settles `upto` payments and signs claims and refunds of channels: one gateway's key.
    pub facilitator: Address,
    pub withdraw_delay_s: u64,
}

/// One way to pay for one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub scheme: Scheme,
    pub method: Method,
    pub asset: Asset,
    pub recipient: Recipient,
    /// The price, or the most that it can be.
    pub amount: u128,
    pub max_timeout_s: u64,
    /// A payment must still be good for so long when it is taken, so that it can be settled after the work.
    pub margin_s: u64,
    /// Least deposit into a new channel.
    pub min_deposit: u128,
}

impl Offer {
    pub fn requirements(&self) -> Requirements {
        Requirements { extra: self.extra(), ..self.compared() }
    }

    /// The same without `extra`, which nothing is compared with.
    fn compared(&self) -> Requirements {
        Requirements {
            scheme: self.scheme.word().to_owned(),
            network: self.asset.network,
            amount: self.amount,
            asset: self.asset.address,
            pay_to: self.recipient.pay_to,
            max_timeout_s: self.max_timeout_s,
            extra: Map::new(),
        }
    }

    fn extra(&self) -> Map<String, Value> {
        let mut extra = Map::new();
        extra.insert("name".to_owned(), self.asset.name.clone().into());
        extra.insert("version".to_owned(), self.asset.version.clone().into());
        if self.method == Method::Permit2 {
            extra.insert("assetTransferMethod".to_owned(), self.method.word().into());
        }
        match self.scheme {
            Scheme::Exact => {}
            Scheme::Upto => {
                extra.insert("facilitatorAddress".to_owned(), self.recipient.facilitator.to_checksum(None).into());
            }
            Scheme::Batch => {
                extra.insert("receiverAuthorizer".to_owned(), self.recipient.facilitator.to_checksum(None).into());
                extra.insert("withdrawDelay".to_owned(), self.recipient.withdraw_delay_s.into());
                extra.insert("minDeposit".to_owned(), json!(self.min_deposit.to_string()));
            }
        }
        extra
    }

    /// Whether a payment takes up this offer, and where it differs if it nearly does.
    pub fn is_taken_by(&self, payment: &PaymentPayload) -> Result<(), Refused> {
        match &payment.accepted {
            Accepted::Terms(terms) => match terms.difference(&self.compared()) {
                None => Ok(()),
                Some(field) => Err(Refused::Terms(field)),
            },
            Accepted::Named { scheme, network } => {
                if scheme != self.scheme.word() || self.scheme != Scheme::Exact || self.method != Method::Transfer {
                    return Err(Refused::Terms("scheme"));
                }
                if *network != self.asset.network {
                    return Err(Refused::Terms("network"));
                }
                // It names no amount, and of offers by several rates what is signed says which one is taken up.
                match payment.amount() {
                    Some(found) if found != self.amount => Err(Refused::Amount { found, expected: self.amount }),
                    Some(_) | None => Ok(()),
                }
            }
        }
    }

    /// The offer of `offers` that a payment takes up; else how the nearest one differs.
    pub fn taken<'a>(offers: &'a [Self], payment: &PaymentPayload) -> Result<&'a Self, Refused> {
        let (mut nearest, mut is_of_its_chain) = (Refused::Terms("scheme"), false);
        for offer in offers.iter().filter(|offer| offer.is_named_by(payment)) {
            let refused = match offer.is_taken_by(payment) {
                Ok(()) if offer.fits_method(payment) => return Ok(offer),
                Ok(()) => Refused::Terms("extra.assetTransferMethod"),
                Err(refused) => refused,
            };
            let is_nearer = offer.asset.network == payment.accepted.network();
            if is_nearer || !is_of_its_chain {
                (nearest, is_of_its_chain) = (refused, is_nearer);
            }
        }
        Err(nearest)
    }

    /// Version 1 knows one method.
    fn is_named_by(&self, payment: &PaymentPayload) -> bool {
        let accepted = &payment.accepted;
        self.scheme.word() == accepted.scheme() && (!accepted.is_legacy() || self.method == Method::Transfer)
    }

    /// The payload itself tells by which method it is signed.
    fn fits_method(&self, payment: &PaymentPayload) -> bool {
        if self.scheme == Scheme::Batch {
            let Some(Value::Object(deposit)) = payment.payload.get("deposit") else { return true };
            let authorization = deposit.get("authorization").and_then(Value::as_object);
            let is_permit2 = authorization.is_some_and(|map| map.contains_key("permit2Authorization"));
            return is_permit2 == (self.method == Method::Permit2);
        }
        payment.payload.contains_key("permit2Authorization") == (self.method == Method::Permit2)
    }
}
