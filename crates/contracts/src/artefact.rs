//! What the contracts compile to (`contracts/artefacts`, written by `contracts/compile.sh`).

use alloy_primitives::hex;

/// One compiled contract.
#[derive(Clone, Copy, Debug)]
pub struct Artefact {
    pub name: &'static str,
    /// Its interface as JSON, an entry a line.
    pub abi: &'static str,
    /// What a transaction deploys, followed by the arguments of its constructor.
    pub init: &'static [u8],
    /// What then lies at its address.
    pub code: &'static [u8],
}

/// Reads hexadecimal while the program is built.
macro_rules! bytes {
    ($file:expr) => {{
        const TEXT: &[u8] = include_bytes!($file);
        const BYTES: [u8; TEXT.len() / 2] = match hex::const_decode_to_array(TEXT) {
            Ok(bytes) => bytes,
            Err(_) => panic!("an artefact is not hexadecimal"),
        };
        &BYTES
    }};
}

macro_rules! artefacts {
    ($($constant:ident = $name:literal;)+) => {
        impl Artefact {
            $(pub const $constant: Self = Self {
                name: $name,
                abi: include_str!(concat!("../../../contracts/artefacts/", $name, ".abi.json")),
                init: bytes!(concat!("../../../contracts/artefacts/", $name, ".init.hex")),
                code: bytes!(concat!("../../../contracts/artefacts/", $name, ".code.hex")),
            };)+

            /// Every contract that is written down.
            pub const ALL: &[Self] = &[$(Self::$constant,)+];
        }
    };
}

artefacts! {
    BATCH_SETTLEMENT = "BatchSettlement";
    BRIDGED_OPG = "BridgedOPG";
    CREATE2_DEPLOYER = "Create2Deployer";
    DEVNET_DOLLAR = "DevnetDollar";
    ERC3009_DEPOSIT_COLLECTOR = "ERC3009DepositCollector";
    EXACT_PERMIT2_PROXY = "ExactPermit2Proxy";
    MULTICALL3 = "Multicall3";
    PERMIT2 = "Permit2";
    PERMIT2_DEPOSIT_COLLECTOR = "Permit2DepositCollector";
    SETTLEMENT = "Settlement";
    UPTO_PERMIT2_PROXY = "UptoPermit2Proxy";
}
