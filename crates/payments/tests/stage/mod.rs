//! What the tests of payments share: assets, offers, wallets, and a chain that says what it is told to say.
#![allow(dead_code, reason = "each test file uses another part of the stage")]

use std::{
    fs::File,
    path::Path,
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering},
};

use alloy_primitives::{Address, B256, address, keccak256};
use payments::{
    Reservation, Till,
    books::{Answer, Wanted},
    payer::{Channel, Payer},
    price::{Money, Part, Price, Split, Tariff, Unit},
    scheme::{
        Asset, Authorised, ChannelFacts, Claim, Method, Offer, Recipient, Refused, Scheme, WalletFacts, batch, exact,
        upto,
    },
    signing::SignerKey,
    wire::{Network, PaymentPayload, PaymentRequired, Resource},
};
use protocol::Digest;

pub const NOW_S: u64 = 1_800_000_000;
pub const NOW_MS: u64 = NOW_S * 1_000;
pub const USDC: Address = address!("833589fCD6eDb6E08f4c7C32D4f71b54bdA02913");
pub const OPG: Address = address!("FbC2051AE2265686a469421b2C5A2D5462FbF5eB");
pub const PAY_TO: Address = address!("209693Bc6afc0C5328bA36FaF03C514EF312287C");
pub const FACILITATOR: Address = address!("70997970C51812dc3A010C7d01b50e0d17dc79C8");
pub const PRICE: u128 = 1_000;
pub const URL: &str = "http://127.0.0.1/v1/chat/completions";

/// The four ways to pay that every attack is tried on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Transfer,
    Permit2,
    Upto,
    Batch,
}

pub const WAYS: [Way; 4] = [Way::Transfer, Way::Permit2, Way::Upto, Way::Batch];

pub fn usdc() -> Asset {
    Asset::new(Network::BASE, USDC, "USD Coin", "2", Money { unit: Unit::Usd, decimals: 6 })
}

pub fn opg() -> Asset {
    Asset::new(Network::BASE, OPG, "OpenGradient", "1", Money { unit: Unit::Opg, decimals: 18 })
}

pub fn offer(way: Way) -> Offer {
    let (scheme, method, asset) = match way {
        Way::Transfer => (Scheme::Exact, Method::Transfer, usdc()),
        Way::Permit2 => (Scheme::Exact, Method::Permit2, opg()),
        Way::Upto => (Scheme::Upto, Method::Permit2, opg()),
        Way::Batch => (Scheme::Batch, Method::Transfer, usdc()),
    };
    let recipient = Recipient { pay_to: PAY_TO, facilitator: FACILITATOR, withdraw_delay_s: 900 };
    Offer { scheme, method, asset, recipient, amount: PRICE, max_timeout_s: 300, margin_s: 6, min_deposit: 10 * PRICE }
}

pub fn required(offers: &[Offer]) -> PaymentRequired {
    PaymentRequired {
        error: None,
        resource: Resource { url: URL.to_owned(), description: None, mime_type: None },
        accepts: offers.iter().map(Offer::requirements).collect(),
        extensions: serde_json::Map::new(),
    }
}

pub fn payer(seed: u8) -> Payer {
    Payer::new(SignerKey::from_secret([seed; 32]).unwrap())
}

pub fn nonce(index: u64) -> B256 {
    keccak256(index.to_be_bytes())
}

/// A payment as `payer` signs it for `offer`.
pub fn pay(payer: &Payer, offer: &Offer, index: u64) -> PaymentPayload {
    let required = required(std::slice::from_ref(offer));
    let terms = offer.requirements();
    if offer.scheme == Scheme::Batch {
        let channel = channel(payer, offer);
        let payload = channel.voucher(payer, channel.next_claimable(offer.amount));
        return Channel::payment(&required, &terms, payload);
    }
    payer.pay(&required, &terms, nonce(index), NOW_S).unwrap()
}

pub fn channel(payer: &Payer, offer: &Offer) -> Channel {
    Channel::of(&offer.requirements(), payer, B256::ZERO).unwrap()
}

