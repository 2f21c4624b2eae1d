//! What a paid call costs beside its work, as a gateway does it for each one: a voucher's header read, offers made and compared (once to
//! see whose turn its prompt is counted in, once to take it), its signature recovered, its channel reserved, the answer's end journalled,
//! the call charged, what is announced to its payer journalled, and the response's header written.
//!
//! Callers with a channel each wait for the journal as real calls do, before the first byte and before the last event. CPU seconds are all
//! of this process's, the journal's thread among them, so that other load matters little; what a call takes is told without its waits, and
//! the waits apart, of a caller that is alone.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement stops where it cannot go on and tells its figures"
)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_primitives::{Address, B256};
use mimalloc::MiMalloc;
use payments::{
    Reservation, Till,
    books::{Answer, Entry, Raise, Wanted},
    hex,
    payer::{Channel, Payer},
    price::{Part, Price, Rate, Split, Tariff, Unit, Usage, holder},
    scheme::{Asset, ChannelFacts, KnownToken, Method, Offer, Recipient, Scheme, batch, batch::Voucher},
    signing::SignerKey,
    wire::{Network, PaymentPayload, PaymentRequired, Requirements, Resource, SettleResponse, header},
};
use protocol::Digest;
use serde_json::{Value, json};

/// As `og` has it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const NOW_S: u64 = 1_800_000_000;
/// So many share the journal's syncs.
const CALLERS: usize = 64;
const CALLS_EACH: usize = 320;
/// Calls of one more caller, which has the journal to itself.
const CALLS_ALONE: usize = 256;
/// The least that a call can use, the most that this one can, and what it did use.
const LEAST: Usage = Usage { input: 1, output: 1 };
const MOST: Usage = Usage { input: 20, output: 128 };
const USED: Usage = Usage { input: 20, output: 100 };
/// In base units of OPG.
const SESSION_CAP: u128 = 100_000_000_000_000_000;

/// What all calls share.
struct Desk {
    till: Arc<Till>,
    assets: [Asset; 2],
    split: Split,
}

/// What a call took, and how long it waited for the journal.
#[derive(Clone, Copy)]
struct Took {
    own: Duration,
    waited: Duration,
}

impl Desk {
    fn new(till: Arc<Till>) -> Self {
        let holder = |index| holder(Address::with_last_byte(index));
        let parts = [(Part::Worker, 3, 750_000), (Part::Publisher, 4, 230_000), (Part::Protocol, 5, 20_000)];
        let split = Split::new(parts.map(|(part, index, share)| (part, holder(index), share)).to_vec()).unwrap();
        let assets = [Unit::Usd, Unit::Opg].map(|unit| KnownToken::counted_in(unit, Network::BASE).unwrap().asset());
        Self { till, assets, split }
    }

    fn tariff(asset: &Asset) -> Tariff {
        let price = Price { unit: Unit::Usd, per_call: 0, per_input_token: 0, per_output_token: 10_000_000_000_000 };
        let rate = Rate { usd_per_opg: 100_000_000_000_000_000, at_ms: 0 };
        Tariff { price, per_mille: 1_000, money: asset.money, rate: Some(rate) }
    }

    /// All ways to pay for a call that uses so much at most: five, as a gateway makes them.
    fn offers(&self, most: Usage) -> Vec<Offer> {
        self.assets.iter().flat_map(|asset| ways(asset, Self::tariff(asset).quote(most).unwrap().amount)).collect()
    }

