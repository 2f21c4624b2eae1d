//! `og wallet refund | channels`: what is left in channels, and how it comes back.

use anyhow::{Context as _, Result, ensure};
use network::{Answer, axum::http::StatusCode};
use payments::{
    B256,
    payer::{Asked, Channel, Token, Way},
    wire::{Requirements, SettleResponse, header as wire},
};
use serde_json::{Value, json};

use super::{asked, error::PayError, request::Call, sign, token, wallet::Wallet};
use crate::{
    cli::{self, Common},
    commands::show,
    remote::Remote,
    screen::row,
    spending::{Book, KeptChannel},
};

/// Asks a server to give back what is left in a channel with it.
pub async fn run(remote: &Remote, common: &Common, options: &cli::Refund) -> Result<()> {
    let wallet = Wallet::open(&remote.home, &remote.client, &options.key, options.rpc.as_deref())?;
    let call = Call::get(&options.url, &remote.gateway)?;
    let first = call.send(&remote.client, &[]).await?;
    if first.status != StatusCode::PAYMENT_REQUIRED {
        return Err(PayError::NoOpenChannel.into());
    }
    let asked = asked(first, &call.url).await?.0;
    let wanted = options.token.as_deref().map(token::named).transpose()?;
    let (terms, token, channel) = found(remote, &wallet, &asked, wanted.as_ref()).await?;
    let amount = options.amount.as_deref().map(|text| token::read(text, &token)).transpose()?;
    ensure!(amount != Some(0), "0 {} is nothing; hint: an amount above 0, or none for all that is left", token.symbol);
    let _alone = sign::alone(remote, channel.id).await?;
    let back = Back { remote, wallet: &wallet, call: &call, asked: &asked, terms, amount };
    let settled = back.asked_for(sign::kept(remote, channel)?).await?;
    let units = settled.amount.map(|amount| token::written(amount, &token));
    let said = json!({
        "payer": wallet.written(),
        "token": token.symbol,
        "refunded": settled.amount.map(|amount| amount.to_string()),
        "refunded_tokens": units,
        "transaction": settled.transaction,
    });
    show(common, &said, |said| {
        let text = |name: &str| said[name].as_str().unwrap_or("some").to_owned();
        vec![format!(
            "{} {} back at {}, transaction {}",
            text("refunded_tokens"),
            token.symbol,
            text("payer"),
            settled.transaction
        )]
    });
    Ok(())
}

/// The channel with the server in which there is something, as the folder or its chain knows it.
async fn found(
    remote: &Remote,
    wallet: &Wallet,
    asked: &Asked,
    wanted: Option<&Token>,
) -> Result<(Requirements, Token, Channel)> {
    let tokens = token::known();
    for terms in &asked.required.accepts {
        let Ok((Way::Channel(_), token)) = Way::of(terms, asked.is_legacy, &tokens) else { continue };
        if wanted.is_some_and(|wanted| wanted != token) {
            continue;
        }
        let mut channel = sign::kept(remote, Channel::of(terms, &wallet.payer, B256::ZERO)?)?;
        if channel.balance == 0
            && let Some(chain) = wallet.channel(terms.network, channel.id).await?
        {
            (channel.balance, channel.charged, channel.signed) = (chain.balance, chain.claimed, chain.claimed);
        }
        if channel.balance > channel.charged {
            return Ok((terms.clone(), token.clone(), channel));
        }
    }
    Err(PayError::NoOpenChannel.into())
}

/// A refund that is asked for.
struct Back<'a> {
    remote: &'a Remote,
    wallet: &'a Wallet,
    call: &'a Call,
    asked: &'a Asked,
    terms: Requirements,
    amount: Option<u128>,
}

impl Back<'_> {
    async fn sent(&self, channel: &Channel) -> Result<Answer> {
        let payload = channel.refund(&self.wallet.payer, self.amount);
        let payment = Channel::payment(&self.asked.required, &self.terms, payload);
        let (name, value) = self.asked.answer(&payment).context("version 1 has no channels")?;
        self.call.send(&self.remote.client, &[(name, &value)]).await
    }

    /// A refund signs no more than what was charged, so no limit stands against it. A call that failed may count as charged here and not
    /// there: what the server says is followed once, and never beyond what was signed.
    async fn asked_for(&self, mut channel: Channel) -> Result<SettleResponse> {
        let mut answer = self.sent(&channel).await?;
        if answer.status == StatusCode::PAYMENT_REQUIRED {
            let (asked, reason) = asked(answer, &self.call.url).await?;
            let before = channel.charged;
            if let Some(corrected) = sign::corrected(&asked, &self.terms) {
                channel.told(&corrected.extra).map_err(PayError::from)?;
            }
            if channel.charged == before {
                return Err(PayError::NoRefund { reason }.into());
            }
            sign::keep(self.remote, self.terms.network, &channel, &self.call.url)?;
            answer = self.sent(&channel).await?;
        }
        let values: Vec<&[u8]> = answer.headers.get_all(wire::RESPONSE).iter().map(|value| value.as_bytes()).collect();
        let settled = self.asked.outcome(&values).ok().flatten().filter(|settled| settled.success);
        let Some(settled) = settled.filter(|_| answer.status.is_success()) else {
            let body = answer.body.whole(1 << 16).await.unwrap_or_default();
            return Err(PayError::NoRefund { reason: super::reason(&body, None) }.into());
        };
        if channel.told(&settled.extra).is_err() {
            // What was given back is not there any more, whatever else is said.
            channel.balance = channel.balance.saturating_sub(settled.amount.unwrap_or(channel.balance));
        }
        // What came back may be deposited again, and counts then.
        channel.counted = channel.counted.min(channel.balance);
        sign::keep(self.remote, self.terms.network, &channel, &self.call.url)?;
        Ok(settled)
    }
}

/// Every channel that the folder knows, with what is left in it.
pub fn list(remote: &Remote, common: &Common) -> Result<()> {
    let known = token::known();
    let book = Book::read(&remote.home)?;
    let one = |kept: &KeptChannel| {
        let purse = &kept.purse;
        let token =
            known.iter().find(|token| token.address == purse.asset && token.network.chain_id() == purse.chain_id);
        let written = |amount: u128| token.map_or_else(|| amount.to_string(), |token| token::written(amount, token));
        json!({
            "channel": kept.id,
            "payer": purse.payer.to_checksum(None),
            "token": token.map_or_else(|| purse.asset.to_checksum(None), |token| token.symbol.clone()),
            "left": written(kept.balance.saturating_sub(kept.charged)),
            "charged": written(kept.charged),
            "leaving": kept.is_leaving,
            "url": kept.url,
        })
    };
    let said = json!({ "channels": book.channels().iter().map(one).collect::<Vec<_>>() });
    show(common, &said, |said| {
        let line = |channel: &Value| {
            let text = |name: &str| channel[name].as_str().unwrap_or_default().to_owned();
            let left = format!("{} {} left", text("left"), text("token"));
            row(&[(&text("payer"), 42), (&left, 24), (&format!("{} charged", text("charged")), 20), (&text("url"), 0)])
        };
        let lines: Vec<String> = said["channels"].as_array().into_iter().flatten().map(line).collect();
        if lines.is_empty() { vec!["no channel is known; og pay --deposit opens one".to_owned()] } else { lines }
    });
    Ok(())
}
