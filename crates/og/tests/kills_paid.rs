//! A gateway that is paid is killed at random instants under paid streams: no call is charged more than its journal says had left, no more
//! than 64 tokens of one go unpaid, and nothing that was acknowledged is lost. In the end wallets, books and receipts say the same.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod support;

use std::{
    collections::BTreeMap,
    hash::{BuildHasher as _, RandomState},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use contracts::{
    abi::{IBatchSettlement, IToken},
    addresses,
};
use network::{
    Answer, Bytes, Client,
    axum::http::{Request, StatusCode},
    now_ms,
};
use payments::{
    Address, B256, UNPAID_TOKENS_MAX,
    books::{Books, Entry},
    hex, keccak256,
    payer::{Channel, Payer},
    price::holder,
    scheme::Scheme,
    signing::SignerKey,
    wire::{PaymentPayload, PaymentRequired, Requirements, header},
};
use protocol::{Canonical as _, Digest};
use relayer::Chain;
use serde_json::{Value, json};
use support::Devnet;
use tokio::runtime::{Builder, Runtime};

const KILLS: u64 = 6;
const PATIENCE: Duration = Duration::from_secs(60);
const PATH: &str = "/v1/chat/completions";
/// Of one token that comes out, in millionths of a dollar.
const OUTPUT: u128 = 10;
/// Five dollars: enough for all calls that a channel pays for here.
const DEPOSIT: u128 = 5_000_000;

/// How a payer pays: each by one key of Base's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Exact,
    Session,
    Channel,
}

const FORMS: [Form; 3] = [Form::Exact, Form::Session, Form::Channel];

impl Form {
    fn token(self) -> Address {
        match self {
            Self::Exact | Self::Channel => addresses::USDC,
            Self::Session => addresses::OPG,
        }
    }

    fn scheme(self) -> Scheme {
        match self {
            Self::Exact => Scheme::Exact,
            Self::Session => Scheme::Upto,
            Self::Channel => Scheme::Batch,
        }
    }

    /// A millionth of a dollar in its token, of which one by OPG is worth ten cents.
    fn micro_dollar(self) -> u128 {
        match self {
            Self::Exact | Self::Channel => 1,
            Self::Session => 10_u128.pow(13),
        }
    }
}

/// One call that was taken, as its payer saw it.
struct Call {
    form: Form,
    /// What it was paid for, as the journal names it.
    request: Digest,
    /// Parts of its text that arrived: each is a token or more.
    seen: u128,
    /// Its receipt and charge, where its end arrived.
    told: Option<(String, u128)>,
    /// The gateway said itself that it cannot go on.
    is_failed: bool,
}

/// Pays for one stream after the other.
struct Caller {
    form: Form,
    payer: Payer,
    gateway: String,
    client: Client,
    runtime: Runtime,
    count: u64,
    /// Its channel, where it pays by one; whether that has its deposit, and over how much its last voucher is.
    channel: Option<B256>,
    is_open: bool,
    covered: u128,
    under_way: Arc<AtomicUsize>,
}

impl Caller {
    fn new(devnet: &Devnet, form: Form, key: usize, under_way: &Arc<AtomicUsize>) -> Self {
        let secret = devnet.ready["base"]["keys"][key]["secret"].as_str().unwrap();
        let secret: [u8; 32] = hex::decode(secret).unwrap().try_into().unwrap();
        Self {
            form,
            payer: Payer::new(SignerKey::from_secret(secret).unwrap()),
            gateway: devnet.text("gateway").to_owned(),
            client: Client::new(Duration::from_secs(10)),
            runtime: runtime(),
            count: 0,
            covered: 0,
            channel: None,
            is_open: false,
            under_way: Arc::clone(under_way),
        }
    }

