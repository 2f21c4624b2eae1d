//! The validators' interface as its users see it: asked in turn until one answers, transactions numbered for the sender.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use protocol::{
    AccountProof, Action, Amount, BridgeRecord, Canonical, CertifiedRotation, Digest, EvmAddress, EvmWord, GroupKey,
    KeyRecord, List, ModelRecord, NodeRecord, PublicKey, ShortBundle, Transaction, Version,
    service::{CertifiedEpoch, ChallengeView, ReceiptView},
    settled::{ProvenPayout, ProvenSettlement},
    transaction::BATCH_MAX,
};
use tokio::sync::Mutex;

use crate::{client::Client, error::NetworkError};

/// Times a transaction is numbered anew when the ledger says that its nonce is taken.
const NONCE_TRIES: usize = 8;
/// How long a number is counted on from: after a pause the ledger is asked, because a validator that restarted has
/// forgotten receipts that it had not shown to others, and what follows a gap would wait for ever.
const NONCE_FRESH: Duration = Duration::from_secs(1);

/// Receipts that are asked after together.
pub type ReceiptIds = List<Digest, BATCH_MAX>;

/// What the ledger says about an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountView {
    pub balance: Amount,
    /// The nonce to use next, pending transactions counted.
    pub nonce: u64,
}

/// How far a validator has executed what a key signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Native transactions that were executed, refused ones too: the nonce of the first that was not.
    pub executed: u64,
    /// The newest executed block's.
    pub height: u64,
}

/// Where a native transaction is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// In a validator's pool.
    Waiting,
    Executed {
        height: u64,
    },
    /// The block of this height used its nonce up, and did nothing else.
    Refused {
        height: u64,
        reason: String,
    },
}

/// Rows of one page of a validator's lists; a shorter page is the last.
pub const MODELS_A_PAGE: usize = 256;
pub const SHARES_A_PAGE: usize = 256;
/// Fewer, because openings are large.
pub const CHALLENGES_A_PAGE: usize = 16;
/// Letters of a refusal that are read.
const REASON_MAX: usize = 500;
/// Most rows of a list that is read whole.
const ROWS_MAX: usize = 1 << 20;

/// Asks validators; clones share connections and remember together which one answered last.
#[derive(Clone)]
pub struct LedgerClient {
    pub(crate) client: Client,
    pub(crate) validators: Arc<[String]>,
    preferred: Arc<AtomicUsize>,
}

impl LedgerClient {
    /// `validators` are base addresses of the form `http://host:port`.
    pub fn new(client: Client, validators: &[String]) -> Self {
        Self { client, validators: validators.into(), preferred: Arc::default() }
    }

    pub async fn nodes(&self) -> Result<Vec<NodeRecord>, NetworkError> {
        self.each(|url| async move { self.client.get_list(&format!("{url}/nodes")).await }).await
    }

    pub async fn models(&self) -> Result<Vec<ModelRecord>, NetworkError> {
        self.pages("models", MODELS_A_PAGE, |model: &ModelRecord| model.root).await
    }

    /// All pages of a list, each behind the last key of the one before.
    async fn pages<T: Canonical>(
        &self,
        path: &str,
        rows_a_page: usize,
        key: impl Fn(&T) -> Digest,
    ) -> Result<Vec<T>, NetworkError> {
        let (mut all, mut after) = (Vec::new(), None::<Digest>);
        loop {
            let behind = after.map(|key| format!("/after/{key}")).unwrap_or_default();
            let behind = &behind;
            let ask = |url: &str| {
                let url = format!("{url}/{path}{behind}");
                async move { self.client.get_list::<T>(&url).await }
            };
            let page = self.each(ask).await?;
            let (count, last) = (page.len(), page.last().map(&key));
            // Whoever goes back or around would keep us here for ever.
            if last.is_some_and(|last| after.is_some_and(|after| last <= after)) || all.len() > ROWS_MAX {
                return Err(NetworkError::Disordered { path: path.to_owned() });
            }
            all.extend(page);
            if count < rows_a_page {
                return Ok(all);
            }
            after = last;
        }
    }

