//! A model as one content-addressed file: the manifest whose digest is the model root, then all data it commits to.
//!
//! Reading is bounded by the file: sizes are believed only where the bytes are there, nothing is compressed, and every
//! refusal has its own variant. What was read encodes to the same bytes again. Packed weights are not copied: they stay
//! in the bytes that were given, which may be a mapped file.

use std::sync::Arc;

use ::bytes::Bytes;
use crypto::{Digest, hash};

use crate::{
    bytes::{Malformed, Reader, Writer},
    commit::{Pieces, in_turn, tensor_root, tensor_root_by},
    defaults::Defaults,
    encoding::{self, ConstantForm, NAME_BYTES_MAX},
    formats::{ALIGNMENT, Packed},
    graph::{Checked, Constant, Graph, GraphRefusal},
    program::{Program, encoding as programs},
    tensor::{Data, Element, Tensor},
};

pub const MAGIC: &[u8; 8] = b"OGMODEL2";
/// Version of the operators' meanings that the model is written against.
pub const SPEC_VERSION: u16 = 1;
pub const MANIFEST_BYTES_MAX: usize = 1 << 23;
pub const TOKENIZER_BYTES_MAX: usize = 1 << 26;
pub const TEMPLATE_BYTES_MAX: usize = 1 << 16;
pub const STOP_TOKENS_MAX: usize = 64;
/// Logits are brought to 16 fraction bits before sampling, so a model cannot have more.
pub const FRACTION_BITS_MAX: u8 = 16;

const ROOT: &str = "og/model/v1";
const TEXT: &str = "og/model/text/v1";
const PROGRAM: &str = "og/model/program/v1";
/// Around the manifest's digest where the model has no exact form: a root of this kind can be shown to be one.
const FLOAT_ROOT: &str = "og/model/float/v1";
const FLOAT_FILE: &str = "og/model/float/file/v1";

