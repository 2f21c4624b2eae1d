//! Where the contracts lie. All but the settlement are where every client looks for them on the real Base.

use alloy_primitives::{Address, address};

/// OPG on Base.
pub const OPG: Address = address!("FbC2051AE2265686a469421b2C5A2D5462FbF5eB");
/// USDC on Base.
pub const USDC: Address = address!("833589fCD6eDb6E08f4c7C32D4f71b54bdA02913");
pub const PERMIT2: Address = address!("000000000022D473030F116dDEE9F6B43aC78BA3");
pub const MULTICALL3: Address = address!("cA11bde05977b3631167028862bE2a173976CA11");
pub const CREATE2_DEPLOYER: Address = address!("4e59b44847b379578588920cA78FbF26c0B4956C");
/// x402 `exact` by Permit2.
pub const EXACT_PERMIT2_PROXY: Address = address!("402085c248EeA27D92E8b30b2C58ed07f9E20001");
/// x402 `upto` by Permit2.
pub const UPTO_PERMIT2_PROXY: Address = address!("4020A4f3b7b90ccA423B9fabCc0CE57C6C240002");
/// x402 `batch-settlement`.
pub const BATCH_SETTLEMENT: Address = address!("4020074e9dF2ce1deE5A9C1b5c3f541D02a10003");
pub const ERC3009_DEPOSIT_COLLECTOR: Address = address!("4020806089470a89826cB9fB1f4059150b550004");
pub const PERMIT2_DEPOSIT_COLLECTOR: Address = address!("4020425FAf3B746C082C2f942b4E5159887B0005");
/// The network's settlement on a devnet's Base, which its genesis places there. It is nowhere else.
pub const DEVNET_SETTLEMENT: Address = address!("4f50470000000000000000000000000000005e77");

/// The id of the real Base, which a devnet's has as well.
pub const BASE_CHAIN_ID: u64 = 8_453;