    pub async fn node(&self, node: &Digest) -> Result<NodeRecord, NetworkError> {
        self.each(|url| async move { self.client.get(&format!("{url}/nodes/{node}")).await }).await
    }

    /// The key, if any validator that answers knows it: one that lags behind or is cut off knows of no new ones.
    pub async fn key(&self, key: &PublicKey) -> Result<KeyRecord, NetworkError> {
        self.anywhere(|url| async move { self.client.get(&format!("{url}/keys/{key}")).await }).await
    }

    pub async fn latest_epoch(&self) -> Result<CertifiedEpoch, NetworkError> {
        self.each(|url| async move { self.client.get(&format!("{url}/epochs/latest")).await }).await
    }

    pub async fn epoch(&self, epoch: u64) -> Result<CertifiedEpoch, NetworkError> {
        self.each(|url| async move { self.client.get(&format!("{url}/epochs/{epoch}")).await }).await
    }

    /// Where the ledger stands with Base.
    pub async fn bridge(&self) -> Result<BridgeRecord, NetworkError> {
        self.each(|url| async move { self.client.get(&format!("{url}/bridge")).await }).await
    }

    /// A settlement as of the newest certified epoch.
    pub async fn settlement(&self, number: u64) -> Result<ProvenSettlement, NetworkError> {
        self.each(|url| async move { self.client.get(&format!("{url}/settlements/{number}")).await }).await
    }

    /// Every rotation of the network's key, in order.
    pub async fn rotations(&self) -> Result<Vec<CertifiedRotation>, NetworkError> {
        self.each(|url| async move { self.client.get_list(&format!("{url}/rotations")).await }).await
    }

    /// Payouts of an account, behind 0x, from settlement `from` on; a page of them, oldest first.
    pub async fn payouts(&self, account: &str, from: u64) -> Result<Vec<ProvenPayout>, NetworkError> {
        self.each(|url| async move { self.client.get_list(&format!("{url}/payouts/{account}/{from}")).await }).await
    }

    pub async fn epoch_receipts(&self, epoch: u64) -> Result<Vec<ReceiptView>, NetworkError> {
        self.each(|url| async move { self.client.get_list(&format!("{url}/epochs/{epoch}/receipts")).await }).await
    }

    pub async fn receipt(&self, id: &Digest) -> Result<ReceiptView, NetworkError> {
        self.each(|url| async move { self.client.get(&format!("{url}/receipts/{id}")).await }).await
    }

    /// The receipt, if any validator that answers knows it: one that lags behind or is cut off knows of none.
    pub async fn receipt_anywhere(&self, id: &Digest) -> Result<ReceiptView, NetworkError> {
        self.anywhere(|url| async move { self.client.get(&format!("{url}/receipts/{id}")).await }).await
    }

    /// Where a native transaction is, if any validator that answers knows it: one that lags behind knows of none, nor does one that was
    /// not shown it yet. What the first says is believed that knows it.
    pub async fn whereabouts(&self, id: &Digest) -> Result<Option<Whereabouts>, NetworkError> {
        let ask = |url: &str| {
            let url = format!("{url}/transactions/{id}");
            async move {
                let bytes = self.client.get_bytes(&url).await?;
                let source = protocol::DecodeError::Utf8 { field: "transaction" };
                parse_whereabouts(&bytes).ok_or(NetworkError::Decode { url, source })
            }
        };
        match self.anywhere(ask).await {
            Err(error) if error.code() == Some("unknown_transaction") => Ok(None),
            told => told.map(Some),
        }
    }

