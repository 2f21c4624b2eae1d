//! `GRU`: gates z, r, h; `h' = (1 - z)·candidate + z·h`, two products and a sum. The reset gate weighs the state before its product
//! with R, or, with `linear_before_reset`, the product and its bias.

use super::prelude::*;
use crate::program::recurrent::{self, Cell, Weights};

pub static OPERATOR: Operator = Operator {
    name: "GRU",
    domain: "",
    versions: &[3, 7, 14, 22],
    inputs: (3, 6),
    outputs: (0, 2),
    attributes: &[
        "activation_alpha",
        "activation_beta",
        "activations",
        "clip",
        "direction",
        "hidden_size",
        "layout",
        "linear_before_reset",
        "output_sequence",
    ],
    run: recurrent::run::<Gru>,
};

pub struct Gru;

impl Cell for Gru {
    const GATES: usize = 3;
    const ACTIVATIONS: &'static [&'static str] = &["sigmoid", "tanh"];
    const GROUPS: &'static [(usize, usize)] = &[(0, 2), (2, 3)];
    const HAS_CELL: bool = false;
    const VARIANT: Option<&'static str> = Some("linear_before_reset");

    fn step<T: Real>(weights: &Weights<'_, T>, x: &[T], h: &[T], _: &mut [T]) -> Vec<T> {
        let state = weights.of_state::<Self>(0, h);
        let gate = |which: usize| -> Vec<T> {
            let at = |unit: usize| which * weights.hidden + unit;
            let one = |unit: usize| weights.activate(0, weights.gate(which, unit, x[at(unit)], state[at(unit)]));
            (0..weights.hidden).map(one).collect()
        };
        let (update, reset) = (gate(0), gate(1));
        let kept: Vec<T> = reset.iter().zip(h).map(|(&reset, &h)| reset * h).collect();
        let last = weights.of_state::<Self>(1, if weights.variant { h } else { &kept });
        let candidate = |unit: usize| {
            let x = x[2 * weights.hidden + unit];
            let sum = if weights.variant {
                let state = last[unit] + weights.bias_of_state(2, unit);
                (x + reset[unit] * state) + weights.bias_of_input(2, unit)
            } else {
                weights.gate(2, unit, x, last[unit])
            };
            weights.activate(1, sum)
        };
        (0..weights.hidden).map(|unit| (T::ONE - update[unit]) * candidate(unit) + update[unit] * h[unit]).collect()
    }
}