    /// From a header to a reservation.
    fn admit(&self, text: &str) -> (Reservation, Voucher) {
        let payment = PaymentPayload::read(&header::read(text.as_bytes()).unwrap()).unwrap();
        let amount = payment.amount().unwrap();
        let least: Vec<Offer> = self.offers(LEAST).into_iter().map(|offer| Offer { amount, ..offer }).collect();
        let voucher = batch::read(&payment.payload, Offer::taken(&least, &payment).unwrap(), NOW_S).unwrap();
        let offers = self.offers(MOST);
        let offer = Offer::taken(&offers, &payment).unwrap();
        let purse = voucher.purse();
        if self.till.books().standing(&purse).is_none() {
            let facts = ChannelFacts { balance: u128::MAX / 2, asked_at_ms: NOW_S * 1_000, ..Default::default() };
            self.till.books().note_facts(purse, facts);
        }
        let wanted = Wanted {
            max: offer.amount - 1,
            request: Digest([1; 32]),
            name: None,
            model: Digest([2; 32]),
            split: &self.split,
            lineage: Digest::ZERO,
            now_ms: NOW_S * 1_000,
        };
        let tariff = Self::tariff(&offer.asset);
        (self.till.take_voucher(&voucher, offer, &wanted, tariff).unwrap(), voucher)
    }

    /// Charges for an answer, and writes the header that tells of it.
    fn finish(&self, reservation: Reservation, voucher: &Voucher, answer: Answer) -> String {
        let (purse, max) = (reservation.purse(), reservation.max());
        reservation.charge_soon(vec![answer]).unwrap();
        let mut added = 0;
        let announce = |books: &payments::books::Books| {
            let record = books.purse(&purse)?;
            added = (record.spent + books.reserved(&purse)).saturating_sub(record.announced).min(max);
            Some(Entry::Announced(Raise { purse, amount: record.announced + added }))
        };
        self.till.note(announce).unwrap();
        let books = self.till.books();
        let (facts, record) = (books.standing(&purse).unwrap().facts, books.purse(&purse).unwrap());
        let mut state = facts.state(voucher.channel);
        state.insert("chargedCumulativeAmount".to_owned(), record.announced.to_string().into());
        let signature = hex::encode_prefixed(&voucher.signature);
        let signed = json!({ "signedMaxClaimable": voucher.max_claimable.to_string(), "signature": signature });
        drop(books);
        let mut response = SettleResponse::charged(voucher.network, voucher.config.payer, added, String::new());
        response.extra.insert("chargedAmount".to_owned(), added.to_string().into());
        response.extra.insert("channelState".to_owned(), Value::Object(state));
        response.extra.insert("voucherState".to_owned(), signed);
        header::write(&response.to_json())
    }

    async fn answer(&self, text: &str, receipt: Digest) -> Took {
        let mut took = Took { own: Duration::ZERO, waited: Duration::ZERO };
        let began_at = Instant::now();
        let (reservation, voucher) = self.admit(text);
        took.own += began_at.elapsed();
        let began_at = Instant::now();
        reservation.durable().await.unwrap();
        took.waited += began_at.elapsed();
        let (call, began_at) = (reservation.call(), Instant::now());
        let quote = reservation.tariff().quote(USED).unwrap();
        let worker = Some(holder(Address::with_last_byte(6)));
        let answer = Answer { receipt, amount: quote.amount, opg: quote.opg, worker };
        let ended = self.till.note(|books| books.end_answer(call, answer.clone(), quote)).unwrap();
        took.own += began_at.elapsed();
        let began_at = Instant::now();
        self.till.durable(ended.unwrap()).await.unwrap();
        took.waited += began_at.elapsed();
        let began_at = Instant::now();
        std::hint::black_box(self.finish(reservation, &voucher, answer));
        took.own += began_at.elapsed();
        took
    }
}

/// As a gateway offers them: sessions in OPG, because there is some.
fn ways(asset: &Asset, amount: u128) -> Vec<Offer> {
    let method = if asset.takes_transfers() { Method::Transfer } else { Method::Permit2 };
    let recipient = Recipient {
        pay_to: Address::with_last_byte(1),
        facilitator: Address::with_last_byte(2),
        withdraw_delay_s: 86_400,
    };
    let offer = |scheme, method, amount: u128| Offer {
        scheme,
        method,
        asset: asset.clone(),
        recipient,
        amount,
        max_timeout_s: 600,
        margin_s: 30,
        min_deposit: (amount * 5).max(asset.hundredth()),
    };
    let session = (method == Method::Permit2).then(|| offer(Scheme::Upto, Method::Permit2, SESSION_CAP.max(amount)));
    let others = [offer(Scheme::Exact, method, amount), offer(Scheme::Batch, method, amount + 1)];
    session.into_iter().chain(others).collect()
}

