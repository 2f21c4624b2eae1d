//! `RoiAlign`: each bin of a region is the mean (or greatest) of points spread evenly in it. A point is `w1·a + w2·b + w3·c + w4·d` of its four
//! neighbours, sums from the left; with `max` the greatest of the four products. Means are sums from +0, row by row, divided by the points.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "RoiAlign",
    domain: "",
    versions: &[10, 16, 22],
    inputs: (3, 3),
    outputs: (1, 1),
    attributes: &[
        "coordinate_transformation_mode",
        "mode",
        "output_height",
        "output_width",
        "sampling_ratio",
        "spatial_scale",
    ],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (x, regions) = (inputs.tensor(0)?, inputs.tensor(1)?);
    let &[batch, channels, height, width] = x.shape() else { return Err(Problem::shape(0, "4 sizes", x.shape())) };
    let &[count, 4] = regions.shape() else { return Err(Problem::shape(1, "regions of 4 numbers", regions.shape())) };
    let batches: Result<Vec<usize>, Problem> = inputs.integers(2)?.iter().map(|&at| index::axis(at, batch)).collect();
    let batches = batches?;
    if batches.len() != count {
        return Err(Problem::shape(2, format!("[{count}]"), inputs.tensor(2)?.shape()));
    }
    let size = |name| match node.integer(name, 1)? {
        size if (1..1 << 16).contains(&size) => Ok(size as usize),
        _ => Err(Problem::Attribute { name, expected: "1 to 2^16" }),
    };
    let bins = [size("output_height")?, size("output_width")?];
    let half = match node.text("coordinate_transformation_mode", "half_pixel")? {
        "half_pixel" => node.version >= 16,
        "output_half_pixel" => false,
        _ => return Err(Problem::Attribute { name: "coordinate_transformation_mode", expected: "half_pixel or output_half_pixel" }),
    };
    let greatest = match node.text("mode", "avg")? {
        "avg" => false,
        "max" => true,
        _ => return Err(Problem::Attribute { name: "mode", expected: "avg or max" }),
    };
    let shape = [count, channels, bins[0], bins[1]];
    context.room(&shape, x.element())?;
    precision!(x.element(), T => {
        let of = |input, array| T::read(array).ok_or_else(|| inputs.element(input, "the floats of input 0"));
        let (values, regions) = (of(0, x)?, of(1, regions)?);
        let scale = T::of(node.float("spatial_scale", 1.0)?.into());
        let ratio = usize::try_from(node.integer("sampling_ratio", 0)?).unwrap_or(0);
        let mut y = Vec::new();
        for (&at, region) in batches.iter().zip(regions.chunks_exact(4)) {
            let region = [region[0], region[1], region[2], region[3]].map(|edge| edge * scale);
            let grid = Grid::of(region, bins, ratio, half);
            context.spend((channels as u64).saturating_mul(grid.count().saturating_mul(8)))?;
            context.bytes(grid.count().saturating_mul(64))?;
            let each = grid.samples[0] * grid.samples[1];
            let points: Vec<Option<Point<T>>> = grid.points(height, width);
            for channel in context.crew().watched(0..channels, (bins[0] * bins[1]).saturating_mul(each * 16)) {
                let plane = &values[(at * channels + channel) * height * width..][..height * width];
                let one = |bin: usize| pool(&points[bin * each..][..each], plane, greatest);
                y.extend(context.crew().fill(bins[0] * bins[1], each.saturating_mul(16), T::ZERO, one));
            }
        }
        Ok(vec![T::write(x.element(), &shape, y)?.into()])
    }, else => Err(inputs.element(0, "floats")))
}

/// Four neighbours and their weights.
type Point<T> = [(usize, T); 4];

fn pool<T: Real>(points: &[Option<Point<T>>], plane: &[T], greatest: bool) -> T {
    let products = |point: &Option<Point<T>>| {
        point.map_or([T::ZERO; 4], |point| point.map(|(at, weight)| weight * plane[at]))
    };
    let all = points.iter().map(products);
    if greatest {
        let most = |[a, b, c, d]: [T; 4]| a.greater(b).greater(c).greater(d);
        return all.map(most).reduce(|most, value| value.greater(most)).unwrap_or(T::ZERO);
    }
    let sum = all.fold(T::ZERO, |sum, [a, b, c, d]| sum + (((a + b) + c) + d));
    sum / T::count(points.len().max(1))
}

/// Where the points of a region lie, along both axes.
struct Grid<T> {
    start: [T; 2],
    bin: [T; 2],
    bins: [usize; 2],
    samples: [usize; 2],
}

impl<T: Real> Grid<T> {
    fn of([left, top, right, bottom]: [T; 4], bins: [usize; 2], ratio: usize, half: bool) -> Self {
        let offset = if half { T::of(0.5) } else { T::ZERO };
        let start = [top - offset, left - offset];
        let spread = |start: T, end: T| {
            let spread = (end - offset) - start;
            if half { spread } else { spread.greater(T::ONE) }
        };
        let spread = [spread(start[0], bottom), spread(start[1], right)];
        let bin = [spread[0] / T::count(bins[0]), spread[1] / T::count(bins[1])];
        let samples = bin.map(|bin| if ratio > 0 { ratio } else { bin.wide().ceil().clamp(0.0, 65536.0) as usize });
        Self { start, bin, bins, samples }
    }

    fn count(&self) -> u64 {
        [self.bins, self.samples].concat().iter().fold(1_u64, |all, &size| all.saturating_mul(size as u64))
    }

    fn at(&self, axis: usize, bin: usize, sample: usize) -> T {
        let inner = (T::count(sample) + T::of(0.5)) * self.bin[axis] / T::count(self.samples[axis]);
        (self.start[axis] + T::count(bin) * self.bin[axis]) + inner
    }

    /// Bin after bin; `None` for a point outside.
    fn points(&self, height: usize, width: usize) -> Vec<Option<Point<T>>> {
        let mut points = Vec::new();
        for row in 0..self.bins[0] {
            for column in 0..self.bins[1] {
                for sample in 0..self.samples[0] {
                    let y = near(self.at(0, row, sample), height);
                    for sample in 0..self.samples[1] {
                        let x = near(self.at(1, column, sample), width);
                        points.push(y.zip(x).map(|((up, down, y), (left, right, x))| {
                            let (over, before) = (T::ONE - y, T::ONE - x);
                            [
                                (up * width + left, over * before),
                                (up * width + right, over * x),
                                (down * width + left, y * before),
                                (down * width + right, y * x),
                            ]
                        }));
                    }
                }
            }
        }
        points
    }
}

/// The places on both sides of a point along an axis, and how far it is beyond the first.
fn near<T: Real>(at: T, size: usize) -> Option<(usize, usize, T)> {
    if !(at >= T::of(-1.0) && at <= T::count(size)) || size == 0 {
        return None;
    }
    let at = if at < T::ZERO { T::ZERO } else { at };
    let low = at.wide() as usize;
    match low + 1 >= size {
        true => Some((size - 1, size - 1, T::ZERO)),
        false => Some((low, low + 1, at - T::count(low))),
    }
}
