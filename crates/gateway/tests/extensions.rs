//! Extensions of x402 at a gateway: gas that is lent, offers and receipts that are signed, sessions that are bound to a key.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod stub;

use std::{collections::BTreeSet, time::Duration};

use network::now_ms;
use payments::{
    Address, B256, U256,
    chain::{Call, Fees, LENT, sign},
    facilitator::Bucket,
    hex,
    payer::{Channel, Payer},
    price::Unit,
    scheme::{KnownToken, SPONSORED, Scheme},
    signing::{
        channel::TRANSFER_COLLECTOR,
        permit2::EXACT_PROXY,
        promise::{OFFER_RECEIPT, PromisedOffer, PromisedReceipt},
        recover,
        session::{SESSION_KEY, SESSION_SIGNATURE, SessionCall, binding},
    },
    wire::{Network, PaymentRequired, Requirements, header},
};
use serde_json::{Map, Value, json};
use stub::{
    Behaviour,
    chain::{Chain, WHOLE},
    client::{chat_body, request},
    paid::{
        FORMS, Form, OPG, PATH, Paid, USDC, address_of, line, offer, other_payer, paid, paid_as, required, response,
    },
};

/// Few tokens, so that a session holds several calls.
const FIELDS: &str = r#","max_tokens":16"#;
const PERMIT2: &str = "000000000022d473030f116ddee9f6b43ac78ba3";
/// Some proxies take 8 KiB of headers, and a response has others.
const REQUIRED_BYTES: usize = 6 << 10;

/// A payer's own approval of Permit2, at this number of its transactions and this price of gas.
fn approval(payer: &Payer, nonce: u64, max_fee_per_gas: u128) -> Value {
    let data = ["095ea7b3".to_owned(), format!("{PERMIT2:0>64}"), "f".repeat(64)].concat();
    let call = Call { to: OPG, data: hex::decode(data).unwrap().into() };
    let fees = Fees { gas: 70_000, max_fee_per_gas, max_priority_fee_per_gas: 1 };
    let signed = sign(&call, Network::BASE.chain_id(), nonce, fees, payer.key());
    json!({ "info": {
        "from": payer.key().address(), "asset": OPG, "spender": format!("0x{PERMIT2}"), "amount": U256::MAX.to_string(),
        "signedTransaction": hex::encode_prefixed(&signed.raw), "version": "1",
    }})
}

fn reason(answer: &stub::client::Answer) -> String {
    required(answer).error.unwrap()
}

/// A gateway whose chain has a payer with tokens, without coins and without an approval.
async fn before_a_poor(payer: &Payer) -> Paid {
    let stage = paid(Behaviour::Honest).await;
    stage.chain.tell(|told| (told.allowance, told.poor, told.for_bytes) = (Some(0), Some(address_of(payer)), 1_000));
    stage
}

#[tokio::test]
async fn a_payer_without_gas_is_lent_what_its_own_approval_costs_and_served_after_it() {
    for form in [Form::Permit, Form::Session] {
        let payer = other_payer(7);
        let stage = before_a_poor(&payer).await;
        let asked = stage.offers("").await;
        assert!(asked.extensions.contains_key(LENT) && asked.extensions.contains_key(SPONSORED));
        let mut payment = form.payment(&payer, &asked, 1);
        assert_eq!(stage.ask(&line(&payment), "").await.status, 412, "{form:?}: Permit2 may move nothing");
        for (nonce, fee) in [(1, 3), (0, 4), (0, 0)] {
            payment.extensions.insert(LENT.to_owned(), approval(&payer, nonce, fee));
            let refused = stage.ask(&line(&payment), "").await;
            assert_eq!(reason(&refused), "invalid_erc20_approval_extension_format", "{form:?} {nonce} {fee}");
        }
        assert_eq!((stage.chain.sent_with(""), stage.worker.jobs()), (0, 0), "{form:?}");
        payment.extensions.insert(LENT.to_owned(), approval(&payer, 0, 3));
        stage.chain.tell(|told| told.gas = 70_001);
        let refused = stage.ask(&line(&payment), "").await;
        assert_eq!(reason(&refused), "invalid_erc20_approval_extension_format", "{form:?}: it would run out of gas");
        stage.chain.tell(|told| (told.gas, told.refused) = (1, vec!["095ea7b3".to_owned()]));
        assert_eq!(stage.ask(&line(&payment), "").await.status, 402, "{form:?}: the token refuses it");
        assert_eq!((stage.chain.sent_with(""), stage.worker.jobs()), (0, 0), "{form:?}");
        stage.chain.tell(|told| told.refused.clear());
        let answer = stage.ask(&line(&payment), "").await;
        assert_eq!(answer.status, 200, "{form:?}: {}", answer.body);
        let sent = stage.chain.sent.lock().unwrap().clone();
        // Its address, and in three bytes the coins for its gas and, with a quarter more, for its bytes.
        let coins = 210_000 + 1_250;
        assert!(sent[0].contains(&format!("94{}83{coins:06x}80", address_of(&payer))), "{form:?}: {}", sent[0]);
        assert_eq!(sent[1], approval(&payer, 0, 3)["info"]["signedTransaction"].as_str().unwrap(), "{form:?}");
        assert_eq!(stage.worker.jobs(), 1, "{form:?}");
    }
}

