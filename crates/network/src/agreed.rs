//! Questions that one validator is not believed about: answers that more than a third of all give alike.
//!
//! Of n = 3f + 1 validators at most f lie, so that of f + 1 that say the same one at least is honest. What moves on between two answers
//! is asked for again; who needs a proof instead takes a bundle or a settlement. That there is no settlement is no proof, and counted.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use protocol::{
    AllocationRecord, Digest, DuesRecord, EvmAddress, KeyRecord, PublicKey, ShareRecord,
    service::{CertifiedEpoch, GatewayCredit, ReceiptView},
    settled::ProvenSettlement,
};

use crate::{
    error::NetworkError,
    ledger_client::{AccountView, LedgerClient, SHARES_A_PAGE},
};

/// Rounds of asking everybody, because honest ones may be a block apart.
const ROUNDS: usize = 3;
const PAUSE: Duration = Duration::from_millis(150);

/// How many of so many validators may lie.
pub fn faults(validators: usize) -> usize {
    validators.saturating_sub(1) / 3
}

impl LedgerClient {
    /// Whose a key is.
    pub async fn owner(&self, key: &PublicKey) -> Result<Digest, NetworkError> {
        let path = format!("keys/{key}");
        self.agreed(&path, |url| async move { Ok(self.client.get::<KeyRecord>(&url).await?.node) }).await
    }

    /// The number of the next payment to those whom a gateway owes. The rest of what it owes moves with every batch that it posts.
    pub async fn payments(&self, gateway: &Digest) -> Result<u64, NetworkError> {
        let path = format!("dues/{gateway}");
        self.agreed(&path, |url| async move { Ok(self.client.get::<DuesRecord>(&url).await?.payments) }).await
    }

    /// How far a gateway may owe, and how far it does: of what validators say now, which are some blocks apart, one from the middle. With
    /// the least room it is the (f + 1)th, so neither less than all honest ones say, nor more.
    pub async fn credit(&self, gateway: &Digest) -> Result<GatewayCredit, NetworkError> {
        let path = format!("dues/{gateway}/credit");
        let (mut told, mut last) = (Vec::new(), None);
        for url in self.validators.iter() {
            match self.client.get::<GatewayCredit>(&format!("{url}/{path}")).await {
                Ok(credit) => told.push(credit),
                Err(error) => last = Some(error),
            }
        }
        told.sort_by_key(|credit| credit.limit.saturating_sub(credit.open));
        let (found, needed) = (told.len(), self.faults().saturating_mul(2).saturating_add(1));
        let middle = told.into_iter().nth(self.faults()).filter(|_| found >= needed);
        middle.ok_or_else(|| last.unwrap_or(NetworkError::Disagreement { path, found, needed }))
    }

    /// A page of those whom a gateway owes, behind `after`.
    pub async fn shares(&self, gateway: &Digest, after: Option<EvmAddress>) -> Result<Vec<ShareRecord>, NetworkError> {
        let after = after.map(|payee| format!("/after/{payee}")).unwrap_or_default();
        self.agreed(&format!("dues/{gateway}/shares{after}"), |url| async move { self.client.get_list(&url).await })
            .await
    }

    /// Those whom a gateway owes, in their order behind `after`: about `most` of them, and behind whom the others are.
    pub async fn shares_behind(
        &self,
        gateway: &Digest,
        mut after: Option<EvmAddress>,
        most: usize,
    ) -> Result<(Vec<ShareRecord>, Option<EvmAddress>), NetworkError> {
        let mut all = Vec::new();
        loop {
            let page = self.shares(gateway, after).await?;
            let (count, last) = (page.len(), page.last().map(|share| share.payee));
            // Whoever goes back or around would keep us here for ever.
            if last.is_some_and(|last| after.is_some_and(|after| last <= after)) {
                return Err(NetworkError::Disordered { path: format!("dues/{gateway}/shares") });
            }
            all.extend(page);
            after = last;
            if count < SHARES_A_PAGE {
                return Ok((all, None));
            }
            if all.len() >= most {
                return Ok((all, after));
            }
        }
    }

    /// What each gateway owes an account.
    pub async fn owed(&self, account: &EvmAddress) -> Result<Vec<ShareRecord>, NetworkError> {
        self.agreed(&format!("owed/{account}"), |url| async move { self.client.get_list(&url).await }).await
    }

    /// Every allocation of the genesis, with what was given out of it.
    pub async fn allocations(&self) -> Result<Vec<AllocationRecord>, NetworkError> {
        self.agreed("allocations", |url| async move { self.client.get_list(&url).await }).await
    }