/// One caller's headers as its client sends them, signed before anything is measured.
fn headers(terms: &Requirements, caller: usize, calls: usize) -> Vec<String> {
    let resource = Resource { url: "http://127.0.0.1/v1/chat/completions".to_owned(), ..Resource::default() };
    let required = PaymentRequired { error: None, resource, accepts: Vec::new(), extensions: Default::default() };
    let payer = Payer::new(SignerKey::from_secret([caller as u8 + 1; 32]).unwrap());
    let channel = Channel::of(terms, &payer, B256::ZERO).unwrap();
    let header = |call: usize| {
        let voucher = channel.voucher(&payer, terms.amount * (call as u128 + 1));
        header::write(&Channel::payment(&required, terms, voucher).to_json().unwrap())
    };
    (0..calls).map(header).collect()
}

/// The calls of one caller, one after the other. Each answer has a receipt of its own.
async fn calls(desk: Arc<Desk>, caller: usize, headers: Vec<String>) -> Vec<Took> {
    let mut took = Vec::with_capacity(headers.len());
    for (call, text) in headers.iter().enumerate() {
        let receipt = crypto::hash("og/bench", &[&caller.to_be_bytes(), &call.to_be_bytes()]);
        took.push(desk.answer(text, receipt).await);
    }
    took
}

/// What all threads of this process have run so far, in nanoseconds: `/proc/self/schedstat` is the first one's alone.
fn cpu() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path().join("schedstat"));
    let texts = tasks.filter_map(|path| std::fs::read_to_string(path).ok());
    Duration::from_nanos(texts.map(|text| text.split(' ').next().unwrap().parse::<u64>().unwrap()).sum())
}

fn percentile(mut times: Vec<Duration>, share: usize) -> f64 {
    times.sort_unstable();
    micros(times[times.len() * share / 100])
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("payments.log");
    let till = Till::open(&path, || NOW_S * 1_000, std::fs::File::sync_data).unwrap();
    let desk = Arc::new(Desk::new(till));
    let is_channel = |offer: &Offer| offer.scheme == Scheme::Batch && offer.asset == desk.assets[0];
    let terms = desk.offers(MOST).into_iter().find(is_channel).unwrap().requirements();
    let signed: Vec<Vec<String>> = (0..CALLERS).map(|caller| headers(&terms, caller, CALLS_EACH)).collect();
    let alone = headers(&terms, CALLERS, CALLS_ALONE);
    let bytes_before = std::fs::metadata(&path).unwrap().len();
    let (began_at, cpu_before) = (Instant::now(), cpu());
    let callers: Vec<_> = signed
        .into_iter()
        .enumerate()
        .map(|(caller, headers)| tokio::spawn(calls(Arc::clone(&desk), caller, headers)))
        .collect();
    let mut took = Vec::with_capacity(CALLERS * CALLS_EACH);
    for caller in callers {
        took.extend(caller.await.unwrap());
    }
    let (wall, used) = (began_at.elapsed(), cpu().saturating_sub(cpu_before));
    let count = took.len() as f64;
    let journal = (std::fs::metadata(&path).unwrap().len() - bytes_before) as f64;
    let own: Vec<Duration> = took.iter().map(|took| took.own).collect();
    let waits: Vec<Duration> = calls(Arc::clone(&desk), CALLERS, alone).await.iter().map(|took| took.waited).collect();
    let figures = [
        ("mean_cpu_us", micros(used) / count),
        ("p50_us", percentile(own.clone(), 50)),
        ("p99_us", percentile(own, 99)),
        ("calls_per_second", count / wall.as_secs_f64()),
        ("calls_per_cpu_second", count / used.as_secs_f64()),
        ("sync_wait_us_p50", percentile(waits.clone(), 50)),
        ("sync_wait_us_p99", percentile(waits, 99)),
        ("journal_bytes_per_call", journal / count),
    ];
    for (name, figure) in figures {
        println!("{name} {figure:.1}");
    }
}
