//! Running sums and products: each place joined to all before it along an axis.

use super::array::Array;
use super::elementwise::Arithmetic;
use super::index::{self, Around};
use super::machine::{Context, Inputs, Node, Outcome};
use super::problem::Problem;
use super::real::{Real, precision};

/// Begins at `unit`, which changes nothing, at the axis' first place, or with the attribute `reverse` at its last;
/// `exclusive` leaves out the place itself.
pub fn run(node: &Node, inputs: &Inputs, context: &mut Context, unit: i8, join: &Arithmetic) -> Outcome {
    let x = inputs.tensor(0)?;
    context.room(x.shape(), x.element())?;
    let axis = index::axis(inputs.integer(1)?, x.rank())?;
    let way = Way {
        around: Around::new(x.shape(), axis),
        exclusive: node.flag("exclusive", false)?,
        reverse: node.flag("reverse", false)?,
    };
    let result = precision!(x.element(), T => {
        let join = |a: T, b: T| Ok(T::joined(join, a, b));
        way.along(context, &T::read(x).ok_or(Problem::Excluded)?, T::of(unit.into()), join)
            .and_then(|all| T::write(x.element(), x.shape(), all))
    }, else => {
        let values = x.integers().ok_or_else(|| inputs.element(0, "numbers"))?;
        let all = way.along(context, &values, unit.into(), join.whole)?;
        Array::wholes(x.element(), x.shape(), all.into_iter())
    });
    Ok(vec![result?.into()])
}

struct Way {
    around: Around,
    exclusive: bool,
    reverse: bool,
}

impl Way {
    fn along<T: Copy>(
        &self,
        context: &Context,
        values: &[T],
        unit: T,
        join: impl Fn(T, T) -> Result<T, Problem>,
    ) -> Result<Vec<T>, Problem> {
        let (mut all, around, mut look) = (values.to_vec(), self.around, context.crew().look());
        for outer in 0..around.outer {
            for inner in 0..around.inner {
                let mut held = unit;
                for step in 0..around.size {
                    if !look.on(4) {
                        return Err(Problem::Ended);
                    }
                    let at = around.at(outer, if self.reverse { around.size - 1 - step } else { step }, inner);
                    let next = join(held, values[at])?;
                    all[at] = if self.exclusive { held } else { next };
                    held = next;
                }
            }
        }
        Ok(all)
    }
}