/// A model as the network knows it.
#[derive(Clone, Debug)]
pub struct Model {
    pub name: String,
    /// Trained numbers in the model, for its card.
    pub parameters: u64,
    pub graph: Checked,
    pub purpose: Purpose,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Purpose {
    /// Named tensors in, named tensors out.
    Tensors,
    /// Tokens in, the logits of the next token out, row by row.
    Language(Box<Language>),
    /// Named values in and out, by a program instead of a graph, which is then empty.
    Program(Box<Program>),
    /// No exact form: an ONNX file for a float runtime, which only signs for what it gives (`specs/float.md`). The graph is
    /// empty.
    Float(Bytes),
}

/// What turns a graph over tokens into a language model.
#[derive(Clone, Debug, PartialEq)]
pub struct Language {
    /// `tokenizer.json`, byte for byte.
    pub tokenizer: Vec<u8>,
    pub template: String,
    /// Strictly rising.
    pub stop_tokens: Vec<u32>,
    /// Integer logits count in units of 2^-fraction_bits; 0 for ordered models.
    pub fraction_bits: u8,
    pub defaults: Defaults,
}

/// Why bytes are no model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArtefactRefusal {
    #[error("the file does not begin as a model artefact does")]
    Magic,
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the model is written against version {found} of the exact graph, this build knows {SPEC_VERSION}")]
    SpecVersion { found: u16 },
    #[error("the data of {name} does not match the manifest")]
    Content { name: String },
    #[error("the manifest says {stated} kind, the graph is {found}")]
    Kind { stated: &'static str, found: &'static str },
    #[error("the graph is refused: {0}")]
    Graph(#[from] GraphRefusal),
    #[error("the language model is refused: {what}")]
    Language { what: &'static str },
}

impl Model {
    /// A model that is a program.
    pub fn of_program(name: &str, parameters: u64, program: Program) -> Self {
        let purpose = Purpose::Program(Box::new(program));
        Self { name: name.to_owned(), parameters, graph: Checked::empty(), purpose }
    }

    /// A model without an exact form.
    pub fn of_float(name: &str, parameters: u64, file: Bytes) -> Self {
        Self { name: name.to_owned(), parameters, graph: Checked::empty(), purpose: Purpose::Float(file) }
    }

    /// `integer` (provable), `ordered`, or `float`, which is not exact.
    pub fn kind(&self) -> &'static str {
        match self.purpose {
            Purpose::Float(_) => FLOAT,
            Purpose::Program(_) => "ordered",
            Purpose::Tensors | Purpose::Language(_) if self.graph.is_integer() => "integer",
            Purpose::Tensors | Purpose::Language(_) => "ordered",
        }
    }

    /// The model's identity. Reads all of its data.
    pub fn root(&self) -> Digest {
        root(&self.manifest(&self.roots()), matches!(self.purpose, Purpose::Float(_)))
    }

    /// Of a model without an exact form: the digest of its manifest, from which its root follows.
    pub fn float_manifest(&self) -> Option<Digest> {
        matches!(self.purpose, Purpose::Float(_)).then(|| hash(ROOT, &[&self.manifest(&self.roots())]))
    }

    /// The whole file.
    pub fn to_artefact(&self) -> Vec<u8> {
        let mut all = Vec::new();
        self.pieces(&mut |piece| all.extend_from_slice(piece));
        all
    }

    /// The whole file, a piece after the other.
    pub fn pieces(&self, each: &mut dyn FnMut(&[u8])) {
        let manifest = self.manifest(&self.roots());
        let mut writer = Writer::new();
        writer.raw(MAGIC).count(manifest.len()).raw(&manifest);
        let head = writer.finish();
        each(&head);
        each(&[0; ALIGNMENT][..padding(head.len())]);
        for constant in &self.graph.graph().constants {
            let length = match constant.tensor.as_packed() {
                Some(packed) => {
                    each(packed.bytes());
                    packed.bytes().len()
                }
                None => {
                    let bytes = constant.tensor.to_bytes();
                    each(&bytes);
                    bytes.len()
                }
            };
            each(&[0; ALIGNMENT][..padding(length)]);
        }
        match &self.purpose {
            Purpose::Tensors => {}
            Purpose::Language(language) => {
                each(&language.tokenizer);
                each(language.template.as_bytes());
            }
            Purpose::Program(program) => each(&programs::write(program)),
            Purpose::Float(file) => each(file),
        }
    }

    /// Reads and checks a file; gives the model with its root.
    pub fn from_artefact(file: &Bytes) -> Result<(Self, Digest), ArtefactRefusal> {
        Self::from_artefact_by(file, &in_turn)
    }

    /// The same by as many threads as `pieces` has: most of the work is hashing the weights.
    pub fn from_artefact_by(file: &Bytes, pieces: Pieces) -> Result<(Self, Digest), ArtefactRefusal> {
        let mut reader = Reader::new("the artefact", file);
        let manifest = take_manifest(&mut reader)?;
        take_padding(&mut reader, MAGIC.len() + 4 + manifest.len())?;
        let draft = Draft::read(manifest)?;
        let roots: Vec<Digest> = draft.constants.iter().map(|form| form.root).collect();
        let model = draft.complete(file, &mut reader, pieces)?;
        reader.finish()?;
        // Writing everything again settles that there is one encoding.
        if model.manifest(&roots) != manifest {
            return Err(Malformed::NotCanonical { what: "the manifest" }.into());
        }
        let root = root(manifest, matches!(model.purpose, Purpose::Float(_)));
        Ok((model, root))
    }

    /// The root of a whole file of which every part is what its manifest commits to. What the parts mean is not looked at: for those
    /// who keep artefacts, and have them read in another process.
    pub fn content_root(file: &Bytes) -> Result<Digest, ArtefactRefusal> {
        let mut reader = Reader::new("the artefact", file);
        let manifest = take_manifest(&mut reader)?;
        take_padding(&mut reader, MAGIC.len() + 4 + manifest.len())?;
        let draft = Draft::read(manifest)?;
        for form in draft.constants {
            form.take(file, &mut reader, &in_turn)?;
        }
        let is_float = matches!(draft.purpose, PurposeForm::Float(..));
        match draft.purpose {
            PurposeForm::Tensors => {}
            PurposeForm::Language(form) => drop(form.complete(&mut reader)?),
            PurposeForm::Program(length, digest) => drop(take_program(&mut reader, length, digest)?),
            PurposeForm::Float(length, digest) => drop(take_float(&mut reader, length, digest)?),
        }
        reader.finish()?;
        Ok(root(manifest, is_float))
    }

    fn roots(&self) -> Vec<Digest> {
        self.graph.graph().constants.iter().map(|constant| tensor_root(&constant.tensor)).collect()
    }

    fn manifest(&self, roots: &[Digest]) -> Vec<u8> {
        let graph = self.graph.graph();
        let mut writer = Writer::new();
        writer.u16(SPEC_VERSION).text(&self.name).text(self.kind()).u64(self.parameters);
        writer.count(self.graph.rows_max());
        encoding::write(graph, roots, &mut writer);
        match &self.purpose {
            Purpose::Tensors => {
                writer.u8(1);
            }
            Purpose::Language(language) => {
                writer.u8(if language.defaults.has_more() { 5 } else { 2 });
                language.write(&mut writer);
            }
            Purpose::Program(program) => {
                let bytes = programs::write(program);
                writer.u8(3).u64(bytes.len() as u64).raw(&hash(PROGRAM, &[&bytes]).0);
            }
            Purpose::Float(file) => {
                writer.u8(4).u64(file.len() as u64).raw(&hash(FLOAT_FILE, &[file]).0);
            }
        }
        writer.finish()
    }
}

/// What the beginning of an artefact says of the model: enough to list it, and to read and write its texts.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    pub root: Digest,
    pub name: String,
    /// As the manifest states it; only reading the whole artefact compares it with the graph.
    pub kind: String,
    /// Rows that a call of the graph may have: of a language model, the tokens of prompt and answer together.
    pub context: u32,
    /// Numbers that its first input may be: of a language model, its tokens.
    pub vocabulary: usize,
    /// `None` for models of tensors.
    pub language: Option<Language>,
}

