//! The negative suite in process: what a hostile payer may send, by each way to pay. `docs/payments-negative.md` is its table.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod stage;

use alloy_primitives::{Address, B256, U256};
use payments::{
    chain::{Call, Fees, LentApproval},
    payer::{Channel, Payer},
    scheme::{Offer, Refused, Scheme, WalletFacts, batch},
    signing::{
        SignerKey, channel, permit2,
        transfer::{By, signed},
    },
    wire::{
        Accepted, Network, PaymentPayload, PermitAuthorization, TransferAuthorization, header,
        json::{Object, parse},
    },
};
use serde_json::{Value, json};
use stage::{
    NOW_S, PRICE, WAYS, Way, authorise, deposited, holding, offer, pay, payer, read, rich, split, take, till, wanted,
};

const STRANGER: Address = Address::with_last_byte(0x77);

/// What taking a payment comes to: the word that clients see, or `taken`.
fn outcome(payment: &PaymentPayload, offer: &Offer, facts: &WalletFacts) -> &'static str {
    let folder = tempfile::tempdir().unwrap();
    let split = split();
    match take(&till(folder.path()), payment, offer, facts, &wanted(offer, &split, 1)) {
        Ok(_) => "taken",
        Err(refused) => refused.reason(),
    }
}

#[track_caller]
fn is_refused(way: Way, change: impl Fn(&mut PaymentPayload), expected: &[&str]) {
    let offer = offer(way);
    let mut payment = pay(&payer(1), &offer, 1);
    assert_eq!(outcome(&payment, &offer, &rich()), "taken", "{way:?} unchanged");
    change(&mut payment);
    let found = outcome(&payment, &offer, &rich());
    assert!(expected.contains(&found), "{way:?}: {found}");
}

fn terms(payment: &mut PaymentPayload) -> &mut payments::wire::Requirements {
    match &mut payment.accepted {
        Accepted::Terms(terms) => terms,
        Accepted::Named { .. } => panic!("version 2"),
    }
}

fn set(payment: &mut PaymentPayload, path: &[&str], value: impl Into<Value>) {
    let mut place = payment.payload.get_mut(path[0]).unwrap();
    for name in &path[1..] {
        place = place.get_mut(*name).unwrap();
    }
    *place = value.into();
}

/// Where a payload says something, by way.
fn field(
    way: Way,
    transfer: &'static [&str],
    permit: &'static [&str],
    batch: &'static [&str],
) -> &'static [&'static str] {
    match way {
        Way::Transfer => transfer,
        Way::Permit2 | Way::Upto => permit,
        Way::Batch => batch,
    }
}

/// A transfer or a permit that says something else and is signed all the same.
fn signed_otherwise(way: Way, change: impl Fn(&mut TransferAuthorization, &mut PermitAuthorization)) -> PaymentPayload {
    let (offer, payer) = (offer(way), payer(1));
    let mut payment = pay(&payer, &offer, 1);
    let payload = payment.payload.clone();
    let object = Object::new("", &payload);
    if way == Way::Transfer {
        let mut transfer = TransferAuthorization::read(object.object("authorization").unwrap()).unwrap();
        change(&mut transfer, &mut permit_of_nothing());
        let signature = payer.key().sign(&signed(&transfer, By::Anyone, offer.asset.domain()));
        set(&mut payment, &["authorization"], transfer.to_json());
        set(&mut payment, &["signature"], alloy_primitives::hex::encode_prefixed(signature));
    } else {
        let mut permit = PermitAuthorization::read(object.object("permit2Authorization").unwrap()).unwrap();
        change(&mut transfer_of_nothing(), &mut permit);
        let signature = payer.key().sign(&permit2::signed(&permit, offer.asset.permit2()));
        set(&mut payment, &["permit2Authorization"], permit.to_json());
        set(&mut payment, &["signature"], alloy_primitives::hex::encode_prefixed(signature));
    }
    payment
}

fn transfer_of_nothing() -> TransferAuthorization {
    let (valid_after, valid_before, nonce) = (U256::ZERO, U256::ZERO, B256::ZERO);
    TransferAuthorization { from: Address::ZERO, to: Address::ZERO, value: 0, valid_after, valid_before, nonce }
}

fn permit_of_nothing() -> PermitAuthorization {
    PermitAuthorization {
        from: Address::ZERO,
        token: Address::ZERO,
        amount: 0,
        spender: Address::ZERO,
        nonce: U256::ZERO,
        deadline: U256::ZERO,
        to: Address::ZERO,
        facilitator: None,
        valid_after: U256::ZERO,
    }
}

#[track_caller]
fn signed_is_refused(
    way: Way,
    change: impl Fn(&mut TransferAuthorization, &mut PermitAuthorization),
    expected: &'static str,
) {
    let offer = offer(way);
    assert_eq!(outcome(&signed_otherwise(way, |_, _| {}), &offer, &rich()), "taken", "{way:?} unchanged");
    assert_eq!(outcome(&signed_otherwise(way, change), &offer, &rich()), expected, "{way:?}");
}

