//! From an ONNX file to a program: names become numbers, functions are written out where they are called, and every
//! operator is looked up before anything runs.

use std::{collections::BTreeMap, sync::Arc};

use super::error::OnnxError;
use super::external::OnnxFile;
use super::messages::{self, Content, Function, Graph, Model};
use super::names::list_of;
use crate::program::{
    Array, Attribute, Body, Data, Element, Node, Port, Program, Source, Type,
    machine::{Derived, Operator},
    ops,
};

/// Deepest nesting of functions that call functions.
const CALLS_MAX: usize = 16;
/// Most nodes of a program, functions written out.
pub const NODES_MAX: usize = 1 << 18;

/// The program of an ONNX file of any operator set from 7 on.
pub fn import_program<'a>(file: impl Into<OnnxFile<'a>>) -> Result<Program, OnnxError> {
    let model = messages::read_model(file.into())?;
    check_supported(&model)?;
    let mut build = Build { functions: &model.functions, ..Build::default() };
    let mut scope = Scope::default();
    let mut inputs = Vec::new();
    for (name, array) in &model.graph.initializers {
        let place = Place::Array(array.clone());
        scope.define(name, place)?;
    }
    let mut slots = Vec::new();
    for port in &model.graph.inputs {
        // An input that is also an initializer, a habit of old writers, is the constant.
        if scope.names.contains_key(port.name) {
            continue;
        }
        let kind = port.kind.clone();
        let kind = kind.ok_or(OnnxError::Missing { message: "ValueInfoProto", field: "type" })?;
        inputs.push(Port { name: port.name.to_owned(), kind });
        slots.push(build.define_slot(&mut scope, port.name)?);
    }
    let opsets = &model.opsets;
    let call = Call { opsets, depth: 0, attributes: &BTreeMap::new(), prefix: "" };
    let (mut scopes, mut nodes) = (vec![scope], Vec::new());
    for node in &model.graph.nodes {
        build.node(node, &mut scopes, &call, &mut nodes)?;
    }
    let mut outputs = Vec::new();
    let mut sources = Vec::new();
    for port in &model.graph.outputs {
        let source = build.source(&mut scopes, port.name, || format!("output {:?}", port.name))?;
        sources.push(source);
        // A type that is not stated is that of whatever the run gives.
        let unknown = Type::Tensor { element: Element::F32, shape: None };
        outputs.push(Port { name: port.name.to_owned(), kind: port.kind.clone().unwrap_or(unknown) });
    }
    let body = Body { inputs: slots, nodes, outputs: sources, ..Body::default() };
    let program = Program { inputs, outputs, constants: build.constants, body, slots: build.slots }.released();
    let refused: Vec<String> = program.refusals().iter().map(ToString::to_string).collect();
    if refused.is_empty() { Ok(program) } else { Err(OnnxError::RefusedNodes { nodes: list_of(refused) }) }
}

/// Names every node whose operator is not known, up to a limit, before anything is computed.
fn check_supported(model: &Model<'_>) -> Result<(), OnnxError> {
    let mut unknown = Vec::new();
    unsupported(&model.graph.nodes, model, &model.opsets, &mut unknown);
    for function in &model.functions {
        unsupported(&function.nodes, model, &function.opsets, &mut unknown);
    }
    if unknown.is_empty() { Ok(()) } else { Err(OnnxError::UnsupportedOperators { nodes: list_of(unknown) }) }
}

fn unsupported(
    nodes: &[messages::Node<'_>],
    model: &Model<'_>,
    opsets: &BTreeMap<&str, i64>,
    unknown: &mut Vec<String>,
) {
    for node in nodes {
        let called = find_function(&model.functions, node).is_some();
        if !called && !is_constant(node) && find_operator(node, opsets).is_none() {
            unknown.push(describe(node, opsets));
        }
        for attribute in &node.attributes {
            if let Content::Graph(graph) = &attribute.content {
                unsupported(&graph.nodes, model, opsets, unknown);
            }
        }
    }
}

fn describe(node: &messages::Node<'_>, opsets: &BTreeMap<&str, i64>) -> String {
    let name = if node.name.is_empty() { node.outputs.first().copied().unwrap_or("") } else { node.name };
    let version = opsets.get(node.domain).map_or("none".to_owned(), i64::to_string);
    let domain = if node.domain.is_empty() { "ai.onnx" } else { node.domain };
    format!("{name:?} ({domain}.{}, operator set {version})", node.kind)
}

fn find_function<'a, 'b>(functions: &'b [Function<'a>], node: &messages::Node<'_>) -> Option<&'b Function<'a>> {
    functions.iter().find(|it| it.name == node.kind && it.domain == node.domain && it.overload == node.overload)
}