impl Head {
    /// The bytes that `read` takes, cut from a whole artefact: its beginning and its texts, without its weights.
    pub fn cut(file: &Bytes) -> Result<Vec<u8>, ArtefactRefusal> {
        let mut reader = Reader::new("the artefact", file);
        let manifest = take_manifest(&mut reader)?;
        let texts = match Draft::read(manifest)?.purpose {
            PurposeForm::Language(form) => form.tokenizer.0.saturating_add(form.template.0),
            PurposeForm::Tensors | PurposeForm::Program(..) | PurposeForm::Float(..) => 0,
        };
        let behind = file.len().checked_sub(texts).and_then(|at| file.get(at..));
        let behind = behind.ok_or(Malformed::Truncated { what: "the artefact", at: file.len() })?;
        let mut writer = Writer::new();
        writer.raw(MAGIC).count(manifest.len()).raw(manifest).raw(behind);
        Ok(writer.finish())
    }

    /// Reads and checks what `cut` gave: the root commits to all of it.
    pub fn read(bytes: &[u8]) -> Result<Self, ArtefactRefusal> {
        let mut reader = Reader::new("the head of an artefact", bytes);
        let manifest = take_manifest(&mut reader)?;
        let draft = Draft::read(manifest)?;
        let is_float = matches!(draft.purpose, PurposeForm::Float(..));
        let highest = draft.graph.inputs.first().map(|input| usize::try_from(input.interval.high).unwrap_or_default());
        let vocabulary = highest.map_or(0, |highest| highest.saturating_add(1));
        let language = match draft.purpose {
            PurposeForm::Language(form) => Some(form.complete(&mut reader)?),
            PurposeForm::Tensors | PurposeForm::Program(..) | PurposeForm::Float(..) => None,
        };
        reader.finish()?;
        let root = root(manifest, is_float);
        let context = u32::try_from(draft.rows_max).unwrap_or(u32::MAX);
        Ok(Self { root, name: draft.name, kind: draft.kind, context, vocabulary, language })
    }
}

