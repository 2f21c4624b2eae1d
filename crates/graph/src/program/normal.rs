//! What normalisations share: mean and deviation of a set of elements, in a fixed order.

use super::real::Real;

/// The mean (sum from +0, in order, divided by the count) and `1 / √(variance + epsilon)`, the variance being the chain by fma from
/// +0 of squared differences from the mean, divided by the count.
pub fn moments<T: Real>(values: impl Iterator<Item = T> + Clone, count: usize, epsilon: T) -> (T, T) {
    let mean = values.clone().fold(T::ZERO, |sum, value| sum + value) / T::count(count);
    let square = |sum, value| {
        let difference: T = value - mean;
        difference.fma(difference, sum)
    };
    let variance = values.fold(T::ZERO, square) / T::count(count);
    (mean, T::ONE / (variance + epsilon).square_root())
}

/// `((x - mean)·inverse)·scale + bias`: three products and sums, each rounded.
pub fn placed<T: Real>(x: T, (mean, inverse): (T, T), scale: T, bias: Option<T>) -> T {
    let scaled = ((x - mean) * inverse) * scale;
    bias.map_or(scaled, |bias| scaled + bias)
}
