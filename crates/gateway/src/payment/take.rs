//! From a request's headers to a reservation, or to the reason why there is none.

use std::sync::Arc;

use api::{ApiError, Code};
use network::{axum::http::HeaderMap, now_ms};
use payments::{
    Address, Reservation,
    books::{Entry, Raise, Wanted},
    price::{Rate, Tariff},
    scheme::{
        Asset, Offer, Refused, Scheme, Signer,
        batch::{Voucher, VoucherKind},
        upto::{Session, SessionToken},
    },
    signing::{
        promise::OFFER_RECEIPT,
        session::{self, SESSION_SIGNATURE, SessionCall},
    },
    wire::{Network, PaymentPayload, PaymentRequired, WireError, extension, header as wire},
};
use protocol::Digest;

use crate::{
    aside::aside,
    payment::{
        crowd::{EVERYBODY, lock},
        desk::{Bill, Desk},
        paid::{Kind, Paid, Payer, channel_state},
        shown::{Brought, Shown, only, read_payment},
        turns::Turn,
        unpaid::Unpaid,
    },
    seats::Seats,
    shared::fresh,
};

/// What a chain said of a channel is believed for so long; far below the delay of a withdrawal.
const FACTS_LIFE_MS: u64 = 60_000;

impl Desk {
    /// Takes the payment that came with a request, if by its `credit` this gateway may earn more; what was paid for already is given again.
    pub async fn admit(
        self: &Arc<Self>,
        brought: Brought,
        headers: &HeaderMap,
        bill: &Bill<'_>,
        seats: &Seats,
        credit: impl Fn() -> Result<(), ApiError>,
    ) -> Result<Paid, Unpaid> {
        let turn = brought.turn.get().copied();
        let paid = self.admit_shown(brought.shown, headers, bill, seats, credit).await?;
        // What is paid for costs nobody a turn.
        if let Some(payer) = turn {
            lock(&self.newcomers).put_back(payer);
        }
        Ok(paid)
    }

    async fn admit_shown(
        self: &Arc<Self>,
        shown: Result<Option<Shown>, WireError>,
        headers: &HeaderMap,
        bill: &Bill<'_>,
        seats: &Seats,
        credit: impl Fn() -> Result<(), ApiError>,
    ) -> Result<Paid, Unpaid> {
        let payment = match shown {
            Ok(payment) => payment,
            Err(error) => return Err(self.refuse(bill, error.into())),
        };
        let key = payment.as_ref().and_then(|shown| repeat_key(headers, &shown.payment, bill));
        if let Some(answer) = key.and_then(|key| lock(&self.repeats).get(&key, now_ms())) {
            return Err(Unpaid::Again(Box::new(answer)));
        }
        credit().map_err(Unpaid::Error)?;
        match (payment, session_of(headers)) {
            (Some(shown), _) => {
                let url = shown.payment.extensions.contains_key(OFFER_RECEIPT).then(|| bill.url.to_owned());
                self.take(&shown, bill, seats).await.map(|paid| paid.repeated_by(key).with_receipt_for(url))
            }
            (None, Some(token)) => self.draw(&token, headers, bill).await.map_err(|error| self.refuse(bill, error)),
            (None, None) => Err(match self.promised(bill) {
                Ok(required) => Unpaid::Nothing(Box::new(required)),
                Err(error) => Unpaid::Error(unpriced(&error)),
            }),
        }
    }

    /// True where what came with a request may well pay for it. Whether it does is seen once there is a price; until then `least`, a call's
    /// least price, says to whom it goes.
    pub fn brings_payment(&self, brought: &Brought, headers: &HeaderMap, least: &Bill<'_>) -> bool {
        let turn = match &brought.shown {
            Ok(Some(shown)) => self.turn_of(shown, least),
            Ok(None) => session_of(headers).and_then(|token| self.turn_of_session(&token)),
            Err(_) => None,
        };
        // Whoever it is: what is signed may be as empty as a wallet, and is shown again and again for nothing.
        let Some(payer) = turn.filter(|payer| lock(&self.newcomers).take(*payer, now_ms()).is_ok()) else {
            return false;
        };
        // Asked for once a call.
        let _first = brought.turn.set(payer);
        true
    }

