//! A cashier: one chain that payers pay on, and whatever all payments there share. The desk has one for each chain.
//!
//! What is here is a chain's alone: its RPC, the turn of the key there, what gas costs, what waits for its blocks, and how often gas is
//! spent and the chain is read. So a chain that is away, or dear, or full, keeps no payment on another one waiting.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use network::{Client, now_ms};
use payments::{
    Address, Till,
    chain::{CONTRACTS, needs},
    facilitator::{Bucket, Buckets},
    price::{Holder, Unit, holder as account},
    scheme::{Asset, Method, Offer, Recipient, Refused, Scheme},
    signing::SignerKey,
};
use protocol::{Digest, Milliseconds};

use crate::{
    pace::Pace,
    payment::{
        chain::ChainClient,
        config::PaidChain,
        crowd::{EVERYBODY, lock, one_for_all},
        errands::Errands,
        looks::Looks,
        unmined::Unmined,
    },
};

/// How long `exact` payments are asked to be good for. A client's clock and its way to us take a part of it.
const EXACT_TIMEOUT_S: u64 = 600;
const SESSION_TIMEOUT_S: u64 = 3_600;
/// So many settlements must be paid for by what is left for gas where `exact` and `upto` are offered.
const SETTLEMENTS_KEPT: u32 = 50;
/// Calls of the present price that a new channel should hold.
const CALLS_A_DEPOSIT: u128 = 5;

/// What all cashiers of a desk work with.
pub struct Hands {
    pub till: Arc<Till>,
    pub key: SignerKey,
    pub recipient: Recipient,
    pub pace: Pace,
    /// What a session may spend, in base units of OPG.
    pub session_cap: u128,
    /// Channels' claims wait for so long.
    pub idle: Duration,
    /// How many cashiers there are.
    pub chains: usize,
}

/// Shared by all payments on one chain.
pub struct Cashier {
    pub config: PaidChain,
    pub pace: Pace,
    pub till: Arc<Till>,
    pub chain: ChainClient,
    pub key: SignerKey,
    pub recipient: Recipient,
    pub assets: Vec<Asset>,
    /// What the journal does not name a chain of is this one's: it was written when there was one.
    pub is_first: bool,
    /// What a session may spend, in base units of OPG.
    session_cap: u128,
    pub idle: Duration,
    /// Transactions of our key leave one after the other: their nonces have an order.
    pub sending: tokio::sync::Mutex<()>,
    /// It did not answer when it was asked last.
    is_away: AtomicBool,
    /// Contracts of x402 that the chain has not, and when it told, once it has.
    lacking: Mutex<Option<(Vec<Address>, Instant)>>,
    /// Too little is left for gas, or it costs too much, to promise settlements that are a transaction each.
    is_short_of_gas: AtomicBool,
    /// How many calls wait for what the chain says of their payers.
    pub looks: Looks,
    /// How often payments of payers that are not known here are looked up: a part of what is on all chains together, because each of theirs
    /// may come to nothing and is remembered then.
    strangers: Mutex<Buckets>,
    /// The same of each that is known.
    customers: Mutex<Buckets>,
    /// How often what is worth less than its gas is settled, and how often it is claimed: channels, which need no more than a small call now
    /// and then to have something to claim, take no turn of payments.
    dust: Mutex<Buckets>,
    small_claims: Mutex<Buckets>,
    /// Payments that waited for their settlement when they were looked at last.
    pub waiting: AtomicUsize,
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
}

impl Cashier {
    pub fn new(config: PaidChain, client: &Client, hands: Hands, is_first: bool) -> Self {
        let Hands { till, key, recipient, pace, session_cap, idle, chains } = hands;
        Self {
            chain: ChainClient::new(client.clone(), config.rpc.clone(), config.network, config.fee_max),
            till,
            key,
            recipient,
            assets: config.assets(),
            is_first,
            session_cap,
            idle,
            sending: tokio::sync::Mutex::default(),
            is_away: AtomicBool::new(false),
            lacking: Mutex::default(),
            is_short_of_gas: AtomicBool::new(false),
            looks: Looks::half(pace.requests_max),
            strangers: Mutex::new(Buckets::new(part(pace.strangers, chains))),
            customers: Mutex::new(Buckets::new(pace.strangers)),
            dust: Mutex::new(Buckets::new(pace.dust)),
            small_claims: Mutex::new(Buckets::new(pace.dust)),
            waiting: AtomicUsize::new(0),
            backlog_ms: AtomicU64::new(0),
            unmined: Mutex::default(),
            unmined_ms: AtomicU64::new(0),
            errands: Mutex::new(Errands::new(pace.errands)),
            loans: tokio::sync::Mutex::default(),
            refunds: Mutex::default(),
            pace,
            config,
        }
    }

