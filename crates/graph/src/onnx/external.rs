//! Numbers that lie in files beside a model (`TensorProto.external_data`): which files those are, and a tensor's bytes in them.
//!
//! Opens nothing: whoever compiles hands the files over, by the names that the model gives them. No name leads out of the
//! model's folder, and no tensor has other bytes than its shape asks for.

use std::collections::{BTreeMap, BTreeSet};

use ::bytes::Bytes;

use super::error::OnnxError;
use super::wire::{Content, Field, ITEMS_MAX, Reader, bounded, once};

/// Files beside a model, by the names that the model gives them.
pub type Sidecars = BTreeMap<String, Bytes>;

/// Most files beside a model.
pub const SIDECARS_MAX: usize = 1 << 14;
/// Most bytes that a model's tensors have in files beside it, counted as often as a tensor says them: tensors that share
/// bytes are each kept.
pub const EXTERNAL_BYTES_MAX: usize = 1 << 34;
/// Longest key or value of what is said of a place, in bytes.
const TEXT_BYTES_MAX: usize = 1024;
/// Most bytes of a file in lists of integers and texts, which take several times as many in memory.
const LISTED_BYTES_MAX: usize = 256 << 20;
/// Most elements of all sparse tensors of a file, made dense.
const DENSE_ELEMENTS_MAX: usize = 1 << 28;

/// The key and value of what is said of a place.
const PLACE: &str = "TensorProto.external_data";

static NONE: Sidecars = Sidecars::new();

/// A model as it lies: its file, and the files beside it.
#[derive(Clone, Copy, Debug)]
pub struct OnnxFile<'a> {
    pub bytes: &'a [u8],
    /// Those that `sidecar_names` names.
    pub sidecars: &'a Sidecars,
}

/// A file alone.
impl<'a> From<&'a [u8]> for OnnxFile<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self { bytes, sidecars: &NONE }
    }
}

impl<'a> From<&'a Vec<u8>> for OnnxFile<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        bytes.as_slice().into()
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for OnnxFile<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        bytes.as_slice().into()
    }
}

/// The names of all files beside a model in which tensors of it lie, wherever in the model those are.
pub fn sidecar_names(file: &[u8]) -> Result<BTreeSet<String>, OnnxError> {
    let mut names = BTreeSet::new();
    let (mut open, mut items) = (vec![(Message::Model, file)], 0_usize);
    while let Some((message, bytes)) = open.pop() {
        let (mut reader, mut place) = (Reader::new(bytes, message.name()), Place::default());
        while let Some(field) = reader.next()? {
            if let Some(inner) = message.inside(field.number) {
                items = items.saturating_add(1);
                bounded("items in the file", items, ITEMS_MAX)?;
                open.push((inner, field.bytes()?));
            } else if message == Message::Tensor {
                place.take(&field)?;
            }
        }
        if let Some(location) = place.location()? {
            names.insert(location.to_owned());
            bounded("files beside the model", names.len(), SIDECARS_MAX)?;
        }
    }
    Ok(names)
}

/// A message that is a tensor, or that one may lie in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Message {
    Model,
    Graph,
    Function,
    Node,
    Attribute,
    Sparse,
    Tensor,
}

impl Message {
    /// What a field of it is, where tensors may lie in that.
    fn inside(self, field: u32) -> Option<Self> {
        match (self, field) {
            (Self::Model, 7) | (Self::Attribute, 6 | 11) => Some(Self::Graph),
            (Self::Model, 25) => Some(Self::Function),
            (Self::Graph, 1) | (Self::Function, 7) => Some(Self::Node),
            (Self::Node, 5) | (Self::Function, 11) => Some(Self::Attribute),
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Some(Self::Sparse),
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::Sparse, 1 | 2) => Some(Self::Tensor),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Model => "ModelProto",
            Self::Graph => "GraphProto",
            Self::Function => "FunctionProto",
            Self::Node => "NodeProto",
            Self::Attribute => "AttributeProto",
            Self::Sparse => "SparseTensorProto",
            Self::Tensor => "TensorProto",
        }
    }
}

