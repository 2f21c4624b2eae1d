//! What an operator is: a name, a shape rule, a bounds rule, a rule of work and a reference meaning.
//!
//! The table of operators is `ops::OPERATORS`; each operator is one file there. Nothing here knows any operator.

use std::{any::Any, sync::Arc};

use crate::{
    attribute::Attributes,
    derived::Derived,
    formats::{Packed, Weights},
    loading::Account,
    refusal::Fault,
    shape::{Dimension, Shape},
    tensor::{Element, Tensor},
    work::Work,
};

pub use crate::refusal::Refusal;

/// Which arithmetic an operator is made of. A graph is provable when none of its operators is `Ordered`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Only integers, with bounds that exclude overflow.
    Integer,
    /// IEEE binary32 in an order that the specification fixes.
    Ordered,
    /// Moves values without computing (reshape, gather, slice): allowed on all elements.
    Movement,
    /// Between the caller's floats and the graph's integers.
    Boundary,
}

/// On which rows of its inputs a row of the output depends. It decides what may be cached and cut into chunks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// On the same row alone.
    Row,
    /// On the same row and on its index.
    Position,
    /// On the same row and all before it.
    Before,
    /// On any row.
    All,
}

/// The values that an integer can have, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interval {
    pub low: i64,
    pub high: i64,
}

impl Interval {
    pub fn of(element: Element) -> Self {
        let (low, high) = element.range().unwrap_or((0, 0));
        Self { low, high }
    }

    /// The greatest absolute value.
    pub fn magnitude(self) -> u64 {
        self.low.unsigned_abs().max(self.high.unsigned_abs())
    }

    /// `self` where it lies within what `element` can hold.
    pub fn within(self, element: Element) -> Result<Self, Refusal> {
        let all = Self::of(element);
        if self.low >= all.low && self.high <= all.high {
            Ok(self)
        } else {
            Err(Refusal::Overflow { what: element.name(), magnitude: self.magnitude() })
        }
    }

    /// From `-magnitude` to `magnitude`, where `element` can hold it.
    pub fn symmetric(magnitude: u128, element: Element) -> Result<Self, Refusal> {
        match i64::try_from(magnitude) {
            Ok(high) => Self { low: -high, high }.within(element),
            Err(_) => Err(Refusal::Overflow { what: element.name(), magnitude: u64::MAX }),
        }
    }
}

/// What is known of a value before any run.
#[derive(Clone, Debug)]
pub struct Fact {
    pub element: Element,
    pub shape: Shape,
    /// Meaningless for floats.
    pub interval: Interval,
    pub constant: Option<Arc<Tensor>>,
    /// What was made of a constant, for all nodes that use it.
    pub derived: Derived,
}

/// A node as its operator's rules see it.
#[derive(Clone, Copy)]
pub struct Site<'a> {
    pub attributes: &'a Attributes,
    pub inputs: &'a [Fact],
    /// The most rows that a call may have.
    pub rows_max: usize,
    /// What loading the graph may take.
    pub account: &'a Account,
}

/// Element type and shape of an output.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Form {
    pub element: Element,
    pub shape: Shape,
}

type ShapeRule = fn(&Site) -> Result<Form, Refusal>;
type BoundsRule = fn(&Site) -> Result<Interval, Refusal>;
type WorkRule = fn(&Site, &Form) -> Result<Work, Refusal>;
type Meaning = fn(&Attributes, &[&Tensor]) -> Result<Tensor, Fault>;

pub struct Operator {
    /// Frozen: written in artefacts. Whole words, `_f32` at the end where the operator is ordered.
    pub name: &'static str,
    pub kind: Kind,
    pub reach: Reach,
    /// Least and greatest number of inputs.
    pub inputs: (usize, usize),
    /// Every attribute that the operator knows; others are refused.
    pub attributes: &'static [&'static str],
    /// Checks the inputs and attributes; says what comes out.
    pub shape: ShapeRule,
    /// Refuses where an intermediate integer could overflow; says in what interval the output lies. Called after
    /// `shape` has accepted. Floats answer [`NO_BOUNDS`].
    pub bounds: BoundsRule,
    /// What a text or call, a row, and a row with one that it looks at take at most, by whatever runs it: kernels or the meaning.
    /// Called after `shape` and `bounds` have accepted, with what `shape` said.
    pub work: WorkRule,
    /// The slow, obvious definition. Called with tensors that `shape` and `bounds` accepted.
    pub meaning: Meaning,
}

impl std::fmt::Debug for Operator {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name)
    }
}

/// The interval of values that are no integers.
pub const NO_BOUNDS: Interval = Interval { low: 0, high: 0 };

/// The bounds rule of operators on floats.
pub fn no_bounds(_: &Site) -> Result<Interval, Refusal> {
    Ok(NO_BOUNDS)
}