    /// Whether the chain did not answer when it was asked last.
    pub fn is_away(&self) -> bool {
        self.is_away.load(Ordering::Relaxed)
    }

    /// Whether too little is left for gas, or it costs too much.
    pub fn is_short_of_gas(&self) -> bool {
        self.is_short_of_gas.load(Ordering::Relaxed)
    }

    /// All ways to pay an amount of a token.
    pub fn ways(&self, asset: &Asset, amount: u128, offers: &mut Vec<Offer>) {
        // The voucher that pays for a call covers more than any charge, so that it is never the one that asks for a refund.
        let above = amount.saturating_add(1);
        let has_gas = !self.is_short_of_gas();
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
            Unit::Opg => Some(self.session_cap),
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
                    tracing::warn!(network = %self.config.network, ?lacking, "ways to pay that need these contracts are not offered");
                }
                *lock(&self.lacking) = Some((lacking, Instant::now()));
            }
            Err(error) => tracing::debug!(%error, "failed to learn which contracts there are"),
        }
    }

    /// Looks at what is left for gas, and at what that costs. Where the one is little or the other more than we offer, only channels are
    /// offered: hundreds of them are claimed by one transaction, whenever that is.
    pub async fn look_at_gas(&self) {
        let asked = self.chain.gas(self.key.address(), SETTLEMENTS_KEPT).await;
        let was_away = self.is_away.swap(asked.is_err(), Ordering::Relaxed);
        let gas = match asked {
            Ok(gas) => gas,
            Err(error) => {
                if !was_away {
                    tracing::warn!(network = %self.config.network, %error, "a chain that payers pay on does not answer");
                }
                return;
            }
        };
        let (price, most) = (gas.price, self.chain.fee_max);
        let was_short = self.is_short_of_gas.swap(gas.is_short() || price > most, Ordering::Relaxed);
        if was_short {
            return;
        }
        if gas.is_short() {
            let (held, floor) = (gas.held, gas.floor);
            tracing::error!(network = %self.config.network, account = %self.key.address(), held, floor, "too little is left for gas: only channels are offered");
        }
        if price > most {
            tracing::error!(network = %self.config.network, price, most, "gas costs more than is offered for it: only channels are offered");
        }
    }

    /// Refuses to look up a payment of somebody who is not known here where too many such are looked up: each costs a read of the chain,
    /// and whoever sends it nothing.
    pub fn admit_stranger(&self) -> Result<(), Refused> {
        one_for_all(&self.strangers)
    }

    /// The same of somebody who has paid here: each has as many as all strangers together.
    pub fn admit_known(&self, payer: Address) -> Result<(), Refused> {
        lock(&self.customers).take(payer, now_ms()).map_err(|_| Refused::Crowded)
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

    /// Takes a turn of what is worth less than its settlement's gas.
    pub fn take_dust_turn(&self) -> Result<(), Refused> {
        one_for_all(&self.dust)
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
        !self.is_dust(asset, fresh) || self.take_dust_turn().is_ok()
    }

    /// The same of what is to be claimed of a channel.
    pub fn may_claim(&self, asset: &Holder, fresh: u128) -> bool {
        !self.is_dust(asset, fresh) || one_for_all(&self.small_claims).is_ok()
    }

    /// Puts back so many turns of small claims that were not sent.
    pub fn put_claim_turns_back(&self, count: usize) {
        let mut turns = lock(&self.small_claims);
        (0..count).for_each(|_| turns.put_back(EVERYBODY));
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
}

/// One of so many equal parts of a bucket.
fn part(whole: Bucket, of: usize) -> Bucket {
    let of = u32::try_from(of).unwrap_or(u32::MAX).max(1);
    Bucket { a_second: (whole.a_second / of).max(1), most: (whole.most / of).max(1) }
}
