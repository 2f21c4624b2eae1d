//! `Resize`: resampled along its axes, from the first to the last: nearest, linear or cubic, by the coordinates that the standard names.

use super::prelude::*;
use crate::program::resample::{Kernel, Nearest, Numbers, Taps, normal};

pub static OPERATOR: Operator = Operator {
    name: "Resize",
    domain: "",
    versions: &[10, 11, 13, 18, 19],
    inputs: (1, 4),
    outputs: (1, 1),
    attributes: &["antialias", "axes", "coordinate_transformation_mode", "cubic_coeff_a", "exclude_outside", "extrapolation_value", "keep_aspect_ratio_policy", "mode", "nearest_mode"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    // At version 10 the scales are the second input; later a region is, and then scales and sizes.
    let (region, scales, sizes) = if node.version < 11 { (None, 1, 3) } else { (inputs.tensor_or_none(1)?, 2, 3) };
    let axes = match node.integers("axes")? {
        Some(axes) => axes.iter().map(|&axis| index::axis(axis, x.rank())).collect::<Result<Vec<usize>, Problem>>()?,
        None => (0..x.rank()).collect(),
    };
    let filled = |input: usize| inputs.tensor_or_none(input).map(|found| found.filter(|array| !array.is_empty()));
    let target = match filled(scales)? {
        Some(scales) => by_scales(x, &axes, &scales.doubles().ok_or_else(|| inputs.element(2, "floats"))?)?,
        None => by_sizes(node, x, &axes, &inputs.integers(sizes)?)?,
    };
    let region = match region.filter(|region| !region.is_empty()) {
        Some(region) if region.len() == 2 * axes.len() => Some(region.doubles().ok_or_else(|| inputs.element(1, "floats"))?),
        Some(region) => return Err(Problem::shape(1, format!("[{}]", 2 * axes.len()), region.shape())),
        None => None,
    };
    let settings = Settings::of(node)?;
    let mut numbers = Numbers::of(x).ok_or_else(|| inputs.element(0, "numbers"))?;
    context.bytes(x.len() as u64 * 8)?;
    for (number, (&axis, &(scale, size))) in axes.iter().zip(&target).enumerate() {
        let region = region.as_ref().map_or((0.0, 1.0), |region| (region[number], region[axes.len() + number]));
        if scale == 1.0 && size == x.shape()[axis] && region == (0.0, 1.0) {
            continue;
        }
        if x.shape()[axis] == 0 && size > 0 {
            return Err(Problem::shape(0, "sizes above 0", x.shape()));
        }
        // Before a list of taps is made for each place.
        context.bytes((size as u64).saturating_mul(64))?;
        let taps = settings.taps(x.shape()[axis], scale, size, region, context)?;
        numbers = numbers.along(axis, &taps, settings.extrapolation, context)?;
    }
    Ok(vec![numbers.write(x)?.into()])
}

/// Scale and size of each axis.
pub(super) fn by_scales(x: &Array, axes: &[usize], scales: &[f64]) -> Result<Vec<(f64, usize)>, Problem> {
    let refused = || Problem::value("the scales", format!("{} above 0", axes.len()), format!("{scales:?}"));
    let one = |(&axis, &scale): (&usize, &f64)| {
        let size = (x.shape()[axis] as f64 * scale).floor();
        (scale > 0.0 && size < 1e15).then_some((scale, size as usize)).ok_or_else(refused)
    };
    if scales.len() != axes.len() {
        return Err(refused());
    }
    axes.iter().zip(scales).map(one).collect()
}

fn by_sizes(node: &Node, x: &Array, axes: &[usize], sizes: &[i64]) -> Result<Vec<(f64, usize)>, Problem> {
    let refused = || Problem::value("the sizes", format!("{} from 0", axes.len()), format!("{sizes:?}"));
    let whole: Option<Vec<usize>> = sizes.iter().map(|&size| usize::try_from(size).ok()).collect();
    let sizes = whole.filter(|sizes| sizes.len() == axes.len()).ok_or_else(refused)?;
    let scales: Vec<f64> = axes.iter().zip(&sizes).map(|(&axis, &size)| size as f64 / x.shape()[axis] as f64).collect();
    let least = scales.iter().fold(f64::INFINITY, |least, &scale| if scale < least { scale } else { least });
    let most = scales.iter().fold(0.0, |most, &scale| if scale > most { scale } else { most });
    let kept = match node.text("keep_aspect_ratio_policy", "stretch")? {
        "stretch" => return Ok(scales.into_iter().zip(sizes).collect()),
        "not_larger" => least,
        "not_smaller" => most,
        other => return Err(Problem::value("attribute keep_aspect_ratio_policy", "stretch, not_larger or not_smaller", other)),
    };
    Ok(axes.iter().map(|&axis| (kept, (kept * x.shape()[axis] as f64 + 0.5).floor() as usize)).collect())
}

struct Settings {
    kernel: Kernel,
    coordinates: Coordinates,
    exclude_outside: bool,
    extrapolation: f64,
}

/// How a place of the output becomes one of the input.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Coordinates {
    HalfPixel,
    HalfPixelSymmetric,
    PytorchHalfPixel,
    AlignCorners,
    Asymmetric,
    CropAndResize,
}

