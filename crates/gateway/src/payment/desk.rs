//! The desk: what is offered for a call, and whatever all payments of one gateway share.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, Mutex},
};

use network::{Bytes, Client, now_ms};
use payments::{
    Address, Till, TillError,
    chain::{LENT, declared_lending, registry},
    facilitator::Buckets,
    price::{
        Feed, Holder, Holders, Lives, Part, Parts, Price, PriceError, Quote, Rate, Split, Tariff, Usage,
        holder as account, per_mille,
    },
    scheme::{Asset, Method, Offer, Recipient, Refused, SPONSORED, Scheme, declared_sponsoring, upto::Sessions},
    signing::{
        SignerKey,
        promise::{self, OFFER_RECEIPT, PromisedOffer},
        session::{self, SESSION_KEY},
    },
    wire::{Network, PaymentRequired, Resource, header},
};
use protocol::{Assurance, Digest, EvmAddress, Milliseconds, PublicKey, Receipt};
use serde_json::Value;
use storage::SyncData;
use thiserror::Error;

use crate::{
    directory::Directory,
    pace::Pace,
    payment::{
        cashier::{Cashier, Hands},
        config::{PaidChain, Payments},
        crowd::{lock, one_for_all},
        ledger::LedgerRpc,
        published::PublishedModels,
        repeats::Repeats,
    },
};

const WITHDRAW_DELAY_S: u64 = 86_400;
/// Chains that one gateway is paid on: of more, few of the ways to pay would fit into a header that proxies take.
const CHAINS_MAX: usize = 4;
/// A 402's header with its signed offers: some proxies take 8 KiB of headers, and a response has others.
const REQUIRED_BYTES_MAX: usize = 7 << 10;
/// What is left of it for the state of a channel that is corrected.
const STATE_BYTES: usize = 1 << 10;
/// What signed offers take of it besides themselves.
const PROMISES_BYTES: usize = 64;
const STALE_AFTER_MS: Milliseconds = 15 * 60 * 1_000;
const HONOURED_FOR_MS: Milliseconds = 60_000;
/// As long as a rate is honoured: what is promised is taken for so long.
const PROMISED_FOR_S: u64 = HONOURED_FOR_MS / 1_000;

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
    #[error("{found} chains are named to be paid on, and each once from 1 to {most} expected")]
    Chains { found: usize, most: usize },
}