#[tokio::test]
async fn who_asks_for_gas_many_times_at_once_is_lent_it_once() {
    let payer = other_payer(7);
    let stage = before_a_poor(&payer).await;
    let asked = stage.offers("").await;
    // So long that all have asked before the first is lent anything.
    stage.chain.tell(|told| (told.inclusion, told.estimate) = (Duration::from_millis(500), Duration::from_millis(200)));
    let ask = async |nonce: u8, fee| {
        let mut payment = Form::Permit.payment(&payer, &asked, nonce);
        payment.extensions.insert(LENT.to_owned(), approval(&payer, 0, fee));
        stage.ask(&line(&payment), "").await.status
    };
    let (first, second, third, fourth) = tokio::join!(ask(1, 2), ask(2, 3), ask(3, 3), ask(4, 2));
    assert!([first, second, third, fourth].contains(&200), "{first} {second} {third} {fourth}");
    let loan = format!("94{}83", address_of(&payer));
    assert_eq!(stage.distinct().iter().filter(|raw| raw.contains(&loan)).count(), 1);
    assert!(stage.chain.sent_with("095ea7b3") > 0);
}

#[tokio::test]
async fn gas_is_lent_to_nobody_whose_payment_would_be_refused_after_it() {
    let payer = other_payer(7);
    let stage = before_a_poor(&payer).await;
    let asked = stage.offers("").await;
    let with = |form: Form, nonce: u8| {
        let mut payment = form.payment(&payer, &asked, nonce);
        payment.extensions.insert(LENT.to_owned(), approval(&payer, 0, 3));
        payment
    };
    stage.chain.tell(|told| told.in_wallets = 1);
    assert_eq!(reason(&stage.ask(&line(&with(Form::Permit, 1)), "").await), "insufficient_funds");
    stage.chain.tell(|told| (told.in_wallets, told.is_used) = (u128::MAX >> 8, true));
    assert_eq!(reason(&stage.ask(&line(&with(Form::Permit, 2)), "").await), "invalid_transaction_state");
    stage.chain.tell(|told| told.is_used = false);
    let mut forged = with(Form::Permit, 3);
    let signature = forged.payload["signature"].as_str().unwrap().to_owned();
    let other = if signature.as_bytes()[10] == b'0' { "1" } else { "0" };
    forged.payload["signature"] = format!("{}{other}{}", &signature[..10], &signature[11..]).into();
    assert_eq!(reason(&stage.ask(&line(&forged), "").await), "invalid_exact_evm_payload_signature");
    // What needs no approval is lent none.
    assert_eq!(stage.ask(&line(&with(Form::Transfer, 4)), "").await.status, 200);
    stage.chain.tell(|told| told.allowance = None);
    assert_eq!(stage.ask(&line(&with(Form::Permit, 5)), "").await.status, 200);
    assert_eq!(stage.chain.sent_with(&format!("94{}", address_of(&payer))), 0, "no coins were sent to it");
    assert_eq!(stage.chain.sent_with("095ea7b3"), 0);
}

