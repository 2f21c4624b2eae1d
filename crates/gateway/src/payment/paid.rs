//! A call that is paid for: from the reservation to what the caller is told.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use api::{ApiError, Code, Said};
use network::{
    axum::{
        http::{HeaderMap, HeaderName, HeaderValue, header},
        response::Response,
    },
    now_ms,
};
use payments::{
    Address, B256, Ended, Reservation, Till,
    books::{Answer, Entry},
    price::{Quote, Usage},
    scheme::{Refused, Scheme, upto::SessionToken},
    signing::promise::{OFFER_RECEIPT, PromisedReceipt},
    wire::{Network, SettleResponse, header as wire},
};
use protocol::{Digest, EvmAddress, Payment, Receipt, Terms, payment::Basis};
use serde::Deserialize;
use serde_json::{Value, json};
use storage::Ticket;

use crate::payment::{
    desk::{Bill, Desk, of_answer},
    progress::Progress,
    repeats,
    turns::Turn,
};

/// How a call is paid.
pub enum Kind {
    Exact,
    Session(SessionToken),
    Channel(B256),
}

/// Who pays, in what.
#[derive(Clone, Copy, Debug)]
pub struct Payer {
    pub scheme: Scheme,
    pub network: Network,
    pub asset: Address,
    pub address: Address,
    /// Speaks version 1.
    pub is_legacy: bool,
}

/// A paid call; shared by whoever delivers its answers. Dropped before its end, it is charged for what was delivered, or, where answers
/// leave whole, computed.
pub struct Paid {
    desk: Arc<Desk>,
    kind: Kind,
    payer: Payer,
    purse: Digest,
    call: u64,
    max: u128,
    /// When what was signed ends; in a channel, never.
    expires_at_s: u64,
    /// What each answer is priced by.
    terms: Vec<Terms>,
    reservation: tokio::sync::Mutex<Option<Reservation>>,
    pub(super) progress: Progress,
    /// Under which its answer is kept for whoever asks again.
    repeat: Option<Digest>,
    /// What its payer wants a signed receipt for.
    receipt_for: Option<String>,
    /// What it came to where it broke off.
    broken_off: OnceLock<Ended>,
    /// Given back with it, as is due by what was charged.
    _turn: Option<Turn>,
}

impl Paid {
    pub fn new(desk: Arc<Desk>, kind: Kind, payer: Payer, reservation: Reservation, bill: &Bill<'_>) -> Self {
        let tariff = *reservation.tariff();
        // What had a price when it was reserved still has it.
        let most = Desk::most(&tariff, bill).map(|(each, _)| each).unwrap_or_default();
        let purse = reservation.purse();
        let expires_at_s = desk.till.books().purse(&purse).map_or(0, |purse| purse.expires_at_s);
        let basis = if matches!(kind, Kind::Exact) { Basis::Whole } else { Basis::Metered };
        let terms = |(place, max)| Terms { tariff: of_answer(&tariff, place), basis, max };
        Self {
            desk,
            kind,
            payer,
            terms: most.into_iter().enumerate().map(terms).collect(),
            purse,
            call: reservation.call(),
            max: reservation.max(),
            expires_at_s,
            reservation: tokio::sync::Mutex::new(Some(reservation)),
            progress: Progress::new(bill.most.iter().map(|usage| usage.input)),
            repeat: None,
            receipt_for: None,
            broken_off: OnceLock::new(),
            _turn: None,
        }
    }

    pub fn in_turn(mut self, turn: Option<Turn>) -> Self {
        self._turn = turn;
        self
    }

    pub fn repeated_by(mut self, repeat: Option<Digest>) -> Self {
        self.repeat = repeat;
        self
    }

    pub fn with_receipt_for(mut self, url: Option<String>) -> Self {
        self.receipt_for = url;
        self
    }

    /// Keeps the whole answer where its payer may ask for it again.
    pub async fn keep(&self, response: Response) -> Response {
        match self.repeat {
            Some(key) => repeats::keep(&self.desk.repeats, key, response).await,
            None => response,
        }
    }

