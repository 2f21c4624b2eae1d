//! Arithmetic of two tensors of binary32: runs of places in which each operand either goes along or stands still.

use graph::program::{Array, Context, Data, Element, Inputs, Node, Outcome, elementwise::paired, index};

use super::{Row, product::Build, row};

pub const ROWS: &[Row] = &[row!("Add", run, Add), row!("Sub", run, Sub), row!("Mul", run, Mul), row!("Div", run, Div)];

trait Rule {
    fn of(a: f32, b: f32) -> f32;
}

macro_rules! rules {
    ($($name:ident $sign:tt)*) => {
        $(
            struct $name;
            impl Rule for $name {
                #[inline(always)]
                fn of(a: f32, b: f32) -> f32 {
                    a $sign b
                }
            }
        )*
    };
}

rules! { Add + Sub - Mul * Div / }

fn run<B: Build, R: Rule>(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (one, other) = (inputs.tensor(0)?, inputs.tensor(1)?);
    let (Data::F32(a), Data::F32(b)) = (one.data(), other.data()) else {
        return (node.operator.run)(node, inputs, context);
    };
    let shape = paired(one, other, Element::F32, context)?;
    let places = shape.iter().product();
    let runs = Runs::of(one.shape(), other.shape(), &shape);
    let mut y = vec![0.0; places];
    context.crew().rows(&mut y, 1, 1, |first, y| B::plain(|| runs.each((a, b), first, y, R::of)));
    Ok(vec![Array::f32s(&shape, y)?.into()])
}

/// How a broadcast goes: outer places, then runs of `size` along which an operand has a number a place, or one for all.
struct Runs {
    starts: Vec<(usize, usize)>,
    size: usize,
    along: (bool, bool),
}

impl Runs {
    fn of(one: &[usize], other: &[usize], shape: &[usize]) -> Self {
        let filled = |own: &[usize]| [vec![1; shape.len() - own.len()], own.to_vec()].concat();
        let (one, other) = (filled(one), filled(other));
        // Whether an operand is whole, or one number, over the axes so far.
        let (mut whole, mut single) = ((true, true), (true, true));
        let mut axis = shape.len();
        while axis > 0 {
            let (a, b, size) = (one[axis - 1], other[axis - 1], shape[axis - 1]);
            let next_whole = (whole.0 && a == size, whole.1 && b == size);
            let next_single = (single.0 && a == 1, single.1 && b == 1);
            if !((next_whole.0 || next_single.0) && (next_whole.1 || next_single.1)) {
                break;
            }
            (whole, single) = (next_whole, next_single);
            axis -= 1;
        }
        let size: usize = shape[axis..].iter().product();
        let starts = |own: &[usize], whole: bool| {
            let step = if whole { size } else { 1 };
            index::spread(&own[..axis], &shape[..axis]).into_iter().map(move |at| at * step)
        };
        let starts = starts(&one, whole.0).zip(starts(&other, whole.1)).collect();
        Self { starts, size, along: whole }
    }

    #[inline(always)]
    fn each(&self, (a, b): (&[f32], &[f32]), first: usize, mut y: &mut [f32], rule: impl Fn(f32, f32) -> f32) {
        let (mut run, mut skipped) = (first / self.size.max(1), first % self.size.max(1));
        while !y.is_empty() {
            let count = (self.size - skipped).min(y.len());
            let (now, rest) = y.split_at_mut(count);
            self.run(run, skipped, (a, b), now, &rule);
            (y, run, skipped) = (rest, run + 1, 0);
        }
    }

    /// A part of one run.
    #[inline(always)]
    fn run(&self, run: usize, skipped: usize, (a, b): (&[f32], &[f32]), y: &mut [f32], rule: impl Fn(f32, f32) -> f32) {
        let (i, j) = self.starts[run];
        let skip = |along: bool| if along { skipped } else { 0 };
        let (a, b) = (&a[i + skip(self.along.0)..], &b[j + skip(self.along.1)..]);
        match self.along {
            (true, true) => {
                for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
                    *y = rule(a, b);
                }
            }
            (true, false) => {
                for (y, &a) in y.iter_mut().zip(a) {
                    *y = rule(a, b[0]);
                }
            }
            (false, true) => {
                for (y, &b) in y.iter_mut().zip(b) {
                    *y = rule(a[0], b);
                }
            }
            (false, false) => y.fill(rule(a[0], b[0])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_meet_the_places_that_broadcasting_means() {
        let shapes: [(&[usize], &[usize]); 9] = [
            (&[2, 3], &[2, 3]),
            (&[2, 3], &[3]),
            (&[2, 1], &[1, 3]),
            (&[], &[4]),
            (&[2, 3, 4], &[3, 1]),
            (&[1], &[1, 1]),
            (&[2, 1, 4], &[3, 1]),
            (&[5, 1], &[5, 1]),
            (&[1, 4], &[3, 4]),
        ];
        for (one, other) in shapes {
            let shape = index::broadcast(one, other).unwrap();
            let numbers =
                |shape: &[usize]| (0..shape.iter().product::<usize>()).map(|at| at as f32).collect::<Vec<f32>>();
            let (a, b) = (numbers(one), numbers(other));
            let mut found = vec![0.0; shape.iter().product()];
            let runs = Runs::of(one, other, &shape);
            // In pieces that begin anywhere.
            for (piece, found) in found.chunks_mut(5).enumerate() {
                runs.each((&a, &b), piece * 5, found, |a, b| a * 100.0 + b);
            }
            let places = index::spread(one, &shape).into_iter().zip(index::spread(other, &shape));
            let expected: Vec<f32> = places.map(|(i, j)| a[i] * 100.0 + b[j]).collect();
            assert_eq!(found, expected, "{one:?} {other:?}");
        }
    }
}
