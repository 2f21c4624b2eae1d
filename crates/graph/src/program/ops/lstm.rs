//! `LSTM`: gates i, o, f, c; `c' = f·c + i·candidate`, `h' = o·activation(c')`, each product and sum rounded. Peepholes are added to a
//! gate as `P·c` (of the output gate, `P·c'`). With `input_forget`, `f = 1 - i`.

use super::prelude::*;
use crate::program::recurrent::{self, Cell, Weights};

pub static OPERATOR: Operator = Operator {
    name: "LSTM",
    domain: "",
    versions: &[1, 7, 14, 22],
    inputs: (3, 8),
    outputs: (0, 3),
    attributes: &[
        "activation_alpha",
        "activation_beta",
        "activations",
        "clip",
        "direction",
        "hidden_size",
        "input_forget",
        "layout",
        "output_sequence",
    ],
    run: recurrent::run::<Lstm>,
};

pub struct Lstm;

impl Cell for Lstm {
    const GATES: usize = 4;
    const ACTIVATIONS: &'static [&'static str] = &["sigmoid", "tanh", "tanh"];
    const GROUPS: &'static [(usize, usize)] = &[(0, 4)];
    const HAS_CELL: bool = true;
    const VARIANT: Option<&'static str> = Some("input_forget");

    fn step<T: Real>(weights: &Weights<'_, T>, x: &[T], h: &[T], c: &mut [T]) -> Vec<T> {
        let hole = |which: usize, unit: usize, cell: T| {
            weights.peepholes.get(which * weights.hidden + unit).map(|&peephole| peephole * cell)
        };
        let with_hole = |gate: T, hole: Option<T>| hole.map_or(gate, |hole| gate + hole);
        let state = weights.of_state::<Self>(0, h);
        let step = |(unit, cell): (usize, &mut T)| {
            let at = |which: usize| which * weights.hidden + unit;
            let gate = |which: usize| weights.gate(which, unit, x[at(which)], state[at(which)]);
            let input = weights.activate(0, with_hole(gate(0), hole(0, unit, *cell)));
            let forget = match weights.variant {
                true => T::ONE - input,
                false => weights.activate(0, with_hole(gate(2), hole(2, unit, *cell))),
            };
            let candidate = weights.activate(1, gate(3));
            *cell = forget * *cell + input * candidate;
            let output = weights.activate(0, with_hole(gate(1), hole(1, unit, *cell)));
            output * weights.activations[2].apply(*cell)
        };
        c.iter_mut().enumerate().map(step).collect()
    }
}