#[test]
fn a_signature_of_another_key_is_refused() {
    for way in WAYS {
        let offer = offer(way);
        let (mut payment, other) = (pay(&payer(1), &offer, 1), pay(&payer(2), &offer, 1));
        let path: &[&str] = if way == Way::Batch { &["voucher", "signature"] } else { &["signature"] };
        let signature = other.payload[path[0]].get(path.get(1).copied().unwrap_or_default()).cloned();
        set(&mut payment, path, signature.unwrap_or_else(|| other.payload["signature"].clone()));
        let found = outcome(&payment, &offer, &rich());
        let expected = ["invalid_exact_evm_payload_signature", "invalid_batch_settlement_evm_voucher_signature"];
        assert!(expected.contains(&found), "{way:?}: {found}");
    }
}

#[test]
fn a_damaged_signature_is_refused() {
    let expected =
        ["invalid_exact_evm_payload_signature", "invalid_batch_settlement_evm_voucher_signature", "invalid_payload"];
    for way in WAYS {
        let path = field(way, &["signature"], &["signature"], &["voucher", "signature"]);
        for text in ["", "0x", "0x00", &format!("0x{}", "00".repeat(65)), &format!("0x{}", "ff".repeat(65)), "0xzz"] {
            is_refused(way, |payment| set(payment, path, text), &expected);
        }
    }
}

/// A wallet that is not there yet, to be made by what comes with its signature (ERC-6492): its consent may be whatever that code says.
#[test]
fn a_signature_that_brings_its_wallet_along_is_refused() {
    let expected = ["invalid_exact_evm_payload_signature", "invalid_payload"];
    for way in WAYS {
        let path = field(way, &["signature"], &["signature"], &["voucher", "signature"]);
        let change = |payment: &mut PaymentPayload| {
            let signed = Value::Object(payment.payload.clone());
            let plain = signed.pointer(&format!("/{}", path.join("/"))).unwrap().as_str().unwrap();
            let plain = plain.trim_start_matches("0x");
            // Factory, call and signature as ABI words, then the magic.
            let words = format!("{:0>64}{:0>64x}{:0>64x}{:0>64}{:0>64x}{plain:0<192}", "77".repeat(20), 96, 128, 0, 65);
            set(payment, path, format!("0x{words}{}", "6492".repeat(16)));
        };
        is_refused(way, change, &expected);
    }
}

/// The same signature with `s` in the upper half of the group's order: as good to the curve, and another text.
fn second_form(signature: &str) -> String {
    const ORDER: &str = "0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    let mut bytes = alloy_primitives::hex::decode(signature).unwrap();
    let s = ORDER.parse::<U256>().unwrap() - U256::from_be_slice(&bytes[32..64]);
    bytes[32..64].copy_from_slice(&s.to_be_bytes::<32>());
    bytes[64] ^= 27 ^ 28;
    alloy_primitives::hex::encode_prefixed(bytes)
}

#[test]
fn a_payment_with_the_second_form_of_its_signature_is_refused() {
    for way in WAYS {
        let path = field(way, &["signature"], &["signature"], &["voucher", "signature"]);
        let change = |payment: &mut PaymentPayload| {
            let signed = Value::Object(payment.payload.clone());
            let first = signed.pointer(&format!("/{}", path.join("/"))).unwrap().as_str().unwrap();
            set(payment, path, second_form(first));
        };
        is_refused(way, change, &["invalid_exact_evm_payload_signature"]);
    }
}

#[test]
fn another_recipient_than_ours_is_refused() {
    for way in [Way::Transfer, Way::Permit2, Way::Upto] {
        let recipient = "invalid_exact_evm_payload_recipient_mismatch";
        signed_is_refused(way, |transfer, permit| (transfer.to, permit.to) = (STRANGER, STRANGER), recipient);
    }
}

#[test]
fn a_channel_with_another_receiver_gateway_token_or_delay_is_refused() {
    let payer = payer(1);
    type Change = fn(&mut channel::ChannelConfig);
    let cases: [(&str, Change); 4] = [
        ("invalid_batch_settlement_evm_receiver_mismatch", |config| config.receiver = STRANGER),
        ("invalid_batch_settlement_evm_receiver_authorizer_mismatch", |config| config.receiver_authorizer = STRANGER),
        ("invalid_batch_settlement_evm_token_mismatch", |config| config.token = STRANGER),
        ("invalid_batch_settlement_evm_withdraw_delay_mismatch", |config| config.withdraw_delay_s = 901),
    ];
    let offer = offer(Way::Batch);
    for (expected, change) in cases {
        let mut channel = stage::channel(&payer, &offer);
        change(&mut channel.config);
        channel.id = channel::channel_id(&channel.config, offer.asset.channels());
        let payload = channel.voucher(&payer, PRICE);
        let payment = Channel::payment(&stage::required(&[]), &offer.requirements(), payload);
        assert_eq!(outcome(&payment, &offer, &rich()), expected);
    }
}

#[test]
fn a_payment_that_says_to_have_taken_up_another_offer_is_refused() {
    let changes: [fn(&mut payments::wire::Requirements); 6] = [
        |terms| terms.amount -= 1,
        |terms| terms.amount += 1,
        |terms| terms.asset = STRANGER,
        |terms| terms.pay_to = STRANGER,
        |terms| terms.network = Network::BASE_SEPOLIA,
        |terms| terms.max_timeout_s += 1,
    ];
    for way in WAYS {
        for change in changes {
            is_refused(way, |payment| change(terms(payment)), &["invalid_payment_requirements"]);
        }
        is_refused(way, |payment| terms(payment).scheme = "free".to_owned(), &["invalid_payment_requirements"]);
    }
}