    fn turn_of_session(&self, token: &SessionToken) -> Option<Address> {
        let session = lock(&self.sessions).of(token, now_ms()).ok()?;
        (self.till.books().left(&session.purse) > 0).then_some(session.payer)
    }

    /// In whose turn a call goes before unpaid ones that brings a payment to us, signed by its payer's key and not used yet: in its payer's,
    /// where that has paid here before, else in everybody's. `None` of anything else that can be read.
    fn turn_of(&self, shown: &Shown, least: &Bill<'_>) -> Option<Address> {
        let amount = shown.payment.amount()?;
        let rate = self.rates().into_iter().next().flatten();
        let offers = self.offers(least, rate).ok()?;
        let offers: Vec<Offer> = offers.into_iter().map(|offer| Offer { amount, ..offer }).collect();
        let (offer, now_s) = (Offer::taken(&offers, &shown.payment).ok()?, now_ms() / 1_000);
        if offer.scheme == Scheme::Batch {
            return self.turn_of_channel(&shown.voucher(offer, now_s).ok()?);
        }
        let claim = shown.claim(offer, now_s).ok()?;
        let (network, asset, books) = (offer.asset.network, offer.asset.address, self.till.books());
        if claim.signer != Signer::Payer || books.purse(&claim.question(offer).id()).is_some() {
            return None;
        }
        let is_known = books.knows_payer(network, asset, claim.payer, offer.asset.thousandth());
        Some(if is_known { claim.payer } else { EVERYBODY })
    }

    /// The same of a voucher, whose signature is its payer's. A channel is known that was charged what settling it costs, and holds the sum.
    fn turn_of_channel(&self, voucher: &Voucher) -> Option<Address> {
        let (purse, sum, books) = (voucher.purse(), voucher.max_claimable, self.till.books());
        let Some(record) = books.purse(&purse) else { return Some(EVERYBODY) };
        let is_covering = sum > record.spent.saturating_add(books.reserved(&purse));
        if !is_covering || books.is_published(&purse, sum) {
            return None;
        }
        // After a restart its chain was not asked yet.
        let is_held = books.standing(&purse).is_none_or(|standing| sum <= standing.facts.balance);
        let cashier = self.cashier(Network(record.network))?;
        let is_known = is_held && !cashier.is_dust(&record.asset, record.spent);
        Some(if is_known { voucher.config.payer } else { EVERYBODY })
    }

    /// What is offered where nothing is asked for; a payment that comes with it can only be a refund.
    pub async fn quote(
        self: &Arc<Self>,
        headers: &HeaderMap,
        bill: &Bill<'_>,
        seats: &Seats,
    ) -> Result<ApiError, Unpaid> {
        match read_payment(headers).shown {
            Ok(Some(shown)) if is_refund(&shown.payment) => match self.take(&shown, bill, seats).await {
                Ok(_) => Ok(ApiError::new(Code::Internal, "A refund is no payment.")),
                Err(unpaid) => Err(unpaid),
            },
            Ok(Some(_)) => Err(self.refuse(bill, Refused::Resource("GET".to_owned()))),
            Ok(None) => Err(match self.promised(bill) {
                Ok(required) => Unpaid::Nothing(Box::new(required)),
                Err(error) => Unpaid::Error(unpriced(&error)),
            }),
            Err(error) => Err(self.refuse(bill, error.into())),
        }
    }

    /// The offers again, with what was wrong. Who may open no more sessions is offered all else.
    pub fn refuse(&self, bill: &Bill<'_>, refused: Refused) -> Unpaid {
        match self.required(bill, Some(refused.reason().to_owned())) {
            Ok(required) if matches!(refused, Refused::Unsettled { .. }) => {
                Unpaid::Refused(refused, Box::new(without_sessions(required)))
            }
            Ok(required) => Unpaid::Refused(refused, Box::new(required)),
            Err(error) => Unpaid::Error(unpriced(&error)),
        }
    }

