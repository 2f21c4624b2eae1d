//! A transaction whose bytes, chain and signature hold: the only way to one is through `decode` or `from_envelope`, or through
//! `recall` for what came through one of these before.
//!
//! The sender is recovered here, once. Everything that needs no state is checked here too, so that what a pool keeps can only
//! become invalid through the state. The authorities of an EIP-7702 list are recovered by execution, which is paid for: a
//! thousand signatures in a transaction that nobody can pay would be a cheap attack on every pool.

use alloy_consensus::transaction::SignerRecoverable;
use alloy_consensus::{SignableTransaction as _, Transaction as _, TxEnvelope, TxLegacy};
use alloy_eips::Typed2718 as _;
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_evm::FromRecoveredTx;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, address, keccak256};
use revm::context::TxEnv;
use revm::context_interface::either::Either;

use crate::chain::Chain;
use crate::machine;
use crate::refusal::{Quoted, Refusal};
use crate::state::{Account, Code};

/// The largest transaction; what Ethereum's pools take.
pub const TRANSACTION_BYTES_MAX: usize = 128 * 1024;

/// Who sends and receives what the ledger itself did in a block. No key has this address, and no signature is asked for it.
pub const LEDGER: Address = address!("fffffffffffffffffffffffffffffffffffffffe");

const BLOB_TYPE: u8 = 0x03;
/// From here on the first byte is the head of a legacy transaction's list.
const LEGACY_FROM: u8 = 0xc0;

/// A transaction that this chain could execute, with its sender.
#[derive(Clone, Debug)]
pub struct Transaction {
    envelope: TxEnvelope,
    sender: Address,
    raw: Bytes,
    prepared: TxEnv,
}

impl PartialEq for Transaction {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

impl Eq for Transaction {}

impl Transaction {
    /// Reads one from the bytes that clients send, refusing what is not exactly one transaction of this chain.
    pub fn decode(raw: &[u8], chain: &Chain) -> Result<Self, Refusal> {
        if raw.len() > TRANSACTION_BYTES_MAX {
            return Err(Refusal::TooLarge { size: raw.len(), max: TRANSACTION_BYTES_MAX });
        }
        match raw.first() {
            Some(&BLOB_TYPE) => return Err(Refusal::Blob),
            Some(&kind) if kind < LEGACY_FROM && !matches!(kind, 0x01 | 0x02 | 0x04) => {
                return Err(Refusal::UnknownType(kind));
            }
            Some(_) => {}
            None => return Err(Refusal::Malformed("no bytes".to_owned())),
        }
        let envelope = TxEnvelope::decode_2718_exact(raw).map_err(|error| Refusal::Malformed(error.to_string()))?;
        Self::of(envelope, Bytes::copy_from_slice(raw), chain, None)
    }

    /// One that was decoded here before and written down with its sender: checked like any other, but not recovered again.
    /// Never for what others wrote.
    pub fn recall(raw: &[u8], sender: Address, chain: &Chain) -> Result<Self, Refusal> {
        let envelope = TxEnvelope::decode_2718_exact(raw).map_err(|error| Refusal::Malformed(error.to_string()))?;
        if sender == LEDGER {
            let written = Self::of_ledger(chain, envelope.nonce());
            return if *written.raw == *raw { Ok(written) } else { Err(Refusal::BadSignature) };
        }
        Self::of(envelope, Bytes::copy_from_slice(raw), chain, Some(sender))
    }

    /// The same for one that was made here.
    pub fn from_envelope(envelope: TxEnvelope, chain: &Chain) -> Result<Self, Refusal> {
        if matches!(envelope, TxEnvelope::Eip4844(_)) {
            return Err(Refusal::Blob);
        }
        let raw = Bytes::from(envelope.encoded_2718());
        if raw.len() > TRANSACTION_BYTES_MAX {
            return Err(Refusal::TooLarge { size: raw.len(), max: TRANSACTION_BYTES_MAX });
        }
        Self::of(envelope, raw, chain, None)
    }

    fn of(envelope: TxEnvelope, raw: Bytes, chain: &Chain, known: Option<Address>) -> Result<Self, Refusal> {
        match envelope.chain_id() {
            None => return Err(Refusal::NoChainId { expected: chain.id }),
            Some(found) if found != chain.id => return Err(Refusal::WrongChain { found, expected: chain.id }),
            Some(_) => {}
        }
        // Before the signature, because it costs a thousandth.
        let unsigned = machine::check_without_state(chain, prepare(&envelope))?;
        let sender = match known {
            Some(sender) => sender,
            None => envelope.recover_signer().map_err(|_| Refusal::BadSignature)?,
        };
        Ok(Self { envelope, sender, raw, prepared: TxEnv { caller: sender, ..unsigned } })
    }

