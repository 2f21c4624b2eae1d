//! A gateway whose calls have a price, before a chain on which everybody is rich, and payers.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    time::Duration,
};

use gateway::{Config, Gateway, LedgerSource, PaidChain, Payments, Prices};
use network::now_ms;
use payments::{
    Address, B256,
    books::{Books, Entry},
    payer::{Channel, Payer},
    price::{Price, Unit, holder},
    scheme::Scheme,
    signing::SignerKey,
    wire::{Network, PaymentPayload, PaymentRequired, Requirements, SettleResponse, header},
};
use storage::SyncData;

use super::{
    Behaviour, Client, Validator, Worker,
    chain::{Chain, WHOLE},
    client::{Answer, chat_body},
    pace,
};

pub const PATH: &str = "/v1/chat/completions";
pub const USDC: Address = Address::with_last_byte(0xdc);
pub const OPG: Address = Address::with_last_byte(0x09);

/// A chain that says of everybody that it is rich, has approved Permit2, and used nothing. Every transaction succeeds.
pub struct Paid {
    pub gateway: Gateway,
    pub config: Config,
    pub client: Client,
    pub worker: Worker,
    pub chain: Chain,
    pub validator: Validator,
    _folder: tempfile::TempDir,
}

pub async fn paid(behaviour: Behaviour) -> Paid {
    paid_within(behaviour, Duration::from_secs(60)).await
}

/// The same with a challenge window of another length.
pub async fn paid_within(behaviour: Behaviour, window: Duration) -> Paid {
    paid_as(behaviour, pace(), |payments| payments.window = window).await
}

/// The same beside a ledger whose parameters say what an OPG is worth.
pub async fn paid_beside(has_ledger: bool) -> Paid {
    let beside = |payments: &mut Payments| {
        if has_ledger {
            payments.ledger = Some(ledger(vec![payments.chains[0].rpc.clone()]));
        }
    };
    paid_as(Behaviour::Honest, pace(), beside).await
}

/// The same with claims every second.
pub async fn paid_and_claimed() -> Paid {
    paid_as(Behaviour::Honest, pace(), |payments| payments.idle = Duration::from_secs(1)).await
}

pub async fn paid_as(behaviour: Behaviour, pace: gateway::Pace, change: impl FnOnce(&mut Payments)) -> Paid {
    started(behaviour, pace, change, |_, _| {}, File::sync_data).await
}

/// The same where the journal of payments reaches the disk by `sync`.
pub async fn paid_synced(behaviour: Behaviour, sync: SyncData) -> Paid {
    started(behaviour, pace(), |_| {}, |_, _| {}, sync).await
}

/// The same where a hub has the model of this root, so that the gateway counts its tokens.
pub async fn paid_with_words(behaviour: Behaviour, hub: String, root: protocol::Digest) -> Paid {
    let arrange = |validator: &Validator, config: &mut Config| {
        config.hubs = vec![hub];
        validator.change(|ledger| {
            ledger.models[0].root = root;
            let models = protocol::List::new(vec![root]).unwrap();
            ledger.nodes.iter_mut().for_each(|node| node.models = models.clone());
        });
    };
    started(behaviour, pace(), |_| {}, arrange, File::sync_data).await
}

/// A ledger that has just begun, at these validators.
pub fn ledger(rpcs: Vec<String>) -> LedgerSource {
    LedgerSource { rpcs, began_at_ms: now_ms(), rate_age: Duration::from_secs(3_600) }
}

/// A chain that payers pay on, of this number and with these answers.
pub fn paid_on(network: Network, chain: &Chain) -> PaidChain {
    PaidChain {
        rpc: chain.server.url(),
        network,
        fee_max: gateway::fee_max(network),
        usdc: Some(USDC),
        opg: Some(OPG),
        confirmations: 0,
        payers: None,
    }
}

/// What a gateway takes for its calls, over this chain: dollars by the token, and nothing for calls of `risk`.
pub fn payments(chain: &Chain) -> Payments {
    let price =
        Price { unit: Unit::Usd, per_call: 0, per_input_token: WHOLE / 1_000_000, per_output_token: WHOLE / 100_000 };
    Payments {
        chains: vec![paid_on(Network::BASE, chain)],
        secret: [9; 32],
        facilitator_secret: [8; 32],
        pay_to: None,
        public_url: None,
        prices: Prices { default: price, by_model: BTreeMap::from([("risk".to_owned(), Price::FREE)]) },
        usd_per_opg: Some(WHOLE / 10),
        session_cap: WHOLE / 10,
        idle: Duration::from_secs(60),
        window: Duration::from_secs(60),
        payouts: Duration::from_millis(200),
        merchants: Vec::new(),
        ledger: None,
    }
}

