//! The desk: what is offered for a call, and whatever all payments of one gateway share.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use network::{Client, now_ms};
use payments::{
    Address, Bytes, Till, TillError,
    chain::registry,
    price::{
        Feed, Holder, Holders, Part, Parts, Price, PriceError, Quote, Rate, Split, Tariff, Usage, holder as account,
        per_mille,
    },
    scheme::{Asset, Method, Offer, Recipient, Scheme, upto::Sessions},
    signing::SignerKey,
    wire::{PaymentRequired, Resource},
};
use protocol::{Assurance, Digest, EvmAddress, Milliseconds, PublicKey, Receipt};
use thiserror::Error;

use crate::{
    directory::Directory,
    pace::Pace,
    payment::{chain::ChainClient, config::Payments, published::PublishedModels, repeats::Repeats},
};

/// How long `exact` payments are asked to be good for. A client's clock and its way to us take a part of it.
const EXACT_TIMEOUT_S: u64 = 600;
const SESSION_TIMEOUT_S: u64 = 3_600;
const WITHDRAW_DELAY_S: u64 = 86_400;
/// Calls of the present price that a new channel should hold.
const CALLS_A_DEPOSIT: u128 = 5;
const STALE_AFTER_MS: Milliseconds = 15 * 60 * 1_000;
const HONOURED_FOR_MS: Milliseconds = 60_000;

/// Why a gateway could not open its till.
#[derive(Debug, Error)]
pub enum DeskError {
    #[error("failed to open the payment journal: {0}")]
    Till(#[from] TillError),
    #[error("the settling key is no key")]
    Key,
}

/// Shared by all requests of one gateway.
pub struct Desk {
    pub config: Payments,
    pub pace: Pace,
    pub till: Arc<Till>,
    pub chain: ChainClient,
    pub key: SignerKey,
    pub recipient: Recipient,
    pub sessions: Mutex<Sessions>,
    pub feed: Mutex<Feed>,
    /// Transactions of our key leave one after the other: their nonces have an order.
    pub sending: Arc<tokio::sync::Mutex<()>>,
    /// For how long settlements that wait now will wait, as far as the last ones tell.
    pub backlog_ms: AtomicU64,
    /// When channels were refunded in the last hour.
    pub refunds: Mutex<BTreeMap<Digest, Vec<Milliseconds>>>,
    pub assets: Vec<Asset>,
    /// Answers under payment identifiers.
    pub repeats: Mutex<Repeats>,
    /// Who runs which worker.
    pub directory: Arc<Directory>,
    /// The ledger's EVM, where it is named.
    pub ledger: Option<ChainClient>,
    pub published: PublishedModels,
    /// What of a charge goes to whom but the worker, as the ledger said last.
    pub parts: Mutex<Parts>,
}

/// A call that has a price.
#[derive(Clone, Copy, Debug)]
pub struct Bill<'a> {
    /// The endpoint, as the caller addresses it.
    pub url: &'a str,
    pub path: &'static str,
    pub request: Digest,
    pub model: Digest,
    pub model_name: &'a str,
    pub publisher: EvmAddress,
    pub level: Assurance,
    /// The most tokens that each answer of the call may use.
    pub most: &'a [Usage],
    /// Tokens of the prompt, where they could be counted; else zero.
    pub counted_input: u64,
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing here panics while it holds a lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    pub fn open(
        config: Payments,
        pace: Pace,
        folder: &Path,
        client: Client,
        directory: Arc<Directory>,
    ) -> Result<Self, DeskError> {
        let key = SignerKey::from_secret(config.secret).ok_or(DeskError::Key)?;
        let recipient = Recipient {
            pay_to: config.pay_to.unwrap_or_else(|| key.address()),
            facilitator: key.address(),
            withdraw_delay_s: WITHDRAW_DELAY_S,
        };
        let idle_ms = Milliseconds::try_from(config.idle.as_millis()).unwrap_or(Milliseconds::MAX);
        let desk = Self {
            till: Till::open(&folder.join("payments.log"), now_ms)?,
            chain: ChainClient::new(client.clone(), config.rpc.clone(), config.network),
            ledger: config.ledger_rpc.clone().map(|url| ChainClient::new(client, url, config.network)),
            published: PublishedModels::default(),
            parts: Mutex::new(Parts::DEFAULT),
            repeats: Mutex::default(),
            directory,
            key,
            recipient,
            sessions: Mutex::new(Sessions::new(idle_ms)),
            feed: Mutex::new(Feed::new(STALE_AFTER_MS, HONOURED_FOR_MS)),
            sending: Arc::default(),
            backlog_ms: AtomicU64::new(0),
            refunds: Mutex::default(),
            assets: config.assets(),
            pace,
            config,
        };
        desk.tell_rate();
        Ok(desk)
    }

