//! What a caller asks of the network besides the answer: the extension field `og`, and the headers beside it.

use protocol::{Assurance, Constraint, Digest, List, Privacy, registry::ModelKind, request::PARENTS_MAX};

use crate::{
    error::{ApiError, Code},
    field::{Field, Object},
};

/// Levels that the network gives today, strongest last.
const OFFERED: [Assurance; 2] = [Assurance::Signed, Assurance::Audited];

/// Those that a model of this kind can be asked for.
pub fn offered(kind: ModelKind) -> impl Iterator<Item = Assurance> {
    OFFERED.into_iter().filter(move |level| kind == ModelKind::Exact || !level.needs_exact_form())
}

const AUTO: &str = "auto";
/// Name of the header that asks for an assurance level.
pub(crate) const ASSURANCE_HEADER: &str = "x-og-assurance";

/// The wishes under `og`; unknown ones are refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// `None` where the caller leaves the choice to the network.
    pub assurance: Option<Assurance>,
    pub privacy: Option<Privacy>,
    pub parents: List<Digest, PARENTS_MAX>,
    /// 0 keeps every token; `None` where the caller says nothing.
    pub top_k: Option<u32>,
    /// An expression or a grammar that the answer must match.
    pub constraint: Option<Constraint>,
}

impl Terms {
    pub(crate) fn read(body: &Object<'_>) -> Result<Self, ApiError> {
        let Some(field) = body.get("og") else { return Ok(Self::default()) };
        let wishes = field.object()?;
        wishes.only(&["assurance", "privacy", "parents", "top_k", "regex", "grammar"])?;
        Ok(Self {
            assurance: wishes.get("assurance").map(|wish| assurance(wish.text()?, &wish.path)).transpose()?.flatten(),
            privacy: wishes.get("privacy").map(|wish| privacy(&wish)).transpose()?,
            parents: wishes.get("parents").map(|wish| parents(&wish)).transpose()?.unwrap_or_default(),
            top_k: wishes.get("top_k").map(|wish| wish.natural(0, u64::from(u32::MAX))).transpose()?.map(narrow),
            constraint: constraint(&wishes)?,
        })
    }

    /// Takes the level asked for in the header; one that contradicts the body is refused.
    pub fn with_assurance_header(mut self, header: Option<&str>) -> Result<Self, ApiError> {
        let Some(wish) = header.map(|word| assurance(word, ASSURANCE_HEADER)).transpose()?.flatten() else {
            return Ok(self);
        };
        match self.assurance {
            Some(other) if other != wish => {
                Err(ApiError::wrong_value(ASSURANCE_HEADER, wish.word(), &format!("`{other}`, as under og.assurance")))
            }
            Some(_) | None => {
                self.assurance = Some(wish);
                Ok(self)
            }
        }
    }

    /// The level that the request will carry: what was asked for, else the strongest that is offered for such a model.
    pub fn assurance_of(&self, kind: ModelKind) -> Result<Assurance, ApiError> {
        match (kind, self.assurance) {
            (ModelKind::Exact, asked) => Ok(asked.unwrap_or(Assurance::Audited)),
            (ModelKind::Float, None) => Ok(Assurance::Signed),
            (ModelKind::Float, Some(level)) if level.needs_exact_form() => {
                let message =
                    format!("'{level}' is asked for, and this model has no exact form: nobody can run it again.");
                let refused = ApiError::new(Code::UnsupportedValue, message).with_param("og.assurance");
                Err(refused.with_hint(format!("ask for {AUTO} or {}", Assurance::Signed)))
            }
            (ModelKind::Float, Some(level)) => Ok(level),
        }
    }

    /// Nothing is opened to the public that the caller did not open.
    pub fn privacy(&self) -> Privacy {
        self.privacy.unwrap_or(Privacy::Private)
    }
}

pub(crate) fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn assurance(word: &str, path: &str) -> Result<Option<Assurance>, ApiError> {
    if word == AUTO {
        return Ok(None);
    }
    let offered = || OFFERED.map(Assurance::word).join(", ");
    match Assurance::from_word(word) {
        Some(level) if OFFERED.contains(&level) => Ok(Some(level)),
        Some(level) => {
            let message = format!("Unsupported value for '{path}': '{level}' is not offered by this network yet.");
            let refused = ApiError::new(Code::UnsupportedValue, message).with_param(path);
            Err(refused.with_hint(format!("ask for {AUTO}, {}", offered())))
        }
        None => Err(ApiError::wrong_value(path, "another word", &format!("one of {AUTO}, {}", offered()))),
    }
}

fn constraint(wishes: &Object<'_>) -> Result<Option<Constraint>, ApiError> {
    match (wishes.get("regex"), wishes.get("grammar")) {
        (None, None) => Ok(None),
        (Some(regex), None) => Ok(Some(Constraint::Regex(regex.bounded()?))),
        (None, Some(grammar)) => Ok(Some(Constraint::Grammar(grammar.bounded()?))),
        (Some(_), Some(grammar)) => {
            Err(ApiError::wrong_value(&grammar.path, "a grammar beside an expression", "one of the two"))
        }
    }
}

fn privacy(wish: &Field<'_>) -> Result<Privacy, ApiError> {
    let refused =
        || ApiError::wrong_value(&wish.path, "another word", &format!("one of {}", Privacy::WORDS.join(", ")));
    Privacy::from_word(wish.text()?).ok_or_else(refused)
}

fn parents(wish: &Field<'_>) -> Result<List<Digest, PARENTS_MAX>, ApiError> {
    let read = |item: Field<'_>| {
        let refused = || ApiError::wrong_value(&item.path, "other text", "a receipt's id: 64 hexadecimal digits");
        Digest::from_hex(item.text()?).ok_or_else(refused)
    };
    let ids = wish.list(PARENTS_MAX)?.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
    List::new(ids).map_err(|error| ApiError::new(Code::TooMany, error.to_string()).with_param(&wish.path))
}