async fn started(
    behaviour: Behaviour,
    pace: gateway::Pace,
    change: impl FnOnce(&mut Payments),
    arrange: impl FnOnce(&Validator, &mut Config),
    sync: SyncData,
) -> Paid {
    let (validator, chain) = (Validator::start().await, Chain::start().await);
    let worker = Worker::start(10, behaviour).await;
    validator.register(&worker);
    let folder = tempfile::tempdir().unwrap();
    let mut payments = payments(&chain);
    change(&mut payments);
    let mut config = Config { payments: Some(payments), ..super::config(&validator, &folder, pace) };
    arrange(&validator, &mut config);
    let gateway = Gateway::start_with(config.clone(), sync).await.unwrap();
    let client = Client::new(gateway.address());
    Paid { gateway, config, client, worker, chain, validator, _folder: folder }
}

pub fn payer() -> Payer {
    Payer::new(SignerKey::from_secret([5; 32]).unwrap())
}

pub fn required(answer: &Answer) -> PaymentRequired {
    PaymentRequired::read(&header::read(answer.headers[header::REQUIRED].as_bytes()).unwrap()).unwrap()
}

pub fn response(answer: &Answer) -> SettleResponse {
    SettleResponse::read(&header::read(answer.headers[header::RESPONSE].as_bytes()).unwrap()).unwrap()
}

pub fn offer(required: &PaymentRequired, scheme: Scheme, asset: Address) -> Requirements {
    let is_it = |terms: &&Requirements| terms.scheme == scheme.word() && terms.asset == asset;
    required.accepts.iter().find(is_it).unwrap().clone()
}

pub fn line(payment: &PaymentPayload) -> String {
    format!("payment-signature: {}\r\n", header::write(&payment.to_json().unwrap()))
}

/// The forms in which a call is paid here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Transfer,
    Permit,
    Session,
    Channel,
}

pub const FORMS: [Form; 4] = [Form::Transfer, Form::Permit, Form::Session, Form::Channel];

impl Form {
    /// What is offered by this form.
    pub fn terms(self, required: &PaymentRequired) -> Requirements {
        let (scheme, asset) = match self {
            Self::Transfer => (Scheme::Exact, USDC),
            Self::Permit => (Scheme::Exact, OPG),
            Self::Session => (Scheme::Upto, OPG),
            Self::Channel => (Scheme::Batch, USDC),
        };
        offer(required, scheme, asset)
    }

    /// A payment as its payer's client sends it.
    pub fn payment(self, payer: &Payer, required: &PaymentRequired, nonce: u8) -> PaymentPayload {
        let terms = self.terms(required);
        if self == Self::Channel {
            let channel = Channel::of(&terms, payer, B256::repeat_byte(nonce)).unwrap();
            return Channel::payment(required, &terms, channel.voucher(payer, terms.amount));
        }
        payer.pay(required, &terms, B256::repeat_byte(nonce), now_ms() / 1_000).unwrap()
    }

    /// One whole dollar's millionth, in the base units in which this form pays.
    pub fn micro_dollar(self) -> u128 {
        match self {
            Self::Transfer | Self::Channel => 1,
            // An OPG is worth ten cents.
            Self::Permit | Self::Session => WHOLE / 100_000,
        }
    }
}

impl Paid {
    /// Stops it and starts it again on what it wrote, with another configuration.
    pub async fn restarted(self, change: impl FnOnce(&mut Config)) -> Self {
        let Self { gateway, mut config, .. } = self;
        gateway.stop().await;
        change(&mut config);
        let gateway = super::restart(config.clone()).await;
        let client = Client::new(gateway.address());
        Self { gateway, config, client, ..self }
    }

    /// Transactions that came, each once.
    pub fn distinct(&self) -> BTreeSet<String> {
        self.chain.sent.lock().unwrap().iter().cloned().collect()
    }

