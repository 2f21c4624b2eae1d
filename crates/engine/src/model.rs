//! A model made ready to serve from its artefact.

use bytes::Bytes;
use crypto::Digest;
use graph::{Purpose, Work};

use crate::{cpu::Level, kernel::Threads, language::LanguageModel, load::LoadError, tensors::TensorModel};

pub struct Model {
    root: Digest,
    float_manifest: Option<Digest>,
    card: Card,
    body: Body,
}

enum Body {
    Language(Box<LanguageModel>),
    Tensors(Box<TensorModel>),
    /// A file for a float runtime.
    Float(Bytes),
}

/// What a model says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    pub name: String,
    /// `integer` (provable), `ordered`, or `float`: not exact, and not run here.
    pub kind: &'static str,
    /// Trained numbers.
    pub parameters: u64,
    /// Most tokens of prompt and answer together; most rows of a tensor model.
    pub context: usize,
}

/// How a model is run; none of it changes a bit of any result.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub threads: usize,
    pub level: Level,
}

impl Default for Options {
    fn default() -> Self {
        Self { threads: 1, level: Level::detect() }
    }
}

impl Model {
    /// Reads an artefact and checks all of it. Weights are not copied: they are read where they lie.
    pub fn load(artefact: impl Into<Bytes>) -> Result<Self, LoadError> {
        Self::load_with(artefact, Options::default())
    }

    pub fn load_with(artefact: impl Into<Bytes>, options: Options) -> Result<Self, LoadError> {
        let threads = Threads::new(options.threads);
        let pieces = |count: usize, each: &(dyn Fn(usize) + Sync)| threads.pieces(count, each);
        let (model, root) = graph::Model::from_artefact_by(&artefact.into(), &pieces)?;
        let (kind, context, float_manifest) = (model.kind(), model.graph.rows_max(), model.float_manifest());
        let card = Card { name: model.name, kind, parameters: model.parameters, context };
        let body = match model.purpose {
            Purpose::Language(language) => {
                let language = LanguageModel::load(model.graph, *language, options.level, threads)?;
                Body::Language(Box::new(language))
            }
            Purpose::Program(program) => {
                Body::Tensors(Box::new(TensorModel::of_program(*program, options.level, threads)?))
            }
            Purpose::Float(file) => Body::Float(file),
            Purpose::Tensors => Body::Tensors(Box::new(TensorModel::load(model.graph, options.level, threads)?)),
        };
        Ok(Self { root, float_manifest, card, body })
    }

    /// The model on a network that judges answers of so much work at most: a text is as long as that allows, a call has as many
    /// rows, a program as many operations, and what asks for more is refused by whoever runs or judges it.
    #[must_use]
    pub fn within(self, work_max: u64) -> Self {
        let body = match self.body {
            Body::Language(language) => Body::Language(Box::new(language.within(work_max))),
            Body::Tensors(tensors) => Body::Tensors(Box::new(tensors.within(work_max))),
            Body::Float(file) => Body::Float(file),
        };
        Self { body, ..self }
    }

    /// What re-executing its answers takes; nothing where nobody re-executes them.
    pub fn work(&self) -> Work {
        match &self.body {
            Body::Language(language) => language.work(),
            Body::Tensors(tensors) => tensors.work(),
            Body::Float(_) => Work::default(),
        }
    }

    /// The model's identity: the digest of its manifest.
    pub fn root(&self) -> Digest {
        self.root
    }

    pub fn card(&self) -> &Card {
        &self.card
    }

    /// Threads that a call of the model may run on: one for models without an exact form.
    pub fn threads(&self) -> usize {
        match &self.body {
            Body::Language(language) => language.plan().threads().count(),
            Body::Tensors(tensors) => tensors.threads(),
            Body::Float(_) => 1,
        }
    }

    pub fn as_language(&self) -> Option<&LanguageModel> {
        match &self.body {
            Body::Language(language) => Some(language),
            Body::Tensors(_) | Body::Float(_) => None,
        }
    }

    pub fn as_tensor(&self) -> Option<&TensorModel> {
        match &self.body {
            Body::Tensors(tensors) => Some(tensors),
            Body::Language(_) | Body::Float(_) => None,
        }
    }

    /// The file of a model without an exact form, for a float runtime.
    pub fn as_float(&self) -> Option<&Bytes> {
        match &self.body {
            Body::Float(file) => Some(file),
            Body::Language(_) | Body::Tensors(_) => None,
        }
    }

    /// The digest of such a model's manifest: publishing it shows that it has no exact form.
    pub fn float_manifest(&self) -> Option<Digest> {
        self.float_manifest
    }
}
