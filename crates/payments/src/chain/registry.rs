//! The registry of models on the ledger: what is asked of it, and what its answers mean for a charge (`specs/models.md`).

use alloy_primitives::{Address, Bytes, address};
use alloy_sol_types::SolCall as _;
use contracts::abi::IModels;
use protocol::{Digest, List};

use crate::{
    chain::Ask,
    price::{Earners, Holder, Parent, Payee, Price, Unit},
};

pub const MODELS: Address = address!("0000000000000000000000000000000000000a06");

/// A model as its publisher offers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    pub price: Price,
    /// Taken off the offer: what others configured counts again.
    pub is_retired: bool,
    pub earners: Earners,
}

/// Asks for a model.
pub fn ask(root: &Digest) -> Ask {
    Ask { to: MODELS, data: IModels::modelCall { root: root.0.into() }.abi_encode().into() }
}

/// Reads the answer; `None` where it is no model's.
pub fn registered(root: &Digest, answer: &Bytes) -> Option<Registered> {
    let model = IModels::modelCall::abi_decode_returns(answer).ok()?;
    let payee = |split: &IModels::Split| Payee { holder: Holder(split.payee), millionths: split.share };
    let parent = |parent: &IModels::Parent| Parent { root: Digest(parent.root.0), millionths: parent.share };
    Some(Registered {
        price: Price {
            unit: Unit::Opg,
            per_call: model.price.perCall,
            per_input_token: model.price.perInputToken,
            per_output_token: model.price.perOutputToken,
        },
        is_retired: model.retired,
        earners: Earners {
            root: *root,
            publisher: Holder(model.publisher),
            payees: List::new(model.splits.iter().map(payee).collect()).ok()?,
            parents: List::new(model.parents.iter().map(parent).collect()).ok()?,
        },
    })
    .filter(|registered| registered.earners.publisher.0 != Address::ZERO)
}
