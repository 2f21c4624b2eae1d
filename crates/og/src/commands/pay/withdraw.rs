//! `og wallet withdraw`: what is left in a channel, taken out on its chain where its server does not give it back.
//!
//! Two transactions of the payer's own, with the channel's delay between them. Which one is next is what the chain says: whoever was
//! interrupted asks again, and nothing is begun twice.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use network::now_ms;
use payments::{
    B256,
    chain::{self, Call},
    payer::Token,
    signing::channel::ChannelConfig,
    wire::Network,
};
use relayer::Chain;
use serde_json::{Value, json};

use super::{
    sign, token,
    wallet::{OnChain, Wallet},
};
use crate::{
    cli::{self, Common},
    commands::{refused::by_chain, show},
    remote::Remote,
    screen::tell,
    spending::{Book, KeptChannel, Spending},
};

/// How long a transaction may take into a block.
const PATIENCE: Duration = Duration::from_secs(120);
/// The longest that is slept before the chain is asked again.
const PAUSE_S: u64 = 30;

/// Where a withdrawal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// There is nothing to take out.
    Nothing,
    Begin {
        amount: u128,
    },
    Wait {
        amount: u128,
        ready_at_s: u64,
    },
    End {
        amount: u128,
    },
}

impl Step {
    /// What the chain says is next. Claims that came meanwhile go first.
    fn of(channel: &OnChain, delay_s: u64, now_s: u64) -> Self {
        let available = channel.balance.saturating_sub(channel.claimed);
        if channel.leaving_since_s == 0 {
            return if available == 0 { Self::Nothing } else { Self::Begin { amount: available } };
        }
        let (amount, ready_at_s) = (channel.leaving.min(available), channel.leaving_since_s.saturating_add(delay_s));
        if now_s < ready_at_s { Self::Wait { amount, ready_at_s } } else { Self::End { amount } }
    }
}

pub async fn run(remote: &Remote, common: &Common, options: &cli::Withdraw) -> Result<()> {
    let wallet = Wallet::open(&remote.home, &remote.client, &options.key, options.rpc.as_deref())?;
    let kept = found(remote, &wallet, options.channel.as_deref())?;
    let leaving = Leaving::of(remote, &wallet, kept).await?;
    let mut said = leaving.on().await?;
    while let Some(ready_at_s) = said["ready_at_s"].as_u64().filter(|_| options.wait) {
        let left_s = ready_at_s.saturating_sub(now_ms() / 1_000).clamp(1, PAUSE_S);
        tell(&format!("waiting until the delay is over: {left_s} s or more"));
        tokio::time::sleep(Duration::from_secs(left_s)).await;
        said = leaving.on().await?;
    }
    show(common, &said, |said| vec![told(said)]);
    Ok(())
}

fn told(said: &Value) -> String {
    let text = |name: &str| said[name].as_str().unwrap_or("some").to_owned();
    let amount = format!("{} {}", text("amount_tokens"), text("token"));
    match said["step"].as_str() {
        Some("waiting") => format!(
            "{amount} come out of the channel at {} (Unix time); the same command ends it then",
            said["ready_at_s"]
        ),
        Some("done") => format!("{amount} back at {}, transaction {}", text("payer"), text("transaction")),
        _ => "nothing is left in the channel".to_owned(),
    }
}

/// The payer's channel of this id, or the one that was last paid for a call at this address; where none is named, the only one in which
/// anything is left.
fn found(remote: &Remote, wallet: &Wallet, which: Option<&str>) -> Result<KeptChannel> {
    let is_meant = |kept: &KeptChannel| match which.map(|which| (which, which.parse::<B256>())) {
        None => kept.balance > kept.charged,
        Some((_, Ok(id))) => kept.id == id,
        Some((path, Err(_))) if path.starts_with('/') => kept.url == format!("{}{path}", remote.gateway),
        Some((url, Err(_))) => kept.url == url,
    };
    let is_it = |kept: &&KeptChannel| kept.purse.payer == wallet.address() && is_meant(kept);
    let book = Book::read(&remote.home)?;
    let mut fits = book.channels().iter().filter(is_it);
    let named = which.map(|which| format!(" {which:?}")).unwrap_or_default();
    let kept = fits.next().with_context(|| {
        let payer = wallet.written();
        let has_any = book.channels().iter().any(|kept| kept.purse.payer == wallet.address());
        match which {
            None if has_any => format!("nothing is left in the channels of {payer}; hint: og wallet channels"),
            None | Some(_) => format!(
                "{payer} has no channel{named} that is known here; hint: og wallet channels; og pay --deposit opens one"
            ),
        }
    })?;
    ensure!(fits.next().is_none(), "more than one channel{named} is meant; hint: og wallet channels, name its id");
    Ok(kept.clone())
}