#[tokio::test]
async fn gas_is_spent_at_strangers_wish_so_often_and_no_more() {
    let pace = gateway::Pace { errands: Bucket { a_second: 1, most: 3 }, ..stub::pace() };
    let stage = paid_as(Behaviour::Honest, pace, |_| {}).await;
    let asked = stage.offers("").await;
    let terms = offer(&asked, Scheme::Batch, USDC);
    let least: u128 = terms.extra["minDeposit"].as_str().unwrap().parse().unwrap();
    assert!(least >= 10_000, "a cent at least: {least}");
    let began_at = std::time::Instant::now();
    let mut statuses = Vec::new();
    for salt in 1..=12 {
        let channel = Channel::of(&terms, &other_payer(7), B256::repeat_byte(salt)).unwrap();
        let now_s = now_ms() / 1_000;
        let payload = channel.deposit(&other_payer(7), &terms, least, B256::repeat_byte(salt), now_s).unwrap();
        let answer = stage.ask(&line(&Channel::payment(&asked, &terms, payload)), "").await;
        statuses.push(answer.status);
        if answer.status == 503 {
            assert!(answer.body.contains("rate_limited") && answer.headers.contains_key("retry-after"));
        }
    }
    let most = 3 + usize::try_from(began_at.elapsed().as_secs()).unwrap();
    let served = statuses.iter().filter(|status| **status == 200).count();
    assert!((3..=most).contains(&served) && statuses.contains(&503), "{statuses:?}");
    assert_eq!(stage.chain.sent_with(""), served, "what is refused is not sent");
}

#[tokio::test]
async fn offers_and_receipts_are_signed_by_the_key_that_settles() {
    let stage = paid(Behaviour::Honest).await;
    let asked = stage.offers("").await;
    let offers = asked.extensions[OFFER_RECEIPT]["info"]["offers"].as_array().unwrap().clone();
    assert_eq!(offers.len(), asked.accepts.len());
    let key = asked.accepts.iter().find_map(|terms| terms.extra.get("receiverAuthorizer")).unwrap();
    let key: Address = key.as_str().unwrap().parse().unwrap();
    let signer = |digest: &B256, signed: &Value| {
        recover(digest, &hex::decode(signed["signature"].as_str().unwrap()).unwrap()).unwrap()
    };
    for (signed, terms) in offers.iter().zip(&asked.accepts) {
        let (url, valid_until_s) = (asked.resource.url.as_str(), signed["payload"]["validUntil"].as_u64().unwrap());
        assert!((now_ms() / 1_000..=now_ms() / 1_000 + 60).contains(&valid_until_s));
        assert_eq!(signer(&PromisedOffer { url, terms, valid_until_s }.digest(), signed), key);
    }
    // Who repeats the extension, as official clients do, has a receipt; nobody else.
    let payer = other_payer(7);
    let mut payment = Form::Transfer.payment(&payer, &asked, 1);
    let plain = stage.ask(&line(&payment), "").await;
    assert!(response(&plain).extensions.is_empty());
    payment = Form::Transfer.payment(&payer, &asked, 2);
    payment.extensions.insert(OFFER_RECEIPT.to_owned(), asked.extensions[OFFER_RECEIPT].clone());
    let told = response(&stage.ask(&line(&payment), "").await);
    let signed = &told.extensions[OFFER_RECEIPT]["info"]["receipt"];
    let receipt = PromisedReceipt {
        network: Network::BASE,
        url: &asked.resource.url,
        payer: payer.key().address(),
        issued_at_s: signed["payload"]["issuedAt"].as_u64().unwrap(),
        transaction: &told.transaction,
    };
    assert_eq!(signer(&receipt.digest(), signed), key);
    assert!(told.transaction.starts_with("0x"), "settled before the answer left");
}

