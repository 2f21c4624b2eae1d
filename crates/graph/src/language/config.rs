//! What a decoder is made of, as data: the same for every architecture and every kind of file.

use super::rotation::Rotation;

/// A decoder's features and sizes.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub width: usize,
    pub vocabulary: usize,
    /// Most tokens of a text.
    pub context: usize,
    /// What the norms add to the mean square.
    pub epsilon: f32,
    pub stop_tokens: Vec<u32>,
    /// Whether logits are made by the embedding, even where the file has another matrix for them.
    pub tied: bool,
    pub embedding_scale: Option<f32>,
    /// Cap of the logits.
    pub softcap: Option<f32>,
    pub norms: Norms,
    pub attention: Attention,
    pub activation: Activation,
    /// Width inside of dense feed-forward parts.
    pub feed_forward: usize,
    pub experts: Option<Experts>,
    /// Those that layers point to.
    pub rotations: Vec<Rotation>,
    pub layers: Vec<LayerConfig>,
}

/// How one layer differs from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerConfig {
    /// Index among the rotations.
    pub rotation: usize,
    /// Positions that a query sees, its own among them; all where there is none.
    pub window: Option<usize>,
    pub feed: FeedKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedKind {
    Dense,
    Experts,
}

/// Where the norms of a layer stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norms {
    /// Before each part.
    Before,
    /// Before each part, and after it, before it is added.
    Around,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    Silu,
    GeluTanh,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    pub heads: usize,
    pub kv_heads: usize,
    /// Width of one head of queries and keys.
    pub head: usize,
    /// What scores are multiplied with; `1/√head` where none is said.
    pub scale: Option<f32>,
    pub softcap: Option<f32>,
    pub latent: Option<Latent>,
}

impl Attention {
    /// What a dot of a query and a key is multiplied with.
    pub fn nats(&self) -> f64 {
        self.scale.map_or_else(|| 1.0 / (self.head as f64).sqrt(), f64::from)
    }
}

/// Queries and keys through narrow matrices; keys and values of all heads share one compressed row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latent {
    /// `None` where queries are made in one step.
    pub query_rank: Option<usize>,
    pub rank: usize,
    /// Width of a head's part that is not turned by its position, and of the part that is.
    pub plain: usize,
    pub turned: usize,
    pub value: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Experts {
    pub count: usize,
    pub chosen: usize,
    /// Width inside of one expert.
    pub width: usize,
    /// Width inside of what every token passes beside its experts.
    pub shared: Option<usize>,
    pub scores: Scores,
    /// Whether the chosen scores are divided by their sum.
    pub normalise: bool,
    pub scale: f32,
    pub groups: Option<Groups>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scores {
    Softmax,
    Sigmoid,
}

/// Only experts of the best groups are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups {
    pub count: usize,
    pub kept: usize,
    /// How many of a group's scores speak for it.
    pub best: usize,
}
