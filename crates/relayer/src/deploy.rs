//! The network's two contracts, brought to a chain that has neither.
//!
//! Each names the other. The settlement is made by a transaction of the deploying key, so that its address follows from that key and the
//! transaction's number; the token by the deployer that every chain has at one address, so that its own follows from the settlement's. Hence
//! what was begun can be gone on with at any time, and the token is made there or nowhere.
//!
//! The settlement begins with the network's first key, which is the one that is pinned and that rotations lead on from; holders of its shares
//! could certify anything to it until it believes a later one. So nothing is called deployed before the settlement believes the key that
//! certifies now, and took over nothing but what the ledger settled. The token comes after that: what there is none of cannot be minted.

use std::time::Duration;

use alloy_sol_types::SolValue as _;
use contracts::{Artefact, abi::ISettlement, addresses::CREATE2_DEPLOYER};
use crypto::threshold::GroupKey;
use network::LedgerClient;
use payments::{Address, B256, Bytes, address, chain::Call, signing::SignerKey};
use protocol::{NetworkKeys, Noun as _, service::CertifiedEpoch, settled::ProvenSettlement};
use thiserror::Error;

use crate::{
    carry::{CarryError, Relayer},
    chain::{Chain, ChainError},
};

/// How long a transaction may take into a block.
const PATIENCE: Duration = Duration::from_secs(120);
/// What the token's address follows from, beside its code: nothing that anybody chooses.
const SALT: [u8; 32] = [0; 32];

/// What certificates are checked by (EIP-2537): each with as many zeros as it takes for points at infinity, and how much it answers.
const PRECOMPILES: [(Address, usize, usize); 4] = [
    (address!("000000000000000000000000000000000000000b"), 256, 128),
    (address!("000000000000000000000000000000000000000e"), 288, 256),
    (address!("000000000000000000000000000000000000000f"), 384, 32),
    (address!("0000000000000000000000000000000000000010"), 64, 128),
];

/// Why contracts are not there, or not whole.
#[derive(Debug, Error)]
pub enum DeployError {
    #[error(
        "the RPC is of chain {found}, {expected} expected; hint: another RPC, or --chain {found} if that one is meant"
    )]
    OtherChain { found: u64, expected: u64 },
    #[error(
        "the chain has nothing at {0}, by which signatures are checked; hint: a chain with the operations on BLS12-381 of EIP-2537"
    )]
    NoPrecompile(Address),
    #[error(
        "the chain has no deployer at {}; hint: the same transaction makes it on every chain, and anyone may send that",
        CREATE2_DEPLOYER
    )]
    NoDeployer,
    #[error("the network's first key is no point of its group; hint: its file is not as it was made")]
    NotAKey,
    #[error("no epoch is certified yet; hint: ask again in a moment")]
    NotCertified,
    #[error(
        "the validators' newest epoch is certified under none of the network's keys; hint: they are of another network than the folder"
    )]
    OtherNetwork,
    #[error("other code than {name}'s lies at {at}; hint: this og is of another version than the one that deployed it")]
    OtherCode { name: &'static str, at: Address },
    #[error(
        "the settlement at {0} does not believe the key that certifies now; hint: the same again, which goes on from here"
    )]
    NotBelieved(Address),
    #[error(
        "the settlement at {0} took over what the ledger did not settle, as holders of a retired key can have it do before it believes the present one; hint: never use it, and deploy others"
    )]
    Foreign(Address),
    #[error(transparent)]
    Carry(#[from] CarryError),
    #[error(transparent)]
    Chain(#[from] ChainError),
}

/// Where the two contracts lie, or come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// Number of the transaction that makes the settlement, among those of the deploying key.
    pub nonce: u64,
    /// A block before which neither was there.
    pub first_block: u64,
    pub settlement: Address,
    pub token: Address,
}

/// Whoever deploys: pays the gas from its own key, and is nothing to the contracts afterwards.
pub struct Deployer {
    pub base: Chain,
    /// The id of the chain that is meant.
    pub base_id: u64,
    pub ledger: LedgerClient,
    pub chain_id: u64,
    /// The network's first key.
    pub network: GroupKey,
    pub key: SignerKey,
}

impl Deployer {
    /// Whether the chain is the one that is meant and can check certificates, and the validators are the network's. Sends nothing.
    pub async fn check(&self) -> Result<(), DeployError> {
        let (found, expected) = (self.base.id().await?, self.base_id);
        if found != expected {
            return Err(DeployError::OtherChain { found, expected });
        }
        for (precompile, takes, answers) in PRECOMPILES {
            if self.base.call(precompile, &vec![0_u8; takes].into()).await?.len() != answers {
                return Err(DeployError::NoPrecompile(precompile));
            }
        }
        if self.base.code(CREATE2_DEPLOYER).await?.is_empty() {
            return Err(DeployError::NoDeployer);
        }
        self.certified().await.map(drop)
    }