    /// What covers the answer at `place` of the call, for its request. `salt` hides the payer in its receipt.
    pub fn covers(&self, place: usize, salt: Digest) -> Option<Payment> {
        let payer = protocol::Payer {
            network: self.payer.network.chain_id(),
            asset: EvmAddress(self.payer.asset.into_array()),
            account: EvmAddress(self.payer.address.into_array()),
            purse: self.purse,
        };
        self.terms.get(place).map(|terms| Payment { payer, salt, terms: *terms })
    }

    /// Returns when the first byte may leave.
    pub async fn durable(&self) -> Result<(), ApiError> {
        match &*self.reservation.lock().await {
            Some(reservation) => reservation.durable().await.map_err(|error| not_durable(&error)),
            None => Ok(()),
        }
    }

    /// How long the answer may still take: what is delivered later could no longer be settled before the payment's signature ends.
    fn time_left(&self) -> Duration {
        let end_ms = self.expires_at_s.saturating_mul(1_000);
        Duration::from_millis(end_ms.saturating_sub(now_ms())).saturating_sub(self.desk.pace.settlement)
    }

    /// Returns when the payment's time is over; in a channel, never.
    pub async fn is_over_time(&self) {
        tokio::time::sleep(self.time_left()).await;
    }

    /// Ends a call whose payment's time is over. It is charged as if its payer had left, because how long that is was the payer's to say; but
    /// where it has more answers than are waited for `at_once`, the others were late by our doing: then no more is charged than came of it.
    pub async fn cut_off(&self, at_once: usize) -> ApiError {
        if let Some(reservation) = self.reservation.lock().await.take() {
            if self.terms.len() > at_once {
                let (ended, rest) = self.come_to(&reservation);
                self.note_broken_off(reservation.cut_off(ended, rest));
            } else {
                self.leave(reservation);
            }
        }
        let message = "The answer takes longer than the payment is good for, so it ends here.";
        ApiError::new(Code::RequestTimeout, message)
            .with_hint("sign for as long as maxTimeoutSeconds says, or ask for fewer tokens")
    }

    /// More is about to leave: a long prompt is written down before, since the first token shows that it was computed.
    pub async fn prompted(&self) -> Result<(), ApiError> {
        self.note_used(self.progress.prompted()).await
    }

    /// All tokens that were counted have left.
    pub async fn delivered(&self) -> Result<(), ApiError> {
        self.note_used(self.progress.delivered()).await
    }

    async fn note_used(&self, usage: Usage) -> Result<(), ApiError> {
        match &mut *self.reservation.lock().await {
            Some(reservation) => reservation.delivered(usage).await.map_err(|error| not_durable(&error)),
            None => Ok(()),
        }
    }

    /// An answer has its receipt: written down before that is kept, so that a crash leaves none to the ledger which nobody was charged.
    pub(super) fn ended(&self, place: usize, receipt: &Receipt) -> Result<Option<Ticket>, ApiError> {
        let answer = self.answer(receipt);
        let used = self.progress.end(place, answer.clone());
        let quoted = self.terms.get(place).and_then(|terms| terms.tariff.quote(used).ok());
        let counted = quoted.unwrap_or(Quote::ZERO);
        self.desk.till.note(|books| books.end_answer(self.call, answer, counted)).map_err(|error| not_durable(&error))
    }

    /// Returns when what was written down survives a crash.
    pub(super) async fn written(&self, ticket: Ticket) -> Result<(), ApiError> {
        self.desk.till.durable(ticket).await.map_err(|error| not_durable(&error))
    }

    /// Ends a call whose payer left, or whose payment's time is over.
    fn leave(&self, reservation: Reservation) {
        let (ended, rest) = self.come_to(&reservation);
        self.note_broken_off(reservation.leave(ended, rest));
    }

