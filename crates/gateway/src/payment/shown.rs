//! A payment as a request shows it. It is looked at twice: to see whose turn its prompt is counted in, and to take it. Whose key signed it is
//! found out once.
//!
//! What is read of a payment is a function of itself, the offer and the second: what was read is read again where all three are the same.

use std::sync::OnceLock;

use network::axum::http::{HeaderMap, HeaderValue};
use payments::{
    Address,
    scheme::{
        Claim, Offer, Refused, Scheme,
        batch::{self, Voucher},
        exact, upto,
    },
    wire::{PaymentPayload, WireError, header as wire},
};

/// What came with a request to pay for it.
pub struct Brought {
    /// The payment, if one came and it can be read.
    pub shown: Result<Option<Shown>, WireError>,
    /// In whose turn it goes before unpaid calls, where it does.
    pub turn: OnceLock<Address>,
}

/// The payment among the headers.
pub fn read_payment(headers: &HeaderMap) -> Brought {
    Brought { shown: shown_in(headers), turn: OnceLock::new() }
}

/// By either version. More than one is none: nobody knows which of them a proxy in front has seen.
fn shown_in(headers: &HeaderMap) -> Result<Option<Shown>, WireError> {
    match only(headers, &[wire::SIGNATURE, wire::LEGACY_SIGNATURE])? {
        Some(value) => {
            let payment = PaymentPayload::read(&wire::read(value.as_bytes())?)?;
            Ok(Some(Shown::new(payment)))
        }
        None => Ok(None),
    }
}

/// The one value that these headers have together.
pub fn only<'a>(headers: &'a HeaderMap, names: &[&'static str]) -> Result<Option<&'a HeaderValue>, WireError> {
    let mut values = names.iter().flat_map(|name| headers.get_all(*name).iter().map(move |value| (*name, value)));
    let Some((_, value)) = values.next() else { return Ok(None) };
    match values.next() {
        None => Ok(Some(value)),
        Some((name, _)) => Err(WireError::Repeated { name, found: values.count().saturating_add(2) }),
    }
}

pub struct Shown {
    pub payment: PaymentPayload,
    first: OnceLock<Reading>,
}

/// What was read of a payment, by which offer and in which second.
struct Reading {
    offer: Offer,
    now_s: u64,
    signed: Signed,
}

enum Signed {
    Claim(Claim),
    Voucher(Box<Voucher>),
}

impl Shown {
    pub fn new(payment: PaymentPayload) -> Self {
        Self { payment, first: OnceLock::new() }
    }

    /// What it is by `exact` or `upto`, checked against its offer.
    pub fn claim(&self, offer: &Offer, now_s: u64) -> Result<Claim, Refused> {
        if let Some(Signed::Claim(claim)) = self.known(offer, now_s) {
            return Ok(claim.clone());
        }
        let claim = match offer.scheme {
            Scheme::Upto => upto::read(&self.payment.payload, offer, now_s)?,
            Scheme::Exact | Scheme::Batch => exact::read(&self.payment.payload, offer, now_s)?,
        };
        self.note(offer, now_s, Signed::Claim(claim.clone()));
        Ok(claim)
    }

    /// What it is in a channel.
    pub fn voucher(&self, offer: &Offer, now_s: u64) -> Result<Voucher, Refused> {
        if let Some(Signed::Voucher(voucher)) = self.known(offer, now_s) {
            return Ok(Voucher::clone(voucher));
        }
        let voucher = batch::read(&self.payment.payload, offer, now_s)?;
        self.note(offer, now_s, Signed::Voucher(Box::new(voucher.clone())));
        Ok(voucher)
    }

    fn known(&self, offer: &Offer, now_s: u64) -> Option<&Signed> {
        let first = self.first.get().filter(|first| first.now_s == now_s)?;
        // The least deposit follows from a call's price, and nothing that is read of a payment from it.
        let is_same = Offer { min_deposit: first.offer.min_deposit, ..offer.clone() } == first.offer;
        is_same.then_some(&first.signed)
    }

    fn note(&self, offer: &Offer, now_s: u64, signed: Signed) {
        let _first = self.first.get_or_init(|| Reading { offer: offer.clone(), now_s, signed });
    }
}

#[cfg(test)]
mod tests {
    use payments::{
        Address, B256,
        payer::{Channel, Payer},
        price::{Money, Unit},
        scheme::{Asset, Method, Recipient},
        signing::SignerKey,
        wire::{Network, PaymentRequired, Resource},
    };
    use serde_json::Map;

    use super::*;

    const NOW_S: u64 = 1_800_000_000;

    fn offer(scheme: Scheme, method: Method) -> Offer {
        let money = Money { unit: Unit::Usd, decimals: 6 };
        let address = Address::with_last_byte;
        Offer {
            scheme,
            method,
            asset: Asset::new(Network::BASE, address(0xdc), "USD Coin", "2", money),
            recipient: Recipient { pay_to: address(1), facilitator: address(2), withdraw_delay_s: 86_400 },
            amount: 1_000,
            max_timeout_s: 600,
            margin_s: 300,
            min_deposit: 5_000,
        }
    }

    fn shown(offer: &Offer) -> Shown {
        let payer = Payer::new(SignerKey::from_secret([5; 32]).unwrap());
        let terms = offer.requirements();
        let required = PaymentRequired {
            error: None,
            resource: Resource::default(),
            accepts: vec![terms.clone()],
            extensions: Map::new(),
        };
        Shown::new(match offer.scheme {
            Scheme::Exact | Scheme::Upto => payer.pay(&required, &terms, B256::repeat_byte(1), NOW_S).unwrap(),
            Scheme::Batch => {
                let channel = Channel::of(&terms, &payer, B256::ZERO).unwrap();
                Channel::payment(&required, &terms, channel.voucher(&payer, offer.amount))
            }
        })
    }

    /// What it is, in words.
    fn read(shown: &Shown, offer: &Offer, now_s: u64) -> Result<String, Refused> {
        match offer.scheme {
            Scheme::Exact | Scheme::Upto => shown.claim(offer, now_s).map(|claim| format!("{claim:?}")),
            Scheme::Batch => shown.voucher(offer, now_s).map(|voucher| format!("{voucher:?}")),
        }
    }

    #[test]
    fn a_payment_is_read_once_by_one_offer_in_one_second_and_anew_by_any_other() {
        for (scheme, method) in [
            (Scheme::Exact, Method::Transfer),
            (Scheme::Exact, Method::Permit2),
            (Scheme::Upto, Method::Permit2),
            (Scheme::Batch, Method::Transfer),
        ] {
            let offer = offer(scheme, method);
            let mut shown = shown(&offer);
            let first = read(&shown, &offer, NOW_S).unwrap();
            // From now on there is nothing to be read of it.
            shown.payment.payload.clear();
            assert_eq!(read(&shown, &offer, NOW_S), Ok(first.clone()), "{scheme:?}");
            let deposits = Offer { min_deposit: 7, ..offer.clone() };
            assert_eq!(read(&shown, &deposits, NOW_S), Ok(first), "{scheme:?}");
            let recipient = Recipient { pay_to: Address::with_last_byte(3), ..offer.recipient };
            for other in [Offer { amount: 999, ..offer.clone() }, Offer { recipient, ..offer.clone() }] {
                assert!(matches!(read(&shown, &other, NOW_S), Err(Refused::Wire(_))), "{scheme:?}");
            }
            assert!(matches!(read(&shown, &offer, NOW_S + 1), Err(Refused::Wire(_))), "{scheme:?}");
        }
    }
}