/// Where a tensor says that its numbers lie.
#[derive(Default)]
pub(super) struct Place<'a> {
    /// 0 in the model's file, 1 in another one.
    kind: Option<u64>,
    location: Option<&'a str>,
    offset: Option<u64>,
    length: Option<u64>,
    /// Of the whole other file. Not compared: the model's root commits to what was read.
    checksum: Option<&'a str>,
}

impl<'a> Place<'a> {
    /// Takes what field 13 or 14 of a `TensorProto` says; others say nothing of it.
    pub fn take(&mut self, field: &Field<'a>) -> Result<(), OnnxError> {
        match field.number {
            13 => self.entry(field),
            14 => once(&mut self.kind, field.unsigned()?, field),
            _ => Ok(()),
        }
    }

    /// One key with its value.
    fn entry(&mut self, field: &Field<'a>) -> Result<(), OnnxError> {
        let mut reader = Reader::new(field.bytes()?, PLACE);
        let (mut key, mut value) = (None, None);
        while let Some(inner) = reader.next()? {
            match inner.number {
                1 => once(&mut key, inner.text("bytes in a key", TEXT_BYTES_MAX)?, &inner)?,
                2 => once(&mut value, inner.text("bytes in a place", TEXT_BYTES_MAX)?, &inner)?,
                _ => {}
            }
        }
        let value = value.unwrap_or("");
        match key.unwrap_or("") {
            "location" => once(&mut self.location, value, field),
            "offset" => once(&mut self.offset, number(value)?, field),
            "length" => once(&mut self.length, number(value)?, field),
            "checksum" => once(&mut self.checksum, value, field),
            _ => Err(OnnxError::Refused { what: "a place by another key than location, offset, length and checksum" }),
        }
    }

    /// The file beside the model, by a name that stays within the model's folder; `None` where the model's own file has the
    /// numbers.
    pub fn location(&self) -> Result<Option<&'a str>, OnnxError> {
        let says_nothing = self.offset.is_none() && self.length.is_none() && self.checksum.is_none();
        match (self.kind.unwrap_or(0), self.location) {
            (0, None) if says_nothing => Ok(None),
            (0, _) => Err(OnnxError::Refused { what: "a place in another file for a tensor of this one" }),
            (1, None) => Err(OnnxError::Missing { message: PLACE, field: "location" }),
            (1, Some(location)) if is_plain(location) => Ok(Some(location)),
            (1, Some(location)) => Err(OnnxError::Location { location: location.to_owned() }),
            _ => Err(OnnxError::Refused { what: "a tensor neither in the file nor beside it" }),
        }
    }
}

/// Digits and nothing else.
fn number(value: &str) -> Result<u64, OnnxError> {
    let number = if value.bytes().all(|byte| byte.is_ascii_digit()) { value.parse().ok() } else { None };
    number.ok_or(OnnxError::Mistyped { message: PLACE, field: 2, expected: "a number of bytes" })
}

/// Whether a name means the same file everywhere, in the model's folder or below it.
fn is_plain(name: &str) -> bool {
    let is_odd = |letter: char| matches!(letter, '\\' | ':') || letter.is_control();
    let is_part = |part: &str| !matches!(part, "" | "." | "..");
    !name.contains(is_odd) && name.split('/').all(is_part)
}

/// What reading a file has taken so far that is not there in as many bytes.
#[derive(Default)]
pub(super) struct Taken {
    sidecars: Sidecars,
    external: usize,
    listed: usize,
    dense: usize,
}

impl Taken {
    /// Nothing yet, of a file with others beside it.
    pub fn of(sidecars: &Sidecars) -> Self {
        Self { sidecars: sidecars.clone(), ..Self::default() }
    }

    /// Counts a field that is a list of integers, or one of a list of texts.
    pub fn list(&mut self, field: &Field<'_>) -> Result<(), OnnxError> {
        let content = match field.content {
            Content::Bytes(bytes) => bytes.len(),
            Content::Varint(_) | Content::Fixed32(_) | Content::Fixed64(_) => 0,
        };
        // Its number and its length, or its content.
        self.listed = self.listed.saturating_add(content).saturating_add(2);
        bounded("bytes in lists of integers and texts", self.listed, LISTED_BYTES_MAX)
    }

    /// Counts the elements of a sparse tensor that is about to be made dense.
    pub fn dense(&mut self, elements: usize) -> Result<(), OnnxError> {
        self.dense = self.dense.saturating_add(elements);
        bounded("elements of sparse tensors", self.dense, DENSE_ELEMENTS_MAX)
    }

