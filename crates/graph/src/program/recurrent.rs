//! What RNN, GRU and LSTM share: directions, layouts, sequence lengths, gates and activations.
//!
//! A gate is `((x·W chain by fma from +0) + (h·R chain by fma from +0)) + (Wb + Rb)`, clipped, then activated.

use std::borrow::Cow;
use std::sync::Arc;

use super::array::Array;
use super::crew::Crew;
use super::machine::Context;
use super::machine::Node;
use super::machine::Source;
use super::machine::{Inputs, Outcome};
use super::math;
use super::problem::Problem;
use super::real::{Real, chains, precision};
use super::value::Value;

/// An activation with its constants.
#[derive(Clone, Debug)]
pub struct Activation {
    name: String,
    alpha: f32,
    beta: f32,
}

impl Activation {
    /// Its name and constants.
    pub fn describe(&self) -> String {
        format!("{} {} {}", self.name, self.alpha, self.beta)
    }

    /// Whether it stays between -1 and 1, and is there but for 2^-22 where its argument is beyond 16.
    pub fn is_bounded(&self) -> bool {
        matches!(self.name.as_str(), "sigmoid" | "tanh" | "hardsigmoid")
    }

    pub fn apply<T: Real>(&self, x: T) -> T {
        let (alpha, beta) = (T::of(self.alpha.into()), T::of(self.beta.into()));
        let positive = |x: T| if x > T::ZERO { x } else { T::ZERO };
        match self.name.as_str() {
            "sigmoid" => x.sigmoid(),
            "relu" => positive(x),
            "affine" => alpha * x + beta,
            "leakyrelu" => {
                if x < T::ZERO {
                    alpha * x
                } else {
                    x
                }
            }
            "thresholdedrelu" => {
                if x > alpha {
                    x
                } else {
                    T::ZERO
                }
            }
            "scaledtanh" => alpha * (beta * x).tanh(),
            "hardsigmoid" => positive(alpha * x + beta).lesser(T::ONE),
            "elu" => {
                if x < T::ZERO {
                    alpha * (x.exp() - T::ONE)
                } else {
                    x
                }
            }
            "softsign" => x / (T::ONE + x.magnitude()),
            "softplus" => {
                x.by(|x| if x > 0.0 { x + math::ln_one_more(math::exp(-x)) } else { math::ln_one_more(math::exp(x)) })
            }
            _ => x.tanh(),
        }
    }
}

const KNOWN: [(&str, f32, f32); 11] = [
    ("tanh", 0.0, 0.0),
    ("sigmoid", 0.0, 0.0),
    ("relu", 0.0, 0.0),
    ("affine", 1.0, 0.0),
    ("leakyrelu", 0.01, 0.0),
    ("thresholdedrelu", 1.0, 0.0),
    ("scaledtanh", 1.0, 1.0),
    ("hardsigmoid", 0.2, 0.5),
    ("elu", 1.0, 0.0),
    ("softsign", 0.0, 0.0),
    ("softplus", 0.0, 0.0),
];

/// The activations of all directions, `each` of them a direction; `usual` where none are stated.
pub fn activations(node: &Node, usual: &[&str], directions: usize) -> Result<Vec<Activation>, Problem> {
    let expected =
        Problem::Attribute { name: "activations", expected: "known activations, as many as there are gates" };
    let names: Vec<String> = match node.texts("activations")? {
        Some(names) => names.iter().map(|name| name.to_lowercase()).collect(),
        None => usual.iter().cycle().take(usual.len() * directions).map(|&name| name.to_owned()).collect(),
    };
    if names.len() != usual.len() * directions {
        return Err(expected);
    }
    let constants = |name| node.floats(name).map(|list| list.unwrap_or(&[]).iter().copied());
    let (mut alphas, mut betas) = (constants("activation_alpha")?, constants("activation_beta")?);
    names
        .into_iter()
        .map(|name| {
            let &(_, alpha, beta) = KNOWN.iter().find(|known| known.0 == name).ok_or_else(|| expected.clone())?;
            // Constants stand in the order of the activations that have any.
            let takes_alpha = alpha != 0.0;
            let takes_beta = matches!(name.as_str(), "affine" | "scaledtanh" | "hardsigmoid");
            let alpha = if takes_alpha { alphas.next().unwrap_or(alpha) } else { alpha };
            let beta = if takes_beta { betas.next().unwrap_or(beta) } else { beta };
            Ok(Activation { name, alpha, beta })
        })
        .collect()
}

