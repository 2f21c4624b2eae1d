//! `RNN`: `h = f(gate)`, the gate as in `recurrent.rs`.

use super::prelude::*;
use crate::program::recurrent::{self, Cell, Weights};

pub static OPERATOR: Operator = Operator {
    name: "RNN",
    domain: "",
    versions: &[1, 7, 14, 22],
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
        "output_sequence",
    ],
    run: recurrent::run::<Rnn>,
};

pub struct Rnn;

impl Cell for Rnn {
    const GATES: usize = 1;
    const ACTIVATIONS: &'static [&'static str] = &["tanh"];
    const GROUPS: &'static [(usize, usize)] = &[(0, 1)];
    const HAS_CELL: bool = false;
    const VARIANT: Option<&'static str> = None;

    fn step<T: Real>(weights: &Weights<'_, T>, x: &[T], h: &[T], _: &mut [T]) -> Vec<T> {
        let state = weights.of_state::<Self>(0, h);
        (0..weights.hidden).map(|unit| weights.activate(0, weights.gate(0, unit, x[unit], state[unit]))).collect()
    }
}