#[test]
fn another_amount_than_the_offers_is_refused_though_it_is_signed() {
    for way in [Way::Transfer, Way::Permit2, Way::Upto] {
        for amount in [0, 1, PRICE - 1, PRICE + 1, u128::MAX] {
            let reason = "invalid_exact_evm_payload_authorization_value_mismatch";
            signed_is_refused(way, |transfer, permit| (transfer.value, permit.amount) = (amount, amount), reason);
        }
    }
    let offer = offer(Way::Batch);
    let channel = stage::channel(&payer(1), &offer);
    for (cover, expected) in [
        (0, "invalid_batch_settlement_evm_cumulative_amount_mismatch"),
        (PRICE - 1, "invalid_batch_settlement_evm_cumulative_amount_mismatch"),
        (1_001 * PRICE, "invalid_batch_settlement_evm_cumulative_exceeds_balance"),
        (u128::MAX, "invalid_batch_settlement_evm_cumulative_exceeds_balance"),
    ] {
        let payload = channel.voucher(&payer(1), cover);
        let payment = Channel::payment(&stage::required(&[]), &offer.requirements(), payload);
        assert_eq!(outcome(&payment, &offer, &rich()), expected);
    }
}

#[test]
fn a_payment_outside_of_its_time_is_refused() {
    for way in [Way::Transfer, Way::Permit2, Way::Upto] {
        let late = |transfer: &mut TransferAuthorization, permit: &mut PermitAuthorization| {
            (transfer.valid_before, permit.deadline) = (U256::from(NOW_S + 6), U256::from(NOW_S + 6));
        };
        signed_is_refused(way, late, "invalid_exact_evm_payload_authorization_valid_before");
        let early = |transfer: &mut TransferAuthorization, permit: &mut PermitAuthorization| {
            (transfer.valid_after, permit.valid_after) = (U256::from(NOW_S), U256::from(NOW_S));
        };
        signed_is_refused(way, early, "invalid_exact_evm_payload_authorization_valid_after");
        let never = |transfer: &mut TransferAuthorization, permit: &mut PermitAuthorization| {
            (transfer.valid_after, permit.valid_after) = (U256::MAX, U256::MAX);
        };
        signed_is_refused(way, never, "invalid_exact_evm_payload_authorization_valid_after");
    }
}

#[test]
fn a_payment_that_is_good_for_longer_than_was_asked_for_is_refused() {
    // A payer's clock may be ten minutes ahead.
    let most = |way| NOW_S + offer(way).max_timeout_s + 600;
    let until = |way, end: U256| {
        signed_otherwise(way, |transfer, permit| (transfer.valid_before, permit.deadline) = (end, end))
    };
    for way in [Way::Transfer, Way::Permit2, Way::Upto] {
        let offer = offer(way);
        assert_eq!(outcome(&until(way, U256::from(most(way))), &offer, &rich()), "taken", "{way:?}");
        for end in [U256::from(most(way) + 1), U256::from(u64::MAX), U256::MAX] {
            let expected = "invalid_exact_evm_payload_authorization_valid_before";
            assert_eq!(outcome(&until(way, end), &offer, &rich()), expected, "{way:?}");
            let refused = read(&until(way, end), &offer);
            assert!(matches!(refused, Err(Refused::TooLong { .. })), "{way:?}: {refused:?}");
        }
    }
    for offer in [offer(Way::Batch), Offer { scheme: Scheme::Batch, ..offer(Way::Permit2) }] {
        let (payer, mut terms) = (payer(1), offer.requirements());
        let channel = stage::channel(&payer, &offer);
        for (more_s, is_taken) in [(600, true), (601, false)] {
            terms.max_timeout_s = offer.max_timeout_s + more_s;
            let deposit = channel.deposit(&payer, &terms, PRICE, B256::repeat_byte(3), NOW_S).unwrap();
            let found = batch::read(&deposit, &offer, NOW_S).map(|_| ());
            assert_eq!(found.is_ok(), is_taken, "{found:?}");
            assert!(is_taken || matches!(found, Err(Refused::TooLong { .. })), "{found:?}");
        }
    }
}

#[test]
fn a_permit_for_another_token_spender_or_facilitator_is_refused() {
    for way in [Way::Permit2, Way::Upto] {
        signed_is_refused(way, |_, permit| permit.token = STRANGER, "invalid_exact_evm_payload_token_mismatch");
        signed_is_refused(way, |_, permit| permit.spender = STRANGER, "invalid_permit2_spender");
        let other = if way == Way::Upto { permit2::EXACT_PROXY } else { permit2::UPTO_PROXY };
        signed_is_refused(way, |_, permit| permit.spender = other, "invalid_permit2_spender");
        let facilitator = "invalid_upto_evm_facilitator_mismatch";
        signed_is_refused(way, |_, permit| permit.facilitator = Some(STRANGER), facilitator);
    }
    signed_is_refused(Way::Upto, |_, permit| permit.facilitator = None, "invalid_upto_evm_facilitator_mismatch");
}