/// What one direction's cell computes with.
pub struct Weights<'a, T> {
    pub hidden: usize,
    pub inputs: usize,
    /// `[gates · hidden, inputs]`.
    pub w: &'a [T],
    /// `[gates · hidden, hidden]`.
    pub r: &'a [T],
    /// Wb of all gates, then Rb; or nothing.
    pub bias: &'a [T],
    /// The peepholes of an LSTM, or nothing.
    pub peepholes: &'a [T],
    pub activations: &'a [Activation],
    pub clip: Option<T>,
    /// `linear_before_reset` of a GRU, `input_forget` of an LSTM.
    pub variant: bool,
    pub(crate) turned: Option<&'a Lines>,
    pub(crate) by: Option<Chains>,
    pub(crate) crew: &'a dyn Crew,
}

/// Who computes the chains of binary32: their bits are those of [`chains`].
#[derive(Clone, Copy)]
pub struct Chains {
    /// The weights of some outputs, each a line of so many, in the order in which `run` likes to read them.
    pub turn: fn(&[f32], usize) -> Vec<f32>,
    pub run: Multiply,
    /// The same of weights that were not turned, for calls that are too short for it.
    pub plain: Multiply,
}

/// `(hands, (weights, x), outputs)`.
type Multiply = fn(&dyn Crew, (&[f32], &[f32]), &mut [f32]);

/// One direction's weights, turned.
pub(crate) struct Lines {
    w: Vec<f32>,
    /// Of each group of gates.
    r: Vec<Vec<f32>>,
}

impl Lines {
    fn turn<C: Cell>(by: Chains, (w, r): (&[f32], &[f32]), inputs: usize, hidden: usize) -> Self {
        let group = |&(from, to): &(usize, usize)| {
            let line = hidden * hidden;
            (by.turn)(r.get(from * line..to * line).unwrap_or(&[]), hidden)
        };
        Self { w: (by.turn)(w, inputs), r: C::GROUPS.iter().map(group).collect() }
    }
}

impl<T: Real> Weights<'_, T> {
    /// The input's part of all gates.
    fn of_input(&self, x: &[T]) -> Vec<T> {
        let mut sums = vec![T::ZERO; self.r.len().checked_div(self.hidden).unwrap_or(0)];
        self.chains(self.turned.map(|lines| &lines.w), self.w, x, &mut sums);
        sums
    }

    /// The state's part of a group of gates.
    pub fn of_state<C: Cell>(&self, group: usize, h: &[T]) -> Vec<T> {
        let (from, to) = C::GROUPS[group];
        let mut sums = vec![T::ZERO; (to - from) * self.hidden];
        let line = self.hidden * self.hidden;
        let turned = self.turned.map(|lines| &lines.r[group]);
        self.chains(turned, &self.r[from * line..to * line], h, &mut sums);
        sums
    }

    fn chains(&self, turned: Option<&Vec<f32>>, weights: &[T], x: &[T], sums: &mut [T]) {
        let singles = T::singles(weights).zip(T::singles(x));
        match (self.by, singles, turned) {
            (Some(by), Some((_, x)), Some(turned)) => self.by_singles(by.run, (turned, x), sums),
            (Some(by), Some((weights, x)), None) => self.by_singles(by.plain, (weights, x), sums),
            _ => chains(weights, x, sums),
        }
    }

    /// Computes sums that are binary32.
    fn by_singles(&self, run: Multiply, factors: (&[f32], &[f32]), sums: &mut [T]) {
        if let Some(sums) = T::singles_mut(sums) {
            run(self.crew, factors, sums);
        }
    }

    pub fn bias_of_input(&self, gate: usize, unit: usize) -> T {
        self.bias.get(gate * self.hidden + unit).copied().unwrap_or(T::ZERO)
    }

    pub fn bias_of_state(&self, gate: usize, unit: usize) -> T {
        self.bias.get(self.bias.len() / 2 + gate * self.hidden + unit).copied().unwrap_or(T::ZERO)
    }

    pub fn clipped(&self, value: T) -> T {
        match self.clip {
            Some(clip) if value > clip => clip,
            Some(clip) if value < -clip => -clip,
            _ => value,
        }
    }

    /// A gate before its activation, from the parts of input and state.
    pub fn gate(&self, gate: usize, unit: usize, of_input: T, of_state: T) -> T {
        (of_input + of_state) + (self.bias_of_input(gate, unit) + self.bias_of_state(gate, unit))
    }

    pub fn activate(&self, which: usize, value: T) -> T {
        self.activations[which].apply(self.clipped(value))
    }
}