    /// The books as the journal has them, and how it ends what is open.
    pub fn books(&self) -> (Books, Vec<Entry>) {
        let copy = tempfile::tempdir().unwrap();
        let path = copy.path().join("payments.log");
        std::fs::copy(self.config.directory.join("payments.log"), &path).unwrap();
        let (_log, lines) = storage::Log::open(&path).unwrap();
        Books::recover(&lines, now_ms()).unwrap()
    }

    /// What was settled of a payer's payments, as the journal has it.
    pub fn settled(&self, payer: &Payer) -> u128 {
        let payer = holder(payer.key().address());
        let settled = |entry: Entry| match entry {
            Entry::Purse(purse) if purse.payer == payer => Some(purse.settled),
            _ => None,
        };
        self.books().0.entries().into_iter().filter_map(settled).sum()
    }

    /// What a payer was charged in all, as the journal has it; `None` while a call of anybody's is open.
    pub fn charged(&self, payer: &Payer) -> Option<u128> {
        let (books, ends) = self.books();
        let payer = holder(payer.key().address());
        let spent = |entry: Entry| match entry {
            Entry::Purse(purse) if purse.payer == payer => Some(purse.spent),
            _ => None,
        };
        ends.iter()
            .all(|end| matches!(end, Entry::Closed(_)))
            .then(|| books.entries().into_iter().filter_map(spent).sum())
    }

    /// The same once nothing is open.
    pub async fn charged_in_the_end(&self, payer: &Payer) -> u128 {
        until("every call has ended", || self.charged(payer).is_some()).await;
        self.charged(payer).unwrap()
    }

    pub async fn ask(&self, lines: &str, fields: &str) -> Answer {
        let headers = format!("content-type: application/json\r\n{lines}");
        self.client.post_with(PATH, &headers, &chat_body(fields)).await
    }

    pub async fn offers(&self, fields: &str) -> PaymentRequired {
        let unpaid = self.ask("", fields).await;
        assert_eq!(unpaid.status, 402, "{}", unpaid.body);
        required(&unpaid)
    }

    /// Pays for a call by a channel of this payer's; what was charged.
    pub async fn by_channel(&self, payer: &Payer, cover: u128) -> (Channel, u128) {
        let required = self.offers("").await;
        let terms = offer(&required, Scheme::Batch, USDC);
        let mut channel = Channel::of(&terms, payer, B256::ZERO).unwrap();
        let payment = Channel::payment(&required, &terms, channel.voucher(payer, cover.max(terms.amount)));
        let answer = self.ask(&line(&payment), "").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        channel.charged = answer.json()["og"]["payment"]["charged"].as_str().unwrap().parse().unwrap();
        (channel.clone(), channel.charged)
    }

    /// Asks for money out of a channel, with a voucher over `sum`.
    pub async fn refund(&self, payer: &Payer, channel: &Channel, sum: u128, amount: Option<u128>) -> Answer {
        let required = required(&self.client.get(PATH).await);
        let terms = offer(&required, Scheme::Batch, USDC);
        let mut channel = channel.clone();
        channel.charged = sum;
        let payment = Channel::payment(&required, &terms, channel.refund(payer, amount));
        let lines = line(&payment);
        self.client.exchange(&format!("GET {PATH} HTTP/1.1\r\nhost: g\r\nconnection: close\r\n{lines}\r\n")).await
    }

    pub async fn exact(&self, nonce: u8) -> String {
        let required = self.offers("").await;
        self.signed(&required, Scheme::Exact, nonce, 600)
    }

    /// A payment that is good for `life_s` from now.
    pub fn signed(&self, required: &PaymentRequired, scheme: Scheme, nonce: u8, life_s: u64) -> String {
        let asset = if scheme == Scheme::Exact { USDC } else { OPG };
        self.signed_in(asset, required, scheme, nonce, life_s)
    }

    pub fn signed_in(
        &self,
        asset: Address,
        required: &PaymentRequired,
        scheme: Scheme,
        nonce: u8,
        life_s: u64,
    ) -> String {
        let terms = offer(required, scheme, asset);
        let signed_at_s = now_ms() / 1_000 + life_s - terms.max_timeout_s;
        line(&payer().pay(required, &terms, B256::repeat_byte(nonce), signed_at_s).unwrap())
    }
}

pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..200 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: not within ten seconds");
}

pub fn other_payer(seed: u8) -> Payer {
    Payer::new(SignerKey::from_secret([seed; 32]).unwrap())
}

pub fn address_of(payer: &Payer) -> String {
    payments::hex::encode(payer.key().address())
}
