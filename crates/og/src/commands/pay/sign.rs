//! Signs for one offer, sends it, and follows what the server says came of it.

use std::fs::File;

use anyhow::{Context as _, Result};
use network::{Answer, axum::http::StatusCode, now_ms};
use payments::{
    B256,
    payer::{Asked, Channel, Token, Untrue, Way},
    scheme::SPONSORED,
    signing::session::{self, SESSION_KEY},
    wire::{Network, PaymentPayload, Requirements, SettleResponse, header as wire},
};
use serde_json::{Map, Value};
use storage::random_bytes;

use super::{asked, choice::Fit, error::PayError, reason, request::Call, token, wallet::Wallet};
use crate::{
    remote::Remote,
    screen::tell,
    spending::{self, Book, KeptCap, KeptChannel, KeptSession, KeptTerms, Purse, Signing, Spending},
};

const REASON_BYTES_MAX: usize = 1 << 16;
/// A voucher is corrected once: a server that corrects again is not followed further.
const CORRECTIONS: usize = 1;

/// What was signed, and what is known of it afterwards.
pub struct Paid {
    pub terms: Requirements,
    pub token: Token,
    pub payer: String,
    pub deposit: Option<u128>,
    pub outcome: Option<SettleResponse>,
    /// What the server said of a channel and cannot be so, though it answered.
    pub untrue: Option<String>,
}

/// One offer that is about to be paid.
pub struct Paying<'a> {
    pub remote: &'a Remote,
    pub wallet: &'a Wallet,
    pub call: &'a Call,
    pub asked: &'a Asked,
    pub terms: Requirements,
    pub max: Option<u128>,
}

