//! `og governance propose`: what is to be done, beside what holds now; then the number under which it is voted on.

use std::time::Duration;

use alloy_primitives::{Address, U256};
use anyhow::{Context as _, Result};
use evm::modules::governance::{IGovernance, MODULE};
use serde_json::{Value, json};

use super::{actions, view};
use crate::{
    cli::{self, Common},
    commands::{
        module::{self, Caller},
        show,
    },
    remote::Remote,
    screen::tell,
};

/// How often and for how long it is asked whether a proposal is made.
const PAUSE: Duration = Duration::from_millis(200);
const TRIES: u32 = 150;

pub(super) async fn run(remote: &Remote, common: &Common, options: &cli::Propose) -> Result<()> {
    let wanted = actions::read(remote, &options.actions)?;
    if wanted.iter().any(actions::is_unknown_here) {
        tell("this og does not have these rules: whoever runs it stops where they come into force");
    }
    let call = IGovernance::proposeCall {
        actions: wanted.iter().map(|action| action.written()).collect(),
        description: options.why.clone(),
    };
    let mut listed = Vec::new();
    for action in &call.actions {
        let (words, now) = (actions::in_words(action), actions::present(remote, action).await?);
        listed.push(json!({ "words": words, "now": now }));
    }
    let caller = Caller::open(remote, &options.from)?;
    let proposer = caller.address();
    // Others may propose meanwhile: it gets this number or a later one.
    let first = module::tried(remote, &MODULE, proposer, &call).await?;
    let sent = module::send(remote, &MODULE, caller, 0, &call).await?;
    let id = made(remote, proposer, first).await?;
    let said = json!({ "proposal": id, "transaction": sent.transaction, "actions": listed });
    show(common, &said, lines);
    tell(&format!("hint: og governance show {id} says when it is voted on"));
    Ok(())
}

/// The number of what was just proposed, once a block has it.
async fn made(remote: &Remote, proposer: Address, first: U256) -> Result<u64> {
    let mut id = first;
    for _ in 0..TRIES {
        let count = view(remote, &IGovernance::proposalCountCall {}).await?;
        while id <= count {
            if view(remote, &IGovernance::proposalCall { id }).await?.proposer == proposer {
                return u64::try_from(id).context("there are too many proposals to count");
            }
            id = id.saturating_add(U256::ONE);
        }
        tokio::time::sleep(PAUSE).await;
    }
    anyhow::bail!("the network has not made a proposal of it; hint: og governance list says whether it comes later")
}

fn lines(said: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let actions = said["actions"].as_array().cloned().unwrap_or_default();
    let head = format!("proposal {}: transaction {}", said["proposal"], text(&said["transaction"]));
    let actions = actions.iter().map(|action| format!("  {} (now: {})", text(&action["words"]), text(&action["now"])));
    std::iter::once(head).chain(actions).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_proposed_is_told_beside_what_holds_now() {
        let action = json!({ "words": "set share.burn to 1%", "now": "0%" });
        let said = json!({ "proposal": 3, "transaction": "ab", "actions": [action] });
        assert_eq!(lines(&said), ["proposal 3: transaction ab", "  set share.burn to 1% (now: 0%)"]);
    }
}