impl Settings {
    fn of(node: &Node) -> Result<Self, Problem> {
        let antialias = node.flag("antialias", false)?;
        let kernel = match node.text("mode", "nearest")? {
            "nearest" => Kernel::Nearest(match node.text("nearest_mode", if node.version < 11 { "floor" } else { "round_prefer_floor" })? {
                "round_prefer_floor" => Nearest::PreferFloor,
                "round_prefer_ceil" => Nearest::PreferCeiling,
                "floor" => Nearest::Floor,
                "ceil" => Nearest::Ceiling,
                other => return Err(Problem::value("attribute nearest_mode", "round_prefer_floor, round_prefer_ceil, floor or ceil", other)),
            }),
            "linear" => Kernel::Linear { antialias },
            "cubic" => Kernel::Cubic { a: node.float("cubic_coeff_a", -0.75)?.into(), antialias },
            other => return Err(Problem::value("attribute mode", "nearest, linear or cubic", other)),
        };
        let named = node.text("coordinate_transformation_mode", if node.version < 11 { "asymmetric" } else { "half_pixel" })?;
        let coordinates = match named {
            "half_pixel" => Coordinates::HalfPixel,
            "half_pixel_symmetric" => Coordinates::HalfPixelSymmetric,
            "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
            "align_corners" => Coordinates::AlignCorners,
            "asymmetric" => Coordinates::Asymmetric,
            "tf_crop_and_resize" => Coordinates::CropAndResize,
            other => return Err(Problem::value("attribute coordinate_transformation_mode", "one that the standard names", other)),
        };
        let (exclude_outside, extrapolation) = (node.flag("exclude_outside", false)?, node.float("extrapolation_value", 0.0)?.into());
        Ok(Self { kernel, coordinates, exclude_outside, extrapolation })
    }

    fn taps(&self, own: usize, scale: f64, size: usize, region: (f64, f64), context: &mut Context) -> Result<Vec<Taps>, Problem> {
        let mut all = Vec::with_capacity(size);
        for place in 0..size {
            let place = self.coordinates.source(place as f64, own as f64, scale, size as f64, region);
            if self.coordinates == Coordinates::CropAndResize && !(0.0..=own as f64 - 1.0).contains(&place) {
                all.push(Taps::new());
                continue;
            }
            let widest = if scale < 1.0 { (8.0 / scale).min(1e12) as u64 } else { 8 };
            context.spend(widest)?;
            context.bytes(widest * 16)?;
            let mut taps = self.kernel.taps(place, scale);
            if self.exclude_outside {
                taps.iter_mut().for_each(|(place, weight)| if *place < 0 || *place >= own as i64 { *weight = 0.0 });
                taps = normal(taps);
            }
            all.push(taps);
        }
        Ok(all)
    }
}

impl Coordinates {
    fn source(self, place: f64, own: f64, scale: f64, size: f64, (start, end): (f64, f64)) -> f64 {
        let width = scale * own;
        let center = (place + 0.5) / scale - 0.5;
        match self {
            Self::HalfPixel => center,
            Self::HalfPixelSymmetric => own / 2.0 * (1.0 - size / width) + center,
            Self::PytorchHalfPixel if width == 1.0 => -0.5,
            Self::PytorchHalfPixel => center,
            Self::AlignCorners if width == 1.0 => 0.0,
            Self::AlignCorners => place * (own - 1.0) / (width - 1.0),
            Self::Asymmetric => place / scale,
            Self::CropAndResize if width == 1.0 => (start + end) * (own - 1.0) / 2.0,
            Self::CropAndResize => place * (end - start) * (own - 1.0) / (width - 1.0) + start * (own - 1.0),
        }
    }
}

/// Which of `own` places along an axis each of `size` places takes; `None` of a node that takes others than the nearest ones of its input.
/// An `Upsample` is read as it is meant: it has neither of the words that a `Resize` of its version might say otherwise.
pub fn nearest(node: &Node, own: usize, scale: f64, size: usize) -> Option<Vec<usize>> {
    let settings = Settings::of(node).ok()?;
    let last = i64::try_from(own).ok()?.checked_sub(1).filter(|last| *last >= 0)?;
    let mixes = !matches!(settings.kernel, Kernel::Nearest(_)) || settings.exclude_outside;
    if mixes || settings.coordinates == Coordinates::CropAndResize {
        return None;
    }
    let taken = |place: usize| {
        let place = settings.coordinates.source(place as f64, own as f64, scale, size as f64, (0.0, 1.0));
        let (place, _) = settings.kernel.taps(place, scale).first().copied()?;
        usize::try_from(place.clamp(0, last)).ok()
    };
    (0..size).map(taken).collect()
}

/// What no input is needed for to refuse it.
pub(super) fn check(node: &Node, _: &Context) -> Result<(), Problem> {
    Settings::of(node).map(|_| ())
}
