//! What an operator's row says, and how its inputs are read.

use std::sync::Arc;

use super::array::Array;
use super::context::Context;
use super::element::Element;
use super::node::Node;
use super::problem::Problem;
use super::value::Value;

/// What running a node gives: as many values as the node has outputs, or fewer where the rest are not wanted.
pub type Outcome = Result<Vec<Value>, Problem>;

/// The meaning of an operator, or a kernel with the same bits.
pub type Meaning = fn(&Node, &Inputs, &mut Context) -> Outcome;

/// One row of the table.
pub struct Operator {
    pub name: &'static str,
    /// Empty for the standard's main domain.
    pub domain: &'static str,
    /// The versions of the operator set at which the operator changed, as far as they are known here, rising.
    pub versions: &'static [u16],
    /// Fewest and most inputs.
    pub inputs: (usize, usize),
    pub outputs: (usize, usize),
    pub attributes: &'static [&'static str],
    pub run: Meaning,
}

/// As many inputs or outputs as a node may have.
pub const MANY: usize = 1 << 14;

impl std::fmt::Debug for Operator {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name)
    }
}

impl Operator {
    /// The version whose meaning a file with this version of the operator set uses.
    pub fn version_in(&self, opset: i64) -> Option<u16> {
        self.versions.iter().copied().filter(|&version| i64::from(version) <= opset).max()
    }
}

/// The inputs of a node, by place.
pub struct Inputs(pub Vec<Option<Value>>);

impl Inputs {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn value(&self, input: usize) -> Result<&Value, Problem> {
        self.value_or_none(input).ok_or(Problem::Missing { input })
    }

    pub fn value_or_none(&self, input: usize) -> Option<&Value> {
        self.0.get(input).and_then(Option::as_ref)
    }

    pub fn tensor(&self, input: usize) -> Result<&Arc<Array>, Problem> {
        let value = self.value(input)?;
        value.as_tensor().ok_or(Problem::Kind { input, expected: "a tensor", found: value.name() })
    }

    /// An optional tensor; one that is passed as an empty optional counts as left out.
    pub fn tensor_or_none(&self, input: usize) -> Result<Option<&Arc<Array>>, Problem> {
        match self.value_or_none(input) {
            None | Some(Value::Nothing) => Ok(None),
            Some(_) => self.tensor(input).map(Some),
        }
    }

    pub fn sequence(&self, input: usize) -> Result<&Arc<Vec<Value>>, Problem> {
        match self.value(input)? {
            Value::Sequence(values) => Ok(values),
            other => Err(Problem::Kind { input, expected: "a sequence", found: other.name() }),
        }
    }

    pub fn element(&self, input: usize, expected: &'static str) -> Problem {
        let found = self.tensor(input).map_or("nothing", |array| array.element().name());
        Problem::Element { input, expected, found }
    }

    /// All values of a tensor of integers, as i64; those of uint64 must fit.
    pub fn integers(&self, input: usize) -> Result<Vec<i64>, Problem> {
        let array = self.tensor(input)?;
        let values = array.integers().filter(|_| array.element() != Element::Bool);
        let values = values.ok_or_else(|| self.element(input, "integers"))?;
        values
            .into_iter()
            .map(|value| i64::try_from(value).map_err(|_| Problem::value("an integer", "64 bits", value)))
            .collect()
    }

    pub fn integers_or_none(&self, input: usize) -> Result<Option<Vec<i64>>, Problem> {
        self.tensor_or_none(input)?.map(|_| self.integers(input)).transpose()
    }

    /// The one integer of a tensor.
    pub fn integer(&self, input: usize) -> Result<i64, Problem> {
        match self.integers(input)?.as_slice() {
            [value] => Ok(*value),
            _ => Err(Problem::shape(input, "one element", self.tensor(input)?.shape())),
        }
    }

    pub fn integer_or_none(&self, input: usize) -> Result<Option<i64>, Problem> {
        self.tensor_or_none(input)?.map(|_| self.integer(input)).transpose()
    }

    pub fn bools(&self, input: usize) -> Result<&[bool], Problem> {
        self.tensor(input)?.as_bools().ok_or_else(|| self.element(input, "bool"))
    }

    /// The one truth value of a tensor.
    pub fn bool(&self, input: usize) -> Result<bool, Problem> {
        match self.bools(input)? {
            [value] => Ok(*value),
            _ => Err(Problem::shape(input, "one element", self.tensor(input)?.shape())),
        }
    }

    pub fn texts(&self, input: usize) -> Result<&[String], Problem> {
        self.tensor(input)?.as_texts().ok_or_else(|| self.element(input, "string"))
    }

    /// The one number of a tensor, of any real or integer element, as f64.
    pub fn number(&self, input: usize) -> Result<f64, Problem> {
        let array = self.tensor(input)?;
        let one = |found: Option<f64>| found.ok_or_else(|| Problem::shape(input, "one element", array.shape()));
        if array.len() != 1 {
            return one(None);
        }
        match (array.doubles(), array.integers()) {
            (Some(values), _) => one(values.first().copied()),
            (None, Some(values)) => one(values.first().map(|&value| value as f64)),
            (None, None) => Err(self.element(input, "a number")),
        }
    }
}
