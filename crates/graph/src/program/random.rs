//! Randomness of tensor programs: a function of a seed and a place, the same everywhere. A node without a seed has seed 0.

use super::element::Element;
use super::machine::{Context, Node, Outcome};
use super::problem::Problem;
use super::real::{Real, precision};

/// The shape that an operator without inputs states.
pub fn stated_shape(node: &Node) -> Result<Vec<usize>, Problem> {
    let sizes = node.integers("shape")?.ok_or(Problem::Attribute { name: "shape", expected: "a list of integers" })?;
    let shape: Option<Vec<usize>> = sizes.iter().map(|&size| usize::try_from(size).ok()).collect();
    shape.ok_or(Problem::Attribute { name: "shape", expected: "sizes from 0" })
}

/// Uniform numbers from the attribute `low` to below `high`.
pub fn uniforms(node: &Node, context: &mut Context, shape: &[usize], default: Element) -> Outcome {
    let (low, high) = (f64::from(node.float("low", 0.0)?), f64::from(node.float("high", 1.0)?));
    fill(node, context, shape, default, |random, place| low + random.uniform(place) * (high - low))
}

/// Normal numbers of the attributes `mean` and `scale`.
pub fn normals(node: &Node, context: &mut Context, shape: &[usize], default: Element) -> Outcome {
    let (mean, scale) = (f64::from(node.float("mean", 0.0)?), f64::from(node.float("scale", 1.0)?));
    fill(node, context, shape, default, |random, place| mean + random.normal(place) * scale)
}

/// A number for each place, of the element that the attribute `dtype` names, or of the default.
fn fill(
    node: &Node,
    context: &mut Context,
    shape: &[usize],
    default: Element,
    number: impl Fn(Random, u64) -> f64 + Sync,
) -> Outcome {
    let element = match node.integer_or_none("dtype")? {
        Some(code) => Element::from_code(code).ok_or(Problem::Attribute { name: "dtype", expected: "an element" })?,
        None => default,
    };
    let (random, total) = (Random::of(node)?, context.room(shape, element)?);
    let crew = context.crew();
    let made = precision!(element, T => T::write(element, shape, crew.fill(total, 64, T::ZERO, |place| T::of(number(random, place as u64)))),
        else => Err(Problem::Attribute { name: "dtype", expected: "a float" }));
    Ok(vec![made?.into()])
}

/// Numbers by their place (SplitMix64: Steele, Lea, Flood 2014, over the seed's bits).
#[derive(Clone, Copy)]
pub struct Random(u64);

impl Random {
    /// Of a node's attribute `seed`.
    pub fn of(node: &Node) -> Result<Self, Problem> {
        // An integer in one operator, a float in the others.
        let whole = node.integer_or_none("seed").ok().flatten();
        Ok(Self(match whole {
            Some(seed) => seed as u64,
            None => u64::from(node.float("seed", 0.0)?.to_bits()),
        }))
    }

    fn bits(self, place: u64) -> u64 {
        let state = (self.0 << 32).wrapping_add(place.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// From 0 to below 1, in steps of 2^-53.
    pub fn uniform(self, place: u64) -> f64 {
        (self.bits(place) >> 11) as f64 / 9_007_199_254_740_992.0
    }

    /// Of mean 0 and deviation 1: the first of each two by Box and Muller.
    pub fn normal(self, place: u64) -> f64 {
        let (radius, angle) =
            (self.uniform(place.wrapping_mul(2)), self.uniform(place.wrapping_mul(2).wrapping_add(1)));
        let radius = (-2.0 * super::math::ln(1.0 - radius)).sqrt();
        radius * super::math::cos((2.0 * angle - 1.0) * std::f64::consts::PI)
    }
}

/// Uniform numbers one after the other, as the standard's reference implementation draws them for `Dropout`: the Mersenne
/// Twister (MT19937: Matsumoto, Nishimura 1998; seeded as in its revision of 2002), 53 bits of each two numbers.
pub struct Twister {
    state: [u32; Self::SIZE],
    place: usize,
}

impl Twister {
    const SIZE: usize = 624;
    const PERIOD: usize = 397;

    /// Of a node's attribute `seed`; its lowest 32 bits count.
    pub fn of(node: &Node) -> Result<Self, Problem> {
        Ok(Self::new(node.integer_or_none("seed")?.unwrap_or(0) as u32))
    }

    fn new(seed: u32) -> Self {
        let mut state = [seed; Self::SIZE];
        for place in 1..Self::SIZE {
            let before = state[place - 1];
            state[place] = (before ^ before >> 30).wrapping_mul(1_812_433_253).wrapping_add(place as u32);
        }
        Self { state, place: Self::SIZE }
    }

    fn turn(&mut self) {
        for place in 0..Self::SIZE {
            let next = self.state[(place + 1) % Self::SIZE];
            let mixed = self.state[place] & 0x8000_0000 | next & 0x7fff_ffff;
            let odd = if mixed & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[place] = self.state[(place + Self::PERIOD) % Self::SIZE] ^ mixed >> 1 ^ odd;
        }
        self.place = 0;
    }

    fn bits(&mut self) -> u32 {
        if self.place == Self::SIZE {
            self.turn();
        }
        let mut bits = self.state[self.place];
        self.place += 1;
        bits ^= bits >> 11;
        bits ^= bits << 7 & 0x9d2c_5680;
        bits ^= bits << 15 & 0xefc6_0000;
        bits ^ bits >> 18
    }

    /// From 0 to below 1, in steps of 2^-53.
    pub fn uniform(&mut self) -> f64 {
        let (high, low) = (self.bits() >> 5, self.bits() >> 6);
        (f64::from(high) * 67_108_864.0 + f64::from(low)) / 9_007_199_254_740_992.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_twister_is_the_published_one() {
        // The ten thousandth number of the default seed, as C++'s standard states it (ISO 14882, [rand.predef]).
        let mut twister = Twister::new(5489);
        assert_eq!((0..10_000).map(|_| twister.bits()).last(), Some(4_123_659_995));
        // The first uniform numbers of seed 0, as NumPy's `RandomState(0).uniform()` gives them.
        let mut twister = Twister::new(0);
        assert_eq!([twister.uniform(), twister.uniform()], [0.548_813_503_927_324_7, 0.715_189_366_372_419_5]);
    }

    #[test]
    fn numbers_have_their_mean_and_spread_and_are_frozen() {
        let random = Random(7);
        let count = 20_000_u64;
        let mean = |number: &dyn Fn(u64) -> f64| (0..count).map(number).sum::<f64>() / count as f64;
        assert!((mean(&|place| random.uniform(place)) - 0.5).abs() < 0.01);
        assert!(mean(&|place| random.normal(place)).abs() < 0.03);
        assert!((mean(&|place| random.normal(place).powi(2)) - 1.0).abs() < 0.03);
        assert_ne!(random.bits(0), Random(8).bits(0));
        assert_eq!(random.bits(3), 15_359_123_805_359_554_989);
    }
}
