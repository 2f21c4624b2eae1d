//! What the official clients sign and send is read here to the byte, and nothing near it is.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod stage;

use payments::{
    payer::{Asked, Way},
    scheme::{Asset, Method, Offer, Recipient, Refused, Scheme, Signer, batch, exact, upto},
    wire::{PaymentPayload, PaymentRequired, Requirements, header},
};
use proptest::prelude::*;
use serde_json::Value;

/// Just before the vectors' payments expire, and after they begin.
const MADE_S: u64 = 1_795_918_900;

fn vectors() -> Vec<Value> {
    serde_json::from_str(include_str!("../vectors/official.json")).unwrap()
}

fn offers() -> Value {
    serde_json::from_str(include_str!("../vectors/offers.json")).unwrap()
}

/// The offer that a vector was signed for, from what was sent to the client.
fn offer(name: &str) -> (Offer, Requirements) {
    let offers = offers();
    let required = PaymentRequired::read(offers[name].as_object().unwrap()).unwrap();
    assert_eq!(required.to_json(), offers[name], "what is read is what was written");
    let terms = required.accepts.first().unwrap().clone();
    let of_usdc = terms.asset == stage::USDC;
    let text = |name: &str| terms.extra_text(name).map(str::to_owned);
    let facilitator = text("facilitatorAddress").or(text("receiverAuthorizer"));
    let recipient = Recipient {
        pay_to: terms.pay_to,
        facilitator: facilitator.map_or(stage::FACILITATOR, |address| address.parse().unwrap()),
        withdraw_delay_s: 900,
    };
    let asset: Asset = if of_usdc { stage::usdc() } else { stage::opg() };
    let method = if of_usdc { Method::Transfer } else { Method::Permit2 };
    let scheme = Scheme::from_word(&terms.scheme).unwrap();
    let (amount, max_timeout_s) = (terms.amount, terms.max_timeout_s);
    let offer = Offer { scheme, method, asset, recipient, amount, max_timeout_s, margin_s: 6, min_deposit: 10_000 };
    assert_eq!(offer.requirements(), terms, "what we offer is what the client was shown");
    (offer, terms)
}

fn payment(vector: &Value) -> PaymentPayload {
    let header = header::read(vector["header"].as_str().unwrap().as_bytes()).unwrap();
    PaymentPayload::read(&header).unwrap()
}

/// Whose payment it is, if it is a good one.
fn payer(payment: &PaymentPayload, offer: &Offer) -> Result<String, Refused> {
    offer.is_taken_by(payment)?;
    let claim = match offer.scheme {
        Scheme::Exact => exact::read(&payment.payload, offer, MADE_S)?,
        Scheme::Upto => upto::read(&payment.payload, offer, MADE_S)?,
        Scheme::Batch => {
            let voucher = batch::read(&payment.payload, offer, MADE_S)?;
            return Ok(voucher.config.payer.to_checksum(None));
        }
    };
    match claim.signer {
        Signer::Payer => Ok(claim.payer.to_checksum(None)),
        Signer::Unknown { .. } => Err(Refused::Signer),
    }
}

#[test]
fn every_payment_of_the_official_clients_is_its_payers() {
    let vectors = vectors();
    assert!(vectors.len() >= 12);
    for vector in &vectors {
        let (offer, _) = offer(vector["offer"].as_str().unwrap());
        let payment = payment(vector);
        let found = payer(&payment, &offer).unwrap_or_else(|error| panic!("{}: {error}", vector["offer"]));
        assert_eq!(Value::from(found), vector["payer"], "{}", vector["offer"]);
        assert!(Offer::taken(std::slice::from_ref(&offer), &payment).is_ok());
    }
}

#[test]
fn what_is_read_and_written_again_says_the_same() {
    for vector in vectors() {
        let payment = payment(&vector);
        let written = payment.to_json().unwrap();
        assert_eq!(PaymentPayload::read(written.as_object().unwrap()).unwrap(), payment);
    }
}

#[test]
fn every_changed_character_of_what_is_signed_is_noticed() {
    for vector in vectors() {
        let (offer, _) = offer(vector["offer"].as_str().unwrap());
        let sent = payment(&vector);
        let payload = Value::Object(sent.payload.clone());
        for path in leaves(&payload, "") {
            let mut changed = payload.clone();
            let Some(leaf) = changed.pointer_mut(&path) else { panic!("{path}") };
            *leaf = another(leaf);
            let changed = PaymentPayload { payload: changed.as_object().unwrap().clone(), ..sent.clone() };
            let found = payer(&changed, &offer).map(Value::from);
            assert_ne!(found.ok(), Some(vector["payer"].clone()), "{} {path}", vector["offer"]);
        }
    }
}