    /// What the first validator has that does not say that there is nothing; nothing only if nobody has it.
    async fn anywhere<'a, T, F>(&'a self, ask: impl Fn(&'a str) -> F) -> Result<T, NetworkError>
    where
        F: Future<Output = Result<T, NetworkError>>,
    {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut missing = None;
        let mut last = NetworkError::Address { url: "(no validator configured)".to_owned() };
        for index in self.order(first) {
            match ask(&self.validators[index]).await {
                Err(error @ NetworkError::Refused { status: 404, .. }) => missing = Some(error),
                Err(error) if error.is_transient() => last = error,
                answer => return answer,
            }
        }
        Err(missing.unwrap_or(last))
    }

    /// Which of these receipts are anchored, as one validator says it.
    pub async fn anchored(&self, ids: &ReceiptIds) -> Result<Vec<Digest>, NetworkError> {
        self.each(|url| self.anchored_at(url, ids)).await
    }

    /// Which of these receipts any validator that answers shows anchored: one that lags behind or is cut off knows of
    /// none. An error where nobody answers.
    pub async fn anchored_anywhere(&self, ids: &ReceiptIds) -> Result<Vec<Digest>, NetworkError> {
        let (mut all, mut last) =
            (None::<Vec<Digest>>, NetworkError::Address { url: "(no validator configured)".to_owned() });
        for url in self.validators.iter() {
            match self.anchored_at(url, ids).await {
                Ok(anchored) => all.get_or_insert_default().extend(anchored),
                Err(error) => last = error,
            }
        }
        all.ok_or(last)
    }

    async fn anchored_at(&self, url: &str, ids: &ReceiptIds) -> Result<Vec<Digest>, NetworkError> {
        self.client.post_for_list(&format!("{url}/receipts"), ids).await
    }

    /// A client of each validator by itself.
    pub(crate) fn apart(&self) -> impl Iterator<Item = Self> {
        let one = |url: &String| Self::new(self.client.clone(), std::slice::from_ref(url));
        self.validators.iter().map(one)
    }

    /// Begins with another validator from now on: the one that answers may be one that no longer keeps up.
    pub fn prefer_another(&self) {
        self.preferred.fetch_add(1, Ordering::Relaxed);
    }

    /// The indices of all validators, once around from `first`.
    fn order(&self, first: usize) -> impl Iterator<Item = usize> {
        let count = self.validators.len();
        (0..count).map(move |turn| (first % count + turn) % count)
    }

    /// The bundle of a receipt, for whoever pinned this network key.
    pub async fn bundle(&self, id: &Digest, pinned: Option<&GroupKey>) -> Result<ShortBundle, NetworkError> {
        let reader = &reader(pinned);
        self.each(|url| async move { self.client.get(&format!("{url}/receipts/{id}/bundle{reader}")).await }).await
    }

    /// What an account of the EVM is, and perhaps a slot of its storage holds, proven for whoever pinned this network key.
    pub async fn account_proof(
        &self,
        address: &EvmAddress,
        slot: Option<&EvmWord>,
        pinned: Option<&GroupKey>,
    ) -> Result<AccountProof, NetworkError> {
        let slot = slot.map_or_else(String::new, |slot| format!("/{slot}"));
        let path = &format!("proofs/{address}{slot}{}", reader(pinned));
        self.each(|url| async move { self.client.get(&format!("{url}/{path}")).await }).await
    }

    pub async fn challenges(&self) -> Result<Vec<ChallengeView>, NetworkError> {
        self.pages("challenges", CHALLENGES_A_PAGE, |view: &ChallengeView| view.receipt.receipt.id()).await
    }

    pub async fn account(&self, key: &PublicKey) -> Result<AccountView, NetworkError> {
        self.each(|url| self.account_at(format!("{url}/accounts/{key}"))).await
    }

    /// How far what a key signed is executed.
    pub async fn progress(&self, key: &PublicKey) -> Result<Progress, NetworkError> {
        self.each(|url| async move {
            let url = format!("{url}/accounts/{key}");
            let bytes = self.client.get_bytes(&url).await?;
            let source = protocol::DecodeError::Utf8 { field: "account" };
            parse_progress(&bytes).ok_or(NetworkError::Decode { url, source })
        })
        .await
    }

    /// What an account of the EVM holds, by its address behind 0x; the nonce is that of the wallet's own transactions.
    pub async fn wallet(&self, address: &str) -> Result<AccountView, NetworkError> {
        self.each(|url| self.account_at(format!("{url}/accounts/{address}"))).await
    }

    pub(crate) async fn account_at(&self, url: String) -> Result<AccountView, NetworkError> {
        let bytes = self.client.get_bytes(&url).await?;
        let source = protocol::DecodeError::Utf8 { field: "account" };
        parse_account(&bytes).ok_or(NetworkError::Decode { url, source })
    }

    /// Asks one validator after the other, beginning with the one that answered last, until one gives an answer that
    /// asking another would not change.
    async fn each<'a, T, F>(&'a self, ask: impl Fn(&'a str) -> F) -> Result<T, NetworkError>
    where
        F: Future<Output = Result<T, NetworkError>>,
    {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut last = NetworkError::Address { url: "(no validator configured)".to_owned() };
        for index in self.order(first) {
            match ask(&self.validators[index]).await {
                Err(error) if error.is_transient() => last = error,
                answer => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return answer;
                }
            }
        }
        Err(last)
    }
}

/// Whom a proof is for, as a validator is told.
fn reader(pinned: Option<&GroupKey>) -> String {
    pinned.map_or_else(String::new, |key| format!("?pinned={key}"))
}

fn parse_account(bytes: &[u8]) -> Option<AccountView> {
    let body: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    Some(AccountView { balance: body["balance"].as_str()?.parse().ok()?, nonce: body["nonce"].as_u64()? })
}

fn parse_progress(bytes: &[u8]) -> Option<Progress> {
    let body: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    Some(Progress { executed: body["executed"].as_u64()?, height: body["height"].as_u64()? })
}

fn parse_whereabouts(bytes: &[u8]) -> Option<Whereabouts> {
    let body: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    let height = body["height"].as_u64();
    match body["state"].as_str()? {
        "waiting" => Some(Whereabouts::Waiting),
        "executed" => Some(Whereabouts::Executed { height: height? }),
        "refused" => {
            let reason = body["reason"].as_str()?.chars().take(REASON_MAX).collect();
            Some(Whereabouts::Refused { height: height?, reason })
        }
        _ => None,
    }
}

/// Sends the transactions of one key, in order.
#[derive(Clone)]
pub struct Sender {
    ledger: LedgerClient,
    key: crypto::SigningKey,
    chain_id: u64,
    /// The next nonce, once the ledger was asked; transactions leave one at a time.
    next: Arc<Mutex<Option<(u64, Instant)>>>,
}

impl Sender {
    pub fn new(ledger: LedgerClient, key: crypto::SigningKey, chain_id: u64) -> Self {
        Self { ledger, key, chain_id, next: Arc::default() }
    }