fn find_operator(node: &messages::Node<'_>, opsets: &BTreeMap<&str, i64>) -> Option<(&'static Operator, u16)> {
    let operator = ops::find(node.domain, node.kind)?;
    let version = operator.version_in(*opsets.get(node.domain)?)?;
    Some((operator, version))
}

fn is_constant(node: &messages::Node<'_>) -> bool {
    node.kind == "Constant" && node.domain.is_empty()
}

/// What a name stands for. Constants get their numbers when something uses them: what nothing uses is left out.
#[derive(Clone)]
enum Place {
    Array(Array),
    Source(Source),
}

#[derive(Default)]
struct Scope<'a> {
    names: BTreeMap<&'a str, Place>,
}

impl<'a> Scope<'a> {
    fn define(&mut self, name: &'a str, place: Place) -> Result<(), OnnxError> {
        match self.names.insert(name, place) {
            None => Ok(()),
            Some(_) => Err(OnnxError::DuplicateName { value: name.to_owned() }),
        }
    }
}

/// Where nodes stand: in the model's graph, or in a function that was called.
struct Call<'c, 'a> {
    opsets: &'c BTreeMap<&'a str, i64>,
    depth: usize,
    /// The attributes that the caller gave, or their defaults.
    attributes: &'c BTreeMap<&'a str, Attribute>,
    /// In front of the names of nodes.
    prefix: &'c str,
}

#[derive(Default)]
struct Build<'m, 'a> {
    functions: &'m [Function<'a>],
    constants: Vec<Arc<Array>>,
    slots: u32,
    count: usize,
}

/// Scopes from the outermost to the innermost.
type Scopes<'a> = Vec<Scope<'a>>;

