//! The sums in front of a cell's gates: what the input and the state come to, and the tables of activations.

use super::super::emit::{Emitter, Held, range, refuse};
use super::super::encoding::most;
use super::{Sizes, constant, given, symmetric};
use crate::graph::Source;
use crate::onnx::error::CompileError;
use crate::onnx::integer::encoding::{Encoding, rounded};
use crate::onnx::integer::scale::Factor;
use crate::ops::quantise::power_of_two;
use crate::program::Node;
use crate::program::recurrent::{Activation, activations};
use crate::shape::Dimension;
use crate::tensor::{Element, Tensor};
use crate::{Attributes, Packed, ops};

/// Sums of gates, in units of 2^-16.
pub const SUM: Encoding = symmetric(Element::I32, 1.0 / 65_536.0, 1 << 29);
/// Sums that a gate multiplies, in units of 2^-11.
pub const WEIGHED: Encoding = symmetric(Element::I16, 1.0 / 2_048.0, 32_767);
/// The index of an activation's table: to ± 16 in units of 2^-10.
pub const INDEX: Encoding = symmetric(Element::I16, 1.0 / 1_024.0, 16_383);
/// What a table gives, in units of 2^-15.
pub const GATE: Encoding = symmetric(Element::I16, 1.0 / 32_768.0, 32_767);
/// The same in units of 2^-13, for what multiplies a cell.
pub const COARSE: Encoding = symmetric(Element::I16, 1.0 / 8_192.0, 8_192);
/// No sum passes 2^30, of which a bias may take an eighth, and a quarter more where the input has finer units.
const SUM_MAX: f64 = 805_306_368.0;
const BIAS_MAX: f64 = 134_217_728.0;

/// A kind of cell.
pub trait Cell {
    const GATES: usize;
    const ACTIVATIONS: &'static [&'static str];
    /// How many states a step hands on.
    const STATES: usize;
    const VARIANT: Option<&'static str>;
    /// Whether the last gate weighs the state apart from the others.
    const WEIGHS_LAST: bool;
    /// The next states, `[batch, hidden]`; `x` is the input's part of all gates, a state that is `None` is 0.
    fn step(emitter: &mut Emitter, gates: &Gates, name: &str, x: &Held, last: &[Option<Held>]) -> Vec<Held>;
}

/// Weights of 8 bits with a unit for each row.
struct Matrix {
    rows: Vec<Vec<f64>>,
    bias: Vec<f64>,
    units: Vec<f64>,
}

impl Matrix {
    fn new(rows: Vec<Vec<f64>>, bias: Vec<f64>, x_most: f64) -> Self {
        let unit = |(row, bias): (&Vec<f64>, &f64)| {
            let most = row.iter().fold(0.0_f64, |most, weight| most.max(weight.abs()));
            // Where a bias is far greater than what is weighed, the weights' unit makes room for it.
            let unit = (most / 127.0).max(bias.abs() / x_most * 32_767.0 / BIAS_MAX);
            if unit > 0.0 { unit } else { 1.0 }
        };
        let units = rows.iter().zip(&bias).map(unit).collect();
        Self { rows, bias, units }
    }

    fn integers(&self) -> Vec<i8> {
        let row = |(row, &unit): (&Vec<f64>, &f64)| {
            let weight = symmetric(Element::I8, unit, 127);
            row.iter().map(|&value| rounded(value, weight) as i8).collect::<Vec<i8>>()
        };
        self.rows.iter().zip(&self.units).flat_map(row).collect()
    }

    /// The greatest integer that what is weighed may hold.
    fn most(&self) -> i64 {
        let columns = self.rows.first().map_or(1, Vec::len).max(1);
        let sum = |row: &[i8]| row.iter().map(|weight| f64::from(weight.unsigned_abs())).sum::<f64>();
        let worst = self.integers().chunks(columns).map(sum).fold(1.0, f64::max);
        (SUM_MAX / worst).min(32_767.0).floor() as i64
    }

    /// `x · rows + bias` in the units of a target.
    fn weigh(&self, emitter: &mut Emitter, name: &str, x: &Held, target: Encoding) -> Option<Held> {
        let shape = [self.rows.len(), self.rows.first()?.len()];
        let known = emitter.graph.constants.iter().position(|constant| constant.name == format!("{name}/weights"));
        let mut inputs = vec![x.source];
        if let Some(first) = known {
            inputs.extend([Source::Constant(first), Source::Constant(first + 1)]);
            return Some(self.scaled(emitter, name, x, target, &inputs, Some(first + 2)));
        }
        let packed = Packed::of_integers(&shape, &self.integers())?;
        inputs.push(emitter.graph.constant(format!("{name}/weights"), Tensor::packed(&shape, packed)));
        let bias = |(bias, unit): (&f64, &f64)| (bias / (unit * x.encoding.unit)).round_ties_even() as i64;
        let bias = self.bias.iter().zip(&self.units).map(bias).collect();
        inputs.push(emitter.constant(&format!("{name}/bias"), Element::I32, &[shape[0]], bias));
        Some(self.scaled(emitter, name, x, target, &inputs, None))
    }