    fn ask(&self, body: &str, payment: Option<&str>) -> Option<Answer> {
        let mut request = Request::post(format!("{}{PATH}", self.gateway)).header("content-type", "application/json");
        // The level whose price is the plain one.
        request = request.header("x-og-assurance", "signed");
        if let Some(payment) = payment {
            request = request.header(header::SIGNATURE, payment);
        }
        self.runtime.block_on(self.client.ask(request.body(Bytes::from(body.to_owned())).unwrap())).ok()
    }

    /// Pays for a stream and reads it as far as it comes. `None` where nobody answers, or takes the payment.
    fn call(&mut self) -> Option<Call> {
        self.count += 1;
        // As long as it may be: the token that ends an answer is as good as forbidden.
        let body = json!({
            "model": "demo-chat", "stream": true, "max_tokens": 400, "logit_bias": { "2": -100 },
            "messages": [{ "role": "user", "content": format!("Count to {} by {:?}.", self.count, self.form) }],
        });
        let body = body.to_string();
        let unpaid = self.ask(&body, None)?;
        let required = header::read(unpaid.headers.get(header::REQUIRED)?.as_bytes()).unwrap();
        let required = PaymentRequired::read(&required).unwrap();
        let (scheme, token) = (self.form.scheme().word(), self.form.token());
        let terms = required.accepts.iter().find(|terms| terms.scheme == scheme && terms.asset == token)?.clone();
        let payment = self.payment(&required, &terms);
        let answer = self.ask(&body, Some(&header::write(&payment.to_json().unwrap())))?;
        if answer.status != StatusCode::OK {
            return None;
        }
        self.is_open = true;
        self.under_way.fetch_add(1, Ordering::SeqCst);
        let text = self.read(answer);
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        let request = crypto::hash("og/paid-request/v1", &[PATH.as_bytes(), &[0], body.as_bytes()]);
        Some(seen(self.form, request, &text))
    }

    fn payment(&mut self, required: &PaymentRequired, terms: &Requirements) -> PaymentPayload {
        let nonce = keccak256(format!("{:?} {}", self.form, self.count));
        let now_s = now_ms() / 1_000;
        if self.form != Form::Channel {
            return self.payer.pay(required, terms, nonce, now_s).unwrap();
        }
        let channel = Channel::of(terms, &self.payer, B256::ZERO).unwrap();
        self.channel = Some(channel.id);
        // Over one more call each time: what was not charged is there for the next one.
        self.covered = terms.amount + if self.is_open { self.covered } else { 0 };
        let payload = if self.is_open {
            channel.voucher(&self.payer, self.covered)
        } else {
            channel.deposit(&self.payer, terms, DEPOSIT, nonce, now_s).unwrap()
        };
        Channel::payment(required, terms, payload)
    }