/// A kind of cell.
pub trait Cell {
    const GATES: usize;
    const ACTIVATIONS: &'static [&'static str];
    /// The gates whose parts of the state are computed together: from, to.
    const GROUPS: &'static [(usize, usize)];
    /// Whether there is a second state (an LSTM's cell).
    const HAS_CELL: bool;
    /// The attribute that changes the cell, if there is one.
    const VARIANT: Option<&'static str>;
    /// The next state, and the next second state in place; `x` is the input's part of all gates.
    fn step<T: Real>(weights: &Weights<'_, T>, x: &[T], h: &[T], c: &mut [T]) -> Vec<T>;
}

/// All sizes of a call, checked.
struct Sizes {
    steps: usize,
    batch: usize,
    inputs: usize,
    hidden: usize,
    gates: usize,
    directions: usize,
    batch_first: bool,
}

/// What no input is needed for to refuse it.
pub fn check<C: Cell>(node: &Node, _: &Context) -> Result<(), Problem> {
    let directions = if node.text("direction", "forward")? == "bidirectional" { 2 } else { 1 };
    activations(node, C::ACTIVATIONS, directions).map(|_| ())
}

/// Runs a recurrent operator: outputs Y, Y_h and, where there is one, Y_c.
pub fn run<C: Cell>(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    run_by::<C>(node, inputs, context, None)
}