    fn scaled(
        &self,
        emitter: &mut Emitter,
        name: &str,
        x: &Held,
        target: Encoding,
        inputs: &[Source],
        known: Option<usize>,
    ) -> Held {
        let count = self.rows.len();
        let scales = known.map_or_else(
            || {
                let factors: Vec<Factor> =
                    self.units.iter().map(|unit| Factor::near(unit * x.encoding.unit / target.unit)).collect();
                let multipliers = factors.iter().map(|factor| factor.multiplier).collect();
                let shifts = factors.iter().map(|factor| factor.shift).collect();
                [
                    emitter.constant(&format!("{name}/multipliers"), Element::I32, &[count], multipliers),
                    emitter.constant(&format!("{name}/shifts"), Element::U8, &[count], shifts),
                ]
            },
            |first| [Source::Constant(first), Source::Constant(first + 1)],
        );
        let sums = emitter.add(&format!("{name}/sums"), &ops::linear::OPERATOR, Attributes::new(), inputs);
        let attributes = range(target).with("axis", x.shape.rank() as i64 - 1);
        let source = emitter.add(name, &ops::requantise::OPERATOR, attributes, &[sums, scales[0], scales[1]]);
        let mut shape = x.shape.clone();
        if let Some(last) = shape.0.last_mut() {
            *last = Dimension::Fixed(count);
        }
        Held { source, encoding: target, shape, last: false }
    }
}

/// One direction's weights and activations.
pub struct Gates {
    pub hidden: usize,
    input: Matrix,
    x_most: f64,
    /// Of some gates each: all, or, of a GRU, the first two and the last.
    states: Vec<Matrix>,
    activations: Vec<Activation>,
    clip: Option<f64>,
    /// `linear_before_reset` of a GRU, `input_forget` of an LSTM.
    pub variant: bool,
    /// How a state is held.
    pub state: Encoding,
}

impl Gates {
    pub fn read<C: Cell>(
        emitter: &Emitter,
        node: &Node,
        sizes: &Sizes,
        direction: usize,
    ) -> Result<Self, CompileError> {
        let all = C::GATES * sizes.hidden;
        let rows = |index: usize, columns: usize| -> Result<Vec<Vec<f64>>, CompileError> {
            let (_, values) = constant(emitter, node, index)?;
            let own = values.get(direction * all * columns..(direction + 1) * all * columns);
            let own = own.filter(|_| columns > 0).ok_or_else(|| refuse(node, "has weights of another size"))?;
            Ok(own.chunks_exact(columns).map(|row| row.iter().map(|&weight| weight.into()).collect()).collect())
        };
        let biases = match given(node, 3) {
            Some(_) => constant(emitter, node, 3)?.1,
            None => vec![0.0; 2 * all * sizes.directions],
        };
        let biases = biases.get(direction * 2 * all..(direction + 1) * 2 * all);
        let biases = biases.ok_or_else(|| refuse(node, "has biases of another size"))?;
        let (of_input, of_state) = biases.split_at(all);
        let variant = C::VARIANT.is_some_and(|name| node.flag(name, false).unwrap_or(false));
        // What a GRU's reset gate multiplies keeps the bias of its own.
        let apart = if C::WEIGHS_LAST && variant { all - sizes.hidden } else { all };
        let both = |unit: usize| if unit < apart { of_input[unit] + of_state[unit] } else { of_input[unit] };
        let slot = node.inputs.first().and_then(|&source| emitter.net.live(source));
        let x_most = slot.and_then(|slot| emitter.net.seen(slot)).map_or(1.0, most) * 1.25;
        let input = Matrix::new(rows(1, sizes.inputs)?, (0..all).map(|unit| both(unit).into()).collect(), x_most);
        let recurrent = rows(2, sizes.hidden)?;
        let cuts: &[usize] = if C::WEIGHS_LAST { &[0, 2, 3] } else { &[0, C::GATES] };
        let part = |cut: &[usize]| {
            let span = cut[0] * sizes.hidden..cut[1] * sizes.hidden;
            let bias = |unit: usize| if unit < apart { 0.0 } else { of_state[unit].into() };
            Matrix::new(recurrent[span.clone()].to_vec(), span.map(bias).collect(), 1.0)
        };
        let states: Vec<Matrix> = cuts.windows(2).map(part).collect();
        let limit = states.iter().map(Matrix::most).min().unwrap_or(1).max(1);
        let found = activations(node, C::ACTIVATIONS, sizes.directions);
        let found = found.map_err(|problem| refuse(node, problem.to_string()))?;
        let own = found[direction * C::ACTIVATIONS.len()..][..C::ACTIVATIONS.len()].to_vec();
        if let Some(open) = own.iter().find(|activation| !activation.is_bounded()) {
            return Err(refuse(node, format!("has the activation {}, which has no greatest value", open.describe())));
        }
        let clip = node.float_or_none("clip").ok().flatten().map(f64::from);
        let state = symmetric(Element::I16, 1.0 / limit as f64, limit);
        Ok(Self { hidden: sizes.hidden, input, x_most, states, activations: own, clip, variant, state })
    }

