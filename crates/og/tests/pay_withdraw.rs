//! Deposits by both methods into the real contract, and what is left in a channel taken out of it where its server is gone.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

#[path = "support/stand.rs"]
mod stand;
mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use contracts::{
    abi::{IBatchSettlement, IToken},
    addresses,
};
use devchain::{BaseStart, Config, PoolLimits};
use payments::{
    Address, U256,
    chain::{Call, deposit, send},
    price::{Money, Unit},
    scheme::{
        Asset, Method, Offer, Scheme,
        batch::{self, VoucherKind},
    },
    signing::SignerKey,
    wire::{Network, PaymentPayload, header},
};
use relayer::Chain;
use serde_json::{Value, json};
use stand::{Heard, Stand, Wallet, asks, offer, reply, state};
use support::Said;
use tokio::runtime::Runtime;

/// Of the channel, as its contract has it at least.
const DELAY_S: u64 = 900;
const PATIENCE: Duration = Duration::from_secs(20);

/// By how much the chain's clock is ahead.
static AHEAD_S: AtomicU64 = AtomicU64::new(0);

fn clock() -> u64 {
    network::now_ms() / 1_000 + AHEAD_S.load(Ordering::Relaxed)
}

fn key(seed: u8) -> SignerKey {
    SignerKey::from_secret([seed; 32]).unwrap()
}

/// A chain with Base's contracts, on which two keys have everything.
struct Base {
    runtime: Runtime,
    chain: Chain,
    url: String,
    _server: rpc::Server,
    _folder: tempfile::TempDir,
}

impl Base {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let start = BaseStart {
            timestamp: clock() - 10,
            funded: vec![key(7).address(), key(8).address()],
            coins: U256::from(10_u64.pow(19)),
            opg: U256::from(10_u64.pow(19)),
            dollars: U256::from(1_000_000_000),
            ledger_chain_id: 10_744,
            network_key: [0; 192],
        };
        let config = Config {
            chain: devchain::plain(8_453),
            genesis: start.genesis().unwrap(),
            directory: folder.path().join("base"),
            beneficiary: Default::default(),
            clock,
            pool: PoolLimits::default(),
            states: 64,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let server = runtime.block_on(async {
            let (node, _running) = devchain::open(config).await.unwrap();
            let listen = ([127, 0, 0, 1], 0).into();
            rpc::Server::start(listen, Arc::new(node), "a test", rpc::Limits::default()).await.unwrap()
        });
        let url = server.url();
        let chain = Chain::new(network::Client::default(), url.clone());
        Self { runtime, chain, url, _server: server, _folder: folder }
    }

    /// Has somebody else's key send it: a server that takes deposits.
    fn send(&self, call: &Call) {
        self.runtime.block_on(self.chain.send(call, 0, &key(8), PATIENCE)).unwrap();
    }

    fn held(&self, token: Address) -> U256 {
        let account = key(7).address();
        self.runtime.block_on(self.chain.read(token, &IToken::balanceOfCall { account })).unwrap()
    }

    fn in_channel(&self, voucher: &batch::Voucher) -> u128 {
        let asked = IBatchSettlement::channelsCall { channelId: voucher.channel };
        self.runtime.block_on(self.chain.read(addresses::BATCH_SETTLEMENT, &asked)).unwrap().balance
    }

    /// Lets time pass, and a block come after it.
    fn pass(&self, seconds: u64) {
        AHEAD_S.fetch_add(seconds, Ordering::Relaxed);
        self.send(&send(addresses::USDC, key(8).address(), 1));
    }
}

fn dollars() -> Offer {
    offer(Scheme::Batch)
}

fn opg() -> Offer {
    let money = Money { unit: Unit::Opg, decimals: 18 };
    let asset = Asset::new(Network::BASE, addresses::OPG, "OpenGradient", "1", money);
    let (amount, min_deposit) = (1_000_000_000_000_000, 10_000_000_000_000_000);
    // The chain of these tests may be ahead.
    Offer { asset, amount, min_deposit, max_timeout_s: 7_200, method: Method::Permit2, ..offer(Scheme::Batch) }
}

/// What a request pays by, where it pays.
fn paid(heard: &Heard, offer: &Offer) -> Option<batch::Voucher> {
    let payment = PaymentPayload::read(&header::read(heard.header("payment-signature")?.as_bytes()).unwrap()).unwrap();
    Some(batch::read(&payment.payload, offer, network::now_ms() / 1_000).unwrap())
}

/// Takes every voucher, and says that nothing was charged and that the deposit is there.
fn sells(heard: &Heard, offer: &Offer) -> String {
    let Some(voucher) = paid(heard, offer) else { return asks(&[offer.requirements().to_json()]) };
    let mut extra = state(&voucher, 0, None);
    extra["channelState"]["balance"] = json!(offer.min_deposit.to_string());
    let said = json!({ "success": true, "transaction": "", "network": "eip155:8453", "extra": extra });
    reply("200 OK", &[("PAYMENT-RESPONSE", header::write(&said))], "{}")
}

/// A key whose secret is in a file.
struct Payer {
    wallet: Wallet,
    key: String,
    url: String,
}

impl Payer {
    fn new(base: &Base) -> Self {
        let wallet = Wallet::new();
        let path = wallet.folder.path().join("secret");
        std::fs::write(&path, "07".repeat(32)).unwrap();
        Self { key: format!("@{}", path.display()), url: base.url.clone(), wallet }
    }