/// Pointers to all texts and numbers.
fn leaves(value: &Value, path: &str) -> Vec<String> {
    match value {
        Value::Object(map) => map.iter().flat_map(|(key, inner)| leaves(inner, &format!("{path}/{key}"))).collect(),
        _ => vec![path.to_owned()],
    }
}

/// The same with another last digit.
fn another(leaf: &Value) -> Value {
    match leaf {
        Value::String(text) => {
            let last = text.chars().last().unwrap();
            let other = if last == '1' { '2' } else { '1' };
            format!("{}{other}", &text[..text.len() - 1]).into()
        }
        Value::Number(number) => (number.as_u64().unwrap() + 1).into(),
        other => panic!("{other}"),
    }
}

/// What was asked of clients of version 1, and what they sent for it.
fn legacy() -> Value {
    serde_json::from_str(include_str!("../vectors/legacy.json")).unwrap()
}

#[test]
fn a_payment_of_version_one_is_read_as_its_official_clients_make_it() {
    let (offer, legacy) = (offer("exact-eip3009").0, legacy());
    let payments = legacy["payments"].as_array().unwrap();
    assert_eq!(payments.len(), 2);
    for vector in payments {
        let client = &vector["client"];
        assert_eq!(vector["name"].as_str().unwrap().to_lowercase(), header::LEGACY_SIGNATURE, "{client}");
        let read = payment(vector);
        assert!(read.accepted.is_legacy() && read.to_json().is_none(), "{client}");
        let whole = Value::Object(header::read(vector["header"].as_str().unwrap().as_bytes()).unwrap());
        assert_eq!(read.to_legacy_json(), Some(whole), "{client}");
        assert!(Offer::taken(std::slice::from_ref(&offer), &read).is_ok(), "{client}");
        let claim = exact::read(&read.payload, &offer, vector["made"].as_u64().unwrap()).unwrap();
        assert_eq!(claim.signer, Signer::Payer, "{client}");
        assert_eq!(Value::from(claim.payer.to_checksum(None)), vector["payer"], "{client}");
    }
    let asked = PaymentRequired::read(offers()["exact-eip3009"].as_object().unwrap()).unwrap();
    assert_eq!(asked.to_legacy_json(), legacy["asked"]);
}

#[test]
fn version_one_is_offered_only_what_it_knows() {
    for (name, document) in offers().as_object().unwrap() {
        let required = PaymentRequired::read(document.as_object().unwrap()).unwrap();
        let ways = required.to_legacy_json()["accepts"].as_array().unwrap().len();
        assert_eq!(ways, usize::from(name == "exact-eip3009"), "{name}");
    }
}

proptest! {
    /// Bytes of a header changed, cut or doubled: read as something or refused, and never a panic.
    #[test]
    fn a_damaged_header_is_never_a_panic(index in 0_usize..12, at in 0_usize..1_000, byte: u8, cut: bool) {
        let vectors = vectors();
        let vector = &vectors[index % vectors.len()];
        let (offer, _) = offer(vector["offer"].as_str().unwrap());
        let mut bytes = vector["header"].as_str().unwrap().as_bytes().to_vec();
        let at = at % bytes.len();
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        if let Ok(map) = header::read(&bytes) && let Ok(payment) = PaymentPayload::read(&map) {
            let _ = payer(&payment, &offer);
        }
    }

    /// The same below the base64, where most changes still parse.
    #[test]
    fn a_damaged_document_is_never_a_panic(index in 0_usize..12, at in 0_usize..1_500, byte in 0x20_u8..0x7f) {
        use base64::Engine as _;
        let engine = base64::engine::general_purpose::STANDARD;
        let vectors = vectors();
        let vector = &vectors[index % vectors.len()];
        let (offer, _) = offer(vector["offer"].as_str().unwrap());
        let mut bytes = engine.decode(vector["header"].as_str().unwrap()).unwrap();
        let at = at % bytes.len();
        bytes[at] = byte;
        let header = engine.encode(bytes);
        if let Ok(map) = header::read(header.as_bytes()) && let Ok(payment) = PaymentPayload::read(&map) {
            let _ = payer(&payment, &offer);
        }
    }

    /// What a server asks for, by either version, damaged: read as something or refused, and what is read has its way or none.
    #[test]
    fn a_damaged_offer_is_never_a_panic(index in 0_usize..9, at in 0_usize..1_500, byte in 0x20_u8..0x7f, is_legacy: bool) {
        let offers = offers();
        let documents: Vec<&Value> = offers.as_object().unwrap().values().collect();
        let required = PaymentRequired::read(documents[index % documents.len()].as_object().unwrap()).unwrap();
        let document = if is_legacy { required.to_legacy_json() } else { required.to_json() };
        let mut bytes = document.to_string().into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(asked) = Asked::read(&[], &bytes, "https://own/") {
            for terms in &asked.required.accepts {
                let _ = Way::of(terms, asked.is_legacy, &[]);
            }
        }
    }
}
