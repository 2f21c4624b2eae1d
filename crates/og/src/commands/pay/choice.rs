//! Each of a server's offers, whether it can be paid and why not; and the one that is taken.

use payments::{
    B256, U256,
    payer::{Asked, Channel, Token, Way},
    scheme::SPONSORED,
    wire::Requirements,
};
use relayer::ChainError;
use serde_json::{Value, json};

use super::{error::PayError, token, wallet::Wallet};
use crate::spending::{Book, Purse, Signing};

/// One offer and what came of looking at it.
pub struct Offered {
    pub terms: Requirements,
    pub verdict: Result<Fit, Left>,
}

/// An offer that can be paid.
#[derive(Clone)]
pub struct Fit {
    pub way: Way,
    pub token: Token,
    /// Of a channel: as it stands, and what is put into it first.
    pub channel: Option<(Channel, Option<u128>)>,
    /// What paying it signs.
    pub signing: Signing,
    /// The number of the approval that is signed with it, where Permit2 may not move the tokens yet and the server takes one.
    pub approval: Option<U256>,
}

/// Why an offer is left.
pub enum Left {
    /// Another scheme or token is wanted.
    NotWanted,
    /// For reasons of its own.
    Unfit(String),
    /// The wallet cannot, or may not.
    Wallet(Box<PayError>),
}

impl Left {
    fn told(&self) -> String {
        match self {
            Self::NotWanted => "another scheme or token is wanted".to_owned(),
            Self::Unfit(reason) => reason.clone(),
            Self::Wallet(error) => error.to_string(),
        }
    }
}

/// What the caller wants.
pub struct Wanted<'a> {
    pub scheme: Option<&'a str>,
    pub token: Option<&'a Token>,
    /// In the digits of whatever token is paid.
    pub max: Option<&'a str>,
    pub deposit: Option<&'a str>,
    pub now_s: u64,
}

/// Looks at every offer.
pub async fn look(asked: &Asked, wallet: &Wallet, wanted: &Wanted<'_>, book: &Book) -> anyhow::Result<Vec<Offered>> {
    let (tokens, mut offered) = (token::known(), Vec::new());
    let is_sponsored = asked.required.extensions.contains_key(SPONSORED);
    for terms in &asked.required.accepts {
        let verdict = match Way::of(terms, asked.is_legacy, &tokens) {
            Err(unfit) => Err(Left::Unfit(unfit.to_string())),
            Ok((_, token)) if !is_wanted(terms, token, wanted) => Err(Left::NotWanted),
            Ok((way, token)) => {
                let max = wanted.max.map(|text| token::read(text, token)).transpose()?;
                let deposit = wanted.deposit.map(|text| token::read(text, token)).transpose()?;
                let look = Look { wallet, terms, token, max, deposit, now_s: wanted.now_s, book, is_sponsored };
                look.verdict(way).await
            }
        };
        offered.push(Offered { terms: terms.clone(), verdict });
    }
    Ok(offered)
}

fn is_wanted(terms: &Requirements, token: &Token, wanted: &Wanted<'_>) -> bool {
    wanted.scheme.is_none_or(|scheme| scheme == terms.scheme) && wanted.token.is_none_or(|wanted| wanted == token)
}

/// One offer that the wallet could sign for.
struct Look<'a> {
    wallet: &'a Wallet,
    terms: &'a Requirements,
    token: &'a Token,
    max: Option<u128>,
    deposit: Option<u128>,
    now_s: u64,
    book: &'a Book,
    is_sponsored: bool,
}

