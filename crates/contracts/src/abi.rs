//! The contracts' interfaces as Rust types, from the same pages of Solidity that the contracts themselves are compiled with.

use alloy_sol_types::sol;

sol!("../../contracts/IToken.sol");
sol!("../../contracts/IPermit2.sol");
sol!("../../contracts/IPermit2Proxies.sol");
sol!("../../contracts/IBatchSettlement.sol");
sol!("../../contracts/IGasPriceOracle.sol");
sol!("../../contracts/IMulticall3.sol");
sol!("../../contracts/ISettlement.sol");
sol!("../../contracts/IModels.sol");
sol!("../../contracts/IParameters.sol");