/// A channel whose payer leaves.
struct Leaving<'a> {
    remote: &'a Remote,
    wallet: &'a Wallet,
    kept: KeptChannel,
    config: ChannelConfig,
    chain: Chain,
    token: Option<Token>,
}

impl<'a> Leaving<'a> {
    async fn of(remote: &'a Remote, wallet: &'a Wallet, kept: KeptChannel) -> Result<Self> {
        let purse = kept.purse;
        let Some(config) = kept.config() else {
            bail!(
                "an older version kept this channel without its terms; hint: pay one more call by it, or og wallet refund"
            )
        };
        let chain = wallet.chain(Network(purse.chain_id));
        let chain = chain.context("no chain to tell; hint: --rpc, or a --dir with a devnet")?;
        let id = chain.id().await?;
        ensure!(
            id == purse.chain_id,
            "the RPC is of chain {id}, and the channel is on {}; hint: --rpc of that chain",
            purse.chain_id
        );
        let is_it = |token: &Token| token.address == purse.asset && token.network.chain_id() == purse.chain_id;
        let token = token::known().into_iter().find(is_it);
        Ok(Self { remote, wallet, kept, config, chain, token })
    }

    /// Goes on as far as it can now.
    async fn on(&self) -> Result<Value> {
        let _alone = sign::alone(self.remote, self.kept.id).await?;
        loop {
            let channel = OnChain::ask(&self.chain, self.kept.id).await?;
            // Blocks of a quiet chain are old, and clocks may differ: its contract decides in the end.
            let now_s = self.chain.time_s().await?.max(now_ms() / 1_000);
            match Step::of(&channel, self.config.withdraw_delay_s, now_s) {
                Step::Nothing => {
                    self.keep(&channel, false)?;
                    return Ok(self.said("nothing", 0, None, None));
                }
                Step::Begin { amount } => {
                    // No call is paid by it from now on, whatever becomes of the transaction.
                    self.keep(&channel, true)?;
                    let call = chain::begin_withdrawal(&self.config, amount);
                    self.send(&call).await.context("failed to begin the withdrawal")?;
                }
                Step::Wait { amount, ready_at_s } => {
                    self.keep(&channel, true)?;
                    return Ok(self.said("waiting", amount, Some(ready_at_s), None));
                }
                Step::End { amount } => {
                    let sent = self.send(&chain::end_withdrawal(&self.config)).await;
                    let sent = sent.context("failed to end the withdrawal")?;
                    self.keep(&OnChain::ask(&self.chain, self.kept.id).await?, false)?;
                    return Ok(self.said("done", amount, None, Some(sent)));
                }
            }
        }
    }

    async fn send(&self, call: &Call) -> Result<B256> {
        self.chain.send(call, 0, self.wallet.payer.key(), PATIENCE).await.map_err(by_chain)
    }

    /// What the chain says of the channel now. What came back may be deposited again, and counts then.
    fn keep(&self, channel: &OnChain, is_leaving: bool) -> Result<()> {
        let mut spending = Spending::open(&self.remote.home)?;
        let kept = spending.channel(&self.kept.id).unwrap_or_else(|| self.kept.clone());
        let (balance, charged) = (channel.balance, kept.charged.max(channel.claimed));
        let counted = kept.counted.min(channel.balance);
        spending.keep_channel(KeptChannel { balance, charged, counted, is_leaving, ..kept })
    }

    fn said(&self, step: &str, amount: u128, ready_at_s: Option<u64>, transaction: Option<B256>) -> Value {
        let written = |token: &Token| token::written(amount, token);
        json!({
            "channel": self.kept.id,
            "payer": self.wallet.written(),
            "token": self.token.as_ref().map_or_else(|| self.kept.purse.asset.to_checksum(None), |token| token.symbol.clone()),
            "step": step,
            "amount": amount.to_string(),
            "amount_tokens": self.token.as_ref().map_or_else(|| amount.to_string(), written),
            "ready_at_s": ready_at_s,
            "transaction": transaction,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_says_which_step_is_next() {
        let idle = OnChain { balance: 10, claimed: 4, leaving: 0, leaving_since_s: 0 };
        assert_eq!(Step::of(&idle, 900, 5_000), Step::Begin { amount: 6 });
        assert_eq!(Step::of(&OnChain { claimed: 10, ..idle }, 900, 5_000), Step::Nothing);
        let begun = OnChain { leaving: 6, leaving_since_s: 5_000, ..idle };
        assert_eq!(Step::of(&begun, 900, 5_899), Step::Wait { amount: 6, ready_at_s: 5_900 });
        assert_eq!(Step::of(&begun, 900, 5_900), Step::End { amount: 6 });
        let claimed = OnChain { claimed: 9, ..begun };
        assert_eq!(Step::of(&claimed, 900, 5_900), Step::End { amount: 1 }, "claims of the delay go first");
    }
}
