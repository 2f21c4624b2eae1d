//! One facilitator: asks its chains, writes errands down, sends them, waits for them.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use network::now_ms;
use payments::{
    Address, B256, TillError,
    chain::Foreign,
    facilitator::{
        Asked, Bucket, Buckets, ErrandBook, ErrandEnd, ErrandRecord, ErrandRepriced, ErrandState, Found, Good, Known,
        Listed, Merchant, MerchantToken, Merchants, Work, address_to_list,
    },
    price,
    scheme::{Asset, Claim, Offer, Refused, SPONSORED, Scheme},
    signing::SignerKey,
    wire::{Network, SettleResponse, VERSION, VerifyResponse},
};
use protocol::{Bytes, Digest};
use serde_json::{Map, Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    facilitator::owner::{Owners, Wish},
    payment::{
        Desk, Looks,
        chain::{ChainClient, ChainError, Gas, Written},
        lock,
    },
};

/// A payment must still be good for so long, so that its transaction can get into a block.
const MARGIN_S: u64 = 6;
/// Errands that somebody waits for are left alone for so long.
const PAUSE_MS: u64 = 2_000;
/// What is left for gas is asked for again after this.
const GAS_LIFE: Duration = Duration::from_secs(5);
/// The same where the chain did not say it: whoever waited for that is not to wait once more, each after the other.
const SILENCE_LIFE: Duration = Duration::from_millis(100);
/// A transaction whose place another one took is given up only after this: of several nodes behind one RPC some are behind.
const LOST_MS: u64 = 60_000;

/// How much is served at once.
#[derive(Clone, Copy, Debug)]
pub struct FacilitatorPace {
    /// Of each receiver.
    pub settlements: Bucket,
    /// Of all receivers together that show no token: every settlement costs us gas, and a receiver's address costs nothing.
    pub strangers: Bucket,
    pub verifications: Bucket,
    /// Of all receivers together that show no token: each verification is some reads of the chain.
    pub stranger_verifications: Bucket,
    /// So many settlements stay paid for out of what is left for gas, before one is sent for a receiver that shows no token.
    pub settlements_kept: u32,
    /// Requests that are answered at once, of all.
    pub places: usize,
    /// How long an answer waits for its transaction's block.
    pub patience: Duration,
    /// What was sent is in no block for so long before its price is looked at, and raised where its chain asks for more by now.
    pub unmined: Duration,
}

impl Default for FacilitatorPace {
    fn default() -> Self {
        Self {
            settlements: Bucket { a_second: 20, most: 200 },
            strangers: Bucket { a_second: 5, most: 200 },
            verifications: Bucket { a_second: 200, most: 1_000 },
            stranger_verifications: Bucket { a_second: 200, most: 1_000 },
            settlements_kept: 50,
            places: 256,
            patience: Duration::from_secs(20),
            unmined: Duration::from_secs(20),
        }
    }
}

/// Why a request is not even looked at.
#[derive(Clone, Copy, Debug)]
pub struct Busy {
    pub retry_after_s: u64,
}

/// How often something is done: for each receiver that shows its token, and for all others together, because an address costs nothing and
/// anybody can name one.
struct Turns {
    of_each: Mutex<Buckets>,
    of_strangers: Mutex<Buckets>,
}

impl Turns {
    fn new(of_each: Bucket, of_strangers: Bucket) -> Self {
        Self { of_each: Mutex::new(Buckets::new(of_each)), of_strangers: Mutex::new(Buckets::new(of_strangers)) }
    }

    fn take(&self, receiver: Address, is_known: bool) -> Result<(), Busy> {
        let (turns, receiver) = if is_known { (&self.of_each, receiver) } else { (&self.of_strangers, Address::ZERO) };
        lock(turns).take(receiver, now_ms()).map_err(busy)
    }
}

/// One of a facilitator's chains.
struct Branch {
    chain: ChainClient,
    /// How many requests wait for it.
    looks: Looks,
    /// Transactions of the key leave one after the other: their nonces have an order.
    sending: tokio::sync::Mutex<()>,
    /// What there was for gas when it was asked last, or why nobody knows.
    gas: tokio::sync::Mutex<Option<(Instant, Result<Gas, Refused>)>>,
}

/// What facilitators share among their requests.
pub struct Booth {
    assets: Vec<Asset>,
    /// One for each chain.
    branches: Vec<Branch>,
    key: SignerKey,
    settlements_kept: u32,
    book: ErrandBook,
    merchants: Merchants,
    settlements: Turns,
    verifications: Turns,
    places: Arc<Semaphore>,
    patience: Duration,
    unmined: Duration,
    owners: Owners,
}

