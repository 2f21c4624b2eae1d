//! A model as it is kept.

use alloy_primitives::{Address, B256, U256};
use protocol::registry::ModelKind;

use super::{IModels, slots};
use crate::modules::layout::{List, Reader, Text, Writer, behind};
use crate::modules::{Frame, Stop};

/// Places inside of a model's record.
pub(super) mod fields {
    pub const IDENTITY: u64 = 0;
    pub const TOKEN_PRICES: u64 = 1;
    pub const CALL_PRICE: u64 = 2;
    pub const NAME: u64 = 3;
    pub const VERSION: u64 = 4;
    pub const LICENCE: u64 = 5;
    pub const SPLITS: u64 = 6;
    pub const PARENTS: u64 = 7;
    pub const PARENT_SHARES: u64 = 8;
}

/// A model, but for its texts and its lists.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub root: B256,
    pub slot: U256,
    pub publisher: Address,
    pub published_at: u64,
    pub retired: bool,
    pub depth: u8,
    pub kind: ModelKind,
    /// Published with nothing but a name: its publisher may say the rest, once.
    pub is_bare: bool,
    /// Others name it as their parent.
    pub is_parent: bool,
}

/// As on the wire.
pub(super) const fn number_of(kind: ModelKind) -> u8 {
    match kind {
        ModelKind::Exact => 1,
        ModelKind::Float => 2,
    }
}

pub(in crate::modules) fn kind_of(number: u8) -> Option<ModelKind> {
    ModelKind::ALL.iter().copied().find(|kind| number_of(*kind) == number)
}

impl Model {
    /// A place for a model that is not published.
    pub fn empty(frame: &mut Frame<'_>, root: B256) -> Result<Self, Stop> {
        let slot = frame.mapping(slots::MODELS, root)?;
        let mut word = Reader(frame.load(behind(slot, fields::IDENTITY))?);
        let (publisher, published_at, retired, depth) = (word.address(), word.u48(), word.flag(), word.u8());
        let kind = kind_of(word.u8()).unwrap_or(ModelKind::Exact);
        let (is_bare, is_parent) = (word.flag(), word.flag());
        Ok(Self { root, slot, publisher, published_at, retired, depth, kind, is_bare, is_parent })
    }

    pub fn is_published(&self) -> bool {
        self.depth != 0
    }

    pub fn get(frame: &mut Frame<'_>, root: B256) -> Result<Self, Stop> {
        let model = Self::empty(frame, root)?;
        if model.is_published() { Ok(model) } else { Err(Stop::revert(&IModels::ModelUnknown { root })) }
    }

    /// Refuses whoever did not publish it.
    pub fn of_caller(self, frame: &Frame<'_>) -> Result<Self, Stop> {
        let caller = frame.caller();
        if caller == self.publisher {
            return Ok(self);
        }
        Err(Stop::revert(&IModels::PublisherOnly { caller, publisher: self.publisher }))
    }

    pub fn save(&self, frame: &mut Frame<'_>) -> Result<(), Stop> {
        let word = Writer::default()
            .address(self.publisher)
            .u48(self.published_at)
            .flag(self.retired)
            .u8(self.depth)
            .u8(number_of(self.kind))
            .flag(self.is_bare)
            .flag(self.is_parent);
        frame.store(behind(self.slot, fields::IDENTITY), word.word())
    }

    pub fn price(&self, frame: &mut Frame<'_>) -> Result<IModels::Price, Stop> {
        let mut tokens = Reader(frame.load(behind(self.slot, fields::TOKEN_PRICES))?);
        let (input, output) = (tokens.u128(), tokens.u128());
        let mut of_call = Reader(frame.load(behind(self.slot, fields::CALL_PRICE))?);
        let (call, unit) = (of_call.u128(), of_call.u8());
        Ok(IModels::Price { perCall: call, perInputToken: input, perOutputToken: output, unit })
    }

    pub fn set_price(&self, frame: &mut Frame<'_>, price: &IModels::Price) -> Result<(), Stop> {
        let tokens = Writer::default().u128(price.perInputToken).u128(price.perOutputToken);
        frame.store(behind(self.slot, fields::TOKEN_PRICES), tokens.word())?;
        let of_call = Writer::default().u128(price.perCall).u8(price.unit);
        frame.store(behind(self.slot, fields::CALL_PRICE), of_call.word())
    }

    pub fn name(&self) -> Text {
        Text(behind(self.slot, fields::NAME))
    }

    pub fn version(&self) -> Text {
        Text(behind(self.slot, fields::VERSION))
    }

    pub fn licence(&self) -> Text {
        Text(behind(self.slot, fields::LICENCE))
    }

    /// Lets go of its splits and parents.
    pub fn clear_lists(&self, frame: &mut Frame<'_>) -> Result<(), Stop> {
        let lists = [fields::SPLITS, fields::PARENTS, fields::PARENT_SHARES];
        lists.into_iter().try_for_each(|field| List(behind(self.slot, field)).replace(frame, &[]))
    }

    pub fn splits(&self, frame: &mut Frame<'_>) -> Result<Vec<IModels::Split>, Stop> {
        let list = List(behind(self.slot, fields::SPLITS));
        let split = |word| {
            let mut word = Reader(word);
            IModels::Split { payee: word.address(), share: word.u32() }
        };
        Ok(list.page(frame, U256::ZERO, U256::MAX)?.into_iter().map(split).collect())
    }

    pub fn add_split(&self, frame: &mut Frame<'_>, split: &IModels::Split) -> Result<(), Stop> {
        let word = Writer::default().address(split.payee).u32(split.share).word();
        List(behind(self.slot, fields::SPLITS)).push(frame, word).map(|_| ())
    }

    pub fn parents(&self, frame: &mut Frame<'_>) -> Result<Vec<IModels::Parent>, Stop> {
        let roots = List(behind(self.slot, fields::PARENTS)).page(frame, U256::ZERO, U256::MAX)?;
        let shares = List(behind(self.slot, fields::PARENT_SHARES)).page(frame, U256::ZERO, U256::MAX)?;
        let parent = |(root, share): (U256, U256)| IModels::Parent { root: root.into(), share: share.saturating_to() };
        Ok(roots.into_iter().zip(shares).map(parent).collect())
    }

    pub fn add_parent(&self, frame: &mut Frame<'_>, parent: &IModels::Parent) -> Result<(), Stop> {
        List(behind(self.slot, fields::PARENTS)).push(frame, parent.root.into())?;
        List(behind(self.slot, fields::PARENT_SHARES)).push(frame, U256::from(parent.share)).map(|_| ())
    }
}

/// Where the versions of a publisher's name are found.
pub(super) fn repository(frame: &mut Frame<'_>, publisher: Address, name: &str) -> Result<B256, Stop> {
    let name = frame.hash(&[name.as_bytes()])?;
    frame.hash(&[publisher.into_word().as_slice(), name.as_slice()])
}