/// Like `run`, the chains of binary32 computed by another.
pub fn run_by<C: Cell>(node: &Node, inputs: &Inputs, context: &mut Context, by: Option<Chains>) -> Outcome {
    let x = inputs.tensor(0)?;
    let sizes = sizes::<C>(node, inputs)?;
    let element = x.element();
    let states = sizes.directions * sizes.batch * sizes.hidden;
    let work = (sizes.steps * sizes.directions * sizes.batch) as u64;
    context.spend(work.saturating_mul((C::GATES * sizes.hidden * (sizes.hidden + sizes.inputs)) as u64))?;
    let (y_shape, h_shape) = sizes.shapes();
    context.room(&y_shape, element)?;
    (0..1 + usize::from(C::HAS_CELL)).try_for_each(|_| context.room(&h_shape, element).map(|_| ()))?;
    context.bytes(sizes.others())?;
    let lengths = lengths(inputs, &sizes)?;
    let activations = activations(node, C::ACTIVATIONS, sizes.directions)?;
    let variant = C::VARIANT.map_or(Ok(false), |name| node.flag(name, false))?;
    precision!(element, T => {
        let of = |input: usize| -> Result<Cow<'_, [T]>, Problem> {
            match inputs.tensor_or_none(input)? {
                Some(array) => T::read(array).ok_or_else(|| inputs.element(input, "the floats of input 0")),
                None => Ok(Cow::Borrowed(&[])),
            }
        };
        let (values, w, r, bias) = (of(0)?, of(1)?, of(2)?, of(3)?);
        let start = |input: usize| -> Result<Vec<T>, Problem> {
            let given = of(input)?;
            Ok(if given.is_empty() { vec![T::ZERO; states] } else { given.into_owned() })
        };
        let (mut h, mut c) = (start(5)?, if C::HAS_CELL { start(6)? } else { Vec::new() });
        let peepholes = if C::HAS_CELL { of(7)? } else { Cow::Borrowed(&[][..]) };
        let clip = node.float_or_none("clip")?.map(|clip| T::of(clip.into()));
        let reverse = node.text("direction", "forward")? == "reverse";
        let crew = context.crew();
        let turned = by.and_then(|by| turned::<C>(node, by, (T::singles(&w)?, T::singles(&r)?), &sizes));
        let of_direction = |direction: usize| Weights {
            hidden: sizes.hidden,
            inputs: sizes.inputs,
            w: part(&w, direction, sizes.directions),
            r: part(&r, direction, sizes.directions),
            bias: part(&bias, direction, sizes.directions),
            peepholes: part(&peepholes, direction, sizes.directions),
            activations: &activations[direction * C::ACTIVATIONS.len()..],
            clip,
            variant,
            turned: turned.as_ref().and_then(|lines| lines.get(direction)),
            by,
            crew,
        };
        let weights: Vec<Weights<'_, T>> = (0..sizes.directions).map(of_direction).collect();
        let mut all = vec![T::ZERO; y_shape.iter().product()];
        let way = |lane: usize| {
            let (direction, batch) = sizes.lane(lane);
            Way { direction, batch, length: lengths[batch], backward: direction == 1 || reverse }
        };
        let mut lanes = lanes(&sizes, (&mut all, &mut h, &mut c), way);
        let each = sizes.work::<C>().saturating_mul(sizes.steps);
        crew.rows(&mut lanes, 1, each, |_, lanes| {
            lanes.iter_mut().for_each(|lane| along::<C, T>(&weights[lane.way.direction], &sizes, &values, lane));
        });
        drop(lanes);
        let y = sizes.sorted(all);
        let mut outputs: Vec<Value> =
            vec![T::write(element, &y_shape, y)?.into(), T::write(element, &h_shape, h)?.into()];
        if C::HAS_CELL {
            outputs.push(T::write(element, &h_shape, c)?.into());
        }
        Ok(outputs)
    }, else => Err(inputs.element(0, "floats")))
}

/// One sequence of a batch in one direction.
struct Way {
    direction: usize,
    batch: usize,
    length: usize,
    backward: bool,
}

/// Where the states of a lane are written: all of them by their steps, and the last ones, which begin as the first.
struct Lane<'a, T> {
    way: Way,
    all: &'a mut [T],
    h: &'a mut [T],
    c: &'a mut [T],
}

/// The lanes in the order in which their last states lie.
fn lanes<'a, T>(
    sizes: &Sizes,
    (all, h, c): (&'a mut [T], &'a mut [T], &'a mut [T]),
    way: impl Fn(usize) -> Way,
) -> Vec<Lane<'a, T>> {
    let (states, mut cells) = (sizes.hidden.max(1), c.chunks_mut(sizes.hidden.max(1)));
    // Without any step there is nothing to do.
    let lanes = all.chunks_mut((sizes.steps * sizes.hidden).max(1)).zip(h.chunks_mut(states)).enumerate();
    lanes.map(|(lane, (all, h))| Lane { way: way(lane), all, h, c: cells.next().unwrap_or_default() }).collect()
}

/// Runs one lane, step after step.
fn along<C: Cell, T: Real>(weights: &Weights<'_, T>, sizes: &Sizes, values: &[T], lane: &mut Lane<'_, T>) {
    let way = &lane.way;
    for step in weights.crew.watched(0..way.length, sizes.work::<C>()) {
        let at = if way.backward { way.length - 1 - step } else { step };
        let x = &values[sizes.input(at, way.batch)..][..sizes.inputs];
        lane.h.copy_from_slice(&C::step(weights, &weights.of_input(x), lane.h, lane.c));
        lane.all[at * sizes.hidden..][..sizes.hidden].copy_from_slice(lane.h);
    }
}

