//! Writes the integer nodes, one ordered node after the other, under the encodings of the plan.

use super::encoding::{self, Encoding, INDEX_HIGH, INDEX_LOW, PerValue};
use super::scale::Factor;
use crate::Attributes;
use crate::float::exp_wide;
use crate::formats::Packed;
use crate::graph::{Checked, Graph, Node, Output, Source};
use crate::onnx::error::CompileError;
use crate::operator::Operator;
use crate::ops;
use crate::tensor::{Element, Tensor};

/// A value of the integer graph and how it is held.
#[derive(Clone, Copy)]
struct Held {
    source: Source,
    encoding: Encoding,
}

struct Emitter<'a> {
    ordered: &'a Checked,
    plan: &'a PerValue<Encoding>,
    graph: Graph,
    held: PerValue<Held>,
}

/// Bits that the operands of a sum have beyond their result.
const SUM_GUARD_BITS: i64 = 8;
/// Greatest bias in units of its accumulator: far from the accumulator's limit, fine enough for any result.
const BIAS_MAX: f64 = 16_777_216.0;
/// Entries and steps per unit of the softmax's table: it reaches e^-16.
const POWERS: i64 = 4096;
const POWERS_PER_UNIT: f64 = 256.0;

pub fn emit(ordered: &Checked, plan: &PerValue<Encoding>) -> Result<Graph, CompileError> {
    let inputs = ordered.graph().inputs.clone();
    let graph = Graph { inputs, ..Graph::default() };
    let held = PerValue { inputs: Vec::new(), nodes: Vec::new() };
    let mut emitter = Emitter { ordered, plan, graph, held };
    for (index, input) in ordered.graph().inputs.iter().enumerate() {
        let held = emitter.quantise_input(index, &input.name)?;
        emitter.held.inputs.push(held);
    }
    for (index, node) in ordered.graph().nodes.iter().enumerate() {
        let target = plan.nodes.get(index).copied().ok_or_else(|| lost(node))?;
        let held = emitter.node(node, target)?;
        emitter.held.nodes.push(held);
    }
    for output in &ordered.graph().outputs {
        emitter.output(output)?;
    }
    Ok(emitter.graph)
}

/// What a broken plan would lead to; the graph's own check has excluded it.
fn lost(node: &Node) -> CompileError {
    CompileError::NoIntegerForm { nodes: format!("{:?} ({})", node.name, node.operator.name) }
}

