//! `GridSample`: the input sampled at places of a grid, along its last axis first: nearest (ties to even), linear or cubic; what lies outside is 0, the border, or mirrored. In binary64, rounded once.

use super::prelude::*;
use crate::program::resample::Kernel;

pub static OPERATOR: Operator = Operator {
    name: "GridSample",
    domain: "",
    versions: &[16, 20, 22],
    inputs: (2, 2),
    outputs: (1, 1),
    attributes: &["align_corners", "mode", "padding_mode"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, grid) = (inputs.tensor(0)?, inputs.tensor(1)?);
    let refused = || Problem::shape(1, "[batch, sizes…, axes] for [batch, channels, axes…]", grid.shape());
    let ([batch, channels, sizes @ ..], [of_grid, places @ .., axes]) = (x.shape(), grid.shape()) else { return Err(refused()) };
    if batch != of_grid || *axes != sizes.len() || places.len() != sizes.len() || sizes.is_empty() {
        return Err(refused());
    }
    let shape = [&[*batch, *channels], places].concat();
    let total = context.room(&shape, x.element())?;
    if total > 0 && sizes.contains(&0) {
        return Err(Problem::shape(0, "sizes above 0", x.shape()));
    }
    context.spend((total as u64).saturating_mul(4_u64.saturating_pow(sizes.len() as u32)))?;
    context.bytes((x.len() as u64 + grid.len() as u64) * 8)?;
    let sampler = Sampler::of(node, sizes)?;
    let numbers = x.doubles().ok_or_else(|| inputs.element(0, "floats"))?;
    let grid = grid.doubles().ok_or_else(|| inputs.element(1, "floats"))?;
    let (image, of_image): (usize, usize) = (sizes.iter().product(), places.iter().product());
    let work = 16 << (2 * sizes.len()).min(32);
    let values = context.crew().fill(total, work, 0.0, |at| {
        let (plane, place) = (at / of_image, at % of_image);
        let at = ((plane / channels * of_image) + place) * axes;
        sampler.at(&numbers[plane * image..][..image], &grid[at..at + axes])
    });
    let sampled = precision!(x.element(), T => T::write(x.element(), &shape, values.into_iter().map(T::of).collect()),
        else => Err(inputs.element(0, "floats")));
    Ok(vec![sampled?.into()])
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outside {
    Zero,
    Border,
    Mirror,
}

struct Sampler<'a> {
    /// `None`: the nearest.
    kernel: Option<Kernel>,
    outside: Outside,
    align_corners: bool,
    sizes: &'a [usize],
}

impl<'a> Sampler<'a> {
    fn of(node: &Node, sizes: &'a [usize]) -> Result<Self, Problem> {
        let kernel = match node.text("mode", "linear")? {
            "nearest" => None,
            "linear" | "bilinear" => Some(Kernel::Linear { antialias: false }),
            "cubic" | "bicubic" => Some(Kernel::Cubic { a: -0.75, antialias: false }),
            other => return Err(Problem::value("attribute mode", "nearest, linear or cubic", other)),
        };
        let outside = match node.text("padding_mode", "zeros")? {
            "zeros" => Outside::Zero,
            "border" => Outside::Border,
            "reflection" => Outside::Mirror,
            other => return Err(Problem::value("attribute padding_mode", "zeros, border or reflection", other)),
        };
        Ok(Self { kernel, outside, align_corners: node.flag("align_corners", false)?, sizes })
    }

    /// The value at a place of the grid, whose coordinates stand in the reverse order of the axes.
    fn at(&self, image: &[f64], place: &[f64]) -> f64 {
        let coordinates: Vec<f64> = self.sizes.iter().zip(place.iter().rev()).map(|(&size, &at)| self.coordinate(at, size)).collect();
        self.sum(image, self.sizes, &coordinates)
    }

    /// From -1 … 1 to places of the axis. A place that is not a number is taken as the first.
    fn coordinate(&self, at: f64, size: usize) -> f64 {
        let size = size as f64;
        let place = if self.align_corners { (at + 1.0) / 2.0 * (size - 1.0) } else { ((at + 1.0) * size - 1.0) / 2.0 };
        if place.is_nan() {
            return 0.0;
        }
        let place = place.clamp(-1e15, 1e15);
        match (self.kernel, self.outside) {
            (_, Outside::Zero) => place,
            (_, Outside::Border) if (0.0..=size - 1.0).contains(&place) => place,
            (None | Some(Kernel::Linear { .. }), Outside::Border) => place.clamp(0.0, size - 1.0),
            (None | Some(Kernel::Linear { .. }), Outside::Mirror) => self.mirrored(place, size),
            _ => place,
        }
    }

    fn mirrored(&self, place: f64, size: f64) -> f64 {
        let (low, high) = if self.align_corners { (0.0, size - 1.0) } else { (-0.5, size - 0.5) };
        let range = high - low;
        if range <= 0.0 {
            return 0.0;
        }
        let beyond = if place < low { low - place } else if place > high { place - high } else { return place };
        let (turns, rest) = ((beyond / range).floor(), beyond % range);
        // An even number of turns ends at the side on which it left.
        if (turns % 2.0 == 0.0) == (place < low) { low + rest } else { high - rest }
    }

    fn sum(&self, image: &[f64], sizes: &[usize], coordinates: &[f64]) -> f64 {
        let (Some((&size, inner)), Some((&place, rest))) = (sizes.split_first(), coordinates.split_first()) else {
            return image.first().copied().unwrap_or(0.0);
        };
        let block: usize = inner.iter().product();
        let slice = |place: i64| match self.inside(place, size) {
            Some(place) => self.sum(&image[place * block..][..block], inner, rest),
            None => 0.0,
        };
        match self.kernel {
            None => slice(place.round_ties_even() as i64),
            Some(kernel) => kernel.taps(place, 1.0).into_iter().fold(0.0, |sum, (tap, weight)| slice(tap).mul_add(weight, sum)),
        }
    }

    fn inside(&self, place: i64, size: usize) -> Option<usize> {
        let last = size as i64 - 1;
        match self.outside {
            Outside::Zero => usize::try_from(place).ok().filter(|&place| place < size),
            Outside::Border => Some(place.clamp(0, last) as usize),
            Outside::Mirror => Some((self.mirrored(place as f64, size as f64).round_ties_even() as i64).clamp(0, last) as usize),
        }
    }
}
