//! Native transactions of keys of the folder: sent, and waited for until a block has ended them. What the block refused is an error.

use std::time::Duration;

use anyhow::{Context as _, Result};
use crypto::SigningKey;
use network::{LedgerClient, Sender, Whereabouts};
use protocol::{Action, Digest, PublicKey};

use super::asked;
use crate::remote::Remote;

/// How long a transaction may take into a block, and how often it is looked for.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(50);

/// Why a transaction that a validator took did nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotDone {
    #[error("block {height} refused transaction {id}: {}", hinted(.reason))]
    Refused { id: Digest, height: u64, reason: String },
    #[error(
        "transaction {id} is in no block, and another of the same key has its number; hint: send it again, once what else sends with that key is done"
    )]
    Replaced { id: Digest },
}

impl NotDone {
    /// The word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "refused_in_block",
            Self::Replaced { .. } => "replaced",
        }
    }
}

/// The ledger's reason, which has a hint of its own or else is what changed between looking and the block.
fn hinted(reason: &str) -> String {
    const HINT: &str =
        "it changed nothing; something else may have come before it in that block: look again, and send it anew";
    if reason.contains("; hint: ") { reason.to_owned() } else { format!("{reason}; hint: {HINT}") }
}

/// Sends what the key signs, and gives the transaction's id once it is executed and shows in what validators are asked of modules.
pub(super) async fn post(remote: &Remote, key: SigningKey, action: Action) -> Result<Digest> {
    let (ledger, public) = (remote.ledger()?, key.public_key());
    let sender = Sender::new(ledger.clone(), key, remote.network()?.chain_id);
    let (id, nonce) = sender.send_numbered(action).await?;
    let unseen = || {
        format!(
            "transaction {id} was sent and is seen in no block; hint: it may still come, look before sending it again"
        )
    };
    let ended = tokio::time::timeout(PATIENCE, ended(remote, &ledger, (&public, nonce), &id)).await;
    let height = ended.with_context(unseen)?.with_context(unseen)??;
    tokio::time::timeout(PATIENCE, shown(remote, height)).await.with_context(|| {
        format!("transaction {id} is executed in block {height}, which no validator shows; hint: og status")
    })??;
    Ok(id)
}

/// The block in which the transaction of a key with this nonce was executed, once it has ended.
async fn ended(
    remote: &Remote,
    ledger: &LedgerClient,
    (key, nonce): (&PublicKey, u64),
    id: &Digest,
) -> Result<Result<u64, NotDone>> {
    loop {
        match ledger.whereabouts(id).await? {
            Some(Whereabouts::Executed { height }) => return Ok(Ok(height)),
            Some(Whereabouts::Refused { height, reason }) => {
                return Ok(Err(NotDone::Refused { id: *id, height, reason }));
            }
            Some(Whereabouts::Waiting) => {}
            None => {
                let progress = ledger.progress(key).await?;
                if progress.executed > nonce {
                    // A block tells of its transactions a moment after their nonces are used up.
                    shown(remote, progress.height).await?;
                    if ledger.whereabouts(id).await?.is_none() {
                        return Ok(Err(NotDone::Replaced { id: *id }));
                    }
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Resolves once a block shows in what is asked of modules: that is a moment after its native transactions are executed, and another
/// validator may be a block behind.
async fn shown(remote: &Remote, height: u64) -> Result<()> {
    while asked::height(remote).await? < height {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_in_a_block_is_told_with_its_reason_and_always_with_a_hint() {
        let refused = |reason: &str| NotDone::Refused { id: Digest::ZERO, height: 7, reason: reason.to_owned() };
        let plain = refused("balance of 1 is less than 2").to_string();
        assert!(plain.starts_with("block 7 refused transaction 00000000"), "{plain}");
        assert!(plain.contains(": balance of 1 is less than 2; hint: it changed nothing"), "{plain}");
        let own = refused("no room for calls of modules is left in this block; hint: send it again").to_string();
        assert!(own.ends_with("in this block; hint: send it again"), "{own}");
        let replaced = NotDone::Replaced { id: Digest::ZERO };
        assert!(replaced.to_string().contains("; hint: send it again"));
        assert_eq!([refused("").code(), replaced.code()], ["refused_in_block", "replaced"]);
    }
}