fn take_manifest<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], ArtefactRefusal> {
    if reader.take(MAGIC.len()).ok() != Some(MAGIC.as_slice()) {
        return Err(ArtefactRefusal::Magic);
    }
    let length = reader.count("the manifest", MANIFEST_BYTES_MAX, 1)?;
    Ok(reader.take(length)?)
}

/// Zeros behind `length` bytes, so that what follows is aligned.
fn padding(length: usize) -> usize {
    length.next_multiple_of(ALIGNMENT).saturating_sub(length)
}

fn take_padding(reader: &mut Reader, length: usize) -> Result<(), Malformed> {
    let zeros = reader.take(padding(length))?;
    if zeros.iter().all(|&byte| byte == 0) { Ok(()) } else { Err(Malformed::NotCanonical { what: "the padding" }) }
}

const FLOAT: &str = "float";
const KINDS: [&str; 3] = ["integer", "ordered", FLOAT];

/// The root of a model with that manifest.
fn root(manifest: &[u8], is_float: bool) -> Digest {
    let digest = hash(ROOT, &[manifest]);
    if is_float { hash(FLOAT_ROOT, &[&digest.0]) } else { digest }
}

impl Language {
    fn write(&self, writer: &mut Writer) {
        for text in [self.tokenizer.as_slice(), self.template.as_bytes()] {
            writer.count(text.len()).raw(&hash(TEXT, &[text]).0);
        }
        writer.count(self.stop_tokens.len());
        for &token in &self.stop_tokens {
            writer.u32(token);
        }
        writer.u8(self.fraction_bits);
        self.defaults.write(writer);
    }

    /// What a graph must be for its last row of output to be read as the next token's logits.
    fn check(&self, graph: &Checked) -> Result<(), ArtefactRefusal> {
        use crate::{operator::Reach, shape::Dimension};
        let refuse = |what| Err(ArtefactRefusal::Language { what });
        let [input] = graph.graph().inputs.as_slice() else { return refuse("it takes one input, tokens") };
        let (output, hidden) = match graph.graph().outputs.as_slice() {
            [output] => (output, None),
            [output, hidden] => (output, Some(hidden)),
            _ => return refuse("its outputs are logits, and perhaps hidden"),
        };
        if input.element != Element::I32 || input.shape.0 != [Dimension::Rows] || input.interval.low != 0 {
            return refuse("its input is i32 [rows], from 0");
        }
        let vocabulary = usize::try_from(input.interval.high).unwrap_or(usize::MAX).saturating_add(1);
        let Some(logits) = graph.fact(output.source) else {
            return refuse("its outputs are logits, and perhaps hidden");
        };
        let is_hidden = |fact: crate::operator::Fact| fact.shape.rank() == 2 && fact.shape.has_rows();
        if hidden.is_some_and(|hidden| hidden.name != "hidden" || !graph.fact(hidden.source).is_some_and(is_hidden)) {
            return refuse("its second output is hidden, [rows, width]");
        }
        if logits.shape != crate::Shape::rows(&[vocabulary]) {
            return refuse("its output is [rows, vocabulary]");
        }
        let fits = match logits.element {
            Element::I32 => self.fraction_bits <= FRACTION_BITS_MAX,
            Element::F32 => self.fraction_bits == 0,
            Element::I8 | Element::U8 | Element::I16 | Element::I64 | Element::F16 | Element::Packed(_) => false,
        };
        if !fits {
            return refuse("its logits are i32 with at most 16 fraction bits, or f32 with none");
        }
        if graph.graph().nodes.iter().any(|node| node.operator.reach == Reach::All) {
            return refuse("no position may depend on a later one");
        }
        let known = |token: &u32| usize::try_from(*token).is_ok_and(|token| token < vocabulary);
        if !self.stop_tokens.iter().all(known) || !self.stop_tokens.is_sorted_by(|one, other| one < other) {
            return refuse("its stop tokens are in the vocabulary and strictly rising");
        }
        Ok(())
    }
}