impl Branch {
    fn new(chain: ChainClient, looks: Looks) -> Self {
        Self { chain, looks, sending: tokio::sync::Mutex::default(), gas: tokio::sync::Mutex::default() }
    }
}

impl Booth {
    pub fn open(
        directory: &Path,
        chains: Vec<ChainClient>,
        key: SignerKey,
        assets: Vec<Asset>,
        merchants: &[Merchant],
        pace: FacilitatorPace,
    ) -> Result<Self, TillError> {
        let looks = if chains.len() > 1 { Looks::half } else { Looks::all };
        Ok(Self {
            assets,
            owners: Owners::new(chains.iter().all(ChainClient::is_local)),
            branches: chains.into_iter().map(|chain| Branch::new(chain, looks(pace.places))).collect(),
            key,
            settlements_kept: pace.settlements_kept,
            book: ErrandBook::open(&directory.join("errands.log"))?,
            merchants: Merchants::new(merchants),
            settlements: Turns::new(pace.settlements, pace.strangers),
            verifications: Turns::new(pace.verifications, pace.stranger_verifications),
            places: Arc::new(Semaphore::new(pace.places)),
            patience: pace.patience,
            unmined: pace.unmined,
        })
    }

    /// The facilitator of a gateway that takes payments itself: the same chains, and a key of its own.
    pub fn of_desk(desk: &Desk, directory: &Path) -> Result<Self, TillError> {
        let chains = desk.cashiers.iter().map(|cashier| cashier.chain.clone()).collect();
        let (key, assets) = (desk.facilitator.clone(), desk.assets().cloned().collect());
        let (places, unmined) = (desk.pace.requests_max, desk.pace.unmined);
        let pace = FacilitatorPace { places, unmined, ..FacilitatorPace::default() };
        Self::open(directory, chains, key, assets, &desk.config.merchants, pace)
    }

