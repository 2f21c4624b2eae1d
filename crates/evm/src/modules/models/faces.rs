//! What anyone may read.

use alloy_primitives::{B256, Bytes, U256, Uint};

use super::records::{Model, number_of, repository};
use super::{IModels, slots};
use crate::modules::layout::List;
use crate::modules::{Frame, Method, Stop};

pub(super) const MODEL_COUNT: Method = Method::view::<IModels::modelCountCall>(|frame| {
    let count = List(slots::MODEL_LIST).len(frame)?;
    frame.returns::<IModels::modelCountCall>(&U256::from(count))
});
pub(super) const MODELS: Method = Method::view::<IModels::modelsCall>(|frame| {
    let call = frame.arguments::<IModels::modelsCall>()?;
    let page = List(slots::MODEL_LIST).page(frame, call.from, call.count)?;
    frame.returns::<IModels::modelsCall>(&page.into_iter().map(B256::from).collect())
});
pub(super) const MODEL: Method = Method::view::<IModels::modelCall>(model);
pub(super) const VERSIONS: Method = Method::view::<IModels::versionsCall>(|frame| {
    let call = frame.arguments::<IModels::versionsCall>()?;
    let repository = repository(frame, call.publisher, &call.name)?;
    let list = List(frame.mapping(slots::VERSIONS, repository)?);
    let mut roots = list.page(frame, call.from, call.count)?.into_iter().map(B256::from).collect::<Vec<_>>();
    // A float model's place may be another's by now, who showed what it is.
    let mut taken = Vec::new();
    for root in &roots {
        if Model::empty(frame, *root)?.publisher != call.publisher {
            taken.push(*root);
        }
    }
    roots.retain(|root| !taken.contains(root));
    frame.returns::<IModels::versionsCall>(&roots)
});
pub(super) const COST: Method = Method::view::<IModels::costCall>(cost);

fn model(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IModels::modelCall>()?;
    let told = told(frame, call.root)?;
    frame.returns::<IModels::modelCall>(&told)
}

/// All that is known of a published model.
pub(in crate::modules) fn told(frame: &mut Frame<'_>, root: B256) -> Result<IModels::Model, Stop> {
    let model = Model::get(frame, root)?;
    Ok(IModels::Model {
        publisher: model.publisher,
        publishedAt: Uint::saturating_from(model.published_at),
        retired: model.retired,
        depth: model.depth,
        kind: number_of(model.kind),
        bare: model.is_bare,
        name: model.name().get(frame)?,
        version: model.version().get(frame)?,
        licence: model.licence().get(frame)?,
        price: model.price(frame)?,
        splits: model.splits(frame)?,
        parents: model.parents(frame)?,
    })
}

fn cost(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IModels::costCall>()?;
    let price = Model::get(frame, call.root)?.price(frame)?;
    let most = U256::from(u64::MAX);
    for amount in [call.inputTokens, call.outputTokens] {
        if amount > most {
            return Err(Stop::revert(&IModels::AmountTooLarge { amount, most }));
        }
    }
    // 128 bits by 64 and their sums fit.
    let input = call.inputTokens.saturating_mul(U256::from(price.perInputToken));
    let output = call.outputTokens.saturating_mul(U256::from(price.perOutputToken));
    let cost = U256::from(price.perCall).saturating_add(input).saturating_add(output);
    frame.returns::<IModels::costCall>(&cost)
}
