//! The desk: what is offered for a call, and whatever all payments of one gateway share.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use network::{Bytes, Client, now_ms};
use payments::{
    Address, Till, TillError,
    chain::{CONTRACTS, LENT, declared_lending, needs, registry},
    facilitator::Buckets,
    price::{
        Feed, Holder, Holders, Lives, Part, Parts, Price, PriceError, Quote, Rate, Split, Tariff, Unit, Usage,
        holder as account, per_mille,
    },
    scheme::{Asset, Method, Offer, Recipient, Refused, SPONSORED, Scheme, declared_sponsoring, upto::Sessions},
    signing::{
        SignerKey,
        promise::{self, OFFER_RECEIPT, PromisedOffer},
        session::{self, SESSION_KEY},
    },
    wire::{PaymentRequired, Resource},
};
use protocol::{Assurance, Digest, EvmAddress, Milliseconds, PublicKey, Receipt};
use storage::SyncData;
use thiserror::Error;

use crate::{
    directory::Directory,
    pace::Pace,
    payment::{
        chain::ChainClient, config::Payments, errands::Errands, ledger::LedgerRpc, published::PublishedModels,
        repeats::Repeats, unmined::Unmined,
    },
};

/// How long `exact` payments are asked to be good for. A client's clock and its way to us take a part of it.
const EXACT_TIMEOUT_S: u64 = 600;
const SESSION_TIMEOUT_S: u64 = 3_600;
const WITHDRAW_DELAY_S: u64 = 86_400;
/// So many settlements must be paid for by what is left for gas where `exact` and `upto` are offered.
const SETTLEMENTS_KEPT: u32 = 50;
/// Calls of the present price that a new channel should hold.
const CALLS_A_DEPOSIT: u128 = 5;
const STALE_AFTER_MS: Milliseconds = 15 * 60 * 1_000;
const HONOURED_FOR_MS: Milliseconds = 60_000;
/// As long as a rate is honoured: what is promised is taken for so long.
const PROMISED_FOR_S: u64 = HONOURED_FOR_MS / 1_000;

/// Whose turns those take who are nobody yet, because a key costs nothing.
pub const EVERYBODY: Address = Address::ZERO;

/// Why a gateway could not open its till.
#[derive(Debug, Error)]
pub enum DeskError {
    #[error("failed to open the payment journal: {0}")]
    Till(#[from] TillError),
    #[error("the settling key is no key")]
    Key,
    #[error(
        "the facilitator's key is no key, or the settling key itself; hint: each sends transactions in an order of its own"
    )]
    FacilitatorKey,
}

/// Shared by all requests of one gateway.
pub struct Desk {
    pub config: Payments,
    pub pace: Pace,
    pub till: Arc<Till>,
    pub chain: ChainClient,
    pub key: SignerKey,
    /// Settles other servers' payments. Apart, so that no stranger uses up what settles our own.
    pub facilitator: SignerKey,
    pub recipient: Recipient,
    pub sessions: Mutex<Sessions>,
    pub feed: Mutex<Feed>,
    /// Transactions of our key leave one after the other: their nonces have an order.
    pub sending: tokio::sync::Mutex<()>,
    /// Contracts of x402 that our chain has not, and when it told, once it has.
    lacking: Mutex<Option<(Vec<Address>, Instant)>>,
    /// Too little is left for gas, or it costs too much, to promise settlements that are a transaction each.
    pub is_short_of_gas: AtomicBool,
    /// How often payments of payers that are not known here are looked up, and those of each that is.
    pub strangers: Mutex<Buckets>,
    /// How often the prompt of a call that may come to nothing is counted before those of unpaid calls: for each who has paid here, and for
    /// all others together.
    pub(super) newcomers: Mutex<Buckets>,
    /// How often publishers ask what they earned.
    pub revenue: Mutex<Buckets>,
    /// How often offers are signed.
    promises: Mutex<Buckets>,
    /// How often what is worth less than its gas is settled, and how often it is claimed: channels, which need no more than a small call now
    /// and then to have something to claim, take no turn of payments.
    pub(super) dust: Mutex<Buckets>,
    small_claims: Mutex<Buckets>,
    /// How often payments of one payer come to nothing.
    pub(super) fruitless: Mutex<Buckets>,
    /// For how long settlements that wait now will wait, as far as the last ones tell.
    pub backlog_ms: AtomicU64,
    /// What was sent and is in no block, and for how long the one waits for its block that does so for longest.
    pub unmined: Mutex<Unmined>,
    pub unmined_ms: AtomicU64,
    /// Deposits and refunds that payers ask for.
    pub errands: Mutex<Errands>,
    /// Coins that were lent last, by payer.
    pub loans: tokio::sync::Mutex<BTreeMap<Address, Digest>>,
    /// When channels were refunded in the last hour.
    pub refunds: Mutex<BTreeMap<Digest, Vec<Milliseconds>>>,
    pub assets: Vec<Asset>,
    /// Answers under payment identifiers.
    pub repeats: Mutex<Repeats>,
    /// Who runs which worker.
    pub directory: Arc<Directory>,
    /// The ledger's EVM, where it is named.
    pub ledger: Option<LedgerRpc>,
    pub published: PublishedModels,
    /// What of a charge goes to whom but the worker, as the ledger said last.
    pub parts: Mutex<Parts>,
}