impl Emitter<'_> {
    fn quantise_input(&mut self, index: usize, name: &str) -> Result<Held, CompileError> {
        let encoding = self.plan.inputs.get(index).copied();
        let exact = encoding.and_then(|encoding| Some((encoding, encoding::fraction(encoding)?)));
        let Some((encoding, fraction)) = exact else {
            return Err(CompileError::NoIntegerForm { nodes: format!("input {name:?}") });
        };
        let attributes = range_attributes(encoding).with("fraction", fraction);
        let source =
            self.graph.node(format!("{name}/quantised"), &ops::quantise::OPERATOR, attributes, &[Source::Input(index)]);
        Ok(Held { source, encoding })
    }

    fn output(&mut self, output: &Output) -> Result<(), CompileError> {
        let lost = || CompileError::NoIntegerForm { nodes: format!("output {:?}", output.name) };
        let held = self.held.get(output.source).copied().ok_or_else(lost)?;
        let held = match encoding::fraction(held.encoding) {
            Some(_) => held,
            None => {
                let magnitude = held.encoding.high.max(-held.encoding.low) as f64 * held.encoding.unit;
                let target = encoding::wide(encoding::Range::symmetric(magnitude));
                self.requantise(&format!("{}/wide", output.name), held, target)?
            }
        };
        let fraction = encoding::fraction(held.encoding).ok_or_else(lost)?;
        let attributes = Attributes::new().with("fraction", fraction);
        let source = self.graph.node(&output.name, &ops::dequantise::OPERATOR, attributes, &[held.source]);
        self.graph.outputs.push(Output { name: output.name.clone(), source });
        Ok(())
    }

    fn node(&mut self, node: &Node, target: Encoding) -> Result<Held, CompileError> {
        match node.operator.name {
            "linear_f32" => self.linear(node, target),
            "relu_f32" | "clip_f32" => {
                let x = self.operand(node, 0)?;
                self.requantise(&node.name, x, target)
            }
            "concat" => self.concat(node, target),
            "reshape" => {
                let x = self.operand(node, 0)?;
                Ok(self.add(&node.name, node.operator, node.attributes.clone(), &[x.source], x.encoding))
            }
            "multiply_f32" => self.multiply(node, target),
            "add_f32" => self.sum(node, target),
            "exp_f32" => self.curve(node, target, exp_wide),
            "sigmoid_f32" => self.curve(node, target, |x| 1.0 / (1.0 + exp_wide(-x))),
            "tanh_f32" => self.curve(node, target, |x| 1.0 - 2.0 / (1.0 + exp_wide(2.0 * x))),
            "softmax_f32" => self.softmax(node, target),
            _ => Err(lost(node)),
        }
    }

    fn add(
        &mut self,
        name: &str,
        operator: &'static Operator,
        attributes: Attributes,
        inputs: &[Source],
        encoding: Encoding,
    ) -> Held {
        Held { source: self.graph.node(name, operator, attributes, inputs), encoding }
    }

    /// The node's input at `index`; a constant is held in i16.
    fn operand(&mut self, node: &Node, index: usize) -> Result<Held, CompileError> {
        let source = node.inputs.get(index).copied().ok_or_else(|| lost(node))?;
        if let Some(held) = self.held.get(source) {
            return Ok(*held);
        }
        let tensor = self.ordered.fact(source).and_then(|fact| fact.constant).ok_or_else(|| lost(node))?;
        let values = tensor.floats().unwrap_or(&[]);
        let most = values.iter().fold(0.0_f64, |most, &value| most.max(f64::from(value).abs()));
        let encoding = encoding::near(encoding::Range::symmetric(most));
        let integers = values.iter().map(|&value| encoding::rounded(value.into(), encoding));
        let held =
            self.constant(node, &format!("{}/{index}", node.name), Element::I16, tensor.shape(), integers.collect())?;
        Ok(Held { source: held, encoding })
    }

    fn constant(
        &mut self,
        node: &Node,
        name: &str,
        element: Element,
        shape: &[usize],
        values: Vec<i64>,
    ) -> Result<Source, CompileError> {
        let tensor = Tensor::of_integers(element, shape, values).ok_or_else(|| lost(node))?;
        Ok(self.graph.constant(name, tensor))
    }

    /// `x` under another encoding; itself where it already is.
    fn requantise(&mut self, name: &str, x: Held, target: Encoding) -> Result<Held, CompileError> {
        if x.encoding == target {
            return Ok(x);
        }
        self.rescale(name, x.source, 0, &[Factor::near(x.encoding.unit / target.unit)], target)
    }

    fn rescale(
        &mut self,
        name: &str,
        x: Source,
        axis: i64,
        factors: &[Factor],
        target: Encoding,
    ) -> Result<Held, CompileError> {
        let refused = || CompileError::NoIntegerForm { nodes: format!("the scale of {name:?}") };
        let multipliers = factors.iter().map(|factor| factor.multiplier);
        let multipliers = Tensor::of_integers(Element::I32, &[factors.len()], multipliers).ok_or_else(refused)?;
        let shifts = factors.iter().map(|factor| factor.shift);
        let shifts = Tensor::of_integers(Element::U8, &[factors.len()], shifts).ok_or_else(refused)?;
        let multipliers = self.graph.constant(format!("{name}/multipliers"), multipliers);
        let shifts = self.graph.constant(format!("{name}/shifts"), shifts);
        let attributes = range_attributes(target).with("axis", axis);
        Ok(self.add(name, &ops::requantise::OPERATOR, attributes, &[x, multipliers, shifts], target))
    }

    /// Each output's weight unit is chosen so that the step from accumulator to result is a small multiplier and a shift
    /// without any error of its own.
    fn linear(&mut self, node: &Node, target: Encoding) -> Result<Held, CompileError> {
        let x = self.operand(node, 0)?;
        let floats = |index: usize| {
            let fact = node.inputs.get(index).and_then(|&source| self.ordered.fact(source));
            fact.and_then(|fact| fact.constant)
        };
        let weights = floats(1).ok_or_else(|| lost(node))?;
        let bias = floats(2);
        let weights = weights.as_packed().ok_or_else(|| lost(node))?;
        let (outputs, columns) = (weights.rows(), weights.columns());
        let values = weights.values();
        let rows = values.chunks_exact(columns.max(1));
        let (mut integers, mut biases, mut factors) = (Vec::new(), Vec::new(), Vec::new());
        for (output, row) in rows.enumerate() {
            let most = row.iter().fold(0.0_f64, |most, &weight| most.max(f64::from(weight).abs()));
            let float = f64::from(bias.as_ref().and_then(|bias| bias.floats()?.get(output).copied()).unwrap_or(0.0));
            // A row of near-zero weights with a bias must not make the bias overflow in its tiny unit.
            let least = (most / 127.0).max(float.abs() / (x.encoding.unit * BIAS_MAX));
            let factor = if least > 0.0 { Factor::above(x.encoding.unit * least / target.unit) } else { Factor::ONE };
            let unit = factor.value() * target.unit / x.encoding.unit;
            let weight = Encoding { element: Element::I8, unit, low: -127, high: 127 };
            integers.extend(row.iter().map(|&value| encoding::rounded(value.into(), weight) as i8));
            biases.push(encoding::rounded(float, accumulator(unit * x.encoding.unit)));
            factors.push(factor);
        }
        let shape = [outputs, columns];
        let packed = Packed::of_integers(&shape, &integers).ok_or_else(|| lost(node))?;
        let weights = self.graph.constant(format!("{}/weights", node.name), Tensor::packed(&shape, packed));
        let bias = self.constant(node, &format!("{}/bias", node.name), Element::I32, &[outputs], biases)?;
        let sums = self.graph.node(
            format!("{}/sums", node.name),
            &ops::linear::OPERATOR,
            Attributes::new(),
            &[x.source, weights, bias],
        );
        let rank =
            node.inputs.first().and_then(|&source| self.ordered.fact(source)).map_or(1, |fact| fact.shape.rank());
        self.rescale(&node.name, sums, rank as i64 - 1, &factors, target)
    }

    fn concat(&mut self, node: &Node, target: Encoding) -> Result<Held, CompileError> {
        let mut sources = Vec::new();
        for index in 0..node.inputs.len() {
            let x = self.operand(node, index)?;
            let same = x.encoding.unit == target.unit && x.encoding.element == target.element;
            let name = format!("{}/{index}", node.name);
            sources.push(if same { x } else { self.requantise(&name, x, target)? }.source);
        }
        Ok(self.add(&node.name, &ops::concat::OPERATOR, node.attributes.clone(), &sources, target))
    }

    fn multiply(&mut self, node: &Node, target: Encoding) -> Result<Held, CompileError> {
        let (left, right) = (self.operand(node, 0)?, self.operand(node, 1)?);
        let encoding = accumulator(left.encoding.unit * right.encoding.unit);
        let name = format!("{}/products", node.name);
        let sources = [left.source, right.source];
        let products = self.add(&name, &ops::multiply::OPERATOR, Attributes::new(), &sources, encoding);
        self.requantise(&node.name, products, target)
    }

    /// Both operands get the same finer unit, so that only the sum is rounded to the result's.
    fn sum(&mut self, node: &Node, target: Encoding) -> Result<Held, CompileError> {
        let fine = 1_i64 << SUM_GUARD_BITS;
        let limit = i64::from(i32::MAX) / 4;
        let encoding = Encoding { element: Element::I32, unit: target.unit / fine as f64, low: -limit, high: limit };
        let mut sources = Vec::new();
        for index in 0..2 {
            let x = self.operand(node, index)?;
            sources.push(self.requantise(&format!("{}/{index}", node.name), x, encoding)?.source);
        }
        let sums = self.add(&format!("{}/sums", node.name), &ops::add::OPERATOR, Attributes::new(), &sources, encoding);
        self.rescale(&node.name, sums.source, 0, &[Factor { multiplier: 1, shift: SUM_GUARD_BITS }], target)
    }

    /// A table of the curve over every index.
    fn curve(&mut self, node: &Node, target: Encoding, curve: impl Fn(f64) -> f64) -> Result<Held, CompileError> {
        let x = self.operand(node, 0)?;
        let index = if x.encoding.low >= INDEX_LOW && x.encoding.high <= INDEX_HIGH {
            x
        } else {
            let magnitude = x.encoding.high.max(-x.encoding.low) as f64 * x.encoding.unit;
            let encoding = encoding::table_index(encoding::Range::symmetric(magnitude));
            self.requantise(&format!("{}/index", node.name), x, encoding)?
        };
        let (first, last) = (index.encoding.low, index.encoding.high);
        let entries = (first..=last).map(|i| encoding::rounded(curve(i as f64 * index.encoding.unit), target));
        let entries: Vec<i64> = entries.collect();
        let table = self.constant(node, &format!("{}/table", node.name), target.element, &[entries.len()], entries)?;
        let attributes = Attributes::new().with("first", first);
        Ok(self.add(&node.name, &ops::lookup::OPERATOR, attributes, &[index.source, table], target))
    }

    fn softmax(&mut self, node: &Node, target: Encoding) -> Result<Held, CompileError> {
        let x = self.operand(node, 0)?;
        let first = f64::from(1_u32 << ops::softmax::FRACTION);
        let entries = (0..POWERS).map(|i| (first * exp_wide(-(i as f64) / POWERS_PER_UNIT)).round_ties_even() as i64);
        let table =
            self.constant(node, &format!("{}/powers", node.name), Element::I16, &[POWERS as usize], entries.collect())?;
        let factor = Factor::near(x.encoding.unit * POWERS_PER_UNIT);
        let attributes = Attributes::new().with("multiplier", factor.multiplier).with("shift", factor.shift);
        Ok(self.add(&node.name, &ops::softmax::OPERATOR, attributes, &[x.source, table], target))
    }
}

/// What sums and products are held in before they are rounded.
fn accumulator(unit: f64) -> Encoding {
    let limit = i64::from(i32::MAX);
    Encoding { element: Element::I32, unit, low: -limit, high: limit }
}

fn range_attributes(encoding: Encoding) -> Attributes {
    Attributes::new()
        .with("element", i64::from(encoding.element.code()))
        .with("low", encoding.low)
        .with("high", encoding.high)
}