impl<'m, 'a: 'm> Build<'m, 'a> {
    fn slot(&mut self) -> u32 {
        self.slots += 1;
        self.slots - 1
    }

    fn define_slot(&mut self, scope: &mut Scope<'m>, name: &'m str) -> Result<u32, OnnxError> {
        let slot = self.slot();
        scope.define(name, Place::Source(Source::Slot(slot)))?;
        Ok(slot)
    }

    fn constant(&mut self, array: Array) -> u32 {
        self.constants.push(Arc::new(array));
        (self.constants.len() - 1) as u32
    }

    fn source(&mut self, scopes: &mut Scopes<'m>, name: &str, user: impl Fn() -> String) -> Result<Source, OnnxError> {
        let place = scopes.iter_mut().rev().find_map(|scope| scope.names.get_mut(name));
        match place {
            None => Err(OnnxError::Dangling { user: user(), value: name.to_owned() }),
            Some(Place::Source(source)) => Ok(*source),
            Some(place @ Place::Array(_)) => {
                self.constants.push(Arc::new(match std::mem::replace(place, Place::Source(Source::Nothing)) {
                    Place::Array(array) => array,
                    Place::Source(_) => return Err(OnnxError::Dangling { user: user(), value: name.to_owned() }),
                }));
                let source = Source::Constant((self.constants.len() - 1) as u32);
                *place = Place::Source(source);
                Ok(source)
            }
        }
    }

    fn node(
        &mut self,
        node: &'m messages::Node<'a>,
        scopes: &mut Scopes<'m>,
        call: &Call<'_, 'a>,
        built: &mut Vec<Node>,
    ) -> Result<(), OnnxError> {
        self.count += 1;
        messages::bounded("nodes, functions written out", self.count, NODES_MAX)?;
        if is_constant(node) {
            return self.constant_node(node, scopes, call);
        }
        if let Some(function) = find_function(self.functions, node) {
            return self.call(function, node, scopes, call, built);
        }
        let unknown = || OnnxError::UnsupportedOperators { nodes: describe(node, call.opsets) };
        let (operator, version) = find_operator(node, call.opsets).ok_or_else(unknown)?;
        check_arity(node, operator)?;
        let inputs: Result<Vec<Source>, OnnxError> = node
            .inputs
            .iter()
            .map(|&name| match name {
                "" => Ok(Source::Nothing),
                name => self.source(scopes, name, || describe(node, call.opsets)),
            })
            .collect();
        let inputs = inputs?;
        let attributes = self.attributes(node, operator, scopes, call)?;
        let outputs = self.outputs(&node.outputs, scopes)?;
        let name = if node.name.is_empty() { node.outputs.first().copied().unwrap_or("") } else { node.name };
        let name = format!("{}{name}", call.prefix);
        built.push(Node { name, operator, version, attributes, inputs, outputs, derived: Derived::default() });
        Ok(())
    }

    fn outputs(&mut self, names: &[&'m str], scopes: &mut Scopes<'m>) -> Result<Vec<Option<u32>>, OnnxError> {
        let mut outputs = Vec::new();
        for &name in names {
            let scope = scopes.last_mut().ok_or(OnnxError::Empty { what: "scope" })?;
            outputs.push(if name.is_empty() { None } else { Some(self.define_slot(scope, name)?) });
        }
        Ok(outputs)
    }

    fn attributes(
        &mut self,
        node: &'m messages::Node<'a>,
        operator: &Operator,
        scopes: &mut Scopes<'m>,
        call: &Call<'_, 'a>,
    ) -> Result<BTreeMap<String, Attribute>, OnnxError> {
        let problem = |problem| OnnxError::Node { node: describe(node, call.opsets), problem };
        let mut attributes = BTreeMap::new();
        // Bodies are numbered in the order in which they are written, which is that of their names and not the file's.
        let mut listed: Vec<_> = node.attributes.iter().collect();
        listed.sort_by_key(|attribute| attribute.name);
        for attribute in listed {
            if !operator.attributes.contains(&attribute.name) {
                return Err(problem(format!("has the unknown attribute {:?}", attribute.name)));
            }
            let Some(value) = self.attribute(&attribute.content, scopes, call)? else { continue };
            if attributes.insert(attribute.name.to_owned(), value).is_some() {
                return Err(problem(format!("has the attribute {:?} twice", attribute.name)));
            }
        }
        Ok(attributes)
    }

    /// `None` for a reference to an attribute that the function's caller left out.
    fn attribute(
        &mut self,
        content: &'m Content<'a>,
        scopes: &mut Scopes<'m>,
        call: &Call<'_, 'a>,
    ) -> Result<Option<Attribute>, OnnxError> {
        Ok(Some(match content {
            Content::Float(value) => Attribute::Float(*value),
            Content::Integer(value) => Attribute::Integer(*value),
            Content::Text(value) => Attribute::Text((*value).to_owned()),
            Content::Floats(values) => Attribute::Floats(values.clone()),
            Content::Integers(values) => Attribute::Integers(values.clone()),
            Content::Texts(values) => Attribute::Texts(values.iter().map(|&text| text.into()).collect()),
            Content::Tensor(array) => Attribute::Constant(self.constant(array.clone())),
            Content::Kind(kind) => Attribute::Kind(kind.clone()),
            Content::Graph(graph) => Attribute::Body(self.body(graph, scopes, call)?),
            Content::Tensors => return Err(OnnxError::Refused { what: "a list of tensors as an attribute" }),
            Content::Reference(name) => return Ok(call.attributes.get(name).cloned()),
        }))
    }

    fn body(&mut self, graph: &'m Graph<'a>, scopes: &mut Scopes<'m>, call: &Call<'_, 'a>) -> Result<Body, OnnxError> {
        let mut scope = Scope::default();
        for (name, array) in &graph.initializers {
            scope.define(name, Place::Array(array.clone()))?;
        }
        let mut inputs = Vec::new();
        for port in &graph.inputs {
            inputs.push(self.define_slot(&mut scope, port.name)?);
        }
        scopes.push(scope);
        let mut nodes = Vec::new();
        for node in &graph.nodes {
            self.node(node, scopes, call, &mut nodes)?;
        }
        let mut outputs = Vec::new();
        for port in &graph.outputs {
            outputs.push(self.source(scopes, port.name, || format!("output {:?} of a subgraph", port.name))?);
        }
        scopes.pop();
        Ok(Body { inputs, nodes, outputs, ..Body::default() })
    }

    /// Writes a function's nodes out in place of the node that calls it.
    fn call(
        &mut self,
        function: &'m Function<'a>,
        node: &'m messages::Node<'a>,
        scopes: &mut Scopes<'m>,
        call: &Call<'_, 'a>,
        built: &mut Vec<Node>,
    ) -> Result<(), OnnxError> {
        messages::bounded("levels of functions", call.depth + 1, CALLS_MAX)?;
        let mut attributes = BTreeMap::new();
        for attribute in function.defaults.iter().chain(&node.attributes) {
            if let Some(value) = self.attribute(&attribute.content, scopes, call)? {
                attributes.insert(attribute.name, value);
            }
        }
        let mut scope = Scope::default();
        for (place, &name) in function.inputs.iter().enumerate() {
            let source = match node.inputs.get(place) {
                None | Some(&"") => Source::Nothing,
                Some(given) => self.source(scopes, given, || describe(node, call.opsets))?,
            };
            scope.define(name, Place::Source(source))?;
        }
        let prefix = format!("{}{}/", call.prefix, if node.name.is_empty() { node.kind } else { node.name });
        let inner = Call { opsets: &function.opsets, depth: call.depth + 1, attributes: &attributes, prefix: &prefix };
        let mut own = vec![scope];
        for node in &function.nodes {
            self.node(node, &mut own, &inner, built)?;
        }
        for (&inside, &outside) in function.outputs.iter().zip(&node.outputs) {
            let source = self.source(&mut own, inside, || describe(node, call.opsets))?;
            if !outside.is_empty() {
                let scope = scopes.last_mut().ok_or(OnnxError::Empty { what: "scope" })?;
                scope.define(outside, Place::Source(source))?;
            }
        }
        Ok(())
    }

    /// A `Constant` node is a constant; nothing runs.
    fn constant_node(
        &mut self,
        node: &'m messages::Node<'a>,
        scopes: &mut Scopes<'m>,
        call: &Call<'_, 'a>,
    ) -> Result<(), OnnxError> {
        let problem =
            |problem: &str| OnnxError::Node { node: describe(node, call.opsets), problem: problem.to_owned() };
        let [attribute] = node.attributes.as_slice() else { return Err(problem("needs exactly one attribute")) };
        let [output] = node.outputs.as_slice() else { return Err(problem("needs exactly one output")) };
        let array = match &attribute.content {
            Content::Tensor(array) => Some(array.clone()),
            Content::Reference(name) => match call.attributes.get(name) {
                Some(Attribute::Constant(index)) => {
                    let source = Place::Source(Source::Constant(*index));
                    let scope = scopes.last_mut().ok_or(OnnxError::Empty { what: "scope" })?;
                    return scope.define(output, source);
                }
                Some(other) => constant_of(other),
                None => None,
            },
            other => self.attribute(other, scopes, call)?.as_ref().and_then(constant_of),
        };
        let array = array.ok_or_else(|| problem("has no content that is a constant"))?;
        let scope = scopes.last_mut().ok_or(OnnxError::Empty { what: "scope" })?;
        scope.define(output, Place::Array(array))
    }
}