/// Units whose weights lie side by side where they are turned, those that the last panel lacks as zeros: for whoever turns them, on any machine,
/// as what is kept turned is counted by it.
pub const PANEL: usize = 64;
/// So many numbers may always be kept turned.
const TURNED_LITTLE: usize = 1 << 18;
/// Bytes of a lane's place in the list of them.
const LANE_BYTES: u64 = 128;

/// The turned weights of all directions; those that are constants of the program are turned once, for all nodes that share them.
fn turned<C: Cell>(node: &Node, by: Chains, (w, r): (&[f32], &[f32]), sizes: &Sizes) -> Option<Arc<Vec<Lines>>> {
    let all = || -> Vec<Lines> {
        let direction = |direction: usize| {
            let own = (part(w, direction, sizes.directions), part(r, direction, sizes.directions));
            Lines::turn::<C>(by, own, sizes.inputs, sizes.hidden)
        };
        (0..sizes.directions).map(direction).collect()
    };
    turned_numbers::<C>(sizes.directions, sizes.inputs, sizes.hidden)?;
    let constant = |input: usize| matches!(node.inputs.get(input), Some(Source::Constant(_)));
    match constant(1) && constant(2) {
        true => node.derived.get(|| Ok(all())).ok(),
        // Turning them costs about as much as a step does.
        false if sizes.steps * sizes.batch < 4 => None,
        false => Some(Arc::new(all())),
    }
}

/// Numbers that the weights of so many directions, inputs and units take turned, the zeros of last panels among them; `None` where few units
/// would leave most of a panel to zeros, and they are not turned.
fn turned_numbers<C: Cell>(directions: usize, inputs: usize, hidden: usize) -> Option<usize> {
    let units = |gates: usize| gates.saturating_mul(hidden).checked_next_multiple_of(PANEL).unwrap_or(usize::MAX);
    let states = C::GROUPS.iter().map(|(from, to)| units(to - from).saturating_mul(hidden));
    let states = states.fold(0, usize::saturating_add);
    let padded = units(C::GATES).saturating_mul(inputs).saturating_add(states).saturating_mul(directions);
    let own = C::GATES.saturating_mul(hidden).saturating_mul(inputs.saturating_add(hidden)).saturating_mul(directions);
    (padded <= own.saturating_mul(2).max(TURNED_LITTLE)).then_some(padded)
}

/// Bytes that are kept of constant weights, where they are turned.
pub(super) fn kept_bytes<C: Cell>(w: &Array, r: &Array) -> u64 {
    let (&[directions, _, inputs], &[_, _, hidden]) = (w.shape(), r.shape()) else { return 0 };
    let numbers = turned_numbers::<C>(directions, inputs, hidden).unwrap_or(0);
    (numbers as u64).saturating_mul(size_of::<f32>() as u64)
}

/// What belongs to one direction.
fn part<T>(all: &[T], direction: usize, directions: usize) -> &[T] {
    let one = all.len() / directions;
    &all[direction * one..][..one]
}

impl Sizes {
    /// Operations of one step of a lane.
    fn work<C: Cell>(&self) -> usize {
        (C::GATES * self.hidden).saturating_mul(2 * (self.hidden + self.inputs) + 64)
    }

    /// Of all states, and of the last ones.
    fn shapes(&self) -> ([usize; 4], [usize; 3]) {
        let Self { batch, steps, directions, hidden, .. } = *self;
        match self.batch_first {
            true => ([batch, steps, directions, hidden], [batch, directions, hidden]),
            false => ([steps, directions, batch, hidden], [directions, batch, hidden]),
        }
    }

    /// Bytes beside those of the outputs: of the lanes, and of the weights turned.
    fn others(&self) -> u64 {
        let weights = (self.directions * self.gates * self.hidden) as u64;
        let turned = weights.saturating_mul((self.inputs + self.hidden) as u64).saturating_mul(8);
        let lanes = (self.directions * self.batch) as u64;
        turned.saturating_add(4 * TURNED_LITTLE as u64).saturating_add(lanes.saturating_mul(LANE_BYTES))
    }