    /// A receipt and how it stands.
    pub async fn receipt_agreed(&self, id: &Digest) -> Result<ReceiptView, NetworkError> {
        self.agreed(&format!("receipts/{id}"), |url| async move { self.client.get(&url).await }).await
    }

    /// The receipts of an epoch and how they stand.
    pub async fn epoch_receipts_agreed(&self, epoch: u64) -> Result<Vec<ReceiptView>, NetworkError> {
        self.agreed(&format!("epochs/{epoch}/receipts"), |url| async move { self.client.get_list(&url).await }).await
    }

    /// What an account of the EVM holds.
    pub async fn wallet_agreed(&self, address: &str) -> Result<AccountView, NetworkError> {
        self.agreed(&format!("accounts/{address}"), |url| self.account_at(url)).await
    }

    /// A settlement that `holds`, whoever shows it; nothing where more than may lie say that there is none. What does not hold is no word.
    pub async fn settlement_shown(
        &self,
        number: u64,
        holds: impl Fn(&ProvenSettlement) -> bool,
    ) -> Result<Option<ProvenSettlement>, NetworkError> {
        let path = format!("settlements/{number}");
        let (mut nothing, mut last) = (0_usize, None);
        for url in self.validators.iter() {
            match self.client.get::<ProvenSettlement>(&format!("{url}/{path}")).await {
                Ok(shown) if holds(&shown) => return Ok(Some(shown)),
                Ok(_) => {}
                Err(NetworkError::Refused { status: 404, .. }) => nothing = nothing.saturating_add(1),
                Err(error) => last = Some(error),
            }
        }
        if nothing > self.faults() {
            return Ok(None);
        }
        Err(last.unwrap_or_else(|| self.disagreement(&path, nothing)))
    }

    /// Receipts that are challenged, where one honest validator at least says so: lists move, so that each receipt is counted by itself.
    pub async fn challenged(&self) -> Result<BTreeSet<Digest>, NetworkError> {
        let (mut counts, mut heard, mut last) = (BTreeMap::<Digest, usize>::new(), 0_usize, None);
        for validator in self.apart() {
            match validator.challenges().await {
                Ok(open) => {
                    heard = heard.saturating_add(1);
                    let open: BTreeSet<Digest> = open.iter().map(|view| view.receipt.receipt.id()).collect();
                    open.into_iter().for_each(|receipt| *counts.entry(receipt).or_default() += 1);
                }
                Err(error) => last = Some(error),
            }
        }
        if heard <= self.faults() {
            return Err(last.unwrap_or_else(|| self.disagreement("challenges", heard)));
        }
        Ok(counts.into_iter().filter(|(_, count)| *count > self.faults()).map(|(receipt, _)| receipt).collect())
    }

    /// The newest epoch that one honest validator at least has closed: f others may be ahead, or lie.
    pub async fn epoch_reached(&self) -> Result<CertifiedEpoch, NetworkError> {
        let (mut told, mut last) = (Vec::new(), None);
        for url in self.validators.iter() {
            match self.client.get::<CertifiedEpoch>(&format!("{url}/epochs/latest")).await {
                Ok(epoch) => told.push(epoch),
                Err(error) => last = Some(error),
            }
        }
        told.sort_by_key(|epoch| std::cmp::Reverse(epoch.record.epoch));
        let found = told.len();
        let reached = told.into_iter().nth(self.faults());
        reached.ok_or_else(|| last.unwrap_or_else(|| self.disagreement("epochs/latest", found)))
    }

    /// Validators that may lie.
    fn faults(&self) -> usize {
        faults(self.validators.len())
    }

    fn disagreement(&self, path: &str, found: usize) -> NetworkError {
        NetworkError::Disagreement { path: path.to_owned(), found, needed: self.faults().saturating_add(1) }
    }

    async fn agreed<T: PartialEq, F: Future<Output = Result<T, NetworkError>>>(
        &self,
        path: &str,
        ask: impl Fn(String) -> F,
    ) -> Result<T, NetworkError> {
        let mut most = 0;
        for round in 0..ROUNDS {
            if round > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            let mut answers: Vec<(T, usize)> = Vec::new();
            let (mut refused, mut nothing, mut last) = (0, None, None);
            for url in self.validators.iter() {
                match ask(format!("{url}/{path}")).await {
                    Ok(answer) => match answers.iter_mut().find(|(known, _)| *known == answer) {
                        Some((_, count)) => *count = count.saturating_add(1),
                        None => answers.push((answer, 1)),
                    },
                    Err(error @ NetworkError::Refused { status: 404, .. }) => {
                        refused += 1;
                        nothing = Some(error);
                    }
                    Err(error) => last = Some(error),
                }
                most = answers.iter().map(|(_, count)| *count).max().unwrap_or(0);
                if most > self.faults() {
                    // The largest group is the one that is large enough.
                    let agreed = answers.into_iter().find(|(_, count)| *count == most);
                    return agreed.map(|(answer, _)| answer).ok_or_else(|| self.disagreement(path, most));
                }
            }
            // More than may lie say that there is nothing; or nobody answers, of which fewer say so is no word.
            let error = if refused > self.faults() { nothing } else { last.filter(|_| answers.is_empty()) };
            if let Some(error) = error {
                return Err(error);
            }
        }
        Err(self.disagreement(path, most))
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, extract::Path, http::StatusCode, routing::get};

