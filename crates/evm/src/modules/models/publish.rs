//! A model is published once, priced, and taken off the offer or put back.

use alloy_primitives::{B256, Bytes, U256};
use alloy_sol_types::SolEvent as _;

use super::records::{Model, repository};
use super::{IModels, slots};
use crate::modules::layout::List;
use crate::modules::parameters::MILLION;
use crate::modules::{Frame, Method, Stop};

pub(super) const PUBLISH: Method = Method::write::<IModels::publishCall>(publish);
pub(super) const SET_PRICE: Method = Method::write::<IModels::setPriceCall>(set_price);
pub(super) const SET_RETIRED: Method = Method::write::<IModels::setRetiredCall>(set_retired);

const NAME_BYTES_MAX: usize = 128;
const VERSION_BYTES_MAX: usize = 64;
const LICENCE_BYTES_MAX: usize = 128;
const SPLITS_MAX: usize = 8;
const PARENTS_MAX: usize = 4;
/// With four parents each, an income is divided at no more than 85 models.
const GENERATIONS_MAX: u8 = 4;

fn publish(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let wanted = frame.arguments::<IModels::publishCall>()?.publication;
    check_texts(&wanted)?;
    check_shares(&wanted)?;
    if wanted.root.is_zero() {
        return Err(Stop::revert(&IModels::RootZero {}));
    }
    let mut model = Model::empty(frame, wanted.root)?;
    if model.is_published() {
        return Err(Stop::revert(&IModels::RootPublished { root: wanted.root, publisher: model.publisher }));
    }
    model.depth = depth(frame, &wanted.parents)?;
    (model.publisher, model.published_at) = (frame.caller(), frame.now());
    name(frame, &model, &wanted)?;
    model.save(frame)?;
    model.set_price(frame, &wanted.price)?;
    model.name().set(frame, &wanted.name)?;
    model.version().set(frame, &wanted.version)?;
    model.licence().set(frame, &wanted.licence)?;
    wanted.splits.iter().try_for_each(|split| model.add_split(frame, split))?;
    wanted.parents.iter().try_for_each(|parent| model.add_parent(frame, parent))?;
    List(slots::MODEL_LIST).push(frame, wanted.root.into())?;
    let IModels::Publication { root, name, version, .. } = wanted;
    frame.log(IModels::ModelPublished { root, publisher: model.publisher, name, version }.encode_log_data())?;
    Ok(Bytes::new())
}

fn check_texts(wanted: &IModels::Publication) -> Result<(), Stop> {
    if wanted.name.is_empty() {
        return Err(Stop::revert(&IModels::NameEmpty {}));
    }
    let texts =
        [(&wanted.name, NAME_BYTES_MAX), (&wanted.version, VERSION_BYTES_MAX), (&wanted.licence, LICENCE_BYTES_MAX)];
    match texts.iter().find(|(text, most)| text.len() > *most) {
        Some((text, most)) => {
            let (found, most) = (U256::from(text.len()), U256::from(*most));
            Err(Stop::revert(&IModels::TextTooLong { bytesFound: found, most }))
        }
        None => Ok(()),
    }
}

fn check_shares(wanted: &IModels::Publication) -> Result<(), Stop> {
    for (count, most) in [(wanted.splits.len(), SPLITS_MAX), (wanted.parents.len(), PARENTS_MAX)] {
        if count > most {
            return Err(Stop::revert(&IModels::TooMany { count: U256::from(count), most: U256::from(most) }));
        }
    }
    let mut sum = 0_u128;
    for split in &wanted.splits {
        if split.payee.is_zero() || split.share == 0 {
            return Err(Stop::revert(&IModels::SplitInvalid { payee: split.payee, share: split.share }));
        }
        sum = sum.saturating_add(u128::from(split.share));
    }
    // A parent may get nothing and still be named: lineage is a fact, payment a choice.
    for (index, parent) in wanted.parents.iter().enumerate() {
        let again = wanted.parents.iter().take(index).any(|before| before.root == parent.root);
        if again || parent.root == wanted.root {
            return Err(Stop::revert(&IModels::ParentInvalid { root: parent.root, share: parent.share }));
        }
        sum = sum.saturating_add(u128::from(parent.share));
    }
    if sum > MILLION {
        return Err(Stop::revert(&IModels::SharesTooLarge { sum: U256::from(sum), most: U256::from(MILLION) }));
    }
    Ok(())
}

/// How many generations a model with these parents has.
fn depth(frame: &mut Frame<'_>, parents: &[IModels::Parent]) -> Result<u8, Stop> {
    let mut oldest = 0_u8;
    for parent in parents {
        let model = Model::empty(frame, parent.root)?;
        if !model.is_published() {
            return Err(Stop::revert(&IModels::ParentUnknown { root: parent.root }));
        }
        oldest = oldest.max(model.depth);
    }
    let found = oldest.saturating_add(1);
    if found > GENERATIONS_MAX {
        let (found, most) = (U256::from(found), U256::from(GENERATIONS_MAX));
        return Err(Stop::revert(&IModels::TooManyGenerations { found, most }));
    }
    Ok(found)
}

/// Takes the place of this version among those of the name.
fn name(frame: &mut Frame<'_>, model: &Model, wanted: &IModels::Publication) -> Result<(), Stop> {
    let repository = repository(frame, model.publisher, &wanted.name)?;
    let of_repository = frame.mapping(slots::NAMED, repository)?;
    let version = frame.hash(&[wanted.version.as_bytes()])?;
    let place = frame.mapping(of_repository, version)?;
    let before = B256::from(frame.load(place)?);
    if !before.is_zero() {
        return Err(Stop::revert(&IModels::VersionPublished { root: before }));
    }
    frame.store(place, model.root.into())?;
    let list = List(frame.mapping(slots::VERSIONS, repository)?);
    list.push(frame, model.root.into()).map(|_| ())
}

fn set_price(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IModels::setPriceCall>()?;
    let model = Model::get(frame, call.root)?.of_caller(frame)?;
    model.set_price(frame, &call.price)?;
    frame.log(IModels::PriceSet { root: call.root, price: call.price }.encode_log_data())?;
    Ok(Bytes::new())
}

fn set_retired(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IModels::setRetiredCall>()?;
    let mut model = Model::get(frame, call.root)?.of_caller(frame)?;
    model.retired = call.retired;
    model.save(frame)?;
    frame.log(IModels::OfferSet { root: call.root, retired: call.retired }.encode_log_data())?;
    Ok(Bytes::new())
}