/// A manifest that was read, before the data that it commits to.
struct Draft {
    name: String,
    kind: String,
    parameters: u64,
    rows_max: usize,
    graph: Graph,
    constants: Vec<ConstantForm>,
    purpose: PurposeForm,
}

enum PurposeForm {
    Tensors,
    Language(LanguageForm),
    /// Length and digest of the program's bytes.
    Program(u64, Digest),
    /// Length and digest of the runtime's file.
    Float(u64, Digest),
}

struct LanguageForm {
    tokenizer: (usize, Digest),
    template: (usize, Digest),
    stop_tokens: Vec<u32>,
    fraction_bits: u8,
    defaults: Defaults,
}

impl Draft {
    fn read(manifest: &[u8]) -> Result<Self, ArtefactRefusal> {
        let mut reader = Reader::new("the manifest", manifest);
        let found = reader.u16()?;
        if found != SPEC_VERSION {
            return Err(ArtefactRefusal::SpecVersion { found });
        }
        let name = reader.text("the name of the model", NAME_BYTES_MAX)?;
        let kind = reader.text("the kind of the model", 16)?;
        let (parameters, rows_max) = (reader.u64()?, reader.u32()? as usize);
        let (graph, constants) = encoding::read(&mut reader)?;
        let purpose = match reader.u8()? {
            1 => PurposeForm::Tensors,
            2 => PurposeForm::Language(LanguageForm::read(&mut reader, false)?),
            5 => PurposeForm::Language(LanguageForm::read(&mut reader, true)?),
            3 => PurposeForm::Program(reader.u64()?, reader.digest()?),
            4 => PurposeForm::Float(reader.u64()?, reader.digest()?),
            tag => return Err(Malformed::Unknown { what: "the purpose", found: tag.into() }.into()),
        };
        reader.finish()?;
        Ok(Self { name, kind, parameters, rows_max, graph, constants, purpose })
    }

    fn complete(self, file: &Bytes, reader: &mut Reader, pieces: Pieces) -> Result<Model, ArtefactRefusal> {
        let mut graph = self.graph;
        for form in self.constants {
            graph.constants.push(form.take(file, reader, pieces)?);
        }
        let purpose = match self.purpose {
            PurposeForm::Tensors => Purpose::Tensors,
            PurposeForm::Language(form) => Purpose::Language(Box::new(form.complete(reader)?)),
            PurposeForm::Program(length, digest) => {
                Purpose::Program(Box::new(programs::read(take_program(reader, length, digest)?)?))
            }
            PurposeForm::Float(length, digest) => Purpose::Float(file.slice_ref(take_float(reader, length, digest)?)),
        };
        // Beside a program or a float model the graph is empty: what it held would be written and never run.
        let is_empty = matches!(purpose, Purpose::Program(_) | Purpose::Float(_));
        let graph = if is_empty { Checked::empty() } else { graph.check(self.rows_max)? };
        let model = Model { name: self.name, parameters: self.parameters, graph, purpose };
        let (stated, found) = (self.kind.as_str(), model.kind());
        if stated != found {
            let stated = KINDS.into_iter().find(|kind| *kind == stated).unwrap_or("another");
            return Err(ArtefactRefusal::Kind { stated, found });
        }
        if let Purpose::Language(language) = &model.purpose {
            language.check(&model.graph)?;
        }
        Ok(model)
    }
}