    /// The configured rate, told anew: it does not grow old while its gateway runs. A ledger that is named says it instead.
    pub fn tell_rate(&self) {
        if let Some(usd_per_opg) = self.config.usd_per_opg.filter(|_| self.ledger.is_none()) {
            let at_ms = now_ms();
            // A rate that did not change cannot jump, and the clock may only have stood still.
            let _told = lock(&self.feed).tell(Rate { usd_per_opg, at_ms }, at_ms);
        }
    }

    /// What the ledger's parameter says now. Where it is not heard for a while, there is no rate: the last one is not the next.
    pub async fn ask_rate(&self) {
        let Some(ledger) = &self.ledger else { return };
        let asked = ledger.call(&registry::ask_rate()).await;
        let at_ms = now_ms();
        match asked.map(|answer| registry::rate(&answer)) {
            Ok(Some(usd_per_opg)) => {
                if let Err(error) = lock(&self.feed).tell(Rate { usd_per_opg, at_ms }, at_ms) {
                    tracing::warn!(%error, usd_per_opg, "the ledger's rate was not taken");
                }
            }
            Ok(None) => tracing::warn!("the ledger's rate is no number"),
            Err(error) => tracing::debug!(%error, "failed to read the ledger's rate"),
        }
    }

    /// What the ledger's parameters say of a charge's parts. Where it is not heard, what it said last counts: it divides itself in the end.
    pub async fn ask_parts(&self) {
        let Some(ledger) = &self.ledger else { return };
        let mut answers = [const { Bytes::new() }; 4];
        for (ask, answer) in registry::ask_parts().iter().zip(&mut answers) {
            let Ok(told) = ledger.call(ask).await else { return };
            *answer = told;
        }
        match registry::parts(&answers) {
            Some(parts) => *lock(&self.parts) = parts,
            None => tracing::warn!("the ledger's parts of a charge are no shares"),
        }
    }

    /// What a model's publisher asks for in the registry, else what is configured.
    pub fn price(&self, root: &Digest, name: &str) -> Price {
        self.published.of(root).map_or_else(|| self.config.prices.of(name), |published| published.price)
    }

    /// What a call of this bill costs per token, by the rate of now or of a moment ago.
    pub fn tariff(&self, bill: &Bill<'_>, asset: &Asset, rate: Option<Rate>) -> Tariff {
        let (price, per_mille) = (self.price(&bill.model, bill.model_name), per_mille(bill.level));
        Tariff { price, per_mille, money: asset.money, rate }
    }

    /// The most that each answer of a bill can cost, and all of them together.
    pub fn most(tariff: &Tariff, bill: &Bill<'_>) -> Result<(Vec<Quote>, Quote), PriceError> {
        let each = bill.most.iter().enumerate().map(|(place, usage)| of_answer(tariff, place).quote(*usage));
        let each: Vec<Quote> = each.collect::<Result<_, _>>()?;
        let sum = each.iter().try_fold(Quote::ZERO, |sum, quote| sum.checked_add(*quote));
        Ok((each, sum.ok_or(PriceError::Overflow)?))
    }

    /// All ways to pay a bill by one rate; the ways that have no price without a rate are left out.
    pub fn offers(&self, bill: &Bill<'_>, rate: Option<Rate>) -> Result<Vec<Offer>, PriceError> {
        let mut offers = Vec::new();
        let mut last = None;
        for asset in &self.assets {
            match Self::most(&self.tariff(bill, asset, rate), bill) {
                Ok((_, most)) => self.ways(asset, most.amount, &mut offers),
                Err(error) => last = Some(error),
            }
        }
        match last {
            Some(error) if offers.is_empty() => Err(error),
            Some(_) | None => Ok(offers),
        }
    }

    fn ways(&self, asset: &Asset, amount: u128, offers: &mut Vec<Offer>) {
        let is_opg = asset.money.unit == payments::price::Unit::Opg;
        // The voucher that pays for a call covers more than any charge, so that it is never the one that asks for a refund.
        let above = amount.saturating_add(1);
        let takes_exact = !self.is_behind();
        let offer = |scheme, method, amount, max_timeout_s| Offer {
            scheme,
            method,
            asset: asset.clone(),
            recipient: self.recipient,
            amount,
            max_timeout_s,
            margin_s: self.margin_s(scheme),
            min_deposit: amount.saturating_mul(CALLS_A_DEPOSIT),
        };
        if is_opg {
            let cap = self.config.session_cap.max(amount);
            offers.push(offer(Scheme::Upto, Method::Permit2, cap, SESSION_TIMEOUT_S));
            if takes_exact {
                offers.push(offer(Scheme::Exact, Method::Permit2, amount, EXACT_TIMEOUT_S));
            }
            offers.push(offer(Scheme::Batch, Method::Permit2, above, EXACT_TIMEOUT_S));
        } else {
            if takes_exact {
                offers.push(offer(Scheme::Exact, Method::Transfer, amount, EXACT_TIMEOUT_S));
            }
            offers.push(offer(Scheme::Batch, Method::Transfer, above, EXACT_TIMEOUT_S));
        }
    }