impl Site<'_> {
    /// The input at `index`. The number of inputs has been checked, so a missing one is refused as an optional one.
    pub fn input(&self, index: usize) -> Result<&Fact, Refusal> {
        let found = self.inputs.len();
        self.inputs.get(index).ok_or(Refusal::Inputs { low: index.saturating_add(1), high: usize::MAX, found })
    }

    pub fn expect_element(&self, input: usize, expected: Element) -> Result<&Fact, Refusal> {
        let fact = self.input(input)?;
        if fact.element == expected {
            Ok(fact)
        } else {
            Err(Refusal::Element { input, expected: expected.name(), found: fact.element })
        }
    }

    pub fn expect_integer(&self, input: usize) -> Result<&Fact, Refusal> {
        let fact = self.input(input)?;
        if fact.element.is_integer() {
            Ok(fact)
        } else {
            Err(Refusal::Element { input, expected: "integers", found: fact.element })
        }
    }

    pub fn expect_constant(&self, input: usize) -> Result<&Arc<Tensor>, Refusal> {
        self.input(input)?.constant.as_ref().ok_or(Refusal::NotConstant { input })
    }

    /// The form of that type of the constants at these inputs, made once for all nodes that share them. `make` asks the account for what it walks through
    /// and for what is kept, by itself and by the kernels that have the form for their own.
    pub fn derived<T: Any + Send + Sync>(
        &self,
        inputs: &[usize],
        make: impl FnOnce() -> Result<T, Refusal>,
    ) -> Result<Arc<T>, Refusal> {
        let constants: Result<Vec<&Arc<Tensor>>, Refusal> =
            inputs.iter().map(|&input| self.expect_constant(input)).collect();
        let first = inputs.first().copied().unwrap_or(usize::MAX);
        self.input(first)?.derived.try_get(constants?.get(1..).unwrap_or_default(), make)
    }

    pub fn expect_shape(&self, input: usize, expected: &Shape) -> Result<&Fact, Refusal> {
        let fact = self.input(input)?;
        if fact.shape == *expected { Ok(fact) } else { Err(self.shape_refusal(input, &expected.to_string())) }
    }

    /// The packed matrix `[outputs, inputs]` of constant weights, of one of these kinds.
    pub fn expect_weights(&self, input: usize, kinds: Weights, expected: &'static str) -> Result<&Packed, Refusal> {
        let fact = self.input(input)?;
        let packed = self.expect_constant(input)?.as_packed().filter(|packed| packed.format().weights() == kinds);
        let packed = packed.ok_or(Refusal::Element { input, expected, found: fact.element })?;
        if fact.shape.rank() != 2 || packed.rows() == 0 {
            return Err(self.shape_refusal(input, "[outputs, inputs]"));
        }
        Ok(packed)
    }

    /// Checks what every linear operator is given: `x [..., inputs]`, weights `[outputs, inputs]`, and perhaps a constant
    /// bias `[outputs]`. Says what comes out.
    pub fn linear(&self, weights: &Packed, element: Element) -> Result<Form, Refusal> {
        if self.width(0)? != weights.columns() {
            return Err(self.shape_refusal(1, &format!("[outputs, {}]", self.width(0)?)));
        }
        if self.inputs.len() > 2 {
            self.expect_element(2, element)?;
            self.expect_constant(2)?;
            self.expect_shape(2, &Shape::fixed(&[weights.rows()]))?;
        }
        Ok(Form { element, shape: with_width(&self.input(0)?.shape, weights.rows()) })
    }

    /// The innermost size of an input of rank 1 or more; it must be fixed and not zero.
    pub fn width(&self, input: usize) -> Result<usize, Refusal> {
        match self.input(input)?.shape.width() {
            Some(width) if width > 0 => Ok(width),
            _ => Err(self.shape_refusal(input, "an innermost size that is fixed and not 0")),
        }
    }

    /// The sizes of an input of which all are fixed.
    pub fn sizes(&self, input: usize) -> Result<Vec<usize>, Refusal> {
        self.input(input)?.shape.sizes().ok_or_else(|| self.shape_refusal(input, "fixed sizes"))
    }

    pub fn shape_refusal(&self, input: usize, expected: &str) -> Refusal {
        let found = self.inputs.get(input).map_or(Shape(Vec::new()), |fact| fact.shape.clone());
        Refusal::Shape { input, expected: expected.to_owned(), found }
    }
}

/// `shape` with another innermost size.
pub fn with_width(shape: &Shape, width: usize) -> Shape {
    let mut sizes = shape.0.clone();
    if let Some(last) = sizes.last_mut() {
        *last = Dimension::Fixed(width);
    }
    Shape(sizes)
}