impl Paying<'_> {
    pub async fn send(self, fit: Fit) -> Result<(Answer, Paid)> {
        match fit.channel.clone() {
            None => self.send_signed(&fit).await,
            Some((channel, deposit)) => self.send_voucher(&fit, channel, deposit).await,
        }
    }

    /// Writes down what is about to be signed, if the limits allow it.
    fn spend(&self, token: &Token, signing: Signing) -> Result<()> {
        let purse = Purse::new(self.wallet.address(), token.network, token.address);
        let spent = Spending::open(&self.remote.home)?.spend(&purse, self.max, signing, now_ms() / 1_000)?;
        spent.map_err(|over| self.wallet.over(&over, token, signing.call).into())
    }

    async fn send_signed(&self, fit: &Fit) -> Result<(Answer, Paid)> {
        self.spend(&fit.token, fit.signing)?;
        let (nonce, now_s) = (B256::from(random_bytes::<32>()?), now_ms() / 1_000);
        let mut payment = self.wallet.payer.pay(&self.asked.required, &self.terms, nonce, now_s)?;
        self.approve(fit, &mut payment, self.terms.amount, now_s);
        if fit.way == Way::Session && self.asked.required.extensions.contains_key(SESSION_KEY) {
            payment.extensions.insert(SESSION_KEY.to_owned(), session::binding(self.wallet.address()));
        }
        let answer = self.sent(&payment).await?;
        let answer = self.taken(answer, fit).await?;
        if fit.way == Way::Session {
            self.keep_session(&answer, now_s)?;
        }
        let paid = self.paid(fit, None, &answer);
        Ok((answer, paid))
    }

    /// Adds the approval of just this amount where Permit2 may not move it yet.
    fn approve(&self, fit: &Fit, payment: &mut PaymentPayload, amount: u128, now_s: u64) {
        let Some(number) = fit.approval else { return };
        let until_s = now_s.saturating_add(self.terms.max_timeout_s);
        let approval = self.wallet.payer.approve((fit.token.address, &fit.token.domain()), amount, number, until_s);
        payment.extensions.insert(SPONSORED.to_owned(), approval);
    }

    async fn sent(&self, payment: &PaymentPayload) -> Result<Answer> {
        let (name, value) = self.asked.answer(payment).context("version 1 cannot say what is to be paid")?;
        self.call.send(&self.remote.client, &[(name, &value)]).await
    }

    fn paid(&self, fit: &Fit, deposit: Option<u128>, answer: &Answer) -> Paid {
        let (terms, token) = (self.terms.clone(), fit.token.clone());
        Paid { terms, token, payer: self.wallet.written(), deposit, outcome: self.outcome(answer), untrue: None }
    }

    /// What the server says came of it. Words that cannot be read change nothing: the answer is there.
    fn outcome(&self, answer: &Answer) -> Option<SettleResponse> {
        let values: Vec<&[u8]> =
            answer.headers.get_all(self.asked.outcome_name()).iter().map(|value| value.as_bytes()).collect();
        self.asked.outcome(&values).unwrap_or_else(|error| {
            tell(&format!("what the server says came of the payment cannot be read: {error}"));
            None
        })
    }

    /// The answer, where the payment was taken.
    async fn taken(&self, answer: Answer, fit: &Fit) -> Result<Answer> {
        match answer.status {
            StatusCode::PAYMENT_REQUIRED => {
                let failed = self.outcome(&answer).and_then(|outcome| outcome.error_reason);
                let (_, said) = asked(answer, &self.call.url).await?;
                let reason = failed.map_or(said.clone(), |failed| format!("{said} ({failed})"));
                Err(PayError::Refused { reason }.into())
            }
            StatusCode::PRECONDITION_FAILED => {
                let needed = token::written(self.terms.amount, &fit.token);
                let (allowed, token) = ("less".to_owned(), fit.token.symbol.clone());
                let (payer, key) = (self.wallet.written(), self.wallet.name.clone());
                Err(PayError::Allowance { allowed, needed, token, payer, key }.into())
            }
            StatusCode::BAD_REQUEST | StatusCode::CONFLICT => {
                let body = answer.body.whole(REASON_BYTES_MAX).await.unwrap_or_default();
                Err(PayError::Refused { reason: reason(&body, None) }.into())
            }
            _ => Ok(answer),
        }
    }

    fn keep_session(&self, answer: &Answer, now_s: u64) -> Result<()> {
        let token = answer.headers.get(wire::SESSION).and_then(|value| value.to_str().ok());
        let Some(token) = token.filter(|token| answer.status.is_success() && token.len() <= 256) else { return Ok(()) };
        let (payer, resource) = (self.wallet.address(), self.call.resource());
        let until_s = now_s.saturating_add(self.terms.max_timeout_s);
        let purse = Purse::new(payer, self.terms.network, self.terms.asset);
        let cap = Some(KeptCap { purse, amount: self.terms.amount });
        let session = KeptSession { payer, resource: resource.clone(), token: token.to_owned(), until_s, cap };
        Spending::open(&self.remote.home)?.keep_session(payer, &resource, Some(session))
    }

    /// Calls of one channel go one after the other: each voucher stands on the sum of the one before.
    async fn send_voucher(self, fit: &Fit, channel: Channel, deposit: Option<u128>) -> Result<(Answer, Paid)> {
        let _alone = alone(self.remote, channel.id).await?;
        if Book::read(&self.remote.home)?.channel(&channel.id).is_some_and(|kept| kept.is_leaving) {
            return Err(PayError::NoWay("what is in its channel is being taken out".to_owned()).into());
        }
        let mut channel = kept(self.remote, channel)?;
        let mut deposit = deposit.filter(|_| channel.next_claimable(self.terms.amount) > channel.balance);
        // Signed once more with the same salt and time, it can be taken once.
        let (salt, now_s) = (B256::from(random_bytes::<32>()?), now_ms() / 1_000);
        let (mut before, mut uncounted) = (channel.signed, deposit.unwrap_or(0));
        for turn in 0..=CORRECTIONS {
            let next = channel.next_claimable(self.terms.amount);
            // A correction signs on: what this call may cost is the sum of both.
            let call = next.saturating_sub(before).max(self.terms.amount);
            let counted = if deposit.is_some() { uncounted } else { 0 };
            self.spend(&fit.token, Signing { call, fresh: channel.fresh(next, counted), deposit: counted })?;
            channel.sign(next, counted);
            uncounted = uncounted.saturating_sub(counted);
            let signed = channel.signed;
            self.keep(&channel)?;
            let payload = match deposit {
                Some(amount) => channel.deposit(&self.wallet.payer, &self.terms, amount, salt, now_s)?,
                None => channel.voucher(&self.wallet.payer, next),
            };
            let mut payment = Channel::payment(&self.asked.required, &self.terms, payload);
            if let Some(amount) = deposit {
                self.approve(fit, &mut payment, amount, now_s);
            }
            let answer = self.sent(&payment).await?;
            if answer.status != StatusCode::PAYMENT_REQUIRED || turn == CORRECTIONS {
                let answer = self.taken(answer, fit).await?;
                channel.balance = channel.balance.saturating_add(deposit.unwrap_or(0));
                let mut paid = self.paid(fit, deposit, &answer);
                let said = paid.outcome.as_ref().map(|outcome| &outcome.extra);
                let untrue = said.and_then(|said| Self::follow(&mut channel, said).err());
                if said.is_none() || untrue.is_some() {
                    // Without a word that can be so, all that was signed counts as charged.
                    channel.charged = channel.signed;
                }
                self.keep(&channel)?;
                paid.untrue = untrue.map(|untrue| untrue.to_string());
                return Ok((answer, paid));
            }
            let (asked, reason) = asked(answer, &self.call.url).await?;
            // The channel's state is all that is taken of it. By other terms than those that were chosen, the deposit would be another one.
            let Some(corrected) = corrected(&asked, &self.terms) else {
                return Err(PayError::Refused { reason }.into());
            };
            Self::follow(&mut channel, &corrected.extra).map_err(PayError::from)?;
            if channel.signed > signed {
                // The server showed a voucher of before, which was forgotten here.
                before = channel.signed;
            }
            self.keep(&channel)?;
            if channel.next_claimable(self.terms.amount) <= channel.balance {
                deposit = None;
            } else if deposit.is_none() {
                return Err(PayError::Refused { reason }.into());
            }
        }
        Err(PayError::Refused { reason: "it corrects the channel's state again and again".to_owned() }.into())
    }

    fn keep(&self, channel: &Channel) -> Result<()> {
        keep(self.remote, self.terms.network, channel, &self.call.url)
    }

    /// Takes over what the server says of the channel, as far as it can be so. Silence leaves all that was signed charged.
    fn follow(channel: &mut Channel, extra: &Map<String, Value>) -> Result<(), Untrue> {
        if extra.contains_key("channelState") {
            return channel.told(extra);
        }
        channel.charged = channel.signed;
        Ok(())
    }
}