    fn og(&self, arguments: &[&str]) -> Said {
        self.wallet.og(&[arguments, &["--key", &self.key, "--rpc", &self.url]].concat())
    }

    fn done(&self, arguments: &[&str]) -> Value {
        let said = self.og(arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
        said.json()
    }

    fn withdraw(&self, channel: &str) -> Value {
        self.done(&["wallet", "withdraw", channel])
    }
}

/// Pays by a channel with a deposit, which the test's server then puts in; leaves, and takes it out again.
#[track_caller]
fn leaves(base: &Base, payer: &Payer, offer: &Offer, stand: &Stand) {
    let (token, deposited) = (offer.asset.address, offer.min_deposit);
    let before = base.held(token);
    payer.done(&["pay", &stand.url, "--max", "0.01", "--deposit", "0.01"]);
    let voucher = stand.heard().iter().find_map(|heard| paid(heard, offer)).unwrap();
    let VoucherKind::Deposit(signed) = &voucher.kind else { panic!("{voucher:?}") };
    assert_eq!(signed.amount, deposited);
    base.send(&deposit(&voucher.config, signed).unwrap());
    assert_eq!((base.in_channel(&voucher), before - base.held(token)), (deposited, U256::from(deposited)));

    let begun = payer.withdraw(&stand.url);
    assert_eq!((&begun["step"], &begun["amount"]), (&json!("waiting"), &json!(deposited.to_string())), "{begun}");
    let ready_at_s = begun["ready_at_s"].as_u64().unwrap();
    assert!((clock() + DELAY_S - 60..=clock() + DELAY_S).contains(&ready_at_s), "{begun}");
    // Asked again, or after a crash: nothing is begun twice, and nothing is paid by it.
    assert_eq!(payer.withdraw(&voucher.channel.to_string()), begun);
    assert_eq!(payer.done(&["wallet", "withdraw"]), begun, "the only one with something in it");
    let refused = payer.og(&["pay", &stand.url, "--max", "0.01"]);
    assert!(refused.code == 1 && refused.stderr.contains("being taken out"), "{refused:?}");
    let listed = payer.wallet.og(&["wallet", "channels"]).json();
    let id = voucher.channel.to_string();
    let own = listed["channels"].as_array().unwrap().iter().find(|channel| channel["channel"] == id).unwrap();
    assert_eq!(own["leaving"], true);

    base.pass(DELAY_S + 1);
    let ended = payer.withdraw(&stand.url);
    assert_eq!((&ended["step"], &ended["amount_tokens"]), (&json!("done"), &json!("0.01")), "{ended}");
    assert_eq!((base.in_channel(&voucher), base.held(token)), (0, before));
    assert_eq!(payer.withdraw(&stand.url)["step"], "nothing");
}

#[test]
fn what_is_in_a_channel_comes_out_of_its_contract_whatever_its_server_does() {
    let base = Base::start();
    let payer = Payer::new(&base);
    leaves(&base, &payer, &dollars(), &Stand::start(|heard| sells(heard, &dollars())));

    // By Permit2, which needs its approval.
    let stand = Stand::start(|heard| sells(heard, &opg()));
    let refused = payer.og(&["pay", &stand.url, "--max", "0.01", "--deposit", "0.01"]);
    assert_eq!(refused.json()["error"]["code"], "allowance_required", "{refused:?}");
    assert_eq!(payer.done(&["wallet", "approve", "--token", "OPG", "--amount", "0.01"])["amount"], "10000000000000000");
    leaves(&base, &payer, &opg(), &stand);

    let nothing = payer.og(&["wallet", "withdraw"]);
    assert!(nothing.code == 1 && nothing.stderr.contains("nothing is left in the channels of 0x"), "{nothing:?}");
    for (channel, word) in [("http://nowhere/", "no channel"), ("0x00", "no channel")] {
        let said = payer.og(&["wallet", "withdraw", channel]);
        assert!(said.code == 1 && said.stderr.contains(word), "{channel}: {said:?}");
    }
    let other = payer.wallet.og(&["wallet", "withdraw", &stand.url, "--key", "agent", "--rpc", &base.url]);
    assert!(other.code == 1 && other.stderr.contains("no channel"), "another key's: {other:?}");
    let other = payer.wallet.og(&["wallet", "withdraw", "--key", "agent", "--rpc", &base.url]);
    assert!(other.code == 1 && other.stderr.contains("og pay --deposit opens one"), "{other:?}");
}

#[test]
fn a_key_with_a_limit_approves_no_more_than_a_day() {
    let base = Base::start();
    let payer = Payer::new(&base);
    let limit = ["wallet", "limit", "--token", "OPG", "--per-call", "0.5", "--per-day", "2", "--key", &payer.key];
    assert_eq!(payer.wallet.og(&limit).code, 0);
    let more = payer.og(&["wallet", "approve", "--token", "OPG", "--amount", "2.1"]);
    assert!(more.code == 1 && more.stderr.contains("more than the 2 of a day"), "{more:?}");
    let approved = payer.done(&["wallet", "approve", "--token", "OPG"]);
    assert_eq!(approved["amount"], "2000000000000000000", "the limit, where no amount is named");
}