    use protocol::{
        Assurance, Canonical as _, Finish, List, Parameters, Privacy, Receipt, Version, receipt::SignedReceipt,
        service::ChallengeView,
    };

    use super::*;
    use crate::{Client, Limits, Noun, Server};

    /// A challenge of the receipt of this number.
    fn challenge(seed: u8) -> ChallengeView {
        let key = crypto::SigningKey::from_seed(&[seed; 32]);
        let receipt = Receipt {
            version: Version,
            spec_version: 1,
            chain_id: 1,
            request: Digest([seed; 32]),
            prompt: Digest::ZERO,
            output: Digest::ZERO,
            model: Digest::ZERO,
            parameters: (&Parameters::default()).into(),
            template_time_ms: 1,
            finish: Finish::Stop,
            prompt_tokens: 1,
            output_tokens: 1,
            stream_head: Digest::ZERO,
            worker: Digest::ZERO,
            worker_key: key.public_key(),
            key_valid_from: 1,
            gateway: key.public_key(),
            sequence: 0,
            previous: Digest::ZERO,
            received_at_ms: 1,
            finished_at_ms: 2,
            assurance: Assurance::Signed,
            privacy: Privacy::Private,
            parents: List::default(),
            payment: None,
            charge: 0,
            nonce: Digest::ZERO,
        };
        let receipt: SignedReceipt = receipt.sign(&key);
        ChallengeView { receipt, challenger: key.public_key(), opened_epoch: 5, opening: None }
    }

    /// Validators of which each says another number of payments, or nothing.
    async fn told(payments: &[Option<u64>]) -> (Vec<Server>, LedgerClient) {
        let mut servers = Vec::new();
        for payments in payments.iter().copied() {
            let dues = move |Path(id): Path<String>| async move {
                let gateway = Digest::from_hex(&id).ok_or(StatusCode::BAD_REQUEST)?;
                let record = DuesRecord { payments: payments.unwrap_or(0), ..DuesRecord::none(gateway) };
                payments.map(|_| Noun(record)).ok_or(StatusCode::NOT_FOUND)
            };
            let router = Router::new().route("/dues/{gateway}", get(dues));
            let address = ([127, 0, 0, 1], 0).into();
            servers.push(Server::start(address, router, Limits::default()).await.unwrap());
        }
        let urls: Vec<String> = servers.iter().map(Server::url).collect();
        (servers, LedgerClient::new(Client::default(), &urls))
    }

    /// Validators of which each says another balance of every account, and other receipts to be challenged; or nothing.
    async fn telling(told: &[Option<(u128, &[u8])>]) -> (Vec<Server>, LedgerClient) {
        let mut servers = Vec::new();
        for told in told {
            let (balance, open) = (told.map(|(balance, _)| balance), told.map(|(_, open)| open.to_vec()));
            let account = move |Path(_): Path<String>| async move {
                let balance = balance.ok_or(StatusCode::SERVICE_UNAVAILABLE)?.to_string();
                Ok::<_, StatusCode>(axum::Json(serde_json::json!({ "balance": balance, "nonce": 0 })))
            };
            let challenges = move || {
                let open = open.clone();
                async move {
                    let open = open.ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
                    Ok::<_, StatusCode>(crate::nouns(&open.into_iter().map(challenge).collect::<Vec<_>>()))
                }
            };
            let router = Router::new().route("/accounts/{key}", get(account)).route("/challenges", get(challenges));
            servers.push(Server::start(([127, 0, 0, 1], 0).into(), router, Limits::default()).await.unwrap());
        }
        let urls: Vec<String> = servers.iter().map(Server::url).collect();
        (servers, LedgerClient::new(Client::default(), &urls))
    }

