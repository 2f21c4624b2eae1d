//! What a caller imagines about block and state before a call.

use std::collections::BTreeMap;

use alloy_primitives::{B256, U256};
use alloy_rpc_types_eth::BlockOverrides;
use alloy_rpc_types_eth::state::StateOverride;
use revm::context::BlockEnv;
use revm::context_interface::block::BlobExcessGasAndPrice;

use crate::failure::CallError;
use crate::history;
use crate::overlay::Overlay;
use crate::state::{Code, StateRead as _};

pub(crate) fn imagine_block(
    imagined: &BlockOverrides,
    block: &mut BlockEnv,
    overlay: &mut Overlay<'_>,
) -> Result<(), CallError> {
    block.number = imagined.number.unwrap_or(block.number);
    block.timestamp = imagined.time.map_or(block.timestamp, U256::from);
    block.gas_limit = imagined.gas_limit.unwrap_or(block.gas_limit);
    block.beneficiary = imagined.coinbase.unwrap_or(block.beneficiary);
    block.prevrandao = imagined.random.or(block.prevrandao);
    if let Some(base_fee) = imagined.base_fee {
        block.basefee = u64::try_from(base_fee)
            .map_err(|_| CallError::Request(format!("base fee {base_fee} does not fit 64 bits")))?;
    }
    if let Some(price) = imagined.blob_base_fee {
        let blob_gasprice = u128::try_from(price)
            .map_err(|_| CallError::Request(format!("blob base fee {price} does not fit 128 bits")))?;
        block.blob_excess_gas_and_price = Some(BlobExcessGasAndPrice { excess_blob_gas: 0, blob_gasprice });
    }
    for (number, hash) in imagined.block_hash.iter().flatten() {
        let (address, slot, value) = history::entry(*number, *hash);
        overlay.set_slot(address, slot, value);
    }
    Ok(())
}

pub(crate) fn imagine_state(imagined: &StateOverride, overlay: &mut Overlay<'_>) -> Result<(), CallError> {
    // In order, so that of two mistakes always the same one is told.
    for (address, wanted) in imagined.iter().collect::<BTreeMap<_, _>>() {
        if wanted.move_precompile_to.is_some() {
            return Err(CallError::Request("movePrecompileToAddress is not supported".to_owned()));
        }
        let mut account = overlay.account(address)?.unwrap_or_default();
        account.balance = wanted.balance.unwrap_or(account.balance);
        account.nonce = wanted.nonce.unwrap_or(account.nonce);
        if let Some(bytes) = &wanted.code {
            let code = Code::new_raw_checked(bytes.clone())
                .map_err(|error| CallError::Request(format!("code of {address}: {error}")))?;
            account.code_hash = code.hash_slow();
            overlay.set_code(account.code_hash, code);
        }
        overlay.set_account(*address, account);
        let slots = match (&wanted.state, &wanted.state_diff) {
            (Some(_), Some(_)) => {
                return Err(CallError::Request(format!("account {address} has both 'state' and 'stateDiff'")));
            }
            (Some(slots), None) => {
                overlay.replace_storage(*address);
                Some(slots)
            }
            (None, slots) => slots.as_ref(),
        };
        for (slot, value) in slots.into_iter().flatten() {
            overlay.set_slot(*address, word(slot), word(value));
        }
    }
    Ok(())
}

fn word(bytes: &B256) -> U256 {
    U256::from_be_bytes(bytes.0)
}