/// The same terms with what the server knows of the channel, if it says so.
pub fn corrected<'a>(asked: &'a Asked, terms: &Requirements) -> Option<&'a Requirements> {
    let is_it = |said: &&Requirements| said.difference(terms).is_none() && said.extra.contains_key("channelState");
    asked.required.accepts.iter().find(is_it)
}

/// Keeps other processes from the channel until dropped.
pub async fn alone(remote: &Remote, channel: B256) -> Result<File> {
    let lock = remote.home.folder().join(format!("channel-{channel}.lock"));
    tokio::task::spawn_blocking(move || spending::locked(&lock)).await?
}

/// The channel as another process may have left it meanwhile.
pub fn kept(remote: &Remote, mut channel: Channel) -> Result<Channel> {
    if let Some(kept) = Book::read(&remote.home)?.channel(&channel.id) {
        kept.put_into(&mut channel);
    }
    Ok(channel)
}

pub fn keep(remote: &Remote, network: Network, channel: &Channel, url: &str) -> Result<()> {
    let config = &channel.config;
    let mut spending = Spending::open(&remote.home)?;
    let is_leaving = spending.channel(&channel.id).is_some_and(|kept| kept.is_leaving);
    let kept = KeptChannel {
        id: channel.id,
        purse: Purse::new(config.payer, network, config.token),
        url: url.to_owned(),
        balance: channel.balance,
        charged: channel.charged,
        signed: channel.signed,
        counted: channel.counted,
        terms: Some(KeptTerms {
            receiver: config.receiver,
            receiver_authorizer: config.receiver_authorizer,
            withdraw_delay_s: config.withdraw_delay_s,
            salt: config.salt,
        }),
        is_leaving,
    };
    spending.keep_channel(kept)
}