    fn read(&self, mut answer: Answer) -> String {
        let mut bytes = Vec::new();
        // Whoever is killed ends a stream anyhow.
        while let Ok(Some(piece)) = self.runtime.block_on(answer.body.next()) {
            bytes.extend_from_slice(&piece);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// What came of a stream.
fn seen(form: Form, request: Digest, text: &str) -> Call {
    let data = text.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    let events: Vec<Value> = data.clone().filter_map(|data| serde_json::from_str(data).ok()).collect();
    let is_text =
        |event: &&Value| event["choices"][0]["delta"]["content"].as_str().is_some_and(|text| !text.is_empty());
    let is_done = data.last() == Some("[DONE]");
    let told = |event: &Value| {
        let charged = event["og"]["payment"]["charged"].as_str()?.parse().unwrap();
        Some((event["og"]["receipt_id"].as_str().unwrap().to_owned(), charged))
    };
    let told = if is_done { Some(events.iter().find_map(told).unwrap()) } else { None };
    let is_failed = events.iter().any(|event| event["error"].is_object());
    Call { form, request, seen: events.iter().filter(is_text).count() as u128, told, is_failed }
}

/// What the journal says of a call.
#[derive(Debug, Default)]
struct Written {
    max: u128,
    /// Marked as delivered; what receipts charge; and how much of the marks those replace.
    marked: u128,
    receipts: u128,
    counted: u128,
    charged: Option<u128>,
}

/// All calls of a journal, by what they were paid for.
fn written(lines: &[Vec<u8>]) -> BTreeMap<Digest, Written> {
    let (mut calls, mut requests) = (BTreeMap::<Digest, Written>::new(), BTreeMap::<u64, Digest>::new());
    for line in lines {
        let mut change = |call: u64, change: &dyn Fn(&mut Written)| {
            change(requests.get(&call).and_then(|request| calls.get_mut(request)).unwrap());
        };
        match Entry::decode(line).unwrap() {
            Entry::Call(call) => {
                requests.insert(call.call, call.request);
                let before = calls.insert(call.request, Written { max: call.max, ..Written::default() });
                assert!(before.is_none(), "{} was paid for twice", call.request);
            }
            Entry::Delivered(delivered) => change(delivered.call, &|call| call.marked = delivered.amount),
            Entry::AnswerEnded(ended) => change(ended.call, &|call| {
                call.receipts += ended.answer.amount;
                call.counted += ended.delivered;
            }),
            Entry::Charged(charged) => change(charged.call, &|call| call.charged = Some(charged.amount())),
            Entry::Released(released) => change(released, &|call| call.charged = Some(0)),
            _ => {}
        }
    }
    calls
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[track_caller]
fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "it never came that {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The gateway's journal as it is now, and its books; `None` while anything of them is open, on its way, or being written.
fn at_rest(devnet: &Devnet) -> Option<(Vec<Vec<u8>>, Books)> {
    let copy = tempfile::tempdir().unwrap();
    let path = copy.path().join("payments.log");
    std::fs::copy(devnet.dir().join("nodes/gateway/payments.log"), &path).unwrap();
    let (_log, lines) = storage::Log::open(&path).ok()?;
    let (books, ends) = Books::recover(&lines, now_ms()).unwrap();
    let is_at_rest = ends.is_empty() && books.networks_open().is_empty() && books.repayments().is_empty();
    is_at_rest.then_some((lines, books))
}

/// Kills the gateway under a stream, and returns when it is started again.
fn kill(devnet: &Devnet, under_way: &AtomicUsize, turn: u64) {
    until("a stream is under way", || (under_way.load(Ordering::SeqCst) > 0).then_some(()));
    // A new seed each run; what happens after it is the operating system's choice anyway.
    thread::sleep(Duration::from_millis(RandomState::new().hash_one(turn) % 300));
    let pid = devnet.pid("gateway").unwrap();
    let killed = Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    assert!(killed.success(), "{pid} was no process");
    until("it is started again", || devnet.pid("gateway").filter(|now| *now != pid));
}

fn go_on(mut caller: Caller, stop: &Arc<AtomicBool>) -> JoinHandle<(Caller, Vec<Call>)> {
    let stop = Arc::clone(stop);
    thread::spawn(move || {
        let mut calls = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            // A refusal is honest while the gateway is down; only what was taken counts.
            match caller.call() {
                Some(call) => calls.push(call),
                None => thread::sleep(Duration::from_millis(50)),
            }
        }
        (caller, calls)
    })
}

/// What a call was charged is what the journal says of it, and what its payer saw is paid but for a few tokens.
fn check(call: &Call, journal: &BTreeMap<Digest, Written>) {
    let form = call.form;
    let written = journal.get(&call.request).unwrap_or_else(|| panic!("{form:?}: served, and not written down"));
    let charged = written.charged.unwrap();
    let had_left = written.receipts + written.marked.saturating_sub(written.counted);
    assert!(charged <= written.max.min(had_left), "{form:?}: {written:?}");
    if let Some((receipt, told)) = &call.told {
        assert_eq!(charged, *told, "{form:?}: {receipt} was acknowledged with that charge");
    }
    let unpaid = (call.seen * OUTPUT * form.micro_dollar()).saturating_sub(charged);
    let most = u128::from(UNPAID_TOKENS_MAX) * OUTPUT * form.micro_dollar();
    assert!(call.is_failed || unpaid <= most, "{form:?}: {} tokens came, {written:?}", call.seen);
}

#[test]
fn a_paying_gateway_that_is_killed_charges_what_had_left_and_loses_nothing() {
    let devnet =
        Devnet::start(&["--processes", "--paid-on", "base", "--validators", "1", "--workers", "1", "--threads", "1"]);
    assert_eq!(devnet.og(&["wallet", "approve", "--key", "base/1"]).code, 0);
    let (under_way, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (base, runtime) = (devnet.ready["base"]["url"].as_str().unwrap().to_owned(), runtime());
    let chain = Chain::new(Client::default(), base);
    let held = |form: Form, account: Address| -> u128 {
        let asked = IToken::balanceOfCall { account };
        u128::try_from(runtime.block_on(chain.read(form.token(), &asked)).unwrap()).unwrap()
    };
    let callers = FORMS.into_iter().enumerate().map(|(key, form)| Caller::new(&devnet, form, key, &under_way));
    let callers: Vec<(u128, Caller)> =
        callers.map(|caller| (held(caller.form, caller.payer.key().address()), caller)).collect();
    let (before, mut callers): (Vec<u128>, Vec<Caller>) = callers.into_iter().unzip();
    // One whole call each: a channel's deposit is made, and the model's tokens are known.
    let mut calls: Vec<Call> = callers.iter_mut().map(|caller| until("a call is served", || caller.call())).collect();
    let running: Vec<_> = callers.into_iter().map(|caller| go_on(caller, &stop)).collect();
    (0..KILLS).for_each(|turn| kill(&devnet, &under_way, turn));
    until("a stream is under way", || (under_way.load(Ordering::SeqCst) > 0).then_some(()));
    stop.store(true, Ordering::Relaxed);
    let ended: Vec<(Caller, Vec<Call>)> = running.into_iter().map(|thread| thread.join().unwrap()).collect();

    let (lines, books) = until("everything is settled", || at_rest(&devnet));
    let journal = written(&lines);
    let spent = |payer: &Payer| -> u128 {
        let of = holder(payer.key().address());
        let purses = books.entries().into_iter().filter_map(|entry| match entry {
            Entry::Purse(purse) if purse.payer == of => Some(purse.spent),
            _ => None,
        });
        purses.sum()
    };
    for ((caller, taken), before) in ended.into_iter().zip(before) {
        let (form, address) = (caller.form, caller.payer.key().address());
        let left_wallet = before - held(form, address);
        let paid = match caller.channel {
            Some(channel) => {
                assert_eq!(left_wallet, DEPOSIT, "one deposit, whatever was killed");
                let asked = IBatchSettlement::channelsCall { channelId: channel };
                runtime.block_on(chain.read(addresses::BATCH_SETTLEMENT, &asked)).unwrap().totalClaimed
            }
            None => left_wallet,
        };
        assert_eq!(paid, spent(&caller.payer), "{form:?}: what its payer lost is what the books say");
        calls.extend(taken);
    }
    calls.iter().for_each(|call| check(call, &journal));
    let broken = calls.iter().filter(|call| call.told.is_none() && call.seen > 0).count();
    let acknowledged: Vec<&String> = calls.iter().filter_map(|call| Some(&call.told.as_ref()?.0)).collect();
    assert!(broken > 0 && acknowledged.len() >= FORMS.len(), "{broken} broken, {} whole", acknowledged.len());
    let client = Client::default();
    for receipt in acknowledged {
        let url = format!("{}/v1/receipts/{receipt}", devnet.text("gateway"));
        until("what was acknowledged is on the ledger", || {
            let told: Value = serde_json::from_slice(&runtime.block_on(client.get_bytes(&url)).ok()?).ok()?;
            ["anchored", "audited", "final"].contains(&told["state"].as_str()?).then_some(())
        });
    }
}
