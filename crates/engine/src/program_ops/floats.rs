//! Functions of one binary32, place by place, built for each level's instructions so that their fused steps are single ones.

use graph::program::{Array, Context, Data, Element, Inputs, Node, Outcome, Problem, math};

use super::{Row, product::Build, row};

pub const ROWS: &[Row] = &[
    row!("Erf", run, Erf),
    row!("Exp", run, Exp),
    row!("HardSigmoid", run, HardSigmoid),
    row!("HardSwish", run, HardSwish),
    row!("LeakyRelu", run, LeakyRelu),
    row!("Relu", run, Relu),
    row!("Sigmoid", run, Sigmoid),
    row!("Tanh", run, Tanh),
];

/// A function with what its node's attributes say.
trait Function: Sized + Sync {
    fn of(node: &Node) -> Result<Self, Problem>;
    fn at(&self, x: f32) -> f32;
}

fn run<B: Build, F: Function>(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let Data::F32(values) = x.data() else { return (node.operator.run)(node, inputs, context) };
    let function = F::of(node)?;
    context.room(x.shape(), Element::F32)?;
    let mut y = vec![0.0; values.len()];
    context.crew().rows(&mut y, 1, 8, |first, y| {
        B::plain(|| {
            for (y, &x) in y.iter_mut().zip(&values[first..]) {
                *y = function.at(x);
            }
        });
    });
    Ok(vec![Array::f32s(x.shape(), y)?.into()])
}

/// `math::exp_single` without branches: both of its ways are computed and one is taken.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let half = graph::float::exp(x * 0.5);
    let middle = graph::float::exp(x);
    let y = if (-87.0..=88.0).contains(&x) { middle } else { half * half };
    let y = if x > 88.722_84 { f32::INFINITY } else { y };
    let y = if x < -103.972_08 { 0.0 } else { y };
    if x.is_nan() { f32::NAN } else { y }
}

macro_rules! functions {
    ($($name:ident: |$x:ident| $body:expr;)*) => {
        $(
            struct $name;
            impl Function for $name {
                fn of(_: &Node) -> Result<Self, Problem> {
                    Ok(Self)
                }
                #[inline(always)]
                fn at(&self, $x: f32) -> f32 {
                    $body
                }
            }
        )*
    };
}

functions! {
    Erf: |x| math::erf(x.into()) as f32;
    Exp: |x| exp(x);
    HardSwish: |x| x * between(1.0 / 6.0 * x + 0.5);
    Relu: |x| if x > 0.0 || x.is_nan() { x } else { 0.0 };
    Sigmoid: |x| 1.0 / (1.0 + exp(-x));
    Tanh: |x| math::tanh(x.into()) as f32;
}

/// Cut to 0 … 1; a NaN stays.
#[inline(always)]
fn between(x: f32) -> f32 {
    let x = if x.is_nan() || x > 0.0 { x } else { 0.0 };
    if x.is_nan() || x < 1.0 { x } else { 1.0 }
}

struct HardSigmoid(f32, f32);

impl Function for HardSigmoid {
    fn of(node: &Node) -> Result<Self, Problem> {
        Ok(Self(node.float("alpha", 0.2)?, node.float("beta", 0.5)?))
    }
    #[inline(always)]
    fn at(&self, x: f32) -> f32 {
        between(self.0 * x + self.1)
    }
}

struct LeakyRelu(f32);

impl Function for LeakyRelu {
    fn of(node: &Node) -> Result<Self, Problem> {
        Ok(Self(node.float("alpha", 0.01)?))
    }
    #[inline(always)]
    fn at(&self, x: f32) -> f32 {
        if x < 0.0 { self.0 * x } else { x }
    }
}