#[tokio::test]
async fn all_that_a_devnet_offers_is_asked_for_in_a_header_that_proxies_take() {
    let stage = paid(Behaviour::Honest).await;
    let asks = request(PATH, "content-type: application/json\r\n", &chat_body(""));
    // Named as a devnet's gateway is.
    let unpaid = stage.client.exchange(&asks.replace("host: g\r\n", "host: 127.0.0.1:8600\r\n")).await;
    assert_eq!(unpaid.status, 402, "{}", unpaid.body);
    let asked = required(&unpaid);
    assert_eq!(asked.resource.url, format!("http://127.0.0.1:8600{PATH}"));
    let offered = asked.accepts.iter().map(|terms| (terms.scheme.as_str(), terms.network, terms.asset));
    let wanted =
        [(Scheme::Upto, OPG), (Scheme::Exact, OPG), (Scheme::Batch, OPG), (Scheme::Exact, USDC), (Scheme::Batch, USDC)];
    let wanted = wanted.map(|(scheme, asset)| (scheme.word(), Network::BASE, asset));
    assert_eq!((asked.accepts.len(), offered.collect::<BTreeSet<_>>()), (5, BTreeSet::from(wanted)));
    for name in [SPONSORED, LENT, SESSION_KEY, OFFER_RECEIPT] {
        let keys: Vec<&String> = asked.extensions[name].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["info"], "{name}: its schema is its specification's");
    }
    assert_eq!(asked.extensions[OFFER_RECEIPT]["info"]["offers"].as_array().unwrap().len(), 5);
    let found = unpaid.headers[header::REQUIRED].len();
    assert!(found <= REQUIRED_BYTES, "{found} bytes");
}