    #[tokio::test]
    async fn a_balance_and_a_challenge_are_what_more_than_may_lie_say() {
        /// A balance, and seeds of what is challenged.
        type Word<'a> = (u128, &'a [u8]);
        type Case<'a> = (&'a [Option<Word<'a>>], Option<u128>, Option<&'a [u8]>);
        let cases: [Case<'_>; 5] = [
            (&[Some((9, &[1])), Some((2, &[2])), Some((2, &[2])), Some((2, &[2]))], Some(2), Some(&[2])),
            (&[Some((9, &[])), Some((2, &[2])), Some((3, &[1])), Some((4, &[1, 2]))], None, Some(&[1, 2])),
            (&[Some((7, &[7]))], Some(7), Some(&[7])),
            (&[None, None, Some((2, &[2])), Some((2, &[2]))], Some(2), Some(&[2])),
            (&[None, None, None, Some((2, &[2]))], None, None),
        ];
        for (told_by, balance, open) in cases {
            let (_servers, client) = telling(told_by).await;
            let agreed = client.wallet_agreed("0x11").await;
            assert_eq!(agreed.as_ref().ok().map(|account| account.balance), balance, "{told_by:?}: {agreed:?}");
            let ids =
                |seeds: &[u8]| seeds.iter().map(|seed| challenge(*seed).receipt.receipt.id()).collect::<BTreeSet<_>>();
            let challenged = client.challenged().await;
            assert_eq!(challenged.as_ref().ok(), open.map(ids).as_ref(), "{told_by:?}: {challenged:?}");
        }
    }

    #[tokio::test]
    async fn that_there_is_nothing_is_not_believed_of_one_beside_others_that_are_away() {
        for (statuses, is_nothing) in [
            ([503, 503, 503, 404], false),
            ([404, 503, 503, 503], false),
            ([503, 404, 404, 503], true),
            ([404, 404, 503, 503], true),
        ] {
            let mut servers = Vec::new();
            for status in statuses {
                let says = move || async move { StatusCode::from_u16(status).unwrap() };
                let router = Router::new().route("/dues/{gateway}", get(says));
                servers.push(Server::start(([127, 0, 0, 1], 0).into(), router, Limits::default()).await.unwrap());
            }
            let urls: Vec<String> = servers.iter().map(Server::url).collect();
            let error = LedgerClient::new(Client::default(), &urls).payments(&Digest::ZERO).await.unwrap_err();
            let found = matches!(error, NetworkError::Refused { status: 404, .. });
            assert_eq!(found, is_nothing, "{statuses:?}: {error}");
        }
    }

    #[tokio::test]
    async fn one_validator_of_four_is_not_believed_and_two_that_agree_are() {
        let cases: [(&[Option<u64>], Option<u64>); 6] = [
            (&[Some(9), Some(2), Some(2), Some(2)], Some(2)),
            (&[Some(9), Some(9), Some(2), Some(2)], Some(9)),
            (&[Some(1), Some(2), Some(3), Some(4)], None),
            (&[Some(7)], Some(7)),
            (&[None, None, Some(2), Some(3)], None),
            (&[None, Some(2), Some(2), None], Some(2)),
        ];
        for (told_by, expected) in cases {
            let (_servers, client) = told(told_by).await;
            let agreed = client.payments(&Digest::ZERO).await;
            assert_eq!(agreed.as_ref().copied().ok(), expected, "{told_by:?}: {agreed:?}");
        }
        let (_servers, client) = told(&[Some(1), Some(2), Some(3), Some(4)]).await;
        let error = client.payments(&Digest::ZERO).await.unwrap_err();
        assert!(matches!(error, NetworkError::Disagreement { found: 1, needed: 2, .. }), "{error}");
    }

    #[tokio::test]
    async fn of_credits_that_are_some_blocks_apart_one_from_the_middle_counts_and_too_few_are_none() {
        let cases: [(&[Option<u128>], Option<u128>); 4] = [
            // The first lies, either way.
            (&[Some(0), Some(60), Some(50), Some(70)], Some(50)),
            (&[Some(999), Some(60), Some(50), Some(70)], Some(60)),
            (&[Some(60), Some(50), Some(70), None], Some(60)),
            (&[Some(60), Some(50), None, None], None),
        ];
        for (told_by, expected) in cases {
            let mut servers = Vec::new();
            for limit in told_by {
                let answer = match limit {
                    Some(limit) => Ok(GatewayCredit { open: 0, limit: *limit }.encode()),
                    None => Err(StatusCode::SERVICE_UNAVAILABLE),
                };
                let router = Router::new().route("/dues/{gateway}/credit", get(move || async move { answer }));
                servers.push(Server::start(([127, 0, 0, 1], 0).into(), router, Limits::default()).await.unwrap());
            }
            let urls: Vec<String> = servers.iter().map(Server::url).collect();
            let credit = LedgerClient::new(Client::default(), &urls).credit(&Digest::ZERO).await;
            assert_eq!(credit.as_ref().map(|credit| credit.limit).ok(), expected, "{told_by:?}: {credit:?}");
        }
    }
}
