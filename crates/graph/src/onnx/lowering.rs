//! The exact graph under construction: what each ONNX name stands for, and shapes inferred on the way.
//!
//! Every value has its shape from the exact operators' own shape rules; what the file states about outputs is only
//! compared. Initializers that nothing uses are left out, so they cannot change a model's root.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::OnnxError;
use super::names::describe;
use super::proto::{self, AttributeValue, Dimension as Stated, Elements, Node, TYPE_FLOAT, ValueInfo};
use crate::Attributes;
use crate::derived::Derived;
use crate::graph::{Graph, Input, Output, ROWS_MAX, Source};
use crate::loading::Account;
use crate::operator::{Fact, Interval, NO_BOUNDS, Operator, Site};
use crate::shape::{Dimension, Shape};
use crate::tensor::{Data, Element, Tensor};

/// What an ONNX name stands for.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// A float value of the exact graph.
    Placed(Source),
    /// A float constant that no node has used yet.
    Floats(Arc<Tensor>),
    /// Integers known at import: shapes and axes.
    Integers(Vec<i64>),
}

/// Most elements of weights and biases, each counted as often as a node uses it: many nodes that share one large
/// tensor may not make memory or work grow past what the file's size suggests.
const USED_ELEMENTS_MAX: usize = 1 << 28;

/// The exact graph under construction.
#[derive(Default)]
pub(super) struct Lowering {
    graph: Graph,
    /// One for each node of the exact graph.
    facts: Vec<Fact>,
    values: BTreeMap<String, Value>,
    /// Constants that the file does not hold as such, by what they were made of.
    derived: BTreeMap<String, Source>,
    used_elements: usize,
}

/// An ONNX constant as a value; floats must be finite.
pub(super) fn constant(name: &str, tensor: &proto::Tensor<'_>) -> Result<Value, OnnxError> {
    match &tensor.elements {
        Elements::Integers(integers) => Ok(Value::Integers(integers.clone())),
        Elements::Floats(floats) => {
            let exact =
                Tensor::new(&tensor.shape, Data::F32(floats.clone())).filter(Tensor::is_finite).ok_or_else(|| {
                    OnnxError::Node {
                        node: format!("tensor {name:?}"),
                        problem: "holds a float that is not finite".to_owned(),
                    }
                })?;
            Ok(Value::Floats(Arc::new(exact)))
        }
    }
}

impl Lowering {
    /// Says what a name of the file stands for.
    pub fn define(&mut self, name: &str, value: Value) {
        self.values.insert(name.to_owned(), value);
    }

    pub fn finish(self) -> Graph {
        self.graph
    }