    pub fn public_key(&self) -> PublicKey {
        self.key.public_key()
    }

    /// Asks the ledger for the next nonce before the next transaction: one that was taken may have been lost, and what
    /// is numbered after it waits for it.
    pub async fn recount(&self) {
        *self.next.lock().await = None;
    }

    /// Signs and submits `action`; returns the transaction's id once a validator has it in its pool and, but for receipts, on its disk. Whoever
    /// posts receipts keeps them until they are anchored.
    pub async fn send(&self, action: Action) -> Result<Digest, NetworkError> {
        self.send_numbered(action).await.map(|(id, _)| id)
    }

    /// The same, with the nonce that the transaction has.
    pub async fn send_numbered(&self, action: Action) -> Result<(Digest, u64), NetworkError> {
        let mut next = self.next.lock().await;
        let mut last = None;
        for _ in 0..NONCE_TRIES {
            let nonce = match *next {
                Some((nonce, at)) if at.elapsed() < NONCE_FRESH => nonce,
                _ => self.ledger.account(&self.public_key()).await?.nonce,
            };
            match self.submit(nonce, action.clone()).await {
                Ok(id) => {
                    *next = Some((nonce.saturating_add(1), Instant::now()));
                    return Ok((id, nonce));
                }
                Err(error) if matches!(error.code(), Some("nonce_too_low" | "nonce_too_high")) => {
                    *next = None;
                    last = Some(error);
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => {
                    *next = None;
                    return Err(error);
                }
            }
        }
        Err(last.unwrap_or(NetworkError::Timeout { url: "submit".to_owned() }))
    }

    async fn submit(&self, nonce: u64, action: Action) -> Result<Digest, NetworkError> {
        let sender = self.public_key();
        let transaction = Transaction { version: Version, chain_id: self.chain_id, sender, nonce, action };
        let id = transaction.id();
        let signed = transaction.sign(&self.key).encode();
        let sent = self.ledger.each(|url| {
            let body = signed.clone();
            async move { self.ledger.client.post_bytes(&format!("{url}/transactions"), body).await }
        });
        match sent.await {
            Ok(_) => Ok(id),
            // It is there already, on the disk too: what the caller wanted.
            Err(error) if error.code() == Some("already_known") => Ok(id),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, routing::get};

    use super::*;
    use crate::{Limits, Refusal, Server};

    #[tokio::test]
    async fn a_transaction_is_where_the_first_says_that_knows_it_and_nowhere_only_if_nobody_does() {
        const UNKNOWN: Result<&str, u16> = Err(404);
        const AWAY: Result<&str, u16> = Err(503);
        const EXECUTED: Result<&str, u16> = Ok(r#"{"state":"executed","height":7}"#);
        let executed = Some(Some(Whereabouts::Executed { height: 7 }));
        let cases: [(&[Result<&str, u16>], _); 5] = [
            (&[UNKNOWN, EXECUTED, AWAY], executed.clone()),
            (&[AWAY, EXECUTED], executed),
            (&[AWAY, UNKNOWN], Some(None)),
            (&[AWAY, AWAY], None),
            (&[Ok("{}"), EXECUTED], None),
        ];
        for (told, expected) in cases {
            let mut servers = Vec::new();
            for told in told.iter().copied() {
                let says = move || async move {
                    told.map_err(|status| match status {
                        404 => Refusal::not_found("unknown_transaction", "nowhere"),
                        _ => Refusal::unavailable("agreement_stopped", "away"),
                    })
                };
                let router = Router::new().route("/transactions/{id}", get(says));
                servers.push(Server::start(([127, 0, 0, 1], 0).into(), router, Limits::default()).await.unwrap());
            }
            let urls: Vec<String> = servers.iter().map(Server::url).collect();
            let found = LedgerClient::new(Client::default(), &urls).whereabouts(&Digest::ZERO).await;
            assert_eq!(found.as_ref().ok(), expected.as_ref(), "{told:?}: {found:?}");
        }
    }

    #[test]
    fn an_account_is_read_or_refused() {
        let account = parse_account(br#"{"balance":"340282366920938463463374607431768211455","nonce":7}"#);
        assert_eq!(account, Some(AccountView { balance: u128::MAX, nonce: 7 }));
        for bad in ["", "{}", r#"{"balance":7,"nonce":7}"#, r#"{"balance":"7","nonce":-1}"#] {
            assert_eq!(parse_account(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn where_a_transaction_is_is_read_or_refused() {
        let read = |body: &str| parse_whereabouts(body.as_bytes());
        assert_eq!(read(r#"{"state":"waiting"}"#), Some(Whereabouts::Waiting));
        assert_eq!(read(r#"{"state":"executed","height":7}"#), Some(Whereabouts::Executed { height: 7 }));
        let refused = |reason: &str| Some(Whereabouts::Refused { height: 7, reason: reason.to_owned() });
        assert_eq!(read(r#"{"state":"refused","height":7,"reason":"amount is zero"}"#), refused("amount is zero"));
        let long = format!(r#"{{"state":"refused","height":7,"reason":"{}"}}"#, "é".repeat(REASON_MAX + 1));
        assert_eq!(read(&long), refused(&"é".repeat(REASON_MAX)));
        for bad in ["", "{}", r#"{"state":"executed"}"#, r#"{"state":"refused","height":7}"#, r#"{"state":"gone"}"#] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn how_far_a_key_is_executed_is_read_or_refused() {
        let progress = parse_progress(br#"{"balance":"1","nonce":9,"executed":7,"height":40}"#);
        assert_eq!(progress, Some(Progress { executed: 7, height: 40 }));
        for bad in ["", "{}", r#"{"executed":7}"#, r#"{"executed":"7","height":40}"#] {
            assert_eq!(parse_progress(bad.as_bytes()), None, "{bad}");
        }
    }
}