/// What a gateway offers, as scheme, token and method, once it has asked its chain.
async fn offered(stage: &Paid, count: usize) -> Vec<(String, Address, Option<String>)> {
    for _ in 0..300 {
        let asked = stage.offers("").await;
        if asked.accepts.len() == count {
            let method = |terms: &Requirements| terms.extra_text("assetTransferMethod").map(str::to_owned);
            return asked.accepts.iter().map(|terms| (terms.scheme.clone(), terms.asset, method(terms))).collect();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never {count} ways to pay: {:?}", stage.offers("").await.accepts)
}

fn way(scheme: Scheme, asset: Address, method: Option<&str>) -> (String, Address, Option<String>) {
    (scheme.word().to_owned(), asset, method.map(str::to_owned))
}

#[tokio::test]
async fn what_needs_a_contract_that_its_chain_has_not_is_not_offered() {
    let chain = Chain::start().await;
    chain.tell(|told| told.lacking = vec![EXACT_PROXY, TRANSFER_COLLECTOR]);
    let rpc = chain.server.url();
    let pace = gateway::Pace { contracts: Duration::from_secs(1), ..stub::pace() };
    let stage = paid_as(Behaviour::Honest, pace, |payments| payments.chains[0].rpc = rpc).await;
    let permit2 = Some("permit2");
    let left = [way(Scheme::Exact, USDC, None), way(Scheme::Upto, OPG, permit2), way(Scheme::Batch, OPG, permit2)];
    assert_eq!(offered(&stage, 3).await, left);
    // It may only have lagged.
    chain.tell(|told| told.lacking.clear());
    assert_eq!(offered(&stage, 5).await.len(), 5);
}

#[tokio::test]
async fn a_token_is_taken_by_what_needs_no_approval_and_sessions_are_in_dollars_where_there_is_nothing_else() {
    let coin = KnownToken::counted_in(Unit::Opg, Network::LEDGER).unwrap().address;
    for (usdc, opg) in [(Some(USDC), None), (None, Some(coin))] {
        let taken = |payments: &mut gateway::Payments| {
            (payments.chains[0].usdc, payments.chains[0].opg) = (usdc, opg);
        };
        let stage = paid_as(Behaviour::Honest, stub::pace(), taken).await;
        let asset = usdc.unwrap_or(coin);
        let ways = [way(Scheme::Exact, asset, None), way(Scheme::Batch, asset, None)];
        assert_eq!(offered(&stage, 3).await, [ways.as_slice(), &[way(Scheme::Upto, asset, Some("permit2"))]].concat());
        let required = stage.offers(FIELDS).await;
        let cap = offer(&required, Scheme::Upto, asset).amount;
        assert_eq!(cap, if usdc.is_some() { 10_000 } else { WHOLE / 10 }, "a cent, or a tenth of an OPG");
        for scheme in [Scheme::Exact, Scheme::Upto] {
            let terms = offer(&required, scheme, asset);
            let payment = other_payer(7).pay(&required, &terms, B256::repeat_byte(1), now_ms() / 1_000).unwrap();
            let answer = stage.ask(&line(&payment), FIELDS).await;
            assert_eq!(answer.status, 200, "{scheme:?}: {}", answer.body);
        }
    }
}

/// A gateway that callers reach by this address.
async fn known_as(public_url: &str) -> Paid {
    let public_url = public_url.parse().unwrap();
    paid_as(Behaviour::Honest, stub::pace(), |payments| payments.public_url = Some(public_url)).await
}

#[tokio::test]
async fn what_is_offered_listed_and_signed_names_the_public_address_and_payments_for_it_are_taken() {
    let (public, payer) = ("https://api.example.com/ai", other_payer(7));
    let stage = known_as(public).await;
    let (asked, url) = (stage.offers("").await, format!("{public}{PATH}"));
    assert_eq!(asked.resource.url, url);
    for signed in asked.extensions[OFFER_RECEIPT]["info"]["offers"].as_array().unwrap() {
        assert_eq!(signed["payload"]["resourceUrl"], json!(url));
    }
    let listed = stage.client.get("/discovery/resources").await.json();
    let resources = listed["items"].as_array().unwrap().iter().map(|item| item["resource"].as_str().unwrap());
    let (own, others): (Vec<_>, Vec<_>) =
        resources.partition(|resource| resource.starts_with(&format!("{public}/v1/")));
    assert!(own.len() >= 5 && others.is_empty(), "{own:?} {others:?}");
    assert_eq!(required(&stage.client.get(PATH).await).resource.url, url, "also what is only asked for");
    for (nonce, form) in (1..).zip(FORMS) {
        let mut payment = form.payment(&payer, &asked, nonce);
        for foreign in
            [public, "https://api.example.com/ai/v1/embeddings", "https://api.example.com/v2/chat/completions"]
        {
            payment.resource.as_mut().unwrap().url = foreign.to_owned();
            assert_eq!(reason(&stage.ask(&line(&payment), "").await), "invalid_resource", "{form:?} {foreign}");
        }
        payment.resource.as_mut().unwrap().url = url.clone();
        payment.extensions.insert(OFFER_RECEIPT.to_owned(), asked.extensions[OFFER_RECEIPT].clone());
        let answer = stage.ask(&line(&payment), "").await;
        assert_eq!(answer.status, 200, "{form:?}: {}", answer.body);
        let told = response(&answer);
        let receipt = &told.extensions[OFFER_RECEIPT]["info"]["receipt"];
        assert_eq!(receipt["payload"]["resourceUrl"], json!(url), "{form:?}");
        // Whoever asks beside what stands in front has no more of a path.
        let mut payment = form.payment(&payer, &asked, nonce + 10);
        payment.resource.as_mut().unwrap().url = format!("http://g{PATH}");
        assert_eq!(stage.ask(&line(&payment), "").await.status, 200, "{form:?}");
    }
    let longest = known_as(&format!("https://{}", "a".repeat(120))).await;
    let found = longest.ask("", "").await.headers[header::REQUIRED].len();
    assert!(found <= REQUIRED_BYTES + (1 << 10), "{found} bytes");
}

/// Opens a session that is bound to its payer's key: its token.
async fn bound_session(stage: &Paid, asked: &PaymentRequired, payer: &Payer) -> String {
    let mut payment = Form::Session.payment(payer, asked, 1);
    payment.extensions.insert(SESSION_KEY.to_owned(), binding(payer.key().address()));
    let opened = stage.ask(&line(&payment), FIELDS).await;
    assert_eq!(opened.status, 200, "{}", opened.body);
    opened.headers[header::SESSION].to_owned()
}

#[tokio::test]
async fn a_call_of_a_bound_session_is_signed_for_the_path_that_was_offered() {
    let (payer, body) = (other_payer(7), chat_body(FIELDS));
    let stage = known_as("https://api.example.com/ai").await;
    let token = bound_session(&stage, &stage.offers(FIELDS).await, &payer).await;
    for (path, status) in [(PATH.to_owned(), 402), (format!("/ai{PATH}"), 200)] {
        let call = SessionCall::new(&token, &path, body.as_bytes(), now_ms());
        let signed = call.signed(Network::BASE.chain_id(), payer.key());
        let lines = format!("{}: {token}\r\n{SESSION_SIGNATURE}: {signed}\r\n", header::SESSION);
        assert_eq!(stage.ask(&lines, FIELDS).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn a_token_of_a_bound_session_is_worth_nothing_without_its_payers_key() {
    let (stage, payer, body) = (paid(Behaviour::Honest).await, other_payer(7), chat_body(FIELDS));
    let asked = stage.offers(FIELDS).await;
    let token = bound_session(&stage, &asked, &payer).await;
    let with = |signed: Option<String>| {
        let signed = signed.map(|signed| format!("{SESSION_SIGNATURE}: {signed}\r\n"));
        format!("{}: {token}\r\n{}", header::SESSION, signed.unwrap_or_default())
    };
    let sign = |by: &Payer, path: &str, body: &str, at_ms| {
        SessionCall::new(&token, path, body.as_bytes(), at_ms).signed(Network::BASE.chain_id(), by.key())
    };
    let good = sign(&payer, PATH, &body, now_ms());
    assert_eq!(stage.ask(&with(Some(good.clone())), FIELDS).await.status, 200);
    let thefts = [
        None,
        Some(good),
        Some(sign(&other_payer(8), PATH, &body, now_ms())),
        Some(sign(&payer, "/v1/completions", &body, now_ms())),
        Some(sign(&payer, PATH, "{}", now_ms())),
        Some(sign(&payer, PATH, &body, now_ms() - 61_000)),
        Some("1.0x00".to_owned()),
    ];
    for (case, theft) in thefts.into_iter().enumerate() {
        let refused = stage.ask(&with(theft), FIELDS).await;
        assert_eq!((refused.status, reason(&refused)), (402, "session_signature_invalid".to_owned()), "{case}");
    }
    assert_eq!(stage.worker.jobs(), 2);
    // Who only repeats what was declared does not know how to sign, and is not bound.
    let mut payment = Form::Session.payment(&other_payer(9), &asked, 2);
    payment.extensions = Map::from_iter([(SESSION_KEY.to_owned(), asked.extensions[SESSION_KEY].clone())]);
    let opened = stage.ask(&line(&payment), FIELDS).await;
    let token = format!("{}: {}\r\n", header::SESSION, opened.headers[header::SESSION]);
    assert_eq!(stage.ask(&token, FIELDS).await.status, 200);
}

#[tokio::test]
async fn nothing_of_a_payment_is_kept_by_a_shared_cache() {
    for form in FORMS {
        let stage = paid(Behaviour::Honest).await;
        let unpaid = stage.ask("", "").await;
        let refused =
            stage.ask(&line(&form.payment(&other_payer(7), &required(&unpaid), 1)), r#","max_tokens":9"#).await;
        let answer = stage.ask(&line(&form.payment(&other_payer(7), &required(&unpaid), 1)), "").await;
        assert_eq!((unpaid.status, refused.status, answer.status), (402, 402, 200), "{form:?}");
        for told in [unpaid, refused, answer] {
            assert_eq!(told.headers["cache-control"], "no-store", "{form:?} {}", told.status);
        }
    }
}

#[tokio::test]
async fn who_has_paid_is_looked_up_as_often_as_all_strangers_together_and_no_more() {
    for form in FORMS {
        let pace = gateway::Pace { strangers: Bucket { a_second: 1, most: 4 }, ..stub::pace() };
        let stage = paid_as(Behaviour::Honest, pace, |_| {}).await;
        let (asked, payer) = (stage.offers("").await, other_payer(7));
        assert_eq!(stage.ask(&line(&form.payment(&payer, &asked, 1)), "").await.status, 200, "{form:?}");
        // From now on it holds nothing: each payment is looked up, and refused.
        stage.chain.tell(|told| (told.in_wallets, told.in_channels, told.asked) = (0, 0, 0));
        let began_at = std::time::Instant::now();
        for nonce in 2..22 {
            let payment = match form {
                // Over what the channel was known to hold.
                Form::Channel => {
                    let terms = form.terms(&asked);
                    let channel = Channel::of(&terms, &payer, B256::repeat_byte(1)).unwrap();
                    Channel::payment(&asked, &terms, channel.voucher(&payer, 1 << 120))
                }
                Form::Transfer | Form::Permit | Form::Session => form.payment(&payer, &asked, nonce),
            };
            assert_ne!(stage.ask(&line(&payment), "").await.status, 200, "{form:?}");
        }
        let most = 5 + usize::try_from(began_at.elapsed().as_secs()).unwrap();
        let looked = stage.chain.tell(|told| told.asked);
        assert!((1..=most).contains(&looked), "{form:?}: {looked} of {most}");
    }
}