/// A payment that was signed for another chain, and says that it takes up our offer.
fn signed_elsewhere(way: Way) -> PaymentPayload {
    let (offer, payer) = (offer(way), payer(1));
    let mut elsewhere = offer.requirements();
    elsewhere.network = Network::BASE_SEPOLIA;
    let required = stage::required(std::slice::from_ref(&offer));
    let mut payment = if way == Way::Batch {
        let channel = Channel::of(&elsewhere, &payer, B256::ZERO).unwrap();
        Channel::payment(&required, &elsewhere, channel.voucher(&payer, PRICE))
    } else {
        payer.pay(&required, &elsewhere, stage::nonce(1), NOW_S).unwrap()
    };
    payment.accepted = Accepted::Terms(offer.requirements());
    payment
}

#[test]
fn a_payment_signed_for_another_chain_is_refused() {
    for way in [Way::Transfer, Way::Permit2, Way::Upto] {
        let found = outcome(&signed_elsewhere(way), &offer(way), &rich());
        assert_eq!(found, "invalid_exact_evm_payload_signature", "{way:?}");
    }
    let (offer, mut elsewhere) = (offer(Way::Batch), signed_elsewhere(Way::Batch));
    let found = outcome(&elsewhere, &offer, &rich());
    assert_eq!(found, "invalid_batch_settlement_evm_channel_id_mismatch", "a channel has another id on each chain");
    let own = pay(&payer(1), &offer, 1);
    set(&mut elsewhere, &["voucher", "channelId"], own.payload["voucher"]["channelId"].clone());
    let found = outcome(&elsewhere, &offer, &rich());
    assert_eq!(found, "invalid_batch_settlement_evm_voucher_signature", "and its vouchers another domain");
}

#[test]
fn a_payment_signed_for_another_chain_or_token_contract_is_refused() {
    let (offer, payer) = (offer(Way::Transfer), payer(1));
    let required = stage::required(std::slice::from_ref(&offer));
    let mut renamed = offer.requirements();
    renamed.extra.insert("name".to_owned(), "Another Coin".into());
    let payment = payer.pay(&required, &renamed, stage::nonce(1), NOW_S).unwrap();
    assert_eq!(outcome(&payment, &offer, &rich()), "invalid_exact_evm_payload_signature", "our domain, not the echo's");
}

#[test]
fn a_payer_without_funds_or_allowance_is_refused() {
    for way in [Way::Transfer, Way::Permit2, Way::Upto] {
        let offer = offer(way);
        let payment = pay(&payer(1), &offer, 1);
        assert_eq!(outcome(&payment, &offer, &holding(PRICE - 1)), "insufficient_funds", "{way:?}");
        let mut shy = rich();
        shy.allowance = PRICE - 1;
        let expected = if way == Way::Transfer { "taken" } else { "PERMIT2_ALLOWANCE_REQUIRED" };
        assert_eq!(outcome(&payment, &offer, &shy), expected, "{way:?}");
    }
    let offer = offer(Way::Batch);
    let expected = "invalid_batch_settlement_evm_cumulative_exceeds_balance";
    assert_eq!(outcome(&pay(&payer(1), &offer, 1), &offer, &holding(PRICE - 1)), expected);
}

#[test]
fn a_nonce_that_its_chain_has_used_is_refused() {
    for way in [Way::Transfer, Way::Permit2, Way::Upto] {
        let offer = offer(way);
        let mut used = rich();
        used.nonce_is_used = true;
        assert_eq!(outcome(&pay(&payer(1), &offer, 1), &offer, &used), "invalid_transaction_state", "{way:?}");
    }
}

#[test]
fn a_payer_with_code_is_refused_whatever_its_key_signed() {
    for way in [Way::Transfer, Way::Permit2, Way::Upto] {
        let offer = offer(way);
        let mut contract = rich();
        contract.has_code = true;
        assert_eq!(outcome(&pay(&payer(1), &offer, 1), &offer, &contract), "unsupported_contract_wallet", "{way:?}");
    }
    let (offer, payer) = (offer(Way::Batch), payer(1));
    let mut channel = stage::channel(&payer, &offer);
    channel.config.payer_authorizer = Address::ZERO;
    channel.id = channel::channel_id(&channel.config, offer.asset.channels());
    let payment = Channel::payment(&stage::required(&[]), &offer.requirements(), channel.voucher(&payer, PRICE));
    assert_eq!(outcome(&payment, &offer, &rich()), "unsupported_contract_wallet");
    // A contract whose authorizer is a key may pay by what is in escrow; what is to leave its wallet is looked at as any wallet's is.
    let deposit = stage::channel(&payer, &offer).deposit(&payer, &offer.requirements(), PRICE, B256::ZERO, NOW_S);
    let voucher = batch::read(&deposit.unwrap(), &offer, NOW_S).unwrap();
    let claim = voucher.wallet_claim().unwrap();
    let mut contract = rich();
    assert!(claim.clone().settle_against(&offer, &contract).is_ok());
    contract.has_code = true;
    assert_eq!(claim.settle_against(&offer, &contract).err(), Some(Refused::ContractWallet));
}

/// A payment by Permit2 of a payer that never approved anything, and what its approval says.
fn sponsored(way: Way, change: impl Fn(&mut Value)) -> Result<payments::scheme::Claim, Refused> {
    let (offer, payer) = (offer(way), payer(1));
    let token = (offer.asset.address, offer.asset.domain());
    let mut approval = payer.approve(token, PRICE, U256::from(3), NOW_S + 60);
    change(&mut approval);
    let payment = pay(&payer, &offer, 1);
    let extensions = json!({ payments::scheme::SPONSORED: approval });
    read(&payment, &offer)?.sponsored(extensions.as_object().unwrap(), &offer, NOW_S)
}