    /// The graph's inputs, but for those that are initializers.
    pub fn add_inputs(&mut self, inputs: &[ValueInfo<'_>]) -> Result<(), OnnxError> {
        let mut symbol = None;
        for input in inputs {
            if self.values.contains_key(input.name) {
                continue;
            }
            if input.element_type != TYPE_FLOAT {
                return Err(OnnxError::ElementType { tensor: input.name.to_owned(), found: input.element_type });
            }
            let shape = input_shape(input, &mut symbol)?;
            let source = Source::Input(self.graph.inputs.len());
            self.values.insert(input.name.to_owned(), Value::Placed(source));
            self.graph.inputs.push(Input {
                name: input.name.to_owned(),
                element: Element::F32,
                shape,
                interval: NO_BOUNDS,
            });
        }
        Ok(())
    }

    pub fn add_output(&mut self, output: &ValueInfo<'_>) -> Result<(), OnnxError> {
        let value = self.values.get(output.name).cloned();
        let Some(Value::Placed(source)) = value else {
            return Err(OnnxError::Node {
                node: format!("output {:?}", output.name),
                problem: "is a constant, expected a value that depends on the inputs".to_owned(),
            });
        };
        let inferred = self.fact(source).map(|fact| fact.shape).unwrap_or(Shape(Vec::new()));
        if let Some(stated) = output.shape.as_deref().filter(|stated| !agrees(stated, &inferred)) {
            return Err(OnnxError::Node {
                node: format!("output {:?}", output.name),
                problem: format!("is stated as {}, the graph makes {inferred}", stated_text(stated)),
            });
        }
        self.graph.outputs.push(Output { name: output.name.to_owned(), source });
        Ok(())
    }

    /// What the node's input at `index` stands for; `None` where an optional input is left out.
    pub fn optional(&self, node: &Node<'_>, index: usize) -> Option<Value> {
        node.inputs.get(index).and_then(|name| self.values.get(*name)).cloned()
    }

    pub fn value(&self, node: &Node<'_>, index: usize) -> Result<Value, OnnxError> {
        self.optional(node, index).ok_or_else(|| problem(node, format!("lacks its input {index}")))
    }

    /// The node's input at `index` as a float value of the exact graph.
    pub fn source(&mut self, node: &Node<'_>, index: usize) -> Result<Source, OnnxError> {
        match self.value(node, index)? {
            Value::Placed(source) => Ok(source),
            Value::Floats(tensor) => {
                let name = node.inputs.get(index).copied().unwrap_or("").to_owned();
                let source = self.graph.constant(name.clone(), tensor.as_ref().clone());
                self.values.insert(name, Value::Placed(source));
                Ok(source)
            }
            Value::Integers(_) => Err(problem(node, format!("has integers as input {index}, expected floats"))),
        }
    }

    /// The node's input at `index`, which must be a float constant.
    pub fn floats(&self, node: &Node<'_>, index: usize) -> Result<Arc<Tensor>, OnnxError> {
        let constant = match self.value(node, index)? {
            Value::Floats(tensor) => Some(tensor),
            Value::Placed(source) => self.fact(source).and_then(|fact| fact.constant),
            Value::Integers(_) => None,
        };
        constant.ok_or_else(|| problem(node, format!("has a computed input {index}, expected a float constant")))
    }

    /// The node's input at `index`, which must be an integer constant.
    pub fn integers(&self, node: &Node<'_>, index: usize) -> Result<Vec<i64>, OnnxError> {
        match self.value(node, index)? {
            Value::Integers(integers) => Ok(integers),
            Value::Placed(_) | Value::Floats(_) => Err(problem(
                node,
                format!("has floats or a computed value as input {index}, expected constant integers"),
            )),
        }
    }

    /// A constant that the file does not hold as such (a transposed weight), made once for each name.
    pub fn derived(
        &mut self,
        name: String,
        make: impl FnOnce() -> Result<Tensor, OnnxError>,
    ) -> Result<Source, OnnxError> {
        if let Some(&source) = self.derived.get(&name) {
            return Ok(source);
        }
        let source = self.graph.constant(name.clone(), make()?);
        self.derived.insert(name, source);
        Ok(source)
    }

    /// Counts a use of `elements` constants.
    pub fn charge(&mut self, elements: usize) -> Result<(), OnnxError> {
        self.used_elements = self.used_elements.saturating_add(elements);
        let (found, limit) = (self.used_elements, USED_ELEMENTS_MAX);
        let what = "elements of weights, counted at each use";
        if found > limit { Err(OnnxError::TooMany { what, found, limit }) } else { Ok(()) }
    }

    pub fn fact(&self, source: Source) -> Option<Fact> {
        match source {
            Source::Input(index) => self.graph.inputs.get(index).map(|input| Fact {
                element: input.element,
                shape: input.shape.clone(),
                interval: input.interval,
                constant: None,
                derived: Derived::default(),
            }),
            Source::Constant(index) => self.graph.constants.get(index).map(|constant| Fact {
                element: constant.tensor.element(),
                shape: Shape::fixed(constant.tensor.shape()),
                interval: Interval { low: 0, high: 0 },
                constant: Some(constant.tensor.clone()),
                derived: Derived::default(),
            }),
            Source::Node(index) => self.facts.get(index).cloned(),
        }
    }

    pub fn shape(&self, source: Source) -> Shape {
        self.fact(source).map_or(Shape(Vec::new()), |fact| fact.shape)
    }

    /// Adds an exact node after its own shape rule has accepted it. `name` is the ONNX value that it makes, or a part of it.
    pub fn add(
        &mut self,
        node: &Node<'_>,
        name: &str,
        operator: &'static Operator,
        attributes: Attributes,
        inputs: &[Source],
    ) -> Result<Source, OnnxError> {
        let facts: Vec<Fact> = inputs.iter().filter_map(|&source| self.fact(source)).collect();
        // What loading takes is counted where the whole graph is checked.
        let account = Account::of(u64::MAX);
        let site = Site { attributes: &attributes, inputs: &facts, rows_max: ROWS_MAX, account: &account };
        let form = (operator.shape)(&site).map_err(|cause| OnnxError::Exact { node: describe(node), cause })?;
        self.facts.push(Fact {
            element: form.element,
            shape: form.shape,
            interval: NO_BOUNDS,
            constant: None,
            derived: Derived::default(),
        });
        Ok(self.graph.node(name, operator, attributes, inputs))
    }
}

/// An error about a node.
pub(super) fn problem(node: &Node<'_>, problem: String) -> OnnxError {
    OnnxError::Node { node: describe(node), problem }
}

/// The name of what a node makes.
pub(super) fn output<'a>(node: &Node<'a>) -> &'a str {
    node.outputs.first().copied().unwrap_or("")
}