    /// The input's part of all gates, of all steps at once.
    pub fn of_input(&self, emitter: &mut Emitter, node: &Node, name: &str, x: &Held) -> Result<Held, CompileError> {
        let limit = self.input.most();
        let target = symmetric(Element::I16, self.x_most / limit as f64, limit);
        let fits = matches!(x.encoding.element, Element::I8 | Element::U8 | Element::I16)
            && x.encoding.high <= limit
            && x.encoding.low >= -limit;
        let x = if fits { x.clone() } else { emitter.requantise(&format!("{name}/sequence"), x, target) };
        let sums = self.input.weigh(emitter, &format!("{name}/input"), &x, SUM);
        sums.ok_or_else(|| refuse(node, "has no weights"))
    }

    /// The state's part of some gates.
    pub fn of_state(&self, emitter: &mut Emitter, name: &str, part: usize, h: &Held, target: Encoding) -> Held {
        // The name of a step without its number: its constants are those of all.
        let own = format!("{}/state {part}", name.rsplit_once('/').map_or(name, |(front, _)| front));
        self.states[part].weigh(emitter, &own, h, target).unwrap_or_else(|| h.clone())
    }

    /// The bias of what a reset gate multiplies, where the state is 0.
    pub fn bias_alone(&self, emitter: &mut Emitter, name: &str, part: usize) -> Held {
        let values = self.states[part].bias.iter().map(|&bias| rounded(bias, WEIGHED)).collect();
        let source = emitter.constant(&format!("{name}/bias alone"), Element::I16, &[self.hidden], values);
        Held { source, encoding: WEIGHED, shape: crate::shape::Shape::fixed(&[self.hidden]), last: false }
    }

    /// An activation of sums, in the units of a target; `complement` is 1 less it.
    pub fn activate(
        &self,
        emitter: &mut Emitter,
        name: &str,
        which: usize,
        x: &Held,
        (target, complement): (Encoding, bool),
    ) -> Held {
        let activation = &self.activations[which];
        let x = if x.encoding == INDEX { x.clone() } else { emitter.requantise(&format!("{name}/index"), x, INDEX) };
        // One table for all cells that have the same activation.
        let less = if complement { "1 less " } else { "" };
        let clip = self.clip.map_or(String::new(), |clip| format!(" within {clip}"));
        let word = format!("{less}{} in {}{clip}", activation.describe(), target.high);
        let known = emitter.graph.constants.iter().position(|constant| constant.name == word);
        let table = known.map(Source::Constant).unwrap_or_else(|| {
            let value = |place: i64| {
                let x = place as f64 * INDEX.unit;
                let x = self.clip.map_or(x, |clip| x.max(-clip).min(clip));
                let y = activation.apply(x);
                rounded(if complement { 1.0 - y } else { y }, target)
            };
            let entries: Vec<i64> = (INDEX.low..=INDEX.high).map(value).collect();
            emitter.constant(&word, Element::I16, &[entries.len()], entries)
        });
        let attributes = Attributes::new().with("first", INDEX.low);
        let source = emitter.add(name, &ops::lookup::OPERATOR, attributes, &[x.source, table]);
        Held { source, encoding: target, ..x }
    }
}

/// Two values times each other; the product fits 32 bits.
pub fn product(emitter: &mut Emitter, name: &str, one: &Held, other: &Held) -> Held {
    let limit = one.encoding.high * other.encoding.high;
    let unit = one.encoding.unit * other.encoding.unit;
    let source = emitter.add(name, &ops::multiply::OPERATOR, Attributes::new(), &[one.source, other.source]);
    Held { source, encoding: symmetric(Element::I32, unit, limit), ..one.clone() }
}

/// The sum of two values of different units in a third.
pub fn sum(emitter: &mut Emitter, name: &str, one: &Held, other: &Held, target: Encoding) -> Held {
    let ratios = [one, other].map(|held| held.encoding.unit / target.unit);
    let mut shift = 0;
    while shift < 40 && ratios[0].max(ratios[1]) * power_of_two(shift + 1) <= 16_383.0 {
        shift += 1;
    }
    let factor = |ratio: f64| (ratio * power_of_two(shift)).round_ties_even() as i64;
    let attributes =
        range(target).with("left", factor(ratios[0])).with("right", factor(ratios[1])).with("shift", shift);
    let source = emitter.add(name, &ops::add_scaled::OPERATOR, attributes, &[one.source, other.source]);
    Held { source, encoding: target, ..one.clone() }
}

/// A gate's columns.
pub fn gate(emitter: &mut Emitter, name: &str, x: &Held, which: usize, hidden: usize) -> Held {
    let attributes = Attributes::new().with("axis", 1).with("start", (which * hidden) as i64);
    let attributes = attributes.with("step", 1).with("count", hidden as i64);
    let source = emitter.add(&format!("{name}/gate {which}"), &ops::slice::OPERATOR, attributes, &[x.source]);
    let mut shape = x.shape.clone();
    if let Some(last) = shape.0.last_mut() {
        *last = Dimension::Fixed(hidden);
    }
    Held { source, shape, ..x.clone() }
}