#[test]
fn a_payer_that_never_approved_pays_by_an_approval_of_just_that_payment_and_by_no_other() {
    let mut shy = rich();
    shy.allowance = 0;
    for way in [Way::Permit2, Way::Upto] {
        let offer = offer(way);
        let taken = |claim: payments::scheme::Claim| claim.settle_against(&offer, &shy).map(|_| ());
        assert!(matches!(taken(read(&pay(&payer(1), &offer, 1), &offer).unwrap()), Err(Refused::Allowance { .. })));
        let claim = sponsored(way, |_| {}).unwrap();
        assert_eq!((taken(claim.clone()), claim.expires_at_s), (Ok(()), NOW_S + 60));
        // It is handed to the chain with the payment.
        let call = payments::chain::pay(claim.scheme, claim.method, offer.asset.address, &claim.proof, PRICE).unwrap();
        let plain = read(&pay(&payer(1), &offer, 1), &offer).unwrap();
        let plain = payments::chain::pay(plain.scheme, plain.method, offer.asset.address, &plain.proof, PRICE).unwrap();
        assert_eq!((call.to, call.data.len() - plain.data.len()), (plain.to, 5 * 32), "settleWithPermit");
        // What a server declared, repeated, is no approval.
        let repeated = sponsored(way, |approval| *approval = payments::scheme::declared_sponsoring()).unwrap();
        assert!(matches!(taken(repeated), Err(Refused::Allowance { .. })));
        type Change = fn(&mut Value);
        let cases: [(&str, Change); 9] = [
            ("invalid_exact_evm_payload_signature", |info| info["from"] = json!(STRANGER)),
            ("invalid_exact_evm_payload_token_mismatch", |info| info["asset"] = json!(STRANGER)),
            ("invalid_permit2_spender", |info| info["spender"] = json!(STRANGER)),
            ("invalid_exact_evm_payload_authorization_value_mismatch", |info| info["amount"] = json!("999")),
            ("invalid_exact_evm_payload_signature", |info| info["nonce"] = json!("4")),
            ("invalid_exact_evm_payload_signature", |info| info["deadline"] = json!((NOW_S + 61).to_string())),
            ("invalid_exact_evm_payload_authorization_valid_before", |info| info["deadline"] = json!("7")),
            ("invalid_payload", |info| info["amount"] = json!(1_000)),
            ("invalid_payload", |info| drop(info.as_object_mut().unwrap().remove("nonce"))),
        ];
        for (reason, change) in cases {
            let refused = sponsored(way, |approval| change(&mut approval["info"])).unwrap_err();
            assert_eq!(refused.reason(), reason, "{way:?}");
        }
    }
    // One approval, many payments: together they promise no more than it lets be moved.
    let (folder, split, offer) = (tempfile::tempdir().unwrap(), split(), offer(Way::Upto));
    let till = till(folder.path());
    let authorised = |claim: payments::scheme::Claim| claim.settle_against(&offer, &shy).unwrap();
    let first = authorised(sponsored(Way::Upto, |_| {}).unwrap());
    till.take(&first, &wanted(&offer, &split, 1), stage::tariff(&offer)).unwrap().release();
    let mut other = sponsored(Way::Upto, |_| {}).unwrap();
    other.nonce = B256::repeat_byte(9);
    let refused = till.take(&authorised(other), &wanted(&offer, &split, 2), stage::tariff(&offer)).err();
    assert_eq!(refused, Some(Refused::Funds { held: PRICE, needed: 2 * PRICE }));
}

/// A deposit by Permit2 of a payer that never approved anything, and what its approval says.
fn sponsored_deposit(change: impl Fn(&mut Value)) -> Result<batch::Voucher, Refused> {
    let offer = Offer { scheme: Scheme::Batch, ..offer(Way::Permit2) };
    let (payer, terms) = (payer(1), offer.requirements());
    let mut approval = payer.approve((offer.asset.address, offer.asset.domain()), 5 * PRICE, U256::from(3), NOW_S + 60);
    change(&mut approval);
    let payload = stage::channel(&payer, &offer).deposit(&payer, &terms, 5 * PRICE, B256::ZERO, NOW_S).unwrap();
    let extensions = json!({ payments::scheme::SPONSORED: approval });
    batch::read(&payload, &offer, NOW_S)?.sponsored(extensions.as_object().unwrap(), &offer, NOW_S)
}

