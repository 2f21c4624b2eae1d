//! What calls, estimates, access lists and traces share: a state as of a block, a request on it, and bounds.

use alloy_consensus::Header;
use alloy_primitives::{Bytes, TxKind, U256};
use alloy_rpc_types_eth::state::StateOverride;
use alloy_rpc_types_eth::{BlockOverrides, TransactionInput, TransactionRequest};
use revm::Inspector;
use revm::context::result::ResultAndState;
use revm::context::{BlockEnv, CfgEnv, TxEnv};
use revm::context_interface::either::Either;

use crate::chain::Chain;
use crate::failure::CallError;
use crate::machine::{self, MachineContext, Stopped};
use crate::overlay::Overlay;
use crate::overrides;
use crate::refusal::{Quoted, Refusal};
use crate::state::StateRead;
use crate::watch::Watch;

/// A state, and the block that a request on it believes to be in: the block that led to the state, or the pending one
/// (`NextBlock::header`; its parent's hash is not in the state yet, so `BLOCKHASH` of the parent is zero there).
#[derive(Clone, Copy)]
pub struct Snapshot<'a> {
    pub chain: &'a Chain,
    pub state: &'a dyn StateRead,
    pub header: &'a Header,
}

/// What a request may cost.
#[derive(Clone, Copy)]
pub struct Bounds<'a> {
    /// Gas of one run; it bounds memory too, of which 30 million buy four mebibytes.
    pub gas: u64,
    /// Asked again and again while it runs; `false` ends it. A caller has a clock, this room has none.
    pub wanted: &'a dyn Fn() -> bool,
}

/// What the caller wants to imagine.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    pub state: StateOverride,
    pub block: BlockOverrides,
}

/// A request turned into what the machine takes.
#[derive(Clone)]
pub(crate) struct Prepared<'a> {
    pub rules: CfgEnv,
    pub block: BlockEnv,
    pub overlay: Overlay<'a>,
    pub transaction: TxEnv,
}

/// Reads a request on a snapshot. Nothing runs yet.
pub(crate) fn prepare<'a>(
    snapshot: &Snapshot<'a>,
    request: &TransactionRequest,
    imagined: &Overrides,
    bounds: &Bounds<'_>,
) -> Result<Prepared<'a>, CallError> {
    let mut block = Chain::surroundings(snapshot.header);
    let mut overlay = Overlay::over(snapshot.state);
    overrides::imagine_block(&imagined.block, &mut block, &mut overlay)?;
    overrides::imagine_state(&imagined.state, &mut overlay)?;
    let transaction = transaction(snapshot.chain, request, &overlay, bounds)?;
    let mut rules = snapshot.chain.rules();
    rules.tx_gas_limit_cap = Some(u64::MAX);
    rules.disable_nonce_check = true;
    rules.disable_block_gas_limit = true;
    rules.disable_eip3607 = true;
    rules.disable_base_fee = transaction.gas_price == 0;
    Ok(Prepared { rules, block, overlay, transaction })
}

fn transaction(
    chain: &Chain,
    request: &TransactionRequest,
    overlay: &Overlay<'_>,
    bounds: &Bounds<'_>,
) -> Result<TxEnv, CallError> {
    check_request(chain, request)?;
    let caller = request.from.unwrap_or_default();
    let account = overlay.account(&caller)?.unwrap_or_default();
    let (value, price) = (request.value.unwrap_or_default(), request.gas_price.or(request.max_fee_per_gas));
    let price = price.unwrap_or_default();
    let authorizations = request.authorization_list.clone().unwrap_or_default();
    let tx_type = match (authorizations.is_empty(), request.gas_price, request.max_fee_per_gas) {
        (false, ..) => 4,
        (true, None, Some(_)) => 2,
        (true, ..) => u8::from(request.access_list.is_some()),
    };
    let mut gas = request.gas.unwrap_or(bounds.gas).min(bounds.gas);
    if let Some(affordable) = affordable(account.balance, value, price).filter(|_| request.gas.is_none()) {
        gas = gas.min(affordable);
    }
    Ok(TxEnv {
        tx_type,
        caller,
        gas_limit: gas,
        gas_price: price,
        kind: request.to.unwrap_or(TxKind::Create),
        value,
        data: input(&request.input)?,
        nonce: request.nonce.unwrap_or(account.nonce),
        chain_id: Some(chain.id),
        access_list: request.access_list.clone().unwrap_or_default(),
        gas_priority_fee: if tx_type >= 2 { Some(request.max_priority_fee_per_gas.unwrap_or_default()) } else { None },
        authorization_list: authorizations.into_iter().map(Either::Left).collect(),
        ..TxEnv::default()
    })
}