    /// True where a payment that came now might end before its settlement's turn: then none is offered that needs one of its own.
    fn is_behind(&self) -> bool {
        u128::from(self.backlog_ms.load(Ordering::Relaxed)) > self.pace.settlement.as_millis()
    }

    /// For how long a payment must still be good when it is taken: for the answer and its settlement, or a session's end. A voucher has
    /// no end, so that only a deposit's own transaction must still get through.
    fn margin_s(&self, scheme: Scheme) -> u64 {
        let settlement_s = self.pace.settlement.as_secs();
        match scheme {
            Scheme::Exact => self.pace.paid_answer.as_secs().saturating_add(settlement_s),
            Scheme::Upto => self.pace.session_margin.as_secs().saturating_add(settlement_s),
            Scheme::Batch => settlement_s,
        }
    }

    /// Rates that may have been quoted by; at least one entry, so that prices that need no rate are found too.
    pub fn rates(&self) -> Vec<Option<Rate>> {
        let honoured = lock(&self.feed).honoured(now_ms());
        if honoured.is_empty() { vec![None] } else { honoured.into_iter().map(Some).collect() }
    }

    pub fn required(&self, bill: &Bill<'_>, error: Option<String>) -> Result<PaymentRequired, PriceError> {
        let rate = self.rates().into_iter().next().flatten();
        let accepts = self.offers(bill, rate)?.iter().map(Offer::requirements).collect();
        let resource = Resource {
            url: bill.url.to_owned(),
            description: Some(format!("{} by the model {}", bill.path.trim_start_matches("/v1/"), bill.model_name)),
            mime_type: Some("application/json".to_owned()),
        };
        // None are named: the official Python client refuses those it cannot check with what it has installed. A payment identifier that
        // comes all the same is honoured.
        Ok(PaymentRequired { error, resource, accepts, extensions: serde_json::Map::new() })
    }

    /// How a charge for a model's answer is shared out. The worker's part is given to the one that served, once that is known, and the
    /// publisher's divided by the lineage.
    pub fn split(&self, bill: &Bill<'_>) -> Split {
        let (own, pool) = (account(self.recipient.pay_to), account(registry::STAKING));
        // Who audits is not known yet; what the ledger owes in the end goes to those who did.
        let holders = Holders {
            worker: own,
            publisher: account(Address::from(bill.publisher.0)),
            auditors: pool,
            protocol: pool,
        };
        lock(&self.parts).split(&holders).unwrap_or_else(|| nobody(own))
    }

    /// Who is paid the worker's part: whom the registry names for it, else its key's own account.
    pub fn worker(&self, receipt: &Receipt) -> Holder {
        let view = self.directory.view();
        let worker = view.workers.iter().find(|worker| worker.node == receipt.worker);
        account(worker.map_or_else(|| holder(&receipt.worker_key), |worker| Address::from(worker.payout.0)))
    }

    /// Who shares the publisher's part of a model; zero where only its publisher does.
    pub fn lineage(&self, model: &Digest) -> Digest {
        self.published.of(model).map_or(Digest::ZERO, |published| published.lineage)
    }
}

/// The tariff of a call's answer at `place`: the first one pays for the call.
pub fn of_answer(tariff: &Tariff, place: usize) -> Tariff {
    let price = if place == 0 { tariff.price } else { tariff.price.of_a_further_answer() };
    Tariff { price, ..*tariff }
}

/// Everything to one holder: where a split cannot be made.
fn nobody(pay_to: Holder) -> Split {
    let whole = Split::new(vec![(Part::Protocol, pay_to, 1_000_000)]);
    whole.unwrap_or_else(|error| unreachable!("one part of a million sums to a million: {error}"))
}

/// The account of a ledger key: the last 20 bytes of its Keccak-256, as the ledger has it.
pub fn holder(key: &PublicKey) -> Address {
    Address::from_slice(payments::keccak256(key.0).get(12..).unwrap_or_default())
}