    async fn take(self: &Arc<Self>, shown: &Shown, bill: &Bill<'_>, seats: &Seats) -> Result<Paid, Unpaid> {
        let payment = &shown.payment;
        if let Err(refused) = check_resource(payment, bill) {
            return Err(self.refuse(bill, refused));
        }
        if is_refund(payment) {
            return self.refund(payment, bill, seats).await;
        }
        let (offer, rate) = match self.chosen(payment, bill) {
            Ok(chosen) => chosen,
            Err(refused) => return Err(self.refuse(bill, refused)),
        };
        let taken = match offer.scheme {
            Scheme::Exact | Scheme::Upto => self.take_signed(shown, &offer, rate, bill, seats).await,
            Scheme::Batch => return self.take_channel(shown, &offer, rate, bill, seats).await,
        };
        taken.map_err(|error| self.refuse(bill, error))
    }

    /// The offer that a payment takes up, by any rate that still binds us.
    fn chosen(&self, payment: &PaymentPayload, bill: &Bill<'_>) -> Result<(Offer, Option<Rate>), Refused> {
        let mut nearest = None;
        for rate in self.rates() {
            let offers = self.offers(bill, rate).map_err(|error| Refused::Chain(error.to_string()))?;
            match Offer::taken(&offers, payment) {
                Ok(offer) => return Ok((offer.clone(), rate)),
                Err(refused) => nearest = nearest.or(Some(refused)),
            }
        }
        Err(nearest.unwrap_or(Refused::Terms("scheme")))
    }

    async fn take_signed(
        self: &Arc<Self>,
        shown: &Shown,
        offer: &Offer,
        rate: Option<Rate>,
        bill: &Bill<'_>,
        seats: &Seats,
    ) -> Result<Paid, Refused> {
        let (payment, now_s) = (&shown.payment, now_ms() / 1_000);
        let claim = shown.claim(offer, now_s)?.sponsored(&payment.extensions, offer, now_s)?;
        let (payer, cashier) = (claim.payer, self.cashier_of(offer)?);
        cashier.admit_listed(payer)?;
        let tariff = Self::tariff(bill, &offer.asset, rate);
        let max = match offer.scheme {
            Scheme::Upto => self.most_of(&tariff, bill)?,
            Scheme::Exact | Scheme::Batch => offer.amount,
        };
        let split = self.split(bill);
        let wanted = wanted(self, bill, max, &split, identifier(payment)?);
        self.till.refuse_used(&claim.question(offer).id(), &wanted)?;
        cashier.admit_payer(&claim, offer)?;
        self.admit_small(&claim, &offer.asset)?;
        cashier.lend_for(&claim, payment, offer, seats).await?;
        let authorised = cashier.authorise(claim, offer, seats).await?;
        // Others may have been opened meanwhile.
        self.admit_small(authorised.claim(), &offer.asset)?;
        let turn = self.turn(cashier, &authorised, &offer.asset)?;
        let reservation = match self.till.take(&authorised, &wanted, tariff) {
            Ok(reservation) => reservation,
            Err(refused) => {
                turn.into_iter().for_each(Turn::put_back);
                return Err(refused);
            }
        };
        let kind = match offer.scheme {
            Scheme::Upto => {
                let is_bound = session::binds(&payment.extensions, payer);
                Kind::Session(self.open_session(&reservation, payer, is_bound, bill)?)
            }
            Scheme::Exact | Scheme::Batch => Kind::Exact,
        };
        let (by, is_legacy) = ((offer.scheme, &offer.asset), payment.accepted.is_legacy());
        Ok(self.paid(kind, by, payer, reservation, bill, is_legacy).in_turn(turn))
    }

    fn open_session(
        &self,
        reservation: &Reservation,
        payer: Address,
        is_bound: bool,
        bill: &Bill<'_>,
    ) -> Result<SessionToken, Refused> {
        let random = fresh::<16>().map_err(|error| Refused::NotDurable(error.message))?;
        let token = SessionToken::from_random(random);
        let (purse, now_ms) = (reservation.purse(), now_ms());
        let session = Session { purse, payer, opened_at_ms: now_ms, used_at_ms: now_ms, is_bound };
        // Without a session the cap pays for this call alone.
        let _is_open = lock(&self.sessions).open(&token, session, (bill.model, bill.price));
        Ok(token)
    }