    /// Direction and place in the batch of the lane whose last state lies there.
    fn lane(&self, place: usize) -> (usize, usize) {
        if self.batch_first {
            (place % self.directions, place / self.directions)
        } else {
            (place / self.batch, place % self.batch)
        }
    }

    /// All states, lane after lane, in the order of the output.
    fn sorted<T: Real>(&self, all: Vec<T>) -> Vec<T> {
        let is_sorted = if self.batch_first { self.directions == 1 } else { self.directions * self.batch == 1 };
        if is_sorted || all.is_empty() {
            return all;
        }
        let mut y = vec![T::ZERO; all.len()];
        for (lane, all) in all.chunks_exact(self.steps * self.hidden).enumerate() {
            let (direction, batch) = self.lane(lane);
            for (step, state) in all.chunks_exact(self.hidden).enumerate() {
                y[self.output(step, direction, batch)..][..self.hidden].copy_from_slice(state);
            }
        }
        y
    }

    fn input(&self, step: usize, batch: usize) -> usize {
        let place = if self.batch_first { batch * self.steps + step } else { step * self.batch + batch };
        place * self.inputs
    }

    fn output(&self, step: usize, direction: usize, batch: usize) -> usize {
        let place = match self.batch_first {
            true => (batch * self.steps + step) * self.directions + direction,
            false => (step * self.directions + direction) * self.batch + batch,
        };
        place * self.hidden
    }
}

fn sizes<C: Cell>(node: &Node, inputs: &Inputs) -> Result<Sizes, Problem> {
    let (x, w, r) = (inputs.tensor(0)?.shape(), inputs.tensor(1)?.shape(), inputs.tensor(2)?.shape());
    let batch_first = node.flag("layout", false)?;
    let directions = match node.text("direction", "forward")? {
        "forward" | "reverse" => 1,
        "bidirectional" => 2,
        _ => return Err(Problem::Attribute { name: "direction", expected: "forward, reverse or bidirectional" }),
    };
    let &[first, second, size] = x else { return Err(Problem::shape(0, "rank 3", x)) };
    let (steps, batch) = if batch_first { (second, first) } else { (first, second) };
    let &[_, _, hidden] = r else { return Err(Problem::shape(2, "rank 3", r)) };
    let gates = C::GATES * hidden;
    if w != [directions, gates, size] {
        return Err(Problem::shape(1, format!("[{directions}, {gates}, {size}]"), w));
    }
    if r != [directions, gates, hidden] {
        return Err(Problem::shape(2, format!("[{directions}, {gates}, {hidden}]"), r));
    }
    let state = if batch_first { [batch, directions, hidden] } else { [directions, batch, hidden] };
    let mut expected = vec![(3, vec![directions, gates * 2]), (5, state.to_vec())];
    if C::HAS_CELL {
        expected.extend([(6, state.to_vec()), (7, vec![directions, 3 * hidden])]);
    }
    for (input, expected) in expected {
        let Some(found) = inputs.tensor_or_none(input)? else { continue };
        if found.shape() != expected {
            return Err(Problem::shape(input, format!("{expected:?}"), found.shape()));
        }
    }
    Ok(Sizes { steps, batch, inputs: size, hidden, gates: C::GATES, directions, batch_first })
}

fn lengths(inputs: &Inputs, sizes: &Sizes) -> Result<Vec<usize>, Problem> {
    let Some(stated) = inputs.integers_or_none(4)? else { return Ok(vec![sizes.steps; sizes.batch]) };
    let fits = |&length: &i64| usize::try_from(length).ok().filter(|&length| length <= sizes.steps);
    let lengths: Option<Vec<usize>> = stated.iter().map(fits).collect();
    lengths.filter(|lengths| lengths.len() == sizes.batch).ok_or_else(|| {
        Problem::value(
            "the sequence lengths",
            format!("{} of at most {}", sizes.batch, sizes.steps),
            format!("{stated:?}"),
        )
    })
}
