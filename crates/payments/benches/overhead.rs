//! What a paid call costs beside its work: a voucher's header read, its signature recovered, its channel reserved and charged, both
//! journalled. CPU seconds are this process's, so that other load matters little; the wait for the disk is told apart.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement stops where it cannot go on and tells its figures"
)]

use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256, address};
use payments::{
    Till,
    books::{Answer, Wanted},
    payer::{Channel, Payer},
    price::{Money, Part, Price, Split, Tariff, Unit, Usage},
    scheme::{Asset, ChannelFacts, Method, Offer, Recipient, Scheme, batch},
    signing::SignerKey,
    wire::{Network, PaymentPayload, PaymentRequired, Resource, header},
};
use protocol::Digest;

const NOW_S: u64 = 1_800_000_000;
const CALLS: usize = 20_000;
const CHANNELS: u8 = 16;
const PRICE: u128 = 1_000;

fn offer() -> Offer {
    let usdc = address!("833589fCD6eDb6E08f4c7C32D4f71b54bdA02913");
    let money = Money { unit: Unit::Usd, decimals: 6 };
    let recipient = Recipient {
        pay_to: Address::with_last_byte(1),
        facilitator: Address::with_last_byte(2),
        withdraw_delay_s: 86_400,
    };
    Offer {
        scheme: Scheme::Batch,
        method: Method::Transfer,
        asset: Asset::new(Network::BASE, usdc, "USD Coin", "2", money),
        recipient,
        amount: PRICE,
        max_timeout_s: 300,
        margin_s: 6,
        min_deposit: PRICE,
    }
}

/// Headers as clients send them, signed before anything is measured.
fn headers(offer: &Offer) -> Vec<String> {
    let terms = offer.requirements();
    let resource = Resource { url: "http://127.0.0.1/v1/chat/completions".to_owned(), ..Resource::default() };
    let required = PaymentRequired { error: None, resource, accepts: Vec::new(), extensions: Default::default() };
    let payers: Vec<Payer> =
        (1..=CHANNELS).map(|seed| Payer::new(SignerKey::from_secret([seed; 32]).unwrap())).collect();
    let channels: Vec<Channel> = payers.iter().map(|payer| Channel::of(&terms, payer, B256::ZERO).unwrap()).collect();
    let header = |call: usize| {
        let (payer, channel) = (&payers[call % payers.len()], &channels[call % payers.len()]);
        let cover = PRICE * (call / payers.len() + 1) as u128;
        let payment = Channel::payment(&required, &terms, channel.voucher(payer, cover));
        header::write(&payment.to_json().unwrap())
    };
    (0..CALLS).map(header).collect()
}

fn cpu() -> Duration {
    // Nanoseconds that this process ran, of all its threads.
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (offer, folder) = (offer(), tempfile::tempdir().unwrap());
    let headers = headers(&offer);
    let path = folder.path().join("payments.log");
    let till = Till::open(&path, || NOW_S * 1_000, std::fs::File::sync_data).unwrap();
    let holder = |index| payments::price::holder(Address::with_last_byte(index));
    let split = Split::new(vec![
        (Part::Worker, holder(3), 750_000),
        (Part::Publisher, holder(4), 230_000),
        (Part::Protocol, holder(5), 20_000),
    ]);
    let split = split.unwrap();
    let price = Price { unit: Unit::Usd, per_call: 0, per_input_token: 0, per_output_token: 10_000_000_000_000 };
    let rate = payments::price::Rate { usd_per_opg: 100_000_000_000_000_000, at_ms: 0 };
    let tariff = Tariff { price, per_mille: 1_000, money: offer.asset.money, rate: Some(rate) };
    let mut took = Vec::with_capacity(CALLS);
    let (began, cpu_before) = (Instant::now(), cpu());
    let mut last = None;
    for text in &headers {
        let started = Instant::now();
        let payment = PaymentPayload::read(&header::read(text.as_bytes()).unwrap()).unwrap();
        Offer::taken(std::slice::from_ref(&offer), &payment).unwrap();
        let voucher = batch::read(&payment.payload, &offer, NOW_S).unwrap();
        let purse = voucher.purse();
        if till.books().standing(&purse).is_none() {
            let facts = ChannelFacts { balance: u128::MAX / 2, asked_at_ms: NOW_S * 1_000, ..Default::default() };
            till.books().note_facts(purse, facts);
        }
        let (request, model) = (Digest([1; 32]), Digest([2; 32]));
        let wanted = Wanted {
            max: PRICE,
            request,
            name: None,
            model,
            split: &split,
            lineage: Digest::ZERO,
            now_ms: NOW_S * 1_000,
        };
        let reservation = till.take_voucher(&voucher, &offer, &wanted, tariff).unwrap();
        let quote = reservation.tariff().quote(Usage { input: 20, output: 100 }).unwrap();
        let (receipt, amount, opg) = (Digest([3; 32]), quote.amount, quote.opg);
        let ended = reservation.charge_soon(vec![Answer { receipt, amount, opg, worker: None }]).unwrap();
        took.push(started.elapsed());
        last = ended.1;
    }
    let (wall, used) = (began.elapsed(), cpu().saturating_sub(cpu_before));
    let synced_from = Instant::now();
    till.durable(last.unwrap()).await.unwrap();
    took.sort_unstable();
    let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
    let figures = [
        ("mean_cpu_us", micros(used) / CALLS as f64),
        ("p50_us", micros(took[CALLS / 2])),
        ("p99_us", micros(took[CALLS * 99 / 100])),
        ("calls_per_second", CALLS as f64 / wall.as_secs_f64()),
        ("calls_per_cpu_second", CALLS as f64 / used.as_secs_f64()),
        ("last_sync_us", micros(synced_from.elapsed())),
        ("journal_bytes_per_call", std::fs::metadata(path).unwrap().len() as f64 / CALLS as f64),
    ];
    for (name, figure) in figures {
        println!("{name} {figure:.1}");
    }
}