    /// The bytes of a tensor that lies beside the model; `None` where it lies in the model's file. `length` is how many its
    /// shape asks for, `None` of texts; `is_here` whether the model's file has numbers of it too.
    pub fn external(
        &mut self,
        tensor: &str,
        place: &Place<'_>,
        length: Option<usize>,
        is_here: bool,
    ) -> Result<Option<Bytes>, OnnxError> {
        let Some(location) = place.location()? else { return Ok(None) };
        let problem = |problem: String| OnnxError::External { tensor: tensor.to_owned(), problem };
        if is_here {
            return Err(problem("the model's file has numbers of it too".to_owned()));
        }
        let length = length.ok_or_else(|| problem("it is of texts, which lie in the model's file alone".to_owned()))?;
        if place.length.is_some_and(|stated| stated != length as u64) {
            let stated = place.length.unwrap_or_default();
            return Err(problem(format!("it is said to have {stated} bytes, its shape asks for {length}")));
        }
        self.external = self.external.saturating_add(length);
        bounded("bytes of tensors beside the model", self.external, EXTERNAL_BYTES_MAX)?;
        let file = self.sidecars.get(location).ok_or_else(|| problem(format!("{location:?} was not handed over")))?;
        let offset = place.offset.unwrap_or(0);
        let start = usize::try_from(offset).ok();
        let part =
            start.and_then(|start| Some(start..start.checked_add(length)?)).filter(|part| part.end <= file.len());
        let short = || problem(format!("{location:?} has {} bytes, {length} from {offset} on expected", file.len()));
        Ok(Some(file.slice(part.ok_or_else(short)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tensor that lies at the beginning of a file.
    fn whole(location: &str) -> Place<'_> {
        Place { kind: Some(1), location: Some(location), ..Place::default() }
    }

    #[test]
    fn only_names_within_the_model_s_folder_are_followed() {
        for name in ["a", "model.onnx.data", "weights/part 1.bin", "..data", "a..b/c"] {
            assert!(matches!(whole(name).location(), Ok(Some(found)) if found == name), "{name}");
        }
        for name in ["", ".", "..", "/etc/passwd", "../a", "a/../b", "a/..", "./a", "a//b", "a/", "C:a", "a\\b", "a\0b"]
        {
            let error = whole(name).location().err();
            assert_eq!(error, Some(OnnxError::Location { location: name.to_owned() }), "{name:?}");
        }
    }

    #[test]
    fn numbers_are_digits_alone() {
        assert_eq!((number("0"), number("18446744073709551615")), (Ok(0), Ok(u64::MAX)));
        for value in ["", "+1", "-1", " 1", "1e3", "0x10", "18446744073709551616"] {
            assert!(matches!(number(value), Err(OnnxError::Mistyped { .. })), "{value:?}");
        }
    }

    #[test]
    fn what_all_tensors_take_has_an_end_however_often_they_share_bytes() {
        let mut taken = Taken::of(&Sidecars::from([("a".to_owned(), Bytes::from_static(&[7; 8]))]));
        assert_eq!(taken.external("t", &whole("a"), Some(8), false), Ok(Some(Bytes::from_static(&[7; 8]))));
        taken.external = EXTERNAL_BYTES_MAX - 8;
        assert!(taken.external("t", &whole("a"), Some(8), false).is_ok());
        let error = taken.external("t", &whole("a"), Some(1), false).unwrap_err();
        let (found, limit) = (EXTERNAL_BYTES_MAX + 1, EXTERNAL_BYTES_MAX);
        assert_eq!(error, OnnxError::TooMany { what: "bytes of tensors beside the model", found, limit });
        taken.dense = DENSE_ELEMENTS_MAX;
        assert!(matches!(taken.dense(1), Err(OnnxError::TooMany { what: "elements of sparse tensors", .. })));
        taken.listed = LISTED_BYTES_MAX - 4;
        let field = |content| Field { number: 5, content, message: "TensorProto" };
        assert_eq!(taken.list(&field(Content::Varint(1))), Ok(()));
        assert!(matches!(taken.list(&field(Content::Bytes(&[1]))), Err(OnnxError::TooMany { .. })));
    }
}