    /// Lets a call draw on an open session.
    async fn draw(
        self: &Arc<Self>,
        token: &SessionToken,
        headers: &HeaderMap,
        bill: &Bill<'_>,
    ) -> Result<Paid, Refused> {
        let session = lock(&self.sessions).of(token, now_ms())?;
        let priced = (bill.model, bill.price);
        // Read after the price, so that no rise which that has in it is missed.
        let risen_at_ms = self.published.risen_at_ms(&bill.model);
        lock(&self.sessions).check_price(token, &priced, risen_at_ms)?;
        // In the session's own asset: while no new one is offered an open one pays all the same, and takes no more settlements than its own.
        let known = self.till.books().purse(&session.purse).map(|purse| (Network(purse.network), purse.asset));
        let asset = known.and_then(|(network, asset)| self.cashier(network)?.asset(&asset));
        let asset = asset.ok_or(Refused::UnknownSession)?;
        if session.is_bound {
            self.check_signed(token, headers, bill, asset.network).await?;
        }
        let rate = self.rate();
        let tariff = Self::tariff(bill, asset, rate);
        let max = self.most_of(&tariff, bill)?;
        let split = self.split(bill);
        let reservation = self.till.draw(&session.purse, &wanted(self, bill, max, &split, None), tariff)?;
        lock(&self.sessions).note_draw(token, priced, now_ms());
        let kind = Kind::Session(token.clone());
        Ok(self.paid(kind, (Scheme::Upto, asset), session.payer, reservation, bill, false))
    }

    /// What is signed for a call of a bound session: the call, and once.
    async fn check_signed(
        &self,
        token: &SessionToken,
        headers: &HeaderMap,
        bill: &Bill<'_>,
        network: Network,
    ) -> Result<(), Refused> {
        let signed = only(headers, &[SESSION_SIGNATURE])?.and_then(|value| session::read(value.to_str().ok()?));
        let (at_ms, signature) = signed.ok_or(Refused::Unbound("the header X-Upto-Session-Signature is missing"))?;
        // The path that the payer asked for, which is that of what was offered.
        let (named, path) = (token.clone(), path_of(bill.url).to_owned());
        let (body, chain_id) = (bill.body.clone(), network.chain_id());
        let read = aside(body.len(), move || {
            let call = SessionCall::new(named.expose(), &path, &body, at_ms);
            (call, call.signer(chain_id, &signature))
        });
        let (call, signer) = read.await.map_err(|error| Refused::Chain(error.message))?;
        lock(&self.sessions).take_signed(token, &call, signer, now_ms())
    }

    fn most_of(&self, tariff: &Tariff, bill: &Bill<'_>) -> Result<u128, Refused> {
        Self::most(tariff, bill).map(|(_, most)| most.amount).map_err(|error| Refused::Chain(error.to_string()))
    }

    async fn take_channel(
        self: &Arc<Self>,
        shown: &Shown,
        offer: &Offer,
        rate: Option<Rate>,
        bill: &Bill<'_>,
        seats: &Seats,
    ) -> Result<Paid, Unpaid> {
        let (payment, now_s) = (&shown.payment, now_ms() / 1_000);
        let read = shown.voucher(offer, now_s).and_then(|voucher| voucher.sponsored(&payment.extensions, offer, now_s));
        let voucher = read.map_err(|error| self.refuse(bill, error))?;
        match self.reserve_channel(&voucher, payment, offer, rate, bill, seats).await {
            Ok(paid) => Ok(paid),
            Err(error @ (Refused::Cumulative { .. } | Refused::BelowClaimed { .. } | Refused::Published(_))) => {
                Err(self.corrective(&voucher, bill, error))
            }
            Err(Refused::Full) => {
                let cashier = self.cashier_of(offer).ok().filter(|cashier| cashier.has_deposited(&voucher));
                Err(cashier.map_or_else(|| self.refuse(bill, Refused::Full), |cashier| cashier.unseated(&voucher)))
            }
            Err(error) => Err(self.refuse(bill, error)),
        }
    }

