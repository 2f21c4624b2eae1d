//! `Pad`: places added before and behind each axis, or cut where the number is negative: a constant, or the tensor mirrored, its edge, or itself again.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "Pad",
    domain: "",
    versions: &[2, 11, 13, 18, 19, 21, 23, 24, 25],
    inputs: (1, 4),
    outputs: (1, 1),
    attributes: &["mode", "paddings", "pads", "value"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let pads = match inputs.integers_or_none(1)? {
        Some(pads) => pads,
        None => node.integers("pads")?.ok_or(Problem::Missing { input: 1 })?.to_vec(),
    };
    let axes = match inputs.integers_or_none(3)? {
        Some(axes) => axes,
        None => (0..x.rank() as i64).collect(),
    };
    index::axes(&axes, x.rank())?;
    let refused = || Problem::value("the pads", format!("two for each of {} axes", axes.len()), format!("{pads:?}"));
    let (before, behind) = pads.split_at_checked(axes.len()).filter(|(_, behind)| behind.len() == axes.len()).ok_or_else(refused)?;
    let mut ends = vec![(0_i64, 0_i64); x.rank()];
    for ((&axis, &before), &behind) in axes.iter().zip(before).zip(behind) {
        ends[index::axis(axis, x.rank())?] = (before, behind);
    }
    let size = |(&size, &(before, behind)): (&usize, &(i64, i64))| {
        usize::try_from((size as i64).checked_add(before)?.checked_add(behind)?).ok()
    };
    let shape: Option<Vec<usize>> = x.shape().iter().zip(&ends).map(size).collect();
    let shape = shape.ok_or_else(refused)?;
    let total = context.room(&shape, x.element())?;
    context.bytes(total as u64 * 16)?;
    let mode = Mode::named(node.text("mode", "constant")?)?;
    let mut indices = vec![0_usize; usize::from(total > 0)];
    for ((&size, &own), (&(before, _), &stride)) in shape.iter().zip(x.shape()).zip(ends.iter().zip(&index::strides(x.shape()))) {
        let places: Result<Vec<usize>, Problem> =
            (0..size).map(|place| mode.source(place as i64 - before, own).map(|place| place.map_or(FILL, |place| place * stride))).collect();
        let places = places?;
        indices = indices.iter().flat_map(|&index| places.iter().map(move |&place| if index == FILL || place == FILL { FILL } else { index + place })).collect();
    }
    Ok(vec![x.take_or(&shape, &indices, &fill(node, inputs, x)?)?.into()])
}

/// Where an index says that the place is filled.
const FILL: usize = usize::MAX;

/// What stands on the padding.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Constant,
    Reflect,
    Edge,
    Wrap,
}

impl Mode {
    pub fn named(name: &str) -> Result<Self, Problem> {
        match name {
            "constant" => Ok(Self::Constant),
            "reflect" => Ok(Self::Reflect),
            "edge" => Ok(Self::Edge),
            "wrap" => Ok(Self::Wrap),
            other => Err(Problem::value("attribute mode", "constant, reflect, edge or wrap", other)),
        }
    }

    /// The own place of `size` that stands at `place`, which may lie outside; `None` where a constant does.
    pub fn source(self, place: i64, size: usize) -> Result<Option<usize>, Problem> {
        let size = size as i64;
        if (0..size).contains(&place) {
            return Ok(Some(place as usize));
        }
        if self == Self::Constant {
            return Ok(None);
        }
        if size == 0 {
            return Err(Problem::shape(0, "sizes above 0 where something is repeated", &[size as usize]));
        }
        let period = 2 * (size - 1).max(1);
        let inside = match self {
            Self::Constant | Self::Edge => place.clamp(0, size - 1),
            Self::Wrap => place.rem_euclid(size),
            Self::Reflect if size == 1 => 0,
            Self::Reflect => {
                let turned = place.rem_euclid(period);
                if turned < size { turned } else { period - turned }
            }
        };
        Ok(Some(inside as usize))
    }
}

/// The constant: an input, an attribute, or zero.
fn fill(node: &Node, inputs: &Inputs, x: &Array) -> Result<Array, Problem> {
    match inputs.tensor_or_none(2)? {
        Some(value) if value.element() != x.element() => Err(inputs.element(2, x.element().name())),
        Some(value) if value.len() != 1 => Err(Problem::shape(2, "one element", value.shape())),
        Some(value) => Ok(value.as_ref().clone()),
        None => match node.float_or_none("value")? {
            Some(value) => precision!(x.element(), T => T::write(x.element(), &[], vec![T::of(value.into())]), else => Array::zeros(x.element(), &[])),
            None => Array::zeros(x.element(), &[]),
        },
    }
}