    /// The answers that have ended, and what was used for those that have not.
    fn come_to(&self, reservation: &Reservation) -> (Vec<Answer>, Quote) {
        let (left, tariff) = (self.progress.left(), reservation.tariff());
        let rest = left.cut_short.iter().try_fold(Quote::ZERO, |sum, (place, usage)| {
            sum.checked_add(of_answer(tariff, *place).quote(*usage).ok()?)
        });
        // What was quoted once for more is quoted for less.
        (left.ended, rest.unwrap_or(Quote { amount: reservation.max(), opg: 0 }))
    }

    fn note_broken_off(&self, ended: Option<Ended>) {
        if let Some(ended) = ended {
            // A call ends once.
            let _first = self.broken_off.set(ended);
        }
    }

    /// Ends a call that nobody could answer. What has a receipt is charged by that: the ledger counts it as due from this gateway, whatever
    /// became of the call's other answers. Nothing else is, but where tokens had left before the request turned out to be at fault.
    pub async fn fail(&self) {
        let Some(reservation) = self.reservation.lock().await.take() else { return };
        if self.progress.is_refused() {
            return self.leave(reservation);
        }
        self.note_broken_off(reservation.charge(self.progress.left().ended).await.ok());
    }

    /// Charges for all answers and writes what they cost into the last of them. Nobody waits for the disk: it has each answer already, so
    /// that after a crash the same is charged.
    pub async fn finish<'a>(
        &self,
        before: impl Iterator<Item = &'a Said>,
        said: &mut [Said],
    ) -> Result<Ended, ApiError> {
        let Some(reservation) = self.reservation.lock().await.take() else {
            return Err(ApiError::new(Code::Internal, "The call has been charged before."));
        };
        let answer = |said: &Said| self.answer(&said.answered.receipt.receipt);
        let answers = before.map(answer).chain(said.iter().map(answer)).collect();
        let (ended, _) = reservation.charge_soon(answers).map_err(|error| not_durable(&error))?;
        if let Some(said) = said.last_mut() {
            said.answered.payment = Some(Box::new(self.told(&ended)));
        }
        Ok(ended)
    }

    /// What an answer's receipt charges, and who is paid for the work.
    pub(super) fn answer(&self, receipt: &Receipt) -> Answer {
        let (charged, worker) = (receipt.charged(), Some(self.desk.worker(receipt)));
        Answer { receipt: receipt.id(), amount: charged.amount, opg: charged.opg, worker }
    }

    fn told(&self, ended: &Ended) -> api::Paid {
        api::Paid {
            scheme: self.payer.scheme.word(),
            network: self.payer.network.to_string(),
            asset: self.payer.asset.to_checksum(None),
            payer: self.payer.address.to_checksum(None),
            charged: ended.charged.to_string(),
            max: self.max.to_string(),
            charged_opg: ended.opg.to_string(),
        }
    }

    /// The headers of a stream, which leave before the charge is known.
    pub fn head_early(&self, headers: &mut HeaderMap) {
        // A channel's payer counts the maximum until later responses take the difference off.
        let announced = match self.kind {
            Kind::Exact => self.max,
            Kind::Session(_) => 0,
            Kind::Channel(_) => self.announce(None).unwrap_or_default(),
        };
        self.head(headers, announced, String::new());
    }

    /// The headers of a whole answer. `exact` is settled before it leaves, if its chain is quick enough.
    pub async fn head_late(&self, headers: &mut HeaderMap, ended: &Ended) {
        let transaction = match self.kind {
            Kind::Exact => self.settle_soon().await,
            Kind::Session(_) | Kind::Channel(_) => None,
        };
        let announced = self.announce(Some(ended)).unwrap_or(ended.charged);
        self.head(headers, announced, transaction.unwrap_or_default());
    }

    /// The transaction that settles it, if its chain is quick.
    async fn settle_soon(&self) -> Option<String> {
        let cashier = self.desk.cashier(self.payer.network)?;
        cashier.settle_soon(&self.purse).await.map(|hash| hash.to_string())
    }

    /// The headers of a call that broke off: none, but where something was charged of it all the same.
    pub fn head_broken_off(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(ended) = self.broken_off.get().filter(|ended| ended.charged > 0) {
            self.head(&mut headers, self.announce(Some(ended)).unwrap_or(ended.charged), String::new());
        }
        headers
    }

    /// What the payer of a channel is told to add to its sum, so that it meets ours: never below zero or above the call's maximum.
    fn announce(&self, ended: Option<&Ended>) -> Option<u128> {
        if !matches!(self.kind, Kind::Channel(_)) {
            return ended.map(|ended| ended.charged);
        }
        let (mut added, max) = (0, self.max);
        let noted = self.desk.till.note(|books| {
            let purse = books.purse(&self.purse)?;
            let taken = purse.spent.saturating_add(books.reserved(&self.purse));
            added = taken.saturating_sub(purse.announced).min(max);
            let amount = purse.announced.saturating_add(added);
            Some(Entry::Announced(payments::books::Raise { purse: self.purse, amount }))
        });
        noted.ok().map(|_| added)
    }

    fn head(&self, headers: &mut HeaderMap, charged: u128, transaction: String) {
        let mut response = SettleResponse::charged(self.payer.network, self.payer.address, charged, transaction);
        match &self.kind {
            Kind::Exact => {}
            Kind::Session(token) => insert(headers, wire::SESSION, token.expose()),
            Kind::Channel(channel) => {
                let (state, signed) = channel_state(&self.desk.till, &self.purse, *channel, None);
                response.extra.insert("chargedAmount".to_owned(), charged.to_string().into());
                response.extra.insert("channelState".to_owned(), state);
                if let Some(signed) = signed {
                    response.extra.insert("voucherState".to_owned(), signed);
                }
            }
        }
        if let Some(url) = &self.receipt_for {
            let receipt = PromisedReceipt {
                network: self.payer.network,
                url,
                payer: self.payer.address,
                issued_at_s: now_ms() / 1_000,
                transaction: &response.transaction,
            };
            response.extensions.insert(OFFER_RECEIPT.to_owned(), receipt.signed(&self.desk.key));
        }
        let name = if self.payer.is_legacy { wire::LEGACY_RESPONSE } else { wire::RESPONSE };
        insert(headers, name, &wire::write(&response.to_json()));
        let exposed = HeaderValue::from_static("PAYMENT-RESPONSE, X-PAYMENT-RESPONSE, X-Upto-Session, X-OG-Receipt");
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        // An answer that somebody paid for is not for whoever asks a shared cache next.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

impl Drop for Paid {
    fn drop(&mut self) {
        if let Some(reservation) = self.reservation.get_mut().take() {
            self.leave(reservation);
        }
    }
}

/// What of a channel's proof its payer is shown.
#[derive(Deserialize)]
struct ChannelProof<'a> {
    #[serde(borrow)]
    voucher: SignedVoucher<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignedVoucher<'a> {
    max_claimable_amount: &'a str,
    signature: &'a str,
}

/// A channel as we have it, and the payer's newest voucher, in the words of the official clients.
pub fn channel_state(till: &Till, purse: &Digest, channel: B256, charged: Option<u128>) -> (Value, Option<Value>) {
    let books = till.books();
    let facts = books.standing(purse).map(|standing| standing.facts).unwrap_or_default();
    let record = books.purse(purse);
    let announced = || record.map_or(facts.total_claimed, |record| record.announced);
    let charged = charged.unwrap_or_else(announced);
    let mut state = facts.state(channel);
    state.insert("chargedCumulativeAmount".to_owned(), charged.to_string().into());
    let proof = record.and_then(|record| serde_json::from_slice::<ChannelProof<'_>>(&record.proof).ok());
    let signed = proof.map(|ChannelProof { voucher }| {
            json!({ "signedMaxClaimable": voucher.max_claimable_amount, "signature": voucher.signature })
        });
    (Value::Object(state), signed)
}

fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

fn not_durable(error: &Refused) -> ApiError {
    let message = format!("The payment could not be written down, so nothing more is served: {error}.");
    ApiError::new(Code::PaymentsAway, message).with_retry_after_s(5)
}