/// Shared by all requests of one gateway.
pub struct Desk {
    pub config: Payments,
    pub pace: Pace,
    pub till: Arc<Till>,
    /// One for each chain that payers pay on, in the order in which their ways to pay are offered.
    pub cashiers: Vec<Arc<Cashier>>,
    pub key: SignerKey,
    /// Settles other servers' payments. Apart, so that no stranger uses up what settles our own.
    pub facilitator: SignerKey,
    pub recipient: Recipient,
    pub sessions: Mutex<Sessions>,
    pub feed: Mutex<Feed>,
    /// How often the prompt of a call that may come to nothing is counted before those of unpaid calls: for each who has paid here, and for
    /// all others together.
    pub newcomers: Mutex<Buckets>,
    /// How often publishers ask what they earned.
    pub revenue: Mutex<Buckets>,
    /// How often offers are signed.
    promises: Mutex<Buckets>,
    /// How often payments of one payer come to nothing.
    pub fruitless: Mutex<Buckets>,
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
        check_chains(&config.chains)?;
        let idle_ms = Milliseconds::try_from(config.idle.as_millis()).unwrap_or(Milliseconds::MAX);
        let till = Till::open(&folder.join("payments.log"), now_ms, sync)?;
        warn_of_others(&till, &config.chains);
        let cashier = |(place, chain): (usize, &PaidChain)| {
            let (till, key, session_cap, idle) = (Arc::clone(&till), key.clone(), config.session_cap, config.idle);
            let hands = Hands { till, key, recipient, pace, session_cap, idle, chains: config.chains.len() };
            Arc::new(Cashier::new(chain.clone(), &client, hands, place == 0))
        };
        let desk = Self {
            cashiers: config.chains.iter().enumerate().map(cashier).collect(),
            // Nothing is signed for it.
            ledger: config.ledger.as_ref().map(|source| LedgerRpc::new(&client, source, Network::LEDGER)),
            till,
            published: PublishedModels::default(),
            parts: Mutex::new(Parts::DEFAULT),
            repeats: Mutex::default(),
            directory,
            key,
            facilitator,
            recipient,
            sessions: Mutex::new(Sessions::new(idle_ms)),
            feed: Mutex::new(Feed::new(lives(&config))),
            newcomers: Mutex::new(Buckets::new(pace.newcomers)),
            revenue: Mutex::new(Buckets::new(pace.revenue)),
            promises: Mutex::new(Buckets::new(pace.promises)),
            fruitless: Mutex::new(Buckets::new(pace.fruitless)),
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

    /// The one of a chain that payers pay on.
    pub fn cashier(&self, network: Network) -> Option<&Arc<Cashier>> {
        self.cashiers.iter().find(|cashier| cashier.config.network == network)
    }

    /// The one of an offer's chain.
    pub fn cashier_of(&self, offer: &Offer) -> Result<&Arc<Cashier>, Refused> {
        self.cashier(offer.asset.network).ok_or(Refused::Terms("network"))
    }

    /// What payers pay in, on all chains.
    pub fn assets(&self) -> impl Iterator<Item = &Asset> {
        self.cashiers.iter().flat_map(|cashier| &cashier.assets)
    }

    /// All ways to pay a bill by one rate; the ways that have no price without a rate are left out.
    pub fn offers(&self, bill: &Bill<'_>, rate: Option<Rate>) -> Result<Vec<Offer>, PriceError> {
        let mut offers = Vec::new();
        let mut last = None;
        for cashier in &self.cashiers {
            for asset in &cashier.assets {
                match Self::most(&Self::tariff(bill, asset, rate), bill) {
                    Ok((_, most)) => cashier.ways(asset, most.amount, &mut offers),
                    Err(error) => last = Some(error),
                }
            }
        }
        match last {
            Some(error) if offers.is_empty() => Err(error),
            Some(_) | None => Ok(offers),
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
        self.required_on(bill, error, None)
    }

    /// The same with the ways to pay on one chain in any case, and room for a channel's state: that of who has one there.
    pub fn required_on(
        &self,
        bill: &Bill<'_>,
        error: Option<String>,
        network: Option<Network>,
    ) -> Result<PaymentRequired, PriceError> {
        let mut offers = self.offers(bill, self.rate())?;
        // A chain that does not answer takes no payment. Where none does, whoever pays is told so.
        let is_away = |offer: &Offer| self.cashier(offer.asset.network).is_none_or(|cashier| cashier.is_away());
        if !offers.iter().all(is_away) {
            offers.retain(|offer| !is_away(offer) || Some(offer.asset.network) == network);
        }
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
        let mut required = PaymentRequired { error, resource, accepts, extensions };
        shorten(&mut required, network);
        Ok(required)
    }

    /// The same, offers signed by the settling key, as many of the first ones as there is room for: for who has not paid yet.
    pub fn promised(&self, bill: &Bill<'_>) -> Result<PaymentRequired, PriceError> {
        let mut required = self.required(bill, None)?;
        // Nobody has paid for it: beyond so many a second, offers are as good without.
        if one_for_all(&self.promises).is_err() {
            return Ok(required);
        }
        let now_s = now_ms() / 1_000;
        let taken = header::write(&required.to_json()).len().saturating_add(PROMISES_BYTES);
        let mut room = REQUIRED_BYTES_MAX.saturating_sub(taken);
        let offers = required.accepts.iter().enumerate().map(|(place, terms)| {
            let valid_until_s = now_s.saturating_add(PROMISED_FOR_S);
            PromisedOffer { url: bill.url, terms, valid_until_s }.signed(place, &self.key)
        });
        let fits = |offer: &Value| {
            // With a comma; three bytes are four in a header.
            let bytes = offer.to_string().len().saturating_add(1).div_ceil(3).saturating_mul(4);
            let left = room.checked_sub(bytes);
            room = left.unwrap_or_default();
            left.is_some()
        };
        let offers: Vec<Value> = offers.take_while(fits).collect();
        if !offers.is_empty() {
            required.extensions.insert(OFFER_RECEIPT.to_owned(), promise::promised(offers));
        }
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

/// Each chain once, and not so many that nobody reads what is offered.
fn check_chains(chains: &[PaidChain]) -> Result<(), DeskError> {
    let (found, most) = (chains.len(), CHAINS_MAX);
    let different: BTreeSet<Network> = chains.iter().map(|chain| chain.network).collect();
    let is_right = (1..=most).contains(&found) && different.len() == found;
    if is_right { Ok(()) } else { Err(DeskError::Chains { found, most }) }
}

/// Leaves out the last offers that a header has no room for, but none on the chain that is asked about. They are taken all the same.
fn shorten(required: &mut PaymentRequired, asked_about: Option<Network>) {
    let room = REQUIRED_BYTES_MAX.saturating_sub(asked_about.map_or(0, |_| STATE_BYTES));
    while required.accepts.len() > 1 && header::write(&required.to_json()).len() > room {
        let Some(last) = required.accepts.iter().rposition(|terms| Some(terms.network) != asked_about) else { return };
        required.accepts.remove(last);
    }
}

/// What is signed for one chain no other settles: it waits until that is named again.
fn warn_of_others(till: &Till, chains: &[PaidChain]) {
    let open = till.books().networks_open();
    for network in open.into_iter().map(Network).filter(|open| chains.iter().all(|chain| chain.network != *open)) {
        tracing::error!(%network, "payments on a chain that is named no more wait for their settlement, or are owed back there");
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
