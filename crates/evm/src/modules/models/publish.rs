//! A model is published once, priced, and taken off the offer or put back.

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolEvent as _;
use protocol::Digest;
use protocol::registry::{ModelKind, form};

use super::records::{Model, number_of, repository};
use super::{ADDRESS, IModels, slots};
use crate::modules::layout::List;
use crate::modules::parameters::MILLION;
use crate::modules::{Frame, Method, Stop, SystemCall};

pub(super) const PUBLISH: Method = Method::write::<IModels::publishCall>(publish);
pub(super) const PUBLISH_FLOAT: Method = Method::write::<IModels::publishFloatCall>(publish_float);
pub(super) const SET_PRICE: Method = Method::write::<IModels::setPriceCall>(set_price);
pub(super) const SET_RETIRED: Method = Method::write::<IModels::setRetiredCall>(set_retired);

const NAME_BYTES_MAX: usize = 128;
const VERSION_BYTES_MAX: usize = 64;
const LICENCE_BYTES_MAX: usize = 128;
const SPLITS_MAX: usize = 8;
const PARENTS_MAX: usize = 4;
/// No list of a model's is longer than this.
pub(super) const LIST_MAX: u64 = 8;
/// What prices are counted in: OPG is 0, and dollars are this.
const UNIT_MAX: u8 = 1;
/// With four parents each, an income is divided at no more than 85 models.
const GENERATIONS_MAX: u8 = 4;
/// Whether a root follows from a manifest: one hash.
const FORM_GAS: u64 = 200;

/// A model that an ed25519 key or a genesis published: a root and a name. Its publisher can say the rest later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnterModel {
    pub root: B256,
    pub publisher: Address,
    pub kind: ModelKind,
    pub name: String,
}

impl SystemCall for EnterModel {
    type Outcome = ();

    fn run(&self, frame: &mut Frame<'_>) -> Result<(), Stop> {
        let wanted = IModels::Publication {
            root: self.root,
            name: self.name.clone(),
            version: String::new(),
            licence: String::new(),
            price: IModels::Price { perCall: 0, perInputToken: 0, perOutputToken: 0, unit: 0 },
            splits: Vec::new(),
            parents: Vec::new(),
        };
        frame.within(ADDRESS, |frame| enter(frame, self.publisher, wanted, self.kind, true))
    }
}

fn publish(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let wanted = frame.arguments::<IModels::publishCall>()?.publication;
    enter(frame, frame.caller(), wanted, ModelKind::Exact, false)?;
    Ok(Bytes::new())
}

fn publish_float(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let IModels::publishFloatCall { publication, manifest } = frame.arguments()?;
    let root = publication.root;
    frame.charge(FORM_GAS)?;
    if form(&Digest(root.0), Some(&Digest(manifest.0))).is_none() {
        return Err(Stop::revert(&IModels::ManifestInvalid { root, manifest }));
    }
    enter(frame, frame.caller(), publication, ModelKind::Float, false)?;
    Ok(Bytes::new())
}

fn enter(
    frame: &mut Frame<'_>,
    publisher: Address,
    wanted: IModels::Publication,
    kind: ModelKind,
    is_bare: bool,
) -> Result<(), Stop> {
    check_texts(&wanted)?;
    check_price(&wanted.price)?;
    check_shares(&wanted)?;
    if wanted.root.is_zero() {
        return Err(Stop::revert(&IModels::RootZero {}));
    }
    let before = Model::empty(frame, wanted.root)?;
    let is_new = !before.is_published();
    if !is_new {
        replaces(frame, &before, publisher, kind, is_bare)?;
    }
    if before.is_parent && !wanted.parents.is_empty() {
        return Err(Stop::revert(&IModels::ParentAlready { root: wanted.root }));
    }
    let depth = depth(frame, &wanted.parents)?;
    let model = Model { depth, publisher, published_at: frame.now(), retired: false, kind, is_bare, ..before };
    if !is_bare {
        name(frame, &model, &wanted)?;
    }
    model.save(frame)?;
    model.set_price(frame, &wanted.price)?;
    model.name().set(frame, &wanted.name)?;
    model.version().set(frame, &wanted.version)?;
    model.licence().set(frame, &wanted.licence)?;
    wanted.splits.iter().try_for_each(|split| model.add_split(frame, split))?;
    wanted.parents.iter().try_for_each(|parent| model.add_parent(frame, parent))?;
    if is_new {
        List(slots::MODEL_LIST).push(frame, wanted.root.into())?;
    }
    let IModels::Publication { root, name, version, .. } = wanted;
    let kind = number_of(kind);
    frame.log(IModels::ModelPublished { root, publisher, kind, name, version }.encode_log_data())
}

/// Refuses a root that is published, unless its own publisher says the rest of what it published bare, or somebody shows that it is
/// a float model's while it is there as an exact one: then that publication ends.
fn replaces(
    frame: &mut Frame<'_>,
    before: &Model,
    publisher: Address,
    kind: ModelKind,
    is_bare: bool,
) -> Result<(), Stop> {
    let is_mended = before.kind == ModelKind::Exact && kind == ModelKind::Float;
    let is_completed = before.is_bare && !is_bare && before.publisher == publisher && before.kind == kind;
    if !is_mended && !is_completed {
        let (root, publisher) = (before.root, before.publisher);
        return Err(Stop::revert(&IModels::RootPublished { root, publisher }));
    }
    if !before.is_bare {
        let (of, version) = (before.name().get(frame)?, before.version().get(frame)?);
        let place = place(frame, before.publisher, &of, &version)?;
        frame.store(place, U256::ZERO)?;
        before.clear_lists(frame)?;
    }
    Ok(())
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

fn check_price(price: &IModels::Price) -> Result<(), Stop> {
    let unit = price.unit;
    if unit > UNIT_MAX { Err(Stop::revert(&IModels::UnitUnknown { unit })) } else { Ok(()) }
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

/// How many generations a model with these parents has; they are parents from now on.
fn depth(frame: &mut Frame<'_>, parents: &[IModels::Parent]) -> Result<u8, Stop> {
    let mut oldest = 0_u8;
    for parent in parents {
        let model = Model::empty(frame, parent.root)?;
        if !model.is_published() {
            return Err(Stop::revert(&IModels::ParentUnknown { root: parent.root }));
        }
        oldest = oldest.max(model.depth);
        if !model.is_parent {
            Model { is_parent: true, ..model }.save(frame)?;
        }
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
    let place = place(frame, model.publisher, &wanted.name, &wanted.version)?;
    let before = B256::from(frame.load(place)?);
    if !before.is_zero() {
        return Err(Stop::revert(&IModels::VersionPublished { root: before }));
    }
    frame.store(place, model.root.into())?;
    let list = List(frame.mapping(slots::VERSIONS, repository)?);
    list.push(frame, model.root.into()).map(|_| ())
}

/// Where the root of a publisher's version of a name is kept.
fn place(frame: &mut Frame<'_>, publisher: Address, name: &str, version: &str) -> Result<U256, Stop> {
    let repository = repository(frame, publisher, name)?;
    let of_repository = frame.mapping(slots::NAMED, repository)?;
    let version = frame.hash(&[version.as_bytes()])?;
    frame.mapping(of_repository, version)
}

fn set_price(frame: &mut Frame<'_>) -> Result<Bytes, Stop> {
    let call = frame.arguments::<IModels::setPriceCall>()?;
    check_price(&call.price)?;
    let mut model = Model::get(frame, call.root)?.of_caller(frame)?;
    model.set_price(frame, &call.price)?;
    if model.is_bare {
        model.is_bare = false;
        model.save(frame)?;
    }
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
