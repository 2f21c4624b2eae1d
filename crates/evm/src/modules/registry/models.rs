//! Models, as the models module has them: another face of its records.

use alloy_primitives::{Bytes, U256};

use super::nodes::roots;
use crate::modules::models::{self, IModels};
use crate::modules::registered::IRegistry;
use crate::modules::{Frame, Method, Stop};

pub(super) const MODEL_COUNT: Method = Method::view::<IRegistry::modelCountCall>(|frame| {
    let list = models::list();
    let count = frame.within(models::ADDRESS, |frame| list.len(frame))?;
    frame.returns::<IRegistry::modelCountCall>(&U256::from(count))
});
pub(super) const MODELS: Method = Method::view::<IRegistry::modelsCall>(|frame| {
    let call = frame.arguments::<IRegistry::modelsCall>()?;
    let list = models::list();
    let page = frame.within(models::ADDRESS, |frame| list.page(frame, call.from, call.count))?;
    frame.returns::<IRegistry::modelsCall>(&roots(page))
});
pub(super) const MODEL: Method = Method::view::<IRegistry::modelCall>(model);

fn model(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IRegistry::modelCall>()?;
    let model = frame.within(models::ADDRESS, |frame| models::told(frame, call.root))?;
    let IModels::Price { perCall, perInputToken, perOutputToken, unit } = model.price;
    let split = |split: &IModels::Split| IRegistry::Split { payee: split.payee, share: split.share };
    let parent = |parent: &IModels::Parent| IRegistry::Parent { root: parent.root, share: parent.share };
    let told = IRegistry::Model {
        publisher: model.publisher,
        publishedAt: model.publishedAt,
        retired: model.retired,
        depth: model.depth,
        kind: model.kind,
        bare: model.bare,
        name: model.name,
        version: model.version,
        licence: model.licence,
        price: IRegistry::Price { perCall, perInputToken, perOutputToken, unit },
        splits: model.splits.iter().map(split).collect(),
        parents: model.parents.iter().map(parent).collect(),
    };
    frame.returns::<IRegistry::modelCall>(&told)
}