impl ConstantForm {
    /// The constant itself, if what comes next is what its root commits to.
    fn take(self, file: &Bytes, reader: &mut Reader, pieces: Pieces) -> Result<Constant, ArtefactRefusal> {
        let bytes = reader.take(self.element.bytes_of(&self.sizes).unwrap_or(usize::MAX))?;
        take_padding(reader, bytes.len())?;
        let tensor = match self.element {
            Element::Packed(format) => {
                let packed = Packed::new(format, &self.sizes, file.slice_ref(bytes));
                packed.and_then(|packed| Tensor::new(&self.sizes, Data::Packed(packed)))
            }
            _ => Tensor::from_bytes(self.element, &self.sizes, bytes),
        };
        match tensor {
            Some(tensor) if tensor_root_by(&tensor, pieces) == self.root => {
                Ok(Constant { name: self.name, tensor: Arc::new(tensor) })
            }
            _ => Err(ArtefactRefusal::Content { name: self.name }),
        }
    }
}

fn take_program<'a>(reader: &mut Reader<'a>, length: u64, digest: Digest) -> Result<&'a [u8], ArtefactRefusal> {
    take_checked(reader, length, PROGRAM, digest, "the program")
}

fn take_float<'a>(reader: &mut Reader<'a>, length: u64, digest: Digest) -> Result<&'a [u8], ArtefactRefusal> {
    take_checked(reader, length, FLOAT_FILE, digest, "the float model")
}

fn take_checked<'a>(
    reader: &mut Reader<'a>,
    length: u64,
    domain: &'static str,
    digest: Digest,
    what: &str,
) -> Result<&'a [u8], ArtefactRefusal> {
    let bytes = reader.take(usize::try_from(length).unwrap_or(usize::MAX))?;
    if hash(domain, &[bytes]) != digest {
        return Err(ArtefactRefusal::Content { name: what.to_owned() });
    }
    Ok(bytes)
}

impl LanguageForm {
    fn read(reader: &mut Reader, has_more_defaults: bool) -> Result<Self, ArtefactRefusal> {
        let mut text = |what, limit: usize| -> Result<(usize, Digest), Malformed> {
            let length = reader.u32()?;
            match usize::try_from(length) {
                Ok(count) if count <= limit => Ok((count, reader.digest()?)),
                _ => Err(Malformed::TooMany { what, found: length.into(), limit: limit as u64 }),
            }
        };
        let tokenizer = text("the tokenizer's bytes", TOKENIZER_BYTES_MAX)?;
        let template = text("the chat template's bytes", TEMPLATE_BYTES_MAX)?;
        let count = reader.count("stop tokens", STOP_TOKENS_MAX, 4)?;
        let stop_tokens: Result<Vec<u32>, Malformed> = (0..count).map(|_| reader.u32()).collect();
        let stop_tokens = stop_tokens?;
        let fraction_bits = reader.u8()?;
        let defaults = Defaults::read(reader, has_more_defaults)?;
        Ok(Self { tokenizer, template, stop_tokens, fraction_bits, defaults })
    }

    fn complete(self, reader: &mut Reader) -> Result<Language, ArtefactRefusal> {
        let mut content = |(length, digest): (usize, Digest), name: &str| {
            let bytes = reader.take(length)?;
            if hash(TEXT, &[bytes]) == digest {
                Ok(bytes.to_vec())
            } else {
                Err(ArtefactRefusal::Content { name: name.to_owned() })
            }
        };
        let tokenizer = content(self.tokenizer, "the tokenizer")?;
        let template = content(self.template, "the chat template")?;
        let template = String::from_utf8(template).map_err(|_| Malformed::Text { what: "the chat template" })?;
        let (stop_tokens, fraction_bits, defaults) = (self.stop_tokens, self.fraction_bits, self.defaults);
        Ok(Language { tokenizer, template, stop_tokens, fraction_bits, defaults })
    }
}