/// A call that has a price.
#[derive(Clone, Copy, Debug)]
pub struct Bill<'a> {
    /// The endpoint, at the gateway's public address or as the caller addresses it.
    pub url: &'a str,
    /// The endpoint here: what stands in front may have taken the beginning of the public one's path off.
    pub path: &'static str,
    pub request: Digest,
    pub body: &'a Bytes,
    pub model: Digest,
    pub model_name: &'a str,
    pub publisher: EvmAddress,
    /// Read once, so that what is offered, reserved and signed is one price.
    pub price: Price,
    pub level: Assurance,
    /// The most tokens that each answer of the call may use.
    pub most: &'a [Usage],
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing here panics while it holds a lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk {
    /// Opens the journal of payments in `folder`, which reaches the disk by `sync`.
    pub fn open(
        config: Payments,
        pace: Pace,
        folder: &Path,
        client: Client,
        directory: Arc<Directory>,
        sync: SyncData,
    ) -> Result<Self, DeskError> {
        let key = SignerKey::from_secret(config.secret).ok_or(DeskError::Key)?;
        let facilitator = SignerKey::from_secret(config.facilitator_secret).ok_or(DeskError::FacilitatorKey)?;
        if facilitator.address() == key.address() {
            return Err(DeskError::FacilitatorKey);
        }
        let recipient = Recipient {
            pay_to: config.pay_to.unwrap_or_else(|| key.address()),
            facilitator: key.address(),
            withdraw_delay_s: WITHDRAW_DELAY_S,
        };
        let idle_ms = Milliseconds::try_from(config.idle.as_millis()).unwrap_or(Milliseconds::MAX);
        let desk = Self {
            till: Till::open(&folder.join("payments.log"), now_ms, sync)?,
            chain: ChainClient::new(client.clone(), config.rpc.clone(), config.network, config.fee_max),
            ledger: config.ledger.as_ref().map(|source| LedgerRpc::new(&client, source, config.network)),
            published: PublishedModels::default(),
            parts: Mutex::new(Parts::DEFAULT),
            repeats: Mutex::default(),
            directory,
            key,
            facilitator,
            recipient,
            sessions: Mutex::new(Sessions::new(idle_ms)),
            feed: Mutex::new(Feed::new(lives(&config))),
            sending: tokio::sync::Mutex::default(),
            lacking: Mutex::default(),
            is_short_of_gas: AtomicBool::new(false),
            strangers: Mutex::new(Buckets::new(pace.strangers)),
            newcomers: Mutex::new(Buckets::new(pace.newcomers)),
            revenue: Mutex::new(Buckets::new(pace.revenue)),
            promises: Mutex::new(Buckets::new(pace.promises)),
            dust: Mutex::new(Buckets::new(pace.dust)),
            small_claims: Mutex::new(Buckets::new(pace.dust)),
            fruitless: Mutex::new(Buckets::new(pace.fruitless)),
            backlog_ms: AtomicU64::new(0),
            unmined: Mutex::default(),
            unmined_ms: AtomicU64::new(0),
            errands: Mutex::new(Errands::new(pace.errands)),
            loans: tokio::sync::Mutex::default(),
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

    /// What the ledger's parameter says now, and since when. Where it is not heard for a while, or what it says was set long ago, there is
    /// no rate: the last one is not the next.
    pub async fn ask_rate(&self) {
        let Some(ledger) = &self.ledger else { return };
        match ledger.rate().await {
            Ok(Some(rate)) => {
                let (mut feed, now_ms) = (lock(&self.feed), now_ms());
                if let Err(error) = feed.tell(rate, now_ms).and_then(|()| feed.newest(now_ms)) {
                    tracing::warn!(%error, usd_per_opg = rate.usd_per_opg, "the ledger's rate is not taken");
                }
            }
            Ok(None) => tracing::warn!("the ledger's rate is no number"),
            Err(error) => tracing::debug!(%error, "failed to read the ledger's rate"),
        }
    }

    /// What the ledger's parameters say of a charge's parts. Where it is not heard, what it said last counts: it divides itself in the end.
    pub async fn ask_parts(&self) {
        let Some(ledger) = &self.ledger else { return };
        let mut answers = [const { payments::Bytes::new() }; 4];
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
    pub fn tariff(bill: &Bill<'_>, asset: &Asset, rate: Option<Rate>) -> Tariff {
        Tariff { price: bill.price, per_mille: per_mille(bill.level), money: asset.money, rate }
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
            match Self::most(&Self::tariff(bill, asset, rate), bill) {
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
        // The voucher that pays for a call covers more than any charge, so that it is never the one that asks for a refund.
        let above = amount.saturating_add(1);
        let has_gas = !self.is_short_of_gas.load(Ordering::Relaxed);
        let takes_exact = has_gas && !self.is_behind();
        let offer = |scheme, method, amount, max_timeout_s| Offer {
            scheme,
            method,
            asset: asset.clone(),
            recipient: self.recipient,
            amount,
            max_timeout_s,
            margin_s: self.margin_s(scheme),
            min_deposit: amount.saturating_mul(CALLS_A_DEPOSIT).max(asset.hundredth()),
        };
        let method = if asset.takes_transfers() { Method::Transfer } else { Method::Permit2 };
        // What is sent behind one that gets into no block may not be in time either.
        let sells_sessions = has_gas && !self.waits_for_too_long(&self.unmined_ms);
        let cap = self.session_cap(asset).filter(|_| sells_sessions).map(|cap| cap.max(amount));
        let session = cap.map(|cap| offer(Scheme::Upto, Method::Permit2, cap, SESSION_TIMEOUT_S));
        let exact = takes_exact.then(|| offer(Scheme::Exact, method, amount, EXACT_TIMEOUT_S));
        let channel = Some(offer(Scheme::Batch, method, above, EXACT_TIMEOUT_S));
        // Clients take what comes first: what needs no approval does, where there is such a way.
        let ways = match method {
            Method::Transfer => [exact, channel, session],
            Method::Permit2 => [session, exact, channel],
        };
        let told = lock(&self.lacking);
        let lacking = told.as_ref().map(|(lacking, _)| lacking.as_slice()).unwrap_or_default();
        let is_there = |offer: &Offer| !needs(offer.scheme, offer.method).iter().any(|of| lacking.contains(of));
        offers.extend(ways.into_iter().flatten().filter(is_there));
    }

    /// What a session may spend of a token: sessions are in OPG, and in dollars where there is none, a cent of them.
    fn session_cap(&self, asset: &Asset) -> Option<u128> {
        match asset.money.unit {
            Unit::Opg => Some(self.config.session_cap),
            Unit::Usd if self.assets.iter().all(|other| other.money.unit == Unit::Usd) => Some(asset.hundredth()),
            Unit::Usd => None,
        }
    }

    /// Asks the chain which of x402's contracts it has, until it has told that all are there: what needs another is not offered. One that
    /// tells of too few is asked again after a while, because it may only lag.
    pub async fn look_at_contracts(&self) {
        let stands = |(lacking, at): &(Vec<Address>, Instant)| lacking.is_empty() || at.elapsed() < self.pace.contracts;
        if lock(&self.lacking).as_ref().is_some_and(stands) {
            return;
        }
        match self.chain.without_code(&CONTRACTS).await {
            Ok(lacking) => {
                if !lacking.is_empty() {
                    tracing::warn!(network = %self.chain.network, ?lacking, "ways to pay that need these contracts are not offered");
                }
                *lock(&self.lacking) = Some((lacking, Instant::now()));
            }
            Err(error) => tracing::debug!(%error, "failed to learn which contracts there are"),
        }
    }

    /// Looks at what is left for gas, and at what that costs. Where the one is little or the other more than we offer, only channels are
    /// offered: hundreds of them are claimed by one transaction, whenever that is.
    pub async fn look_at_gas(&self) {
        let gas = match self.chain.gas(self.key.address(), SETTLEMENTS_KEPT).await {
            Ok(gas) => gas,
            Err(error) => return tracing::debug!(%error, "failed to learn what is left for gas"),
        };
        let (price, most) = (gas.price, self.chain.fee_max);
        let was_short = self.is_short_of_gas.swap(gas.is_short() || price > most, Ordering::Relaxed);
        if was_short {
            return;
        }
        if gas.is_short() {
            let (held, floor) = (gas.held, gas.floor);
            tracing::error!(account = %self.key.address(), held, floor, "too little is left for gas: only channels are offered");
        }
        if price > most {
            tracing::error!(price, most, "gas costs more than is offered for it: only channels are offered");
        }
    }

    /// Refuses to look up a payment of somebody who is not known here where too many such are looked up: each costs a read of the chain,
    /// and whoever sends it nothing.
    pub fn admit_stranger(&self) -> Result<(), Refused> {
        one_for_all(&self.strangers)
    }

    /// The same of somebody who has paid here: each has as many as all strangers together.
    pub fn admit_known(&self, payer: Address) -> Result<(), Refused> {
        lock(&self.strangers).take(payer, now_ms()).map_err(|_| Refused::Crowded)
    }

    /// Refuses to spend gas at a payer's wish where too much of it is spent on channels that have not earned it.
    pub fn admit_errand(&self, purse: &Digest, asset: &Asset) -> Result<(), Refused> {
        let earned = self.earned(purse, asset);
        lock(&self.errands).take(purse, earned, now_ms()).map_err(|_| Refused::Crowded)
    }

    /// Refuses to begin what would be refused so: it keeps no place until then.
    pub fn may_run_errand(&self, purse: &Digest, asset: &Asset) -> Result<(), Refused> {
        let earned = self.earned(purse, asset);
        if lock(&self.errands).has_one(purse, earned, now_ms()) { Ok(()) } else { Err(Refused::Crowded) }
    }

    /// So many transactions a channel has paid for: two for what the least deposit brings.
    fn earned(&self, purse: &Digest, asset: &Asset) -> u128 {
        let charged = self.till.books().purse(purse).map_or(0, |purse| purse.spent);
        charged.saturating_mul(2).checked_div(asset.hundredth()).unwrap_or_default()
    }

    /// A payer, where it was charged here before what settling it costs: by its channel, or out of its balance.
    pub fn customer(&self, channel: &Digest, asset: &Asset, payer: Address) -> Option<Address> {
        let (books, least) = (self.till.books(), asset.thousandth());
        let is_one = books.purse(channel).is_some_and(|purse| purse.spent >= least)
            || books.knows_payer(asset.network, asset.address, payer, least);
        is_one.then_some(payer)
    }

    /// Puts back a turn of dust that was not settled: it has cost no gas.
    pub fn put_dust_turn_back(&self) {
        lock(&self.dust).put_back(EVERYBODY);
    }

    /// Whether what is due is worth less than its settlement's gas.
    pub fn is_dust(&self, asset: &Holder, fresh: u128) -> bool {
        self.asset(asset).is_some_and(|asset| fresh < asset.thousandth())
    }

    /// What payers pay in, by what the books name it by.
    pub fn asset(&self, asset: &Holder) -> Option<&Asset> {
        self.assets.iter().find(|known| account(known.address) == *asset)
    }

    /// Whether what is due may cost gas now. What may not waits.
    pub fn may_settle(&self, asset: &Holder, fresh: u128) -> bool {
        !self.is_dust(asset, fresh) || one_for_all(&self.dust).is_ok()
    }

    /// The same of what is to be claimed of a channel.
    pub fn may_claim(&self, asset: &Holder, fresh: u128) -> bool {
        !self.is_dust(asset, fresh) || one_for_all(&self.small_claims).is_ok()
    }

    /// Puts back so many turns of small claims that were not sent.
    pub fn put_claim_turns_back(&self, count: usize) {
        let mut turns = lock(&self.small_claims);
        (0..count).for_each(|_| turns.put_back(Address::ZERO));
    }

    /// True where a payment that came now might end before its settlement's turn, or before its block: then none is offered that needs one
    /// of its own.
    fn is_behind(&self) -> bool {
        self.waits_for_too_long(&self.backlog_ms) || self.waits_for_too_long(&self.unmined_ms)
    }

    fn waits_for_too_long(&self, waits_ms: &AtomicU64) -> bool {
        u128::from(waits_ms.load(Ordering::Relaxed)) > self.pace.settlement.as_millis()
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

    /// The rate to quote by now, where there is one.
    pub fn rate(&self) -> Option<Rate> {
        lock(&self.feed).newest(now_ms()).ok()
    }

    pub fn required(&self, bill: &Bill<'_>, error: Option<String>) -> Result<PaymentRequired, PriceError> {
        let offers = self.offers(bill, self.rate())?;
        let accepts = offers.iter().map(Offer::requirements).collect();
        let resource = Resource {
            url: bill.url.to_owned(),
            description: Some(format!("{} by the model {}", bill.path.trim_start_matches("/v1/"), bill.model_name)),
            mime_type: Some("application/json".to_owned()),
        };
        // A payment identifier is not named: the official Python client refuses what it cannot check with what it has installed. One that
        // comes all the same is honoured.
        let mut extensions = serde_json::Map::new();
        if offers.iter().any(|offer| offer.method == Method::Permit2) {
            extensions.insert(SPONSORED.to_owned(), declared_sponsoring());
            extensions.insert(LENT.to_owned(), declared_lending());
        }
        if offers.iter().any(|offer| offer.scheme == Scheme::Upto) {
            extensions.insert(SESSION_KEY.to_owned(), session::declared());
        }
        Ok(PaymentRequired { error, resource, accepts, extensions })
    }

    /// The same, each offer signed by the settling key: for who has not paid yet.
    pub fn promised(&self, bill: &Bill<'_>) -> Result<PaymentRequired, PriceError> {
        let mut required = self.required(bill, None)?;
        // Nobody has paid for it: beyond so many a second, offers are as good without.
        if one_for_all(&self.promises).is_err() {
            return Ok(required);
        }
        let now_s = now_ms() / 1_000;
        let offers = required.accepts.iter().enumerate().map(|(place, terms)| {
            let valid_until_s = now_s.saturating_add(PROMISED_FOR_S);
            PromisedOffer { url: bill.url, terms, valid_until_s }.signed(place, &self.key)
        });
        let offers = promise::promised(offers.collect());
        required.extensions.insert(OFFER_RECEIPT.to_owned(), offers);
        Ok(required)
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
        account(
            view.worker(&receipt.worker)
                .map_or_else(|| holder(&receipt.worker_key), |worker| Address::from(worker.payout.0)),
        )
    }

    /// Who shares the publisher's part of a model; zero where only its publisher does.
    pub fn lineage(&self, model: &Digest) -> Digest {
        self.published.of(model).map_or(Digest::ZERO, |published| published.lineage)
    }
}

/// For how long rates are believed. One that is configured is told anew, with its time, for as long as its gateway runs.
fn lives(config: &Payments) -> Lives {
    let age = config.ledger.as_ref().map(|source| source.rate_age.as_millis());
    Lives {
        told_ms: STALE_AFTER_MS,
        set_ms: age.and_then(|age| Milliseconds::try_from(age).ok()).unwrap_or(Milliseconds::MAX),
        honoured_ms: HONOURED_FOR_MS,
    }
}

/// Takes a turn out of a bucket that all share: who asks is whoever it says.
pub(super) fn one_for_all(buckets: &Mutex<Buckets>) -> Result<(), Refused> {
    lock(buckets).take(EVERYBODY, now_ms()).map_err(|_| Refused::Crowded)
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