#[test]
fn a_deposit_brings_an_approval_of_just_itself_and_no_other() {
    let offer = Offer { scheme: Scheme::Batch, ..offer(Way::Permit2) };
    let mut shy = rich();
    shy.allowance = 0;
    let call = |voucher: &batch::Voucher| match &voucher.kind {
        batch::VoucherKind::Deposit(deposit) => payments::chain::deposit(&voucher.config, deposit).unwrap(),
        other => panic!("{other:?}"),
    };
    let taken = |voucher: &batch::Voucher| voucher.wallet_claim().unwrap().settle_against(&offer, &shy).map(|_| ());
    let approved = sponsored_deposit(|_| {}).unwrap();
    assert_eq!(taken(&approved), Ok(()));
    let plain = sponsored_deposit(|approval| *approval = payments::scheme::declared_sponsoring()).unwrap();
    assert!(matches!(taken(&plain), Err(Refused::Allowance { .. })), "what a server declared is no approval");
    assert_eq!(call(&approved).data.len() - call(&plain).data.len(), 5 * 32, "its collector hands it on");
    for (field, value, reason) in [
        ("amount", json!("4999"), "invalid_exact_evm_payload_authorization_value_mismatch"),
        ("from", json!(STRANGER), "invalid_exact_evm_payload_signature"),
        ("asset", json!(STRANGER), "invalid_exact_evm_payload_token_mismatch"),
        ("spender", json!(STRANGER), "invalid_permit2_spender"),
        ("nonce", json!("4"), "invalid_exact_evm_payload_signature"),
        ("deadline", json!("7"), "invalid_exact_evm_payload_authorization_valid_before"),
    ] {
        let refused = sponsored_deposit(|approval| approval["info"][field] = value.clone()).unwrap_err();
        assert_eq!(refused.reason(), reason, "{field}");
    }
}

/// A transaction by which a payer lets Permit2 move its tokens, as official clients send it.
fn own_approval(key: &SignerKey, change: impl Fn(&mut Call, &mut Fees, &mut u128, &mut u64)) -> Value {
    let asset = offer(Way::Permit2).asset.address;
    let data =
        ["095ea7b3".to_owned(), format!("{:0>64}", payments::hex::encode(permit2::PERMIT2)), "f".repeat(64)].concat();
    let mut call = Call { to: asset, data: payments::hex::decode(data).unwrap().into() };
    let mut fees = Fees { gas: 70_000, max_fee_per_gas: 9, max_priority_fee_per_gas: 1 };
    let (mut value, mut chain_id) = (0, Network::BASE.chain_id());
    change(&mut call, &mut fees, &mut value, &mut chain_id);
    let signed = payments::chain::sign_paying(&call, value, chain_id, 3, fees, key);
    json!({ "info": {
        "from": key.address(), "asset": asset, "spender": permit2::PERMIT2, "amount": U256::MAX.to_string(),
        "signedTransaction": payments::hex::encode_prefixed(&signed.raw), "version": "1",
    }})
}

#[test]
fn a_payers_own_approval_is_one_of_permit2_and_nothing_else() {
    let (offer, payer) = (offer(Way::Permit2), payer(1));
    let read = |approval: &Value| {
        let extensions = json!({ payments::chain::LENT: approval });
        let brought = LentApproval::brought(extensions.as_object().unwrap(), payer.key().address(), PRICE, &offer);
        let costs = |approval: &LentApproval| {
            let fee = payments::Bytes::from(U256::from(7).to_be_bytes_vec());
            (approval.cost(&payments::Bytes::new()), approval.cost(&fee))
        };
        brought.map(|approval| approval.map(|approval| (approval.transaction.nonce, costs(&approval))))
    };
    let good = own_approval(payer.key(), |_, _, _, _| {});
    assert_eq!(read(&good), Ok(Some((3, (630_000, 630_009)))));
    assert_eq!(read(&payments::chain::declared_lending()), Ok(None), "what a server declared is no approval");
    let replaced = |from: usize, to: &str| {
        let (from, to) = (from, payments::hex::decode(to).unwrap());
        move |call: &mut Call| {
            let mut data = call.data.to_vec();
            data[from..from + to.len()].copy_from_slice(&to);
            call.data = data.into();
        }
    };
    let calls = |change: &dyn Fn(&mut Call)| own_approval(payer.key(), |call, _, _, _| change(call));
    let mut other_payer = good.clone();
    other_payer["info"]["from"] = json!(STRANGER);
    let mut damaged = good.clone();
    damaged["info"]["signedTransaction"] = json!("0x02c0");
    let cases = [
        ("another key signed", own_approval(stage::payer(2).key(), |_, _, _, _| {})),
        ("another payer", other_payer),
        ("damaged", damaged),
        ("another contract", calls(&|call| call.to = STRANGER)),
        ("another call", calls(&replaced(0, "a9059cbb"))),
        ("another spender", calls(&replaced(35, "77"))),
        ("too little", calls(&replaced(36, &"00".repeat(32)))),
        ("longer", calls(&|call| call.data = [&call.data[..], &[0]].concat().into())),
        ("coins", own_approval(payer.key(), |_, _, value, _| *value = 1)),
        ("another chain", own_approval(payer.key(), |_, _, _, chain_id| *chain_id = 1)),
        ("much gas", own_approval(payer.key(), |_, fees, _, _| fees.gas = 100_001)),
        ("a tip above its price", own_approval(payer.key(), |_, fees, _, _| fees.max_priority_fee_per_gas = 10)),
    ];
    for (case, approval) in cases {
        let refused = read(&approval).expect_err(case);
        assert!(matches!(refused, Refused::Approval(_)), "{case}: {refused}");
    }
}

#[test]
fn a_payload_of_another_way_is_refused() {
    for way in WAYS {
        for other in WAYS.iter().filter(|other| **other != way) {
            let offer = offer(way);
            let mut payment = pay(&payer(1), &offer, 1);
            payment.payload = pay(&payer(1), &stage::offer(*other), 1).payload;
            assert_ne!(outcome(&payment, &offer, &rich()), "taken", "{other:?} in {way:?}");
            assert!(
                Offer::taken(std::slice::from_ref(&offer), &payment).is_err() || read_any(&payment, &offer).is_err()
            );
        }
    }
}

