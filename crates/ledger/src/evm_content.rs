//! The EVM in a snapshot: the newest header. Its state is a tree of its own beside the snapshot; the ledger's root binds both.

use alloy_consensus::{Header, Sealable as _};
use evm::World;
use protocol::{Bytes, record};

use crate::{
    content::{MANY, RestoreError, mismatch, write_list},
    purse::Head,
};

record! {
    EvmContent {
        /// In RLP.
        header: Bytes<MANY>,
    }
}

/// Writes what `EvmContent` reads.
pub(crate) fn write_evm(head: &Head, out: &mut Vec<u8>) {
    write_list(&alloy_rlp::encode(head.header.inner()), out, |byte, out| out.push(*byte));
}

/// The EVM whose state this is: that it is the right one, the ledger's root says.
pub(crate) fn restore_evm(content: &EvmContent, world: World) -> Result<Head, RestoreError> {
    let header: Header = alloy_rlp::decode_exact(&content.header[..]).map_err(|_| mismatch("the newest EVM header"))?;
    Ok(Head { world, header: header.seal_slow() })
}