    /// A place for one more request.
    pub fn admit(&self) -> Result<OwnedSemaphorePermit, Busy> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| Busy { retry_after_s: 1 })
    }

    pub fn may_verify(&self, receiver: Address, token: Option<&MerchantToken>) -> Result<(), Busy> {
        self.verifications.take(receiver, self.merchants.is(&receiver, token))
    }

    pub fn may_settle(&self, receiver: Address, token: Option<&MerchantToken>) -> Result<(), Busy> {
        self.settlements.take(receiver, self.merchants.is(&receiver, token))
    }

    /// Chains on which is settled here.
    pub fn networks(&self) -> Vec<Network> {
        self.branches.iter().map(|branch| branch.chain.network).collect()
    }

    fn branch(&self, network: Network) -> Result<&Branch, Refused> {
        let branch = self.branches.iter().find(|branch| branch.chain.network == network);
        branch.ok_or(Refused::Unsupported("network"))
    }

    fn known(&self) -> Known<'_> {
        Known { assets: &self.assets, facilitator: self.key.address(), margin_s: MARGIN_S }
    }

    /// Whether a payment would be settled now.
    pub async fn verify(&self, asked: &Asked) -> Result<VerifyResponse, Refused> {
        let offer = asked.offer(self.known(), false)?;
        let Branch { chain, looks, .. } = self.branch(offer.asset.network)?;
        let _look = looks.take(1)?;
        let good = Good::read(asked, &offer, now_ms() / 1_000)?;
        let payer = Some(good.payer());
        let extra = match good {
            Good::Wallet(claim) => {
                let settlement =
                    payments::chain::pay(claim.scheme, claim.method, offer.asset.address, &claim.proof, claim.cap);
                let settlement = settlement.map_err(|error| Refused::WouldFail(error.to_string()))?;
                self.check_wallet(claim, &offer).await?;
                // A server that believes us serves before it settles.
                chain.would_take(&settlement, self.key.address()).await.map_err(ChainError::into_refused)?;
                Map::new()
            }
            Good::Channel(voucher) => {
                if let Some(claim) = voucher.wallet_claim() {
                    self.check_wallet(claim, &offer).await?;
                }
                let facts = chain.channel(voucher.channel).await.map_err(away)?;
                voucher.stands_against(facts)?;
                facts.state(voucher.channel)
            }
        };
        Ok(VerifyResponse { payer, extra, ..VerifyResponse::default() })
    }

    /// What a wallet must hold and must not have used, here or on its chain.
    async fn check_wallet(&self, claim: Claim, offer: &Offer) -> Result<(), Refused> {
        let question = claim.question(offer);
        let known = self.book.errands().get(&question.id()).map(|record| record.state);
        match known {
            Some(ErrandState::Sent | ErrandState::Done) => return Err(Refused::NonceUsed),
            Some(ErrandState::Failed) | None => {}
        }
        let chain = &self.branch(offer.asset.network)?.chain;
        let facts = chain.wallet(&payments::chain::WalletAsk::new(question)).await.map_err(away)?;
        claim.settle_against(offer, &facts).map(|_| ())
    }

    /// Settles a payment, once: asked again, it answers the same.
    pub async fn settle(&self, asked: &Asked, token: Option<&MerchantToken>) -> Result<SettleResponse, Refused> {
        let digest = asked.digest();
        let known = self.book.errands().same(&digest);
        let offer = asked.offer(self.known(), true)?;
        let branch = self.branch(offer.asset.network)?;
        let _look = branch.looks.take(1)?;
        if let Some(record) = known {
            return self.finish(asked, record, None).await;
        }
        let now_s = now_ms() / 1_000;
        let work = Work::read(asked, &offer, now_s)?;
        let is_known = self.merchants.is(&asked.terms.pay_to, token);
        if work.is_the_receivers(offer.scheme) && !is_known {
            return Err(Refused::Unauthorised);
        }
        if !is_known {
            self.check_gas(branch).await?;
        }
        if offer.scheme == Scheme::Upto && work.amount() == 0 {
            let payer = work.payer().unwrap_or_default();
            return Ok(SettleResponse::charged(offer.asset.network, payer, 0, String::new()));
        }
        let record = self.begin(digest, &work, &offer, now_s).await?;
        let settled = self.finish(asked, record, work.channel(&offer)).await?;
        // Once a payment: the same one again, under another address, lists nothing.
        if settled.success
            && let Some(url) = address_to_list(asked)
        {
            self.owners.wish(Wish { url, asked: asked.clone(), paid: work.signed() });
        }
        Ok(settled)
    }

    /// What is left for gas is kept for known receivers where it is little.
    async fn check_gas(&self, branch: &Branch) -> Result<(), Refused> {
        // Whoever asks meanwhile waits for the same answer.
        let mut seen = branch.gas.lock().await;
        let life = |told: &Result<Gas, Refused>| if told.is_ok() { GAS_LIFE } else { SILENCE_LIFE };
        let known = seen.as_ref().filter(|(at, told)| at.elapsed() < life(told)).map(|(_, told)| told.clone());
        let told = match known {
            Some(told) => told,
            None => {
                let told = branch.chain.gas(self.key.address(), self.settlements_kept).await.map_err(away);
                *seen = Some((Instant::now(), told.clone()));
                told
            }
        };
        let gas = told?;
        if gas.is_short() { Err(Refused::GasShort { held: gas.held, floor: gas.floor }) } else { Ok(()) }
    }

    /// Lists what was paid for since and says itself that it is its payee's.
    pub async fn list(&self) {
        while let Some(listed) = self.owners.next().await {
            self.book.list(listed);
        }
    }

    async fn begin(&self, asked: Digest, work: &Work, offer: &Offer, now_s: u64) -> Result<ErrandRecord, Refused> {
        let call = work.call(offer).map_err(|error| Refused::WouldFail(error.to_string()))?;
        let id = work.id(offer, &call, now_s);
        if let Some(claim) = work.wallet_claim() {
            match self.book.errands().find(&id, &asked) {
                Found::Nothing => {}
                Found::Same(record) => return Ok(*record),
                Found::Other => return Err(Refused::NonceUsed),
            }
            self.check_wallet(claim, offer).await.or_else(|refused| self.unless_begun(&id, &asked, refused))?;
        }
        let Branch { chain, sending, .. } = self.branch(offer.asset.network)?;
        let fees = chain.weigh(&call, self.key.address()).await.map_err(ChainError::into_refused);
        let _sending = sending.lock().await;
        // Whoever waited here too has perhaps begun it.
        match self.book.errands().find(&id, &asked) {
            Found::Nothing => {}
            Found::Same(record) => return Ok(*record),
            Found::Other => return Err(Refused::NonceUsed),
        }
        let signed = chain.sign(&call, 0, fees?, &self.key).await.map_err(ChainError::into_refused)?;
        let record = ErrandRecord {
            id,
            asked,
            network: offer.asset.network.chain_id(),
            payer: price::holder(work.payer().unwrap_or_default()),
            amount: work.amount(),
            transaction: Digest(signed.hash.0),
            nonce: signed.nonce,
            raw: Bytes::new(signed.raw.to_vec()).map_err(|error| Refused::WouldFail(error.to_string()))?,
            begun_at_ms: now_ms(),
            state: ErrandState::Sent,
        };
        self.book.begin(record.clone()).await?;
        if let Err(error) = chain.send(&signed).await {
            if error.is_refusal() {
                // Never sent.
                self.note_end(&record, signed.hash, false);
                return Err(error.into_refused());
            }
            tracing::warn!(id = %record.id, %error, "failed to send a settlement; it is sent again");
        }
        Ok(record)
    }

    /// Where the same errand was begun while the chain was asked, the chain may know of it already.
    fn unless_begun(&self, id: &Digest, asked: &Digest, refused: Refused) -> Result<(), Refused> {
        match self.book.errands().find(id, asked) {
            Found::Same(_) => Ok(()),
            Found::Nothing | Found::Other => Err(refused),
        }
    }

    /// Waits for an errand's transaction and tells what came of it.
    async fn finish(
        &self,
        asked: &Asked,
        record: ErrandRecord,
        channel: Option<B256>,
    ) -> Result<SettleResponse, Refused> {
        let network = asked.terms.network;
        let chain = &self.branch(network)?.chain;
        let (payer, hash) = (price::address(&record.payer), B256::from(record.transaction.0));
        let taken = match record.state {
            ErrandState::Done => Some((hash, true)),
            ErrandState::Failed => Some((hash, false)),
            ErrandState::Sent => {
                let waited = chain.wait_for_any(|| self.hashes_of(&record), 0, self.patience).await;
                let taken = waited.unwrap_or(None);
                if let Some((hash, has_succeeded)) = taken {
                    self.note_end(&record, hash, has_succeeded);
                }
                taken
            }
        };
        // Of all that it was sent as, the one that its chain has.
        let hash = taken.map_or(hash, |(hash, _)| hash);
        let outcome = taken.map(|(_, has_succeeded)| has_succeeded);
        let mut response = SettleResponse::charged(network, payer, record.amount, hash.to_string());
        match outcome {
            Some(true) => {
                if record.amount == 0 {
                    response.amount = None;
                }
                if let Some(channel) = channel
                    && let Ok(facts) = chain.channel(channel).await
                {
                    response.extra.insert("channelState".to_owned(), Value::Object(facts.state(channel)));
                }
            }
            Some(false) => {
                response = SettleResponse::failed(network, Some(payer), "invalid_transaction_state");
                response.error_message = Some(format!("transaction {hash} was reverted"));
            }
            None => {
                response = SettleResponse::failed(network, Some(payer), "settlement_pending");
                response.error_message = Some(format!("transaction {hash} is in no block yet; ask again"));
                response.transaction = hash.to_string();
            }
        }
        Ok(response)
    }

    /// Asks a chain what became of errands on it that nobody waits for, and sends what may never have left, or offers too little by now.
    pub async fn look_after(&self, network: Network, least_ms: u64) {
        let Ok(Branch { chain, .. }) = self.branch(network) else { return };
        let mut sent = self.book.errands().sent();
        sent.retain(|record| record.network == network.chain_id());
        let mut base = 0;
        if sent.iter().any(|record| self.is_late(record, 0)) {
            // Where its chain does not say it, no price is raised.
            base = chain.base_fee().await.unwrap_or_default();
        }
        for record in sent.iter().filter(|record| now_ms().saturating_sub(record.begun_at_ms) >= least_ms) {
            if let Err(error) = self.look_after_one(chain, record, base).await {
                tracing::warn!(id = %record.id, %error, "failed to look after a settlement");
            }
        }
    }

    async fn look_after_one(&self, chain: &ChainClient, record: &ErrandRecord, base: u128) -> Result<(), ChainError> {
        if let Some((hash, has_succeeded)) = chain.taken(&self.hashes_of(record), 0).await? {
            self.note_end(record, hash, has_succeeded);
            return Ok(());
        }
        let (newest, times) = self.book.errands().newest(record);
        if self.is_late(record, times) && self.raise_price(chain, record, &newest, base).await? {
            return Ok(());
        }
        match chain.send_raw(&newest).await {
            Err(error) if !error.is_refusal() => Err(error),
            Ok(()) => Ok(()),
            // Known already, or never to be taken: another transaction has its place.
            Err(_) => {
                let is_old = now_ms().saturating_sub(record.begun_at_ms) >= LOST_MS;
                let has_passed = is_old && chain.count(self.key.address()).await? > record.nonce;
                match chain.taken(&self.hashes_of(record), 0).await? {
                    Some((hash, has_succeeded)) => self.note_end(record, hash, has_succeeded),
                    None if has_passed => self.note_end(record, B256::from(record.transaction.0), false),
                    None => {}
                }
                Ok(())
            }
        }
    }

    /// Whether no block has an errand for so long that its price is looked at, after it was raised so many times.
    fn is_late(&self, record: &ErrandRecord, times: usize) -> bool {
        let looks = u32::try_from(times).unwrap_or(u32::MAX).saturating_add(1);
        u128::from(now_ms().saturating_sub(record.begun_at_ms)) >= self.unmined.saturating_mul(looks).as_millis()
    }

    /// Sends an errand again at a higher price, where its newest transaction offers less than its chain asks for: it keeps all that come
    /// behind it from their blocks. Written down before, as the first one was.
    async fn raise_price(
        &self,
        chain: &ChainClient,
        record: &ErrandRecord,
        newest: &[u8],
        base: u128,
    ) -> Result<bool, ChainError> {
        let is_ours = |sent: &Foreign| sent.sender == self.key.address() && sent.nonce == record.nonce;
        let Some(Foreign { call, nonce, fees, .. }) = payments::chain::read(newest).filter(is_ours) else {
            return Ok(false);
        };
        if fees.max_fee_per_gas >= base {
            // It waits for another before it, or for room.
            return Ok(false);
        }
        let Some(raised) = fees.raised(base, chain.fee_max) else {
            tracing::debug!(id = %record.id, base, "a settlement waits for a lower price of gas than there is");
            return Ok(false);
        };
        let signed = chain.sign_again(&Written { call, value: 0, nonce, fees }, raised, &self.key);
        let raw = Bytes::new(signed.raw.to_vec()).map_err(|_| ChainError::Journal)?;
        let (id, transaction, again) = (record.id, record.transaction, Digest(signed.hash.0));
        let repriced = ErrandRepriced { id, transaction, again, raw };
        if !self.book.reprice(repriced).await.map_err(|_| ChainError::Journal)? {
            return Ok(false);
        }
        tracing::info!(%id, %again, base, "a settlement is sent again at a higher price");
        chain.send(&signed).await?;
        Ok(true)
    }

    /// All hashes under which an errand was sent.
    fn hashes_of(&self, record: &ErrandRecord) -> Vec<B256> {
        self.book.errands().hashes_of(record).iter().map(|hash| B256::from(hash.0)).collect()
    }

    /// Writes down what became of an errand, under the hash of which it did.
    fn note_end(&self, record: &ErrandRecord, hash: B256, has_succeeded: bool) {
        let (id, transaction) = (record.id, Digest(hash.0));
        self.book.end(ErrandEnd { id, transaction, has_succeeded, at_ms: now_ms() });
    }

    pub fn pause_ms() -> u64 {
        PAUSE_MS
    }

    /// What is settled here.
    pub fn supported(&self) -> Value {
        let mut kinds = Vec::new();
        for network in self.networks() {
            let kind = |scheme: Scheme, extra: Option<Value>| {
                let mut kind =
                    json!({ "x402Version": VERSION, "scheme": scheme.word(), "network": network.to_string() });
                if let Some(extra) = extra {
                    kind["extra"] = extra;
                }
                kind
            };
            kinds.push(kind(Scheme::Exact, None));
            let facilitator = self.key.address().to_checksum(None);
            kinds.push(kind(Scheme::Upto, Some(json!({ "facilitatorAddress": facilitator }))));
            // No authorizer is offered: whoever is paid signs claims and refunds itself.
            kinds.push(kind(Scheme::Batch, None));
            if let Some(name) = network.legacy_name() {
                kinds.push(json!({ "x402Version": 1, "scheme": "exact", "network": name }));
            }
        }
        json!({
            "kinds": kinds,
            "extensions": ["bazaar", SPONSORED],
            "signers": { "eip155:*": [self.key.address().to_checksum(None)] },
        })
    }

    /// `count` of the resources that were paid for through this facilitator, from the `first` on, and how many there are. Settlements wait
    /// for the same lock, so that entries are read only once it is let go.
    pub fn listed(&self, first: usize, count: usize) -> (Vec<Listed>, usize) {
        self.book.errands().listed_from(first, count, now_ms())
    }
}

fn busy(wait_ms: u64) -> Busy {
    Busy { retry_after_s: wait_ms.div_ceil(1_000) }
}

fn away(error: ChainError) -> Refused {
    Refused::Chain(error.to_string())
}