fn read_any(payment: &PaymentPayload, offer: &Offer) -> Result<(), Refused> {
    match offer.scheme {
        Scheme::Batch => batch::read(&payment.payload, offer, NOW_S).map(|_| ()),
        Scheme::Exact | Scheme::Upto => read(payment, offer).map(|_| ()),
    }
}

#[test]
fn a_field_that_is_missing_or_of_another_kind_is_refused() {
    for way in WAYS {
        let offer = offer(way);
        let payment = pay(&payer(1), &offer, 1);
        for path in objects(&Value::Object(payment.payload.clone()), "") {
            let (parent, name) = path.rsplit_once('/').unwrap();
            for value in [None, Some(json!(7)), Some(json!(null)), Some(json!([])), Some(json!("7x"))] {
                let mut payload = Value::Object(payment.payload.clone());
                let map = payload.pointer_mut(parent).unwrap().as_object_mut().unwrap();
                match &value {
                    None => drop(map.remove(name)),
                    Some(value) => drop(map.insert(name.to_owned(), value.clone())),
                }
                let changed = PaymentPayload { payload: payload.as_object().unwrap().clone(), ..payment.clone() };
                assert!(read_any(&changed, &offer).is_err(), "{way:?} {path} {value:?}");
            }
        }
    }
}

/// Pointers to everything inside.
fn objects(value: &Value, path: &str) -> Vec<String> {
    let Value::Object(map) = value else { return Vec::new() };
    let inner = map.iter().flat_map(|(key, inner)| {
        let path = format!("{path}/{key}");
        let below = objects(inner, &path);
        std::iter::once(path).chain(below)
    });
    inner.collect()
}

#[test]
fn numbers_have_one_spelling() {
    for way in WAYS {
        let path = field(
            way,
            &["authorization", "value"],
            &["permit2Authorization", "permitted", "amount"],
            &["voucher", "maxClaimableAmount"],
        );
        for text in ["01000", "+1000", "1e3", "0x3e8", " 1000", "1000.0", "-1", ""] {
            is_refused(way, |payment| set(payment, path, text), &["invalid_payload"]);
        }
    }
}

#[test]
fn a_channel_id_of_another_channel_is_refused() {
    is_refused(
        Way::Batch,
        |payment| set(payment, &["voucher", "channelId"], B256::repeat_byte(7).to_string()),
        &["invalid_batch_settlement_evm_channel_id_mismatch"],
    );
    is_refused(
        Way::Batch,
        |payment| set(payment, &["channelConfig", "salt"], B256::repeat_byte(7).to_string()),
        &["invalid_batch_settlement_evm_channel_id_mismatch"],
    );
}

#[test]
fn a_voucher_below_what_was_claimed_and_one_of_a_leaving_payer_are_refused() {
    let offer = offer(Way::Batch);
    let voucher = batch::read(&pay(&payer(1), &offer, 1).payload, &offer, NOW_S).unwrap();
    let mut facts = deposited(10 * PRICE);
    facts.total_claimed = PRICE + 1;
    let standing = batch::Standing { spent: 0, reserved: 0, facts };
    let below = batch::against(&voucher, 1, &standing);
    assert_eq!(below, Err(Refused::BelowClaimed { found: PRICE, claimed: PRICE + 1 }));
    facts = deposited(10 * PRICE);
    facts.withdraw_requested_at_s = 1;
    let leaving = batch::against(&voucher, 1, &batch::Standing { spent: 0, reserved: 0, facts });
    assert_eq!(leaving, Err(Refused::Withdrawing));
    let overflow = batch::Standing { spent: u128::MAX, reserved: 1, facts: deposited(u128::MAX) };
    assert!(matches!(batch::against(&voucher, 1, &overflow), Err(Refused::Cumulative { .. })));
}

#[test]
fn a_deposit_that_is_not_the_channels_own_is_refused() {
    let (offer, payer, other) = (offer(Way::Batch), payer(1), payer(2));
    let channel = stage::channel(&payer, &offer);
    let terms = offer.requirements();
    let deposit = |amount| channel.deposit(&payer, &terms, amount, B256::repeat_byte(3), NOW_S).unwrap();
    let read = |payload: &serde_json::Map<String, Value>| batch::read(payload, &offer, NOW_S).map(|_| ());
    assert_eq!(read(&deposit(PRICE)), Ok(()));
    assert_eq!(read(&deposit(0)), Err(Refused::Deposit { found: 0, expected: 1 }));
    let mut greedy = deposit(PRICE);
    greedy["deposit"]["amount"] = json!((PRICE + 1).to_string());
    assert_eq!(read(&greedy), Err(Refused::Signer), "more than was signed");
    let mut moved = deposit(PRICE);
    moved["deposit"]["authorization"]["erc3009Authorization"]["salt"] = json!(B256::repeat_byte(4).to_string());
    assert_eq!(read(&moved), Err(Refused::Signer), "the nonce binds the channel and the salt");
    let theirs = stage::channel(&other, &offer).deposit(&other, &terms, PRICE, B256::repeat_byte(3), NOW_S).unwrap();
    let mut foreign = deposit(PRICE);
    foreign["deposit"] = theirs["deposit"].clone();
    assert_eq!(read(&foreign), Err(Refused::Signer), "a deposit into another channel");
    let mut late = terms.clone();
    late.max_timeout_s = 5;
    let late = channel.deposit(&payer, &late, PRICE, B256::repeat_byte(3), NOW_S).unwrap();
    assert!(matches!(read(&late), Err(Refused::TooLate { .. })));
}