    async fn reserve_channel(
        self: &Arc<Self>,
        voucher: &Voucher,
        payment: &PaymentPayload,
        offer: &Offer,
        rate: Option<Rate>,
        bill: &Bill<'_>,
        seats: &Seats,
    ) -> Result<Paid, Refused> {
        let cashier = self.cashier_of(offer)?;
        cashier.admit_listed(voucher.config.payer)?;
        if let VoucherKind::Deposit(deposit) = &voucher.kind
            && deposit.amount < offer.min_deposit
        {
            // Each one is a transaction of ours.
            return Err(Refused::Deposit { found: deposit.amount, expected: offer.min_deposit });
        }
        let mut is_fresh = cashier.know_channel(voucher, FACTS_LIFE_MS, seats).await?;
        if let VoucherKind::Deposit(deposit) = &voucher.kind {
            if !is_fresh {
                // Its chain is asked about it, whatever is known of its channel.
                cashier.admit_channel(voucher)?;
            }
            if let Some(claim) = voucher.wallet_claim() {
                cashier.lend_for(&claim, payment, offer, seats).await?;
            }
            cashier.deposit(voucher, deposit, offer, seats).await?;
            is_fresh = true;
        }
        let tariff = Self::tariff(bill, &offer.asset, rate);
        let split = self.split(bill);
        // A unit below what is offered: what is signed for a call covers more than is ever promised of it.
        let wanted = wanted(self, bill, offer.amount.saturating_sub(1), &split, identifier(payment)?);
        let reservation = match self.till.take_voucher(voucher, offer, &wanted, tariff) {
            // Its payer may have deposited meanwhile.
            Err(Refused::OverBalance { .. }) if !is_fresh => {
                cashier.know_channel(voucher, 0, seats).await?;
                self.till.take_voucher(voucher, offer, &wanted, tariff)?
            }
            other => other?,
        };
        let (kind, by) = (Kind::Channel(voucher.channel), (offer.scheme, &offer.asset));
        Ok(self.paid(kind, by, voucher.config.payer, reservation, bill, false))
    }

    fn paid(
        self: &Arc<Self>,
        kind: Kind,
        (scheme, asset): (Scheme, &Asset),
        payer: Address,
        reservation: Reservation,
        bill: &Bill<'_>,
        is_legacy: bool,
    ) -> Paid {
        let payer = Payer { scheme, network: asset.network, asset: asset.address, address: payer, is_legacy };
        Paid::new(Arc::clone(self), kind, payer, reservation, bill)
    }

    /// The offers with the channel's state as we have it and the payer's own last voucher as its proof.
    pub fn corrective(&self, voucher: &Voucher, bill: &Bill<'_>, refused: Refused) -> Unpaid {
        let reason = refused.reason().to_owned();
        let required = match self.required_on(bill, Some(reason), Some(voucher.network)) {
            Ok(required) => required,
            Err(error) => return Unpaid::Error(unpriced(&error)),
        };
        Unpaid::Refused(refused, Box::new(self.with_state(required, voucher)))
    }

    /// What the payer's next voucher has to begin from: all that is charged or promised. From now on it counts as told to its payer, unless
    /// it `is_public` what it was asked with.
    fn taken(&self, purse: &Digest, is_public: bool) -> Option<u128> {
        let mut taken = None;
        let _told = self.till.note(|books| {
            let record = books.purse(purse)?;
            let amount = record.announced.max(record.spent.saturating_add(books.reserved(purse)));
            // A unit more, so that the next one is not one that everybody can read again.
            taken = Some(if is_public { amount.saturating_add(1) } else { amount });
            let is_news = !is_public && amount != record.announced;
            is_news.then_some(Entry::Announced(Raise { purse: *purse, amount }))
        });
        taken
    }

