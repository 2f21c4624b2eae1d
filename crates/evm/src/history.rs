//! Hashes of earlier blocks, kept in the state by EIP-2935: the only place where execution finds them.

use alloy_eips::eip2935::{HISTORY_STORAGE_ADDRESS, HISTORY_STORAGE_CODE};
use alloy_primitives::{Address, B256, Bytes, U256};

use crate::state::{StateError, StateRead};

/// How many blocks back a hash is known.
pub const HISTORY_WINDOW: u64 = 8191;

pub(crate) const ADDRESS: Address = HISTORY_STORAGE_ADDRESS;

pub(crate) fn code() -> Bytes {
    HISTORY_STORAGE_CODE.clone()
}

/// The hash of the block of this number, as the state remembers it; zero if it does not. Whoever asks knows that the number is
/// in the window: an older one has the slot of a younger.
pub fn block_hash(state: &dyn StateRead, number: u64) -> Result<B256, StateError> {
    Ok(B256::from(state.slot(&ADDRESS, &slot(number))?))
}

/// What a block writes before its transactions: where the parent's hash goes. The EIP allows to write it directly instead of
/// calling the contract.
pub(crate) fn entry(number: u64, hash: B256) -> (Address, U256, U256) {
    (ADDRESS, slot(number), U256::from_be_bytes(hash.0))
}

fn slot(number: u64) -> U256 {
    U256::from(number.checked_rem(HISTORY_WINDOW).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use alloy_eips::eip2935::HISTORY_SERVE_WINDOW;

    use super::*;

    #[test]
    fn the_window_is_what_the_eip_says() {
        assert_eq!(u64::try_from(HISTORY_SERVE_WINDOW), Ok(HISTORY_WINDOW));
    }
}
