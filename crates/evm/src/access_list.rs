//! `eth_createAccessList`: which slots of which accounts a request touches, and what it costs when it names them first.

use alloy_eips::eip2930::AccessList;
use alloy_rpc_types_eth::TransactionRequest;
use revm_inspectors::access_list::AccessListInspector;

use crate::failure::{CallError, outcome};
use crate::simulation::{Bounds, Overrides, Snapshot, prepare, run};

/// A list that no longer grows when it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedAccess {
    pub list: AccessList,
    pub gas_used: u64,
    /// Why the run failed, if it did: the list is still what it touched.
    pub error: Option<String>,
}

/// A list changes what things cost, and what things cost may change what is touched: so many rounds at most.
const ROUNDS: u32 = 16;

/// Runs a request until the list of what it touched is the list that it was given.
pub fn create_access_list(
    snapshot: &Snapshot<'_>,
    request: &TransactionRequest,
    imagined: &Overrides,
    bounds: &Bounds<'_>,
) -> Result<ListedAccess, CallError> {
    let mut request = request.clone();
    let mut listed = None;
    for _ in 0..ROUNDS {
        let given = request.access_list.clone().unwrap_or_default();
        let prepared = prepare(snapshot, &request, imagined, bounds)?;
        let mut inspector = AccessListInspector::new(given.clone());
        let ran = run(snapshot.chain, prepared, bounds, Some(&mut inspector))?;
        let list = inspector.into_access_list();
        let gas_used = ran.result.tx_gas_used();
        let error = outcome(ran.result).err().map(|error| error.to_string());
        let stands = list == given;
        request.access_list = Some(list.clone());
        listed = Some(ListedAccess { list, gas_used, error });
        if stands {
            break;
        }
    }
    listed.ok_or_else(|| CallError::Request("no access list was found".to_owned()))
}
