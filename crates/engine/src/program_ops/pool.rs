//! `MaxPool` and `AveragePool` in binary32 over one or two axes: the windows of a row side by side, each place of the kernel in its turn.

use graph::program::{Array, Context, Crew, Data, Element, Inputs, Node, Outcome, pool::Pooling};

use super::{Row, product::Build, row};

pub const ROWS: &[Row] = &[row!("AveragePool", run, Average), row!("MaxPool", run, Greatest)];

/// How a window's numbers become one.
trait Kind {
    const START: f32;
    /// Whether the operator asks for room for indices, and cannot tell them here.
    const INDICES: bool;
    fn step(held: f32, x: f32) -> f32;
}

struct Average;
struct Greatest;

impl Kind for Average {
    const START: f32 = 0.0;
    const INDICES: bool = false;
    #[inline(always)]
    fn step(held: f32, x: f32) -> f32 {
        held + x
    }
}

impl Kind for Greatest {
    const START: f32 = f32::NEG_INFINITY;
    const INDICES: bool = true;
    #[inline(always)]
    fn step(held: f32, x: f32) -> f32 {
        if !held.is_nan() && (x > held || x.is_nan()) { x } else { held }
    }
}

fn run<B: Build, K: Kind>(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let axes = x.rank().wrapping_sub(2);
    let (Data::F32(values), true, false) = (x.data(), axes == 1 || axes == 2, K::INDICES && node.wants(1)) else {
        return (node.operator.run)(node, inputs, context);
    };
    let pooling = Pooling::shaped(node, x, context)?;
    let shifts = |axis: usize| Shifts::of(&pooling, axis);
    let (rows, columns) = if axes == 2 { (shifts(0), shifts(1)) } else { (Shifts::one(), shifts(0)) };
    let places = context.room(&pooling.shape, Element::F32)?;
    if K::INDICES {
        context.room(&pooling.shape, Element::I64)?;
        // A window on nothing but padding is refused by the meaning, in its words.
        if rows.counts().any(|count| count == 0) || columns.counts().any(|count| count == 0) {
            return (node.operator.run)(node, inputs, context);
        }
    } else {
        context.spend(places as u64)?;
    }
    let mut y = vec![K::START; places];
    let work = rows.kernel.saturating_mul(columns.kernel).saturating_mul(columns.output);
    let crew = context.crew();
    crew.rows(&mut y, columns.output, work, |first, y| {
        B::plain(|| pooled::<K>((&rows, &columns), (values, pooling.plane), crew, first, y));
    });
    if !K::INDICES {
        divide(&pooling, &rows, &columns, node.flag("count_include_pad", false)?, &mut y);
    }
    let mut outputs = vec![Array::f32s(&pooling.shape, y)?.into()];
    if K::INDICES {
        outputs.push(Array::i64s(&[0], Vec::new())?.into());
    }
    Ok(outputs)
}

/// One axis: how windows and the places of the kernel meet its input.
struct Shifts {
    input: usize,
    kernel: usize,
    output: usize,
    stride: usize,
    dilation: usize,
    before: usize,
}

impl Shifts {
    fn of(pooling: &Pooling, axis: usize) -> Self {
        let windows = &pooling.windows;
        Self {
            input: windows.input[axis],
            kernel: windows.kernel[axis],
            output: windows.output[axis],
            stride: windows.strides[axis],
            dilation: windows.dilations[axis],
            before: windows.before[axis],
        }
    }

    /// An axis that is not there.
    fn one() -> Self {
        Self { input: 1, kernel: 1, output: 1, stride: 1, dilation: 1, before: 0 }
    }

    /// The input's place under a place of the kernel, where there is one.
    fn at(&self, window: usize, place: usize) -> Option<usize> {
        (window * self.stride + place * self.dilation).checked_sub(self.before).filter(|&at| at < self.input)
    }

    /// The windows in which a place of the kernel lies on the input: the first, and behind the last.
    fn windows(&self, place: usize) -> (usize, usize) {
        let shift = place * self.dilation;
        let first = self.before.saturating_sub(shift).div_ceil(self.stride);
        let end = (self.input + self.before).saturating_sub(shift).div_ceil(self.stride).min(self.output);
        (first.min(end), end)
    }

    fn counts(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.output).map(|window| (0..self.kernel).filter(|&place| self.at(window, place).is_some()).count())
    }
}

#[inline(always)]
fn pooled<K: Kind>(
    (rows, columns): (&Shifts, &Shifts),
    (values, plane): (&[f32], usize),
    crew: &dyn Crew,
    first: usize,
    y: &mut [f32],
) {
    let mut look = crew.look();
    for (row, y) in y.chunks_exact_mut(columns.output.max(1)).enumerate() {
        let (line, window) = ((first + row) / rows.output, (first + row) % rows.output);
        for place in 0..rows.kernel {
            let Some(at) = rows.at(window, place) else { continue };
            let x = &values[line * plane + at * columns.input..][..columns.input];
            for place in 0..columns.kernel {
                if !look.on(columns.output) {
                    return;
                }
                let (first, end) = columns.windows(place);
                if first == end {
                    continue;
                }
                let x = &x[first * columns.stride + place * columns.dilation - columns.before..];
                let held = y[first..end].iter_mut();
                match columns.stride {
                    1 => held.zip(x).for_each(|(held, &x)| *held = K::step(*held, x)),
                    stride => held.zip(x.iter().step_by(stride)).for_each(|(held, &x)| *held = K::step(*held, x)),
                }
            }
        }
    }
}

/// Divides each sum by how many places its window has.
fn divide(pooling: &Pooling, rows: &Shifts, columns: &Shifts, padded: bool, y: &mut [f32]) {
    let windows = (rows.output * columns.output).max(1);
    let (down, across): (Vec<usize>, Vec<usize>) = (rows.counts().collect(), columns.counts().collect());
    let count = |window: usize| match padded {
        true => pooling.windows.padded_count(window),
        false => down[window / columns.output] * across[window % columns.output],
    };
    let counts: Vec<f32> = (0..rows.output * columns.output).map(|window| count(window) as f32).collect();
    for y in y.chunks_exact_mut(windows) {
        y.iter_mut().zip(&counts).for_each(|(sum, count)| *sum /= count);
    }
}