impl Look<'_> {
    async fn verdict(&self, way: Way) -> Result<Fit, Left> {
        let fit = match way {
            Way::Channel(_) => self.through_channel(way).await?,
            Way::Transfer | Way::Permit | Way::Session => {
                let approval = self.covered(way, self.terms.amount).await?;
                let signing = Signing::of_call(self.terms.amount);
                Fit { way, token: self.token.clone(), channel: None, signing, approval }
            }
        };
        self.allowed(fit.signing).map_err(Left::Wallet)?;
        Ok(fit)
    }

    fn allowed(&self, signing: Signing) -> Result<(), Box<PayError>> {
        let purse = Purse::new(self.wallet.address(), self.token.network, self.token.address);
        let allowed = self.book.allowed(&purse, self.max, signing, self.now_s);
        allowed.map(|_| ()).map_err(|over| Box::new(self.wallet.over(&over, self.token, self.terms.amount)))
    }

    /// The channel with this server: as it is kept, else as its chain has it, else a new one.
    async fn through_channel(&self, way: Way) -> Result<Fit, Left> {
        let mut channel = Channel::of(self.terms, &self.wallet.payer, B256::ZERO)
            .map_err(|unpayable| Left::Unfit(unpayable.to_string()))?;
        let kept = self.book.channel(&channel.id);
        if let Some(kept) = &kept {
            if kept.is_leaving {
                let reason = "what is in its channel is being taken out; og wallet withdraw ends that";
                return Err(Left::Unfit(reason.to_owned()));
            }
            kept.put_into(&mut channel);
        } else if let Some(found) = self.wallet.channel(self.terms.network, channel.id).await.map_err(away)? {
            (channel.balance, channel.charged, channel.signed) = (found.balance, found.claimed, found.claimed);
        }
        let next = channel.next_claimable(self.terms.amount);
        let (deposit, approval) = if next <= channel.balance {
            (None, None)
        } else {
            let deposit = self.deposit(&channel)?;
            (Some(deposit), self.covered(way, deposit).await?)
        };
        let signing = signing(&channel, self.terms.amount, deposit);
        Ok(Fit { way, token: self.token.clone(), channel: Some((channel, deposit)), signing, approval })
    }

    /// What is to be put into the channel. An amount that the limits do not allow is not even proposed.
    fn deposit(&self, channel: &Channel) -> Result<u128, Left> {
        let least = self.terms.extra_text("minDeposit").and_then(|text| text.parse().ok()).unwrap_or(0);
        let missing = channel.next_claimable(self.terms.amount).saturating_sub(channel.balance);
        let least = missing.max(least).max(self.terms.amount);
        let written = |amount| token::written(amount, self.token);
        let symbol = self.token.symbol.clone();
        let Some(deposit) = self.deposit else {
            self.allowed(signing(channel, self.terms.amount, Some(least))).map_err(Left::Wallet)?;
            return Err(Left::Wallet(Box::new(PayError::NoChannel { least: written(least), token: symbol })));
        };
        if deposit < least {
            let (found, least) = (written(deposit), written(least));
            return Err(Left::Wallet(Box::new(PayError::SmallDeposit { found, least, token: symbol })));
        }
        Ok(deposit)
    }

    /// Whether the wallet holds what may be taken, as far as a chain can be asked; and the number of the approval that has to come with it.
    async fn covered(&self, way: Way, needed: u128) -> Result<Option<U256>, Left> {
        let Some((held, allowed)) = self.wallet.funds(self.token).await.map_err(away)? else { return Ok(None) };
        let (written, token) = (|amount| token::written(amount, self.token), self.token.symbol.clone());
        let payer = self.wallet.written();
        if held < needed {
            let (held, needed) = (written(held), written(needed));
            return Err(Left::Wallet(Box::new(PayError::Short { held, needed, token, payer })));
        }
        if way.needs_allowance() && allowed < needed {
            if self.is_sponsored {
                return self.wallet.approvals(self.token).await.map_err(away);
            }
            let (allowed, needed, key) = (written(allowed), written(needed), self.wallet.name.clone());
            return Err(Left::Wallet(Box::new(PayError::Allowance { allowed, needed, token, payer, key })));
        }
        Ok(None)
    }
}

/// What the next call of a channel signs, with a deposit.
fn signing(channel: &Channel, amount: u128, deposit: Option<u128>) -> Signing {
    let deposit = deposit.unwrap_or(0);
    Signing { call: amount, fresh: channel.fresh(channel.next_claimable(amount), deposit), deposit }
}

fn away(error: ChainError) -> Left {
    Left::Unfit(format!("its chain cannot be asked: {error}"))
}

/// The offer that is paid: through a channel that is open, else the first of the server's that can be paid.
pub fn choose(offered: Vec<Offered>) -> Result<(Requirements, Fit), PayError> {
    let is_open = |offered: &Offered| {
        offered.verdict.as_ref().is_ok_and(|fit| fit.channel.as_ref().is_some_and(|(_, deposit)| deposit.is_none()))
    };
    let open = offered.iter().position(is_open);
    let chosen = open.or_else(|| offered.iter().position(|offered| offered.verdict.is_ok()));
    let (mut reasons, mut wallets) = (Vec::new(), Vec::new());
    for (index, offer) in offered.into_iter().enumerate() {
        match offer.verdict {
            Ok(fit) if chosen == Some(index) => return Ok((offer.terms, fit)),
            Ok(_) => {}
            Err(Left::Wallet(error)) => wallets.push(error),
            Err(left) => reasons.push(format!("{}: {}", offer.terms.scheme, left.told())),
        }
    }
    // What the payer can mend comes first; a deposit, which is never made unasked, last.
    let position = wallets.iter().position(|error| !matches!(**error, PayError::NoChannel { .. })).unwrap_or(0);
    if position < wallets.len() {
        return Err(*wallets.swap_remove(position));
    }
    reasons.truncate(8);
    Err(PayError::NoWay(if reasons.is_empty() { "there are none".to_owned() } else { reasons.join("; ") }))
}

impl Offered {
    pub fn json(&self) -> Value {
        let terms = &self.terms;
        let token =
            token::known().into_iter().find(|token| token.address == terms.asset && token.network == terms.network);
        json!({
            "scheme": terms.scheme,
            "network": terms.network.to_string(),
            "asset": terms.asset.to_checksum(None),
            "token": token.as_ref().map(|token| token.symbol.clone()),
            "pay_to": terms.pay_to.to_checksum(None),
            "max": terms.amount.to_string(),
            "max_tokens": token.as_ref().map(|token| token::written(terms.amount, token)),
            "deposit": self.verdict.as_ref().ok().and_then(|fit| fit.channel.as_ref()?.1).map(|deposit| deposit.to_string()),
            "payable": self.verdict.is_ok(),
            "reason": self.verdict.as_ref().err().map(Left::told),
        })
    }
}
