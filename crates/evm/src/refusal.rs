//! Why a transaction is refused, in the words that Ethereum's clients look for: some retry on "nonce too low", some show the rest.

use alloy_primitives::U256;
use revm::context::result::InvalidTransaction;
use thiserror::Error;

/// A transaction that is not executed; it changes nothing.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Refusal {
    #[error("oversized data: transaction size {size}, limit {max}")]
    TooLarge { size: usize, max: usize },
    #[error("failed to decode the transaction: {0}")]
    Malformed(String),
    #[error("blob transactions (EIP-4844) are not supported on this chain")]
    Blob,
    #[error("transaction type not supported: 0x{0:02x}, expected legacy, 0x01, 0x02 or 0x04")]
    UnknownType(u8),
    #[error("only replay-protected (EIP-155) transactions allowed: this one names no chain id, expected {expected}")]
    NoChainId { expected: u64 },
    #[error("invalid chain id for signer: have {found}, want {expected}")]
    WrongChain { found: u64, expected: u64 },
    #[error("invalid sender: the signature fits no key")]
    BadSignature,
    #[error("nonce too low: next nonce {expected}, tx nonce {found}")]
    NonceTooLow { found: u64, expected: u64 },
    #[error("nonce too high: next nonce {expected}, tx nonce {found}")]
    NonceTooHigh { found: u64, expected: u64 },
    #[error("nonce has max value: no transaction can follow it")]
    NonceMax,
    #[error("insufficient funds for gas * price + value: balance {balance}, tx cost {cost}")]
    InsufficientFunds { balance: U256, cost: U256 },
    #[error("insufficient funds for gas * price + value: the cost does not fit 256 bits")]
    CostOverflow,
    #[error("intrinsic gas too low: gas {gas}, minimum needed {needed}")]
    IntrinsicGas { gas: u64, needed: u64 },
    #[error("insufficient gas for floor data gas cost: gas {gas}, minimum needed {needed}")]
    FloorGas { gas: u64, needed: u64 },
    #[error("exceeds block gas limit: tx gas {gas}, limit {limit}")]
    GasLimit { gas: u64, limit: u64 },
    #[error("gas limit reached: tx gas {gas}, left in the block {left}")]
    NoRoom { gas: u64, left: u64 },
    #[error("max fee per gas less than block base fee: maxFeePerGas {offered}, baseFee {base_fee}")]
    FeeTooLow { offered: u128, base_fee: u64 },
    #[error("max priority fee per gas higher than max fee per gas")]
    TipAboveFee,
    #[error("max initcode size exceeded: code size {size}")]
    InitcodeSize { size: usize },
    #[error("sender not an eoa: its account has code")]
    SenderHasCode,
    #[error("EIP-7702 transaction with empty auth list")]
    NoAuthorizations,
    #[error("transaction not valid under the rules of this chain: {0}")]
    Invalid(String),
}

/// What a refusal quotes of the transaction and of the block.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quoted {
    pub gas: u64,
    pub gas_limit: u64,
    pub fee: u128,
    pub base_fee: u64,
    pub input: usize,
    pub chain_id: Option<u64>,
    pub expected_chain_id: u64,
}

impl Refusal {
    pub(crate) fn of(invalid: InvalidTransaction, quoted: Quoted) -> Self {
        use InvalidTransaction as I;
        let found = quoted.chain_id.unwrap_or_default();
        match invalid {
            I::NonceTooLow { tx, state } => Self::NonceTooLow { found: tx, expected: state },
            I::NonceTooHigh { tx, state } => Self::NonceTooHigh { found: tx, expected: state },
            I::NonceOverflowInTransaction => Self::NonceMax,
            I::LackOfFundForMaxFee { fee, balance } => Self::InsufficientFunds { balance: *balance, cost: *fee },
            I::OverflowPaymentInTransaction => Self::CostOverflow,
            I::CallGasCostMoreThanGasLimit { initial_gas, gas_limit } => {
                Self::IntrinsicGas { gas: gas_limit, needed: initial_gas }
            }
            I::GasFloorMoreThanGasLimit { gas_floor, gas_limit } => {
                Self::FloorGas { gas: gas_limit, needed: gas_floor }
            }
            I::CallerGasLimitMoreThanBlock => Self::GasLimit { gas: quoted.gas, limit: quoted.gas_limit },
            I::TxGasLimitGreaterThanCap { gas_limit, cap } => Self::GasLimit { gas: gas_limit, limit: cap },
            I::GasPriceLessThanBasefee => Self::FeeTooLow { offered: quoted.fee, base_fee: quoted.base_fee },
            I::PriorityFeeGreaterThanMaxFee => Self::TipAboveFee,
            I::CreateInitCodeSizeLimit => Self::InitcodeSize { size: quoted.input },
            I::RejectCallerWithCode => Self::SenderHasCode,
            I::EmptyAuthorizationList => Self::NoAuthorizations,
            I::InvalidChainId => Self::WrongChain { found, expected: quoted.expected_chain_id },
            I::MissingChainId => Self::NoChainId { expected: quoted.expected_chain_id },
            I::MaxFeePerBlobGasNotSupported
            | I::BlobVersionedHashesNotSupported
            | I::BlobGasPriceGreaterThanMax { .. }
            | I::EmptyBlobs
            | I::BlobCreateTransaction
            | I::TooManyBlobs { .. }
            | I::BlobVersionNotSupported
            | I::Eip4844NotSupported => Self::Blob,
            other @ (I::AccessListNotSupported
            | I::AuthorizationListNotSupported
            | I::AuthorizationListInvalidFields
            | I::Eip2930NotSupported
            | I::Eip1559NotSupported
            | I::Eip7702NotSupported
            | I::Eip7873NotSupported
            | I::Eip7873MissingTarget
            | I::Str(_)) => Self::Invalid(other.to_string()),
        }
    }
}