fn check_request(chain: &Chain, request: &TransactionRequest) -> Result<(), CallError> {
    if let Some(found) = request.chain_id.filter(|found| *found != chain.id) {
        return Err(CallError::Request(format!("chainId does not match node's (have={found}, want={})", chain.id)));
    }
    if request.gas_price.is_some() && (request.max_fee_per_gas.is_some() || request.max_priority_fee_per_gas.is_some())
    {
        let words = "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified";
        return Err(CallError::Request(words.to_owned()));
    }
    let has_blobs = request.blob_versioned_hashes.as_ref().is_some_and(|hashes| !hashes.is_empty());
    if has_blobs || request.max_fee_per_blob_gas.is_some_and(|fee| fee > 0) || request.sidecar.is_some() {
        return Err(Refusal::Blob.into());
    }
    Ok(())
}

fn input(input: &TransactionInput) -> Result<Bytes, CallError> {
    match (&input.input, &input.data) {
        (Some(a), Some(b)) if a != b => {
            Err(CallError::Request("both \"data\" and \"input\" are set and not equal: use \"input\"".to_owned()))
        }
        (Some(bytes), _) | (None, Some(bytes)) => Ok(bytes.clone()),
        (None, None) => Ok(Bytes::new()),
    }
}

/// Gas that a balance pays for at a price, beside the value; `None` if gas costs nothing.
pub(crate) fn affordable(balance: U256, value: U256, price: u128) -> Option<u64> {
    let gas = balance.saturating_sub(value).checked_div(U256::from(price))?;
    Some(u64::try_from(gas).unwrap_or(u64::MAX))
}

/// Runs a prepared request, with an inspector on it if one is given.
pub(crate) fn run<'a>(
    chain: &Chain,
    prepared: Prepared<'a>,
    bounds: &Bounds<'_>,
    inspector: Option<&mut dyn Inspector<MachineContext<'a>>>,
) -> Result<ResultAndState, CallError> {
    watched(chain, prepared, bounds, Watch::new(inspector, bounds.wanted))
}

/// The same under an eye of the caller's own.
pub(crate) fn watched<'a>(
    chain: &Chain,
    prepared: Prepared<'a>,
    bounds: &Bounds<'_>,
    mut watch: Watch<'_, '_, 'a>,
) -> Result<ResultAndState, CallError> {
    if !(bounds.wanted)() {
        return Err(CallError::Unwanted);
    }
    let Prepared { rules, block, overlay, transaction } = prepared;
    let quoted = quoted(chain, &transaction, &block);
    let ran = {
        let mut machine = machine::build_watched(chain, rules, block, overlay, &mut watch);
        machine::run(&mut machine, transaction, quoted)
    };
    if watch.stopped {
        return Err(CallError::Unwanted);
    }
    ran.map_err(|stopped| match stopped {
        Stopped::Refused(refusal) => CallError::Refused(refusal),
        Stopped::State(error) => CallError::State(error),
    })
}

fn quoted(chain: &Chain, transaction: &TxEnv, block: &BlockEnv) -> Quoted {
    Quoted {
        gas: transaction.gas_limit,
        gas_limit: chain.gas_limit,
        fee: transaction.gas_price,
        base_fee: block.basefee,
        input: transaction.data.len(),
        chain_id: transaction.chain_id,
        expected_chain_id: chain.id,
    }
}