    /// What stands in block `number` for the deeds of the ledger itself, so that their logs have a transaction and a receipt as
    /// clients know them: signed by nobody, without gas, and refused wherever somebody sends it.
    pub(crate) fn of_ledger(chain: &Chain, number: u64) -> Self {
        let unsigned =
            TxLegacy { chain_id: Some(chain.id), nonce: number, to: TxKind::Call(LEDGER), ..TxLegacy::default() };
        let signed = unsigned.into_signed(Signature::new(U256::ZERO, U256::ZERO, false));
        let envelope = TxEnvelope::Legacy(signed);
        let raw = Bytes::from(envelope.encoded_2718());
        let prepared = TxEnv { caller: LEDGER, ..prepare(&envelope) };
        Self { envelope, sender: LEDGER, raw, prepared }
    }

    /// Whether it stands for the ledger's deeds: it is never executed.
    pub fn is_of_ledger(&self) -> bool {
        self.sender == LEDGER
    }

    pub fn envelope(&self) -> &TxEnvelope {
        &self.envelope
    }

    pub fn sender(&self) -> Address {
        self.sender
    }

    /// Keccak-256 of the bytes, by which clients ask for it.
    pub fn hash(&self) -> B256 {
        *self.envelope.tx_hash()
    }

    /// The bytes as they were sent.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    pub fn nonce(&self) -> u64 {
        self.envelope.nonce()
    }

    pub fn gas_limit(&self) -> u64 {
        self.envelope.gas_limit()
    }

    /// The most that its sender may lose by it; `None` if that does not fit 256 bits.
    pub fn cost_max(&self) -> Option<U256> {
        let gas = U256::from(self.gas_limit()).checked_mul(U256::from(self.envelope.max_fee_per_gas()))?;
        gas.checked_add(self.envelope.value())
    }

    /// What each unit of gas costs in a block with this base fee.
    pub fn gas_price(&self, base_fee: u64) -> u128 {
        self.envelope.effective_gas_price(Some(base_fee))
    }

    /// A pool's question about its sender: could it be executed some day from here on? A nonce that is ahead is no refusal.
    pub fn check_sender(&self, account: Option<&Account>, code: Option<&Code>) -> Result<(), Refusal> {
        let account = account.copied().unwrap_or_default();
        if self.nonce() < account.nonce {
            return Err(Refusal::NonceTooLow { found: self.nonce(), expected: account.nonce });
        }
        if account.has_code() && !code.is_some_and(Code::is_eip7702) {
            return Err(Refusal::SenderHasCode);
        }
        let cost = self.cost_max().ok_or(Refusal::CostOverflow)?;
        if cost > account.balance {
            return Err(Refusal::InsufficientFunds { balance: account.balance, cost });
        }
        Ok(())
    }

    pub(crate) fn prepared(&self) -> TxEnv {
        self.prepared.clone()
    }

    pub(crate) fn quoted(&self, chain: &Chain, base_fee: u64) -> Quoted {
        Quoted {
            gas: self.gas_limit(),
            gas_limit: chain.gas_limit,
            fee: self.envelope.max_fee_per_gas(),
            base_fee,
            input: self.envelope.input().len(),
            chain_id: self.envelope.chain_id(),
            expected_chain_id: chain.id,
        }
    }
}

/// By what a transaction with these bytes is asked for, whether it is one or not.
pub fn hash_of(raw: &[u8]) -> B256 {
    keccak256(raw)
}

/// What the machine takes, but for the sender.
fn prepare(envelope: &TxEnvelope) -> TxEnv {
    let TxEnvelope::Eip7702(signed) = envelope else { return TxEnv::from_recovered_tx(envelope, Address::ZERO) };
    let transaction = signed.tx();
    TxEnv {
        tx_type: envelope.ty(),
        gas_limit: transaction.gas_limit,
        gas_price: transaction.max_fee_per_gas,
        gas_priority_fee: Some(transaction.max_priority_fee_per_gas),
        kind: TxKind::Call(transaction.to),
        value: transaction.value,
        data: transaction.input.clone(),
        nonce: transaction.nonce,
        chain_id: Some(transaction.chain_id),
        access_list: transaction.access_list.clone(),
        authorization_list: transaction.authorization_list.iter().cloned().map(Either::Left).collect(),
        ..TxEnv::default()
    }
}