/// `value_float`, `value_ints` and so on, as tensors.
fn constant_of(attribute: &Attribute) -> Option<Array> {
    match attribute {
        Attribute::Float(value) => Array::new(Element::F32, &[], Data::F32(vec![*value])),
        Attribute::Integer(value) => Array::new(Element::I64, &[], Data::I64(vec![*value])),
        Attribute::Text(value) => Array::new(Element::Text, &[], Data::Text(vec![value.as_str().into()])),
        Attribute::Floats(values) => Array::new(Element::F32, &[values.len()], Data::F32(values.clone())),
        Attribute::Integers(values) => Array::new(Element::I64, &[values.len()], Data::I64(values.clone())),
        Attribute::Texts(values) => Array::new(Element::Text, &[values.len()], Data::Text(values.clone())),
        Attribute::Constant(_) | Attribute::Body(_) | Attribute::Kind(_) => None,
    }
}

fn check_arity(node: &messages::Node<'_>, operator: &Operator) -> Result<(), OnnxError> {
    for (what, found, (low, high)) in
        [("inputs", node.inputs.len(), operator.inputs), ("outputs", node.outputs.len(), operator.outputs)]
    {
        if found < low || found > high {
            let problem = format!("has {found} {what}, expected {low} to {high}");
            return Err(OnnxError::Node { node: format!("{:?} ({})", node.name, node.kind), problem });
        }
    }
    Ok(())
}