#[test]
fn a_payload_type_that_nobody_knows_is_refused() {
    for kind in [json!("claim"), json!("settle"), json!(""), json!(7), json!(null)] {
        is_refused(Way::Batch, |payment| set(payment, &["type"], kind.clone()), &["invalid_payload"]);
    }
}

#[test]
fn headers_that_are_too_large_doubled_deep_or_no_json_are_refused() {
    let large = vec![b'A'; header::HEADER_BYTES_MAX + 1];
    assert!(header::read(&large).unwrap_err().to_string().contains("at most 16384"));
    for bytes in [&b"{\"x402Version\":2,\"x402Version\":2}"[..], b"[]", b"\"x\"", b"{", b"\xff\xfe"] {
        assert!(parse(bytes).is_err());
    }
    for version in [json!(0), json!(3), json!("2"), json!(2.5), json!(null)] {
        let map = json!({ "x402Version": version, "accepted": {}, "payload": {} });
        assert!(PaymentPayload::read(map.as_object().unwrap()).is_err(), "{version}");
    }
}

#[test]
fn a_header_of_any_way_that_is_too_large_doubled_deep_or_damaged_is_refused() {
    for way in WAYS {
        let payment = pay(&payer(1), &offer(way), 1);
        let whole = payment.to_json().unwrap();
        let read = |document: &Value| {
            let bytes = header::write(document);
            header::read(bytes.as_bytes()).and_then(|map| PaymentPayload::read(&map))
        };
        assert_eq!(read(&whole).unwrap(), payment, "{way:?} unchanged");
        let with = |extension: Value| {
            let mut document = whole.clone();
            document["extensions"] = json!({ "x": extension });
            document
        };
        assert!(read(&with(json!("x".repeat(header::HEADER_BYTES_MAX)))).is_err(), "{way:?}: too large");
        let deep = (0..30).fold(json!(1), |inner, _| json!([inner]));
        assert!(read(&with(deep)).is_err(), "{way:?}: too deep");
        assert!(read(&with(json!(vec![0; 5_000]))).is_err(), "{way:?}: too many values");
        // One key twice: whoever reads the last one, and whoever reads the first, sees another payment.
        let text = whole.to_string();
        let doubled = text.replacen("\"payload\":{", "\"payload\":{\"type\":\"voucher\",\"type\":\"refund\",", 1);
        assert_ne!(doubled, text);
        assert!(parse(doubled.as_bytes()).is_err(), "{way:?}: doubled");
        for cut in 0..text.len() {
            assert!(parse(&text.as_bytes()[..cut]).is_err(), "{way:?} cut at {cut}");
        }
    }
}

#[test]
fn a_payment_of_version_one_takes_up_nothing_but_a_transfer() {
    for way in WAYS {
        let offer = offer(way);
        let mut payment = pay(&payer(1), &offer, 1);
        payment.accepted = Accepted::Named { scheme: offer.scheme.word().to_owned(), network: Network::BASE };
        let expected = if way == Way::Transfer { "taken" } else { "invalid_payment_requirements" };
        assert_eq!(outcome(&payment, &offer, &rich()), expected, "{way:?}");
        payment.accepted = Accepted::Named { scheme: "exact".to_owned(), network: Network::BASE_SEPOLIA };
        assert_eq!(outcome(&payment, &offer, &rich()), "invalid_payment_requirements", "{way:?}");
    }
}

#[test]
fn of_offers_by_several_rates_a_payment_of_version_one_takes_up_the_one_that_it_signs() {
    let [now, before] = [PRICE, PRICE + 1].map(|amount| Offer { amount, ..offer(Way::Transfer) });
    let mut payment = pay(&payer(1), &before, 1);
    payment.accepted = Accepted::Named { scheme: "exact".to_owned(), network: Network::BASE };
    let refused = Refused::Amount { found: PRICE + 1, expected: PRICE };
    assert_eq!(Offer::taken(&[now, offer(Way::Permit2), offer(Way::Batch)], &payment), Err(refused));
    assert_eq!(Offer::taken(std::slice::from_ref(&before), &payment), Ok(&before));
    // What cannot be read is refused as that.
    payment.payload.remove("authorization");
    assert_eq!(Offer::taken(std::slice::from_ref(&before), &payment), Ok(&before));
    assert_eq!(read(&payment, &before).unwrap_err().reason(), "invalid_payload");
}

#[test]
fn what_one_payer_signed_is_no_payment_of_anothers() {
    for way in [Way::Transfer, Way::Permit2, Way::Upto] {
        let offer = offer(way);
        let mut payment = pay(&payer(1), &offer, 1);
        let path = field(way, &["authorization", "from"], &["permit2Authorization", "from"], &[]);
        set(&mut payment, path, payer(2).key().address().to_checksum(None));
        assert_eq!(outcome(&payment, &offer, &rich()), "invalid_exact_evm_payload_signature", "{way:?}");
    }
    let _: Payer = payer(2);
    assert!(authorise(&pay(&payer(2), &offer(Way::Upto), 1), &offer(Way::Upto), &rich()).is_ok());
}