    fn with_state(&self, mut required: PaymentRequired, voucher: &Voucher) -> PaymentRequired {
        let purse = voucher.purse();
        let (is_public, is_newest_public) = {
            let books = self.till.books();
            let newest = books.purse(&purse).map_or(0, |record| record.cap);
            (books.is_published(&purse, voucher.max_claimable), books.is_published(&purse, newest))
        };
        let charged = self.taken(&purse, is_public);
        let (state, signed) = channel_state(&self.till, &purse, voucher.channel, charged);
        // Who shows what stands in a claim may be anybody, and is shown nothing that does not.
        let signed = signed.filter(|_| !is_public || is_newest_public);
        for terms in required.accepts.iter_mut() {
            let is_its_own = (terms.network, terms.asset) == (voucher.network, voucher.config.token);
            if is_its_own && terms.scheme == Scheme::Batch.word() {
                terms.extra.insert("channelState".to_owned(), state.clone());
                if let Some(signed) = &signed {
                    terms.extra.insert("voucherState".to_owned(), signed.clone());
                }
            }
        }
        required
    }
}

fn without_sessions(mut required: PaymentRequired) -> PaymentRequired {
    required.accepts.retain(|terms| terms.scheme != Scheme::Upto.word());
    required.extensions.remove(session::SESSION_KEY);
    required
}

pub fn unpriced(error: &payments::price::PriceError) -> ApiError {
    ApiError::new(Code::PaymentsAway, format!("The call cannot be priced: {error}.")).with_retry_after_s(5)
}

fn wanted<'a>(
    desk: &Desk,
    bill: &Bill<'_>,
    max: u128,
    split: &'a payments::price::Split,
    name: Option<Digest>,
) -> Wanted<'a> {
    let (request, model, lineage) = (bill.request, bill.model, desk.lineage(&bill.model));
    Wanted { max, request, name, model, split, lineage, now_ms: now_ms() }
}

/// What the same request with the same payment has in common with it, and nothing else has: whoever sends it has the payer's signature.
fn repeat_key(headers: &HeaderMap, payment: &PaymentPayload, bill: &Bill<'_>) -> Option<Digest> {
    let name = identifier(payment).ok().flatten()?;
    let signed = [wire::SIGNATURE, wire::LEGACY_SIGNATURE].iter().find_map(|name| headers.get(*name))?;
    Some(crypto::hash("og/repeat/v1", &[&name.0, &bill.request.0, signed.as_bytes()]))
}

fn session_of(headers: &HeaderMap) -> Option<SessionToken> {
    only(headers, &[wire::SESSION]).ok()?.and_then(|value| SessionToken::from_header(value.to_str().ok()?))
}

fn is_refund(payment: &PaymentPayload) -> bool {
    payment.accepted.scheme() == Scheme::Batch.word()
        && payment.payload.get("type").is_some_and(|kind| kind == "refund")
}

/// A payment that says what it is for must say this: the endpoint here, or at the public address. The host may differ: gateways stand
/// behind others.
fn check_resource(payment: &PaymentPayload, bill: &Bill<'_>) -> Result<(), Refused> {
    let Some(resource) = &payment.resource else { return Ok(()) };
    let path = path_of(&resource.url);
    let is_it = path == bill.path || path == path_of(bill.url);
    if is_it { Ok(()) } else { Err(Refused::Resource(resource.url.chars().take(120).collect())) }
}

/// The path of an address, without its query.
fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/");
    path.split(['?', '#']).next().unwrap_or(path)
}

/// The digest of a payment identifier, where there is one.
fn identifier(payment: &PaymentPayload) -> Result<Option<Digest>, Refused> {
    let Some(id) = extension::text(&payment.extensions, "payment-identifier", "id") else { return Ok(None) };
    let is_good = (16..=128).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if !is_good {
        let wanted = "16 to 128 letters, digits, - or _";
        return Err(WireError::field("extensions.payment-identifier.info.id", "another text", wanted).into());
    }
    Ok(Some(crypto::hash("og/payment-identifier/v1", &[id.as_bytes()])))
}