/// The integer attribute `name`, or its default.
pub(super) fn integer(node: &Node<'_>, name: &str, default: i64) -> Result<i64, OnnxError> {
    match attribute(node, name) {
        None => Ok(default),
        Some(AttributeValue::Integer(value)) => Ok(*value),
        Some(_) => Err(problem(node, format!("has an attribute {name:?} that is not an integer"))),
    }
}

pub(super) fn attribute<'n, 'a>(node: &'n Node<'a>, name: &str) -> Option<&'n AttributeValue<'a>> {
    node.attributes.iter().find(|attribute| attribute.name == name).map(|attribute| &attribute.value)
}

/// An axis counted from the front, where negative ones count from the back.
pub(super) fn axis(node: &Node<'_>, axis: i64, rank: usize) -> Result<usize, OnnxError> {
    let wide = i64::try_from(rank).unwrap_or(i64::MAX);
    let from_front = if axis < 0 { axis.saturating_add(wide) } else { axis };
    usize::try_from(from_front).ok().filter(|&axis| axis < rank).ok_or_else(|| {
        problem(node, format!("has axis {axis}, expected -{rank} to {} for rank {rank}", wide.saturating_sub(1)))
    })
}

fn input_shape<'a>(input: &ValueInfo<'a>, symbol: &mut Option<&'a str>) -> Result<Shape, OnnxError> {
    let stated = input.shape.as_deref().unwrap_or(&[]);
    let refused = || OnnxError::InputShape { input: input.name.to_owned(), found: stated_text(stated) };
    let mut sizes = Vec::with_capacity(stated.len());
    for (index, dimension) in stated.iter().enumerate() {
        match dimension {
            Stated::Fixed(size) => sizes.push(Dimension::Fixed(*size)),
            Stated::Symbol(name) if index == 0 && *symbol.get_or_insert(name) == *name => sizes.push(Dimension::Rows),
            Stated::Symbol(_) => return Err(refused()),
        }
    }
    if input.shape.is_none() { Err(refused()) } else { Ok(Shape(sizes)) }
}

fn agrees(stated: &[Stated<'_>], inferred: &Shape) -> bool {
    stated.len() == inferred.rank()
        && stated.iter().zip(&inferred.0).all(|pair| match pair {
            (Stated::Fixed(stated), Dimension::Fixed(inferred)) => stated == inferred,
            (Stated::Fixed(_), Dimension::Rows) => false,
            (Stated::Symbol(_), _) => true,
        })
}

fn stated_text(stated: &[Stated<'_>]) -> String {
    let words: Vec<String> = stated
        .iter()
        .map(|dimension| match dimension {
            Stated::Fixed(size) => size.to_string(),
            Stated::Symbol(name) => format!("{name:?}"),
        })
        .collect();
    format!("[{}]", words.join(", "))
}