pub fn read(payment: &PaymentPayload, offer: &Offer) -> Result<Claim, Refused> {
    offer.is_taken_by(payment)?;
    match offer.scheme {
        Scheme::Exact => exact::read(&payment.payload, offer, NOW_S),
        Scheme::Upto => upto::read(&payment.payload, offer, NOW_S),
        Scheme::Batch => Err(Refused::Terms("scheme")),
    }
}

/// A wallet that holds enough, has approved Permit2 and used nothing.
pub fn rich() -> WalletFacts {
    holding(1_000 * PRICE)
}

pub fn holding(balance: u128) -> WalletFacts {
    WalletFacts { balance, allowance: u128::MAX, nonce_is_used: false, has_code: false, asked_at_ms: NOW_MS }
}

pub fn deposited(balance: u128) -> ChannelFacts {
    ChannelFacts { balance, asked_at_ms: NOW_MS, ..ChannelFacts::default() }
}

pub fn authorise(payment: &PaymentPayload, offer: &Offer, facts: &WalletFacts) -> Result<Authorised, Refused> {
    read(payment, offer)?.settle_against(offer, facts)
}

pub fn split() -> Split {
    let holder = |index| payments::price::holder(Address::with_last_byte(index));
    Split::new(vec![
        (Part::Worker, holder(1), 600_000),
        (Part::Publisher, holder(2), 300_000),
        (Part::Auditors, holder(3), 50_000),
        (Part::Protocol, holder(4), 30_000),
        (Part::Burn, holder(0), 20_000),
    ])
    .unwrap()
}

/// Ten units a token that comes out, in the asset's own unit.
pub fn tariff(offer: &Offer) -> Tariff {
    let unit = offer.asset.money.unit;
    let base = 10_u128.pow(18 - u32::from(offer.asset.money.decimals));
    let price = Price { unit, per_call: 0, per_input_token: 0, per_output_token: 10 * base };
    let rate = payments::price::Rate { usd_per_opg: 1_000_000_000_000_000_000, at_ms: 0 };
    Tariff { price, per_mille: 1_000, money: offer.asset.money, rate: Some(rate) }
}

pub fn wanted<'a>(offer: &Offer, split: &'a Split, request: u8) -> Wanted<'a> {
    let max = offer.amount;
    Wanted {
        max,
        request: Digest([request; 32]),
        name: None,
        model: Digest([9; 32]),
        split,
        lineage: Digest::ZERO,
        now_ms: NOW_MS,
    }
}

pub static CLOCK: AtomicU64 = AtomicU64::new(NOW_MS);

pub fn clock() -> u64 {
    CLOCK.load(Ordering::Relaxed)
}

pub fn till(folder: &Path) -> Arc<Till> {
    till_at(folder, clock)
}

/// The same by another clock.
pub fn till_at(folder: &Path, clock: fn() -> u64) -> Arc<Till> {
    for _ in 0..400 {
        match Till::open(&folder.join("payments.log"), clock, File::sync_data) {
            Ok(till) => return till,
            // Its writer closes the file just after the last handle is gone.
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(5)),
        }
    }
    Till::open(&folder.join("payments.log"), clock, File::sync_data).unwrap()
}

/// Takes a payment by any way and lets one call draw on it.
pub fn take(
    till: &Arc<Till>,
    payment: &PaymentPayload,
    offer: &Offer,
    facts: &WalletFacts,
    wanted: &Wanted<'_>,
) -> Result<Reservation, Refused> {
    if offer.scheme == Scheme::Batch {
        offer.is_taken_by(payment)?;
        let voucher = batch::read(&payment.payload, offer, NOW_S)?;
        if till.books().standing(&voucher.purse()).is_none() {
            till.books().note_facts(voucher.purse(), deposited(facts.balance));
        }
        return till.take_voucher(&voucher, offer, wanted, tariff(offer));
    }
    let authorised = authorise(payment, offer, facts)?;
    till.take(&authorised, wanted, tariff(offer))
}

/// One answer that costs so much, under the receipt of this number.
pub fn answer(amount: u128, opg: u128, receipt: u8) -> Vec<Answer> {
    vec![Answer { receipt: Digest([receipt; 32]), amount, opg, worker: None }]
}

/// One answer of so many tokens, at ten units each.
pub fn answers(tokens: u64, receipt: u8) -> Vec<Answer> {
    let amount = u128::from(tokens) * 10;
    answer(amount, amount, receipt)
}
