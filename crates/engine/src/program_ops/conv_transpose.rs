//! `ConvTranspose` in binary32 over one or two axes: with a stride of s, every s-th output of a row makes a line of its own, along which a place of the
//! kernel meets inputs that follow each other.

use graph::program::{
    Array, Context, Crew, Data, Element, Inputs, Node, Outcome, Problem,
    transposed::{Axis, ask, axes},
    window::image,
};

use super::{
    Row,
    product::{Build, FAST},
    row,
};

pub const ROW: Row = row!("ConvTranspose", run);

fn run<B: Build>(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, w, bias) = (inputs.tensor(0)?, inputs.tensor(1)?, inputs.tensor_or_none(2)?);
    let slow = |context: &mut Context| (node.operator.run)(node, inputs, context);
    let (Data::F32(values), Data::F32(weights)) = (x.data(), w.data()) else { return slow(context) };
    if !(3..=4).contains(&x.rank()) || bias.is_some_and(|bias| bias.element() != Element::F32) {
        return slow(context);
    }
    let (batch, channels, spatial) = image(x.shape(), 0)?;
    let (all, of_group, kernel) = image(w.shape(), 1)?;
    let groups = usize::try_from(node.integer("group", 1)?).unwrap_or(0);
    if groups == 0
        || all != channels
        || !channels.is_multiple_of(groups)
        || kernel.len() != spatial.len()
        || kernel.contains(&0)
    {
        return slow(context);
    }
    let axes = axes(node, spatial, kernel)?;
    let mut shape = vec![batch, of_group.saturating_mul(groups)];
    shape.extend(axes.iter().map(|axis| axis.output));
    let outputs = context.room(&shape, Element::F32)?;
    let places = kernel.iter().fold(1_u64, |all, &size| all.saturating_mul(size as u64));
    context.spend((outputs as u64).saturating_mul(places).saturating_mul((channels / groups) as u64))?;
    if bias.is_some_and(|bias| bias.shape() != [shape[1]]) {
        return Err(Problem::shape(2, format!("[{}]", shape[1]), inputs.tensor(2)?.shape()));
    }
    ask(&axes, context)?;
    let one = Axis { input: 1, kernel: 1, output: 1, stride: 1, dilation: 1, before: 0 };
    let [rows, columns] = match axes.as_slice() {
        [rows, columns] => [rows, columns],
        [columns] => [&one, columns],
        _ => return slow(context),
    };
    let plan = Plan { rows, columns, inputs: channels / groups, of_group };
    let (plane, size) = (rows.input * columns.input, rows.kernel * columns.kernel);
    let mut y = vec![0.0; outputs];
    let crew = context.crew();
    let work = columns.output.saturating_mul(plan.inputs * size) / FAST;
    crew.rows(&mut y, columns.output, work, |first, y| {
        let mut lines = vec![0.0; columns.output.div_ceil(columns.stride) * columns.stride];
        for (line, y) in y.chunks_exact_mut(columns.output.max(1)).enumerate() {
            let (at, row) = ((first + line) / rows.output, (first + line) % rows.output);
            let (batch, output) = (at / shape[1], at % shape[1]);
            let (group, inside) = (output / of_group, output % of_group);
            let channel = group * plan.inputs;
            let x = &values[(batch * channels + channel) * plane..][..plan.inputs * plane];
            let w = &weights[(channel * of_group + inside) * size..];
            B::plain(|| plan.row((x, w), crew, row, (&mut lines, y)));
        }
    });
    if let Some(Data::F32(bias)) = bias.map(|bias| bias.data()) {
        for (at, line) in y.chunks_exact_mut((rows.output * columns.output).max(1)).enumerate() {
            line.iter_mut().for_each(|sum| *sum += bias[at % bias.len()]);
        }
    }
    Ok(vec![Array::f32s(&shape, y)?.into()])
}

struct Plan<'p> {
    rows: &'p Axis,
    columns: &'p Axis,
    /// Input and output channels of a group.
    inputs: usize,
    of_group: usize,
}

impl Plan<'_> {
    /// One row of a channel of the output; `w` begins at its weights for the first input channel.
    #[inline(always)]
    fn row(&self, (x, w): (&[f32], &[f32]), crew: &dyn Crew, row: usize, (lines, y): (&mut [f32], &mut [f32])) {
        let (rows, columns) = (self.rows, self.columns);
        let (plane, size, stride) = (rows.input * columns.input, rows.kernel * columns.kernel, columns.stride);
        let line = columns.output.div_ceil(stride);
        let (reaching, mut look) = (rows.reaching(row), crew.look());
        lines.fill(0.0);
        for input in 0..self.inputs {
            for &(place, at) in &reaching {
                let x = &x[input * plane + at * columns.input..][..columns.input];
                let w = &w[input * self.of_group * size + place * columns.kernel..][..columns.kernel];
                for (place, &weight) in w.iter().enumerate() {
                    let shift = (place * columns.dilation) as i64 - columns.before;
                    let (phase, ahead) = (shift.rem_euclid(stride as i64) as usize, shift.div_euclid(stride as i64));
                    // Output `j·stride + phase` is reached by input `j - ahead`.
                    let count = (columns.output.saturating_sub(phase)).div_ceil(stride);
                    if !look.on(count) {
                        return;
                    }
                    let (to, from) = (ahead.max(0) as usize, (-ahead).max(0) as usize);
                    let (Some(lines), Some(x)) = (lines[phase * line..][..count].get_mut(to..), x.get(from..)) else {
                        continue;
                    };
                    lines.iter_mut().zip(x).for_each(|(sum, &x)| *sum = x.mul_add(weight, *sum));
                }
            }
        }
        for (at, y) in y.iter_mut().enumerate() {
            *y = lines[at % stride * line + at / stride];
        }
    }
}