    /// Where the contracts come to lie. What was begun with a transaction of this number, after this block, is gone on with if its settlement
    /// is there or can still be made there.
    pub async fn site(&self, begun: Option<(u64, u64)>) -> Result<Site, DeployError> {
        if let Some((nonce, first_block)) = begun {
            let site = self.at(nonce, first_block);
            let is_open = self.base.sent(self.key.address()).await? <= nonce;
            if is_open || self.lies(site.settlement, &Artefact::SETTLEMENT).await? {
                return Ok(site);
            }
        }
        Ok(self.at(self.base.nonce(self.key.address()).await?, self.base.number().await?))
    }

    fn at(&self, nonce: u64, first_block: u64) -> Site {
        let settlement = self.key.address().create(nonce);
        let token = CREATE2_DEPLOYER.create2_from_code(SALT, token_init(settlement));
        Site { nonce, first_block, settlement, token }
    }

    /// Makes what is missing, in order; the transactions that it took.
    pub async fn finish(&self, site: &Site) -> Result<Vec<B256>, DeployError> {
        let mut sent = Vec::new();
        if !self.lies(site.settlement, &Artefact::SETTLEMENT).await? {
            let init = self.settlement_init(site.token)?;
            sent.push(self.base.create(&init, site.nonce, &self.key, PATIENCE).await?);
        }
        let relayer = self.relayer(site.settlement);
        while let Some(carried) = relayer.step_key().await? {
            sent.push(carried.transaction);
        }
        self.must_be_ours(site.settlement).await?;
        if !self.lies(site.token, &Artefact::BRIDGED_OPG).await? {
            let data = [SALT.as_slice(), &token_init(site.settlement)].concat().into();
            let call = Call { to: CREATE2_DEPLOYER, data };
            sent.push(self.base.send(&call, 0, &self.key, PATIENCE).await?);
        }
        Ok(sent)
    }

    /// Whether the contract lies there; refused where another does.
    async fn lies(&self, at: Address, contract: &Artefact) -> Result<bool, DeployError> {
        let code = self.base.code(at).await?;
        if code.is_empty() || code[..] == *contract.code {
            return Ok(!code.is_empty());
        }
        Err(DeployError::OtherCode { name: contract.name, at })
    }

    fn settlement_init(&self, token: Address) -> Result<Bytes, DeployError> {
        let key = self.network.uncompressed().ok_or(DeployError::NotAKey)?;
        let arguments = (token, self.chain_id, Bytes::from(key.to_vec())).abi_encode_params();
        Ok([Artefact::SETTLEMENT.init, &arguments].concat().into())
    }

    fn relayer(&self, settlement: Address) -> Relayer {
        Relayer {
            base: self.base.clone(),
            settlement,
            ledger: self.ledger.clone(),
            chain_id: self.chain_id,
            network: self.network,
            key: self.key.clone(),
        }
    }

    /// The newest certified epoch, and which of the network's keys certified it.
    async fn certified(&self) -> Result<(CertifiedEpoch, GroupKey), DeployError> {
        let newest = self.ledger.latest_epoch().await.map_err(|error| match error.code() {
            Some("not_certified_yet") => DeployError::NotCertified,
            _ => CarryError::Ledger(error).into(),
        })?;
        let rotations = self.ledger.rotations().await.map_err(CarryError::Ledger)?;
        let keys = NetworkKeys::follow(self.chain_id, self.network, &rotations).map_err(CarryError::from)?;
        let certificate = newest.certificate.as_ref().ok_or(DeployError::NotCertified)?;
        let is_ours = newest.record.chain_id == self.chain_id;
        let key = keys.certifies(certificate, &newest.record).filter(|_| is_ours);
        let key = *key.ok_or(DeployError::OtherNetwork)?;
        Ok((newest, key))
    }

    /// The contract itself is asked, with a certificate of the network's, which it checks as it will for good; and what it took over by now is
    /// compared with what the ledger settled, which whoever shows it proves: that nobody has it is believed of more than may lie. Its last
    /// digest commits to all before it.
    async fn must_be_ours(&self, settlement: Address) -> Result<(), DeployError> {
        let (newest, key) = self.certified().await?;
        let signature = newest.certificate.and_then(|certificate| certificate.signature.uncompressed());
        let (Some(signature), Some(point)) = (signature, key.uncompressed()) else { return Err(DeployError::NotAKey) };
        let call = ISettlement::certificateHoldsCall {
            digest: newest.record.digest().0.into(),
            signature: signature.to_vec().into(),
            key: point.to_vec().into(),
        };
        if !self.base.read(settlement, &call).await? {
            return Err(DeployError::NotBelieved(settlement));
        }
        let next = self.base.read(settlement, &ISettlement::nextCall {}).await?;
        let Some(last) = next.checked_sub(1) else { return Ok(()) };
        let digest = self.base.read(settlement, &ISettlement::lastDigestCall {}).await?;
        let is_proof = |made: &ProvenSettlement| made.record.number == last && made.holds(&key);
        let made = self.ledger.settlement_shown(last, is_proof).await.map_err(CarryError::Ledger)?;
        let is_ours = made.is_some_and(|made| made.record.digest().0 == digest.0);
        is_ours.then_some(()).ok_or(DeployError::Foreign(settlement))
    }
}

/// What makes the token of a settlement.
fn token_init(settlement: Address) -> Vec<u8> {
    [Artefact::BRIDGED_OPG.init, &settlement.abi_encode()].concat()
}
