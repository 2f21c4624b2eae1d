//! What a transaction would do, without sending it: call, estimate, access list.

use alloy_eips::BlockId;
use alloy_primitives::U256;
use alloy_rpc_types_eth::state::StateOverride;
use alloy_rpc_types_eth::{AccessListResult, BlockOverrides, TransactionRequest};
use evm::Overrides;

use super::{Method, Run};
use crate::answer::{Answer, answer};
use crate::blocks::{EXPECTED, Moment};
use crate::error::RpcError;
use crate::params::Params;
use crate::state::{Deadline, Desk};
use crate::turns::Work;

pub(super) static METHODS: &[Method] = &[
    Method { name: "eth_call", run: Run::Compute(Work::Call, call) },
    Method { name: "eth_estimateGas", run: Run::Compute(Work::Call, estimate) },
    Method { name: "eth_createAccessList", run: Run::Compute(Work::Call, access_list) },
];

/// A request, the moment it is for, and what is imagined about it.
struct Question {
    request: TransactionRequest,
    moment: Moment,
    imagined: Overrides,
}

impl Question {
    fn read(desk: &Desk, params: &mut Params) -> Result<Self, RpcError> {
        let request = params.required("transaction", "an object of a transaction's fields")?;
        let id = params.optional::<BlockId>("block", EXPECTED)?;
        let state = params.optional::<StateOverride>("stateOverrides", "an object of accounts by address")?;
        let block = params.optional::<BlockOverrides>("blockOverrides", "an object of a block's fields")?;
        params.end()?;
        let imagined = Overrides { state: state.unwrap_or_default(), block: block.unwrap_or_default() };
        Ok(Self { request, moment: desk.moment(id)?, imagined })
    }
}

fn call(desk: &Desk, params: &mut Params, deadline: &Deadline) -> Answer {
    let asked = Question::read(desk, params)?;
    let snapshot = asked.moment.snapshot(desk);
    let returned =
        deadline.bounded(&desk.limits, |bounds| evm::call(&snapshot, &asked.request, &asked.imagined, bounds))?;
    answer(&returned.output)
}

fn estimate(desk: &Desk, params: &mut Params, deadline: &Deadline) -> Answer {
    let asked = Question::read(desk, params)?;
    let snapshot = asked.moment.snapshot(desk);
    let gas = deadline
        .bounded(&desk.limits, |bounds| evm::estimate_gas(&snapshot, &asked.request, &asked.imagined, bounds))?;
    answer(&U256::from(gas))
}

fn access_list(desk: &Desk, params: &mut Params, deadline: &Deadline) -> Answer {
    let asked = Question::read(desk, params)?;
    let snapshot = asked.moment.snapshot(desk);
    let listed = deadline
        .bounded(&desk.limits, |bounds| evm::create_access_list(&snapshot, &asked.request, &asked.imagined, bounds))?;
    let gas_used = U256::from(listed.gas_used);
    answer(&AccessListResult { access_list: listed.list, gas_used, error: listed.error })
}
