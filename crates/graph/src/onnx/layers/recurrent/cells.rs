//! One step of each kind of cell.

use super::super::emit::{Emitter, Held};
use super::gates::{COARSE, Cell, GATE, Gates, INDEX, SUM, WEIGHED, gate, product, sum};
use super::symmetric;
use crate::onnx::integer::encoding::Encoding;
use crate::tensor::Element;

/// The cell of an LSTM: to ± 16 in units of 2^-13.
pub const CELL: Encoding = symmetric(Element::I32, 1.0 / 8_192.0, 1 << 17);

/// The sums of some gates as indices of tables.
fn index(emitter: &mut Emitter, gates: &Gates, name: &str, part: usize, x: &Held, h: Option<&Held>) -> Held {
    match h {
        Some(h) => {
            let of_state = gates.of_state(emitter, name, part, h, SUM);
            sum(emitter, &format!("{name}/gates"), x, &of_state, INDEX)
        }
        None => emitter.requantise(&format!("{name}/gates"), x, INDEX),
    }
}

pub struct Rnn;

impl Cell for Rnn {
    const GATES: usize = 1;
    const ACTIVATIONS: &'static [&'static str] = &["tanh"];
    const STATES: usize = 1;
    const VARIANT: Option<&'static str> = None;
    const WEIGHS_LAST: bool = false;

    fn step(emitter: &mut Emitter, gates: &Gates, name: &str, x: &Held, last: &[Option<Held>]) -> Vec<Held> {
        let index = index(emitter, gates, name, 0, x, last[0].as_ref());
        vec![gates.activate(emitter, &format!("{name}/next"), 0, &index, (gates.state, false))]
    }
}

pub struct Lstm;

impl Cell for Lstm {
    const GATES: usize = 4;
    const ACTIVATIONS: &'static [&'static str] = &["sigmoid", "tanh", "tanh"];
    const STATES: usize = 2;
    const VARIANT: Option<&'static str> = Some("input_forget");
    const WEIGHS_LAST: bool = false;

    /// Gates i, o, f, c: `c' = f·c + i·candidate`, `h' = o·activation(c')`.
    fn step(emitter: &mut Emitter, gates: &Gates, name: &str, x: &Held, last: &[Option<Held>]) -> Vec<Held> {
        let index = index(emitter, gates, name, 0, x, last[0].as_ref());
        let mut part = |which: usize| gate(emitter, name, &index, which, gates.hidden);
        let [i, o, f, c] = [part(0), part(1), part(2), part(3)];
        let input = gates.activate(emitter, &format!("{name}/input"), 0, &i, (GATE, false));
        let output = gates.activate(emitter, &format!("{name}/output"), 0, &o, (GATE, false));
        let candidate = gates.activate(emitter, &format!("{name}/candidate"), 1, &c, (GATE, false));
        let fresh = product(emitter, &format!("{name}/fresh"), &input, &candidate);
        let cell = match last.get(1).and_then(Option::as_ref) {
            Some(cell) => {
                let source = if gates.variant { &i } else { &f };
                let forget = gates.activate(emitter, &format!("{name}/forget"), 0, source, (COARSE, gates.variant));
                let kept = product(emitter, &format!("{name}/kept"), &forget, cell);
                sum(emitter, &format!("{name}/cell"), &kept, &fresh, CELL)
            }
            None => emitter.requantise(&format!("{name}/cell"), &fresh, CELL),
        };
        let shown = gates.activate(emitter, &format!("{name}/shown"), 2, &cell, (GATE, false));
        let next = product(emitter, &format!("{name}/products"), &output, &shown);
        vec![emitter.requantise(&format!("{name}/next"), &next, gates.state), cell]
    }
}

pub struct Gru;

impl Cell for Gru {
    const GATES: usize = 3;
    const ACTIVATIONS: &'static [&'static str] = &["sigmoid", "tanh"];
    const STATES: usize = 1;
    const VARIANT: Option<&'static str> = Some("linear_before_reset");
    const WEIGHS_LAST: bool = true;

    /// Gates z, r, h: `h' = (1 - z)·candidate + z·h`.
    fn step(emitter: &mut Emitter, gates: &Gates, name: &str, x: &Held, last: &[Option<Held>]) -> Vec<Held> {
        let (h, hidden) = (last[0].as_ref(), gates.hidden);
        let mut part = |which: usize| gate(emitter, name, x, which, hidden);
        let [z, r, own] = [part(0), part(1), part(2)];
        let of_state = h.map(|h| gates.of_state(emitter, name, 0, h, SUM));
        let mut opened = |word: &str, which: usize, x: &Held| match &of_state {
            Some(of_state) => {
                let of_state = gate(emitter, &format!("{name}/state"), of_state, which, hidden);
                sum(emitter, &format!("{name}/{word}/index"), x, &of_state, INDEX)
            }
            None => emitter.requantise(&format!("{name}/{word}/index"), x, INDEX),
        };
        let (z, r) = (opened("update", 0, &z), opened("reset", 1, &r));
        let update = gates.activate(emitter, &format!("{name}/update"), 0, &z, (GATE, false));
        let rest = gates.activate(emitter, &format!("{name}/rest"), 0, &z, (GATE, true));
        let reset = gates.activate(emitter, &format!("{name}/reset"), 0, &r, (GATE, false));
        let weighed = if gates.variant {
            let state = match h {
                Some(h) => gates.of_state(emitter, name, 1, h, WEIGHED),
                None => gates.bias_alone(emitter, name, 1),
            };
            Some(product(emitter, &format!("{name}/weighed"), &reset, &state))
        } else {
            h.map(|h| {
                let kept = product(emitter, &format!("{name}/reset state"), &reset, h);
                let kept = emitter.requantise(&format!("{name}/reset state/units"), &kept, gates.state);
                gates.of_state(emitter, name, 1, &kept, SUM)
            })
        };
        let index = match &weighed {
            Some(weighed) => sum(emitter, &format!("{name}/candidate/index"), &own, weighed, INDEX),
            None => emitter.requantise(&format!("{name}/candidate/index"), &own, INDEX),
        };
        let candidate = gates.activate(emitter, &format!("{name}/candidate"), 1, &index, (GATE, false));
        let fresh = product(emitter, &format!("{name}/fresh"), &rest, &candidate);
        let next = match h {
            Some(h) => {
                let kept = product(emitter, &format!("{name}/kept"), &update, h);
                sum(emitter, &format!("{name}/next"), &fresh, &kept, gates.state)
            }
            None => emitter.requantise(&format!("{name}/next"), &fresh, gates.state),
        };
        vec![next]
    }
}
