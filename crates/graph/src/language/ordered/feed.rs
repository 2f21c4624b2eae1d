//! The dense feed-forward part: gates times what they gate.

use super::Builder;
use crate::{
    graph::Source,
    language::{
        ImportRefusal,
        weights::{
            Rows,
            names::{self, Part},
        },
    },
    ops,
};

impl Builder<'_, '_> {
    pub(super) fn feed(&mut self, h: Source) -> Result<Source, ImportRefusal> {
        let (width, inner) = (self.config.width, self.config.feed_forward);
        let fused = !self.weights.has(self.place(&names::GATE), "weight");
        let rows = |builder: &Self, part: &'static Part, start: usize| {
            if fused {
                let order = (start..start + inner).collect();
                return Rows { place: builder.place(&names::GATE_AND_UP), of: 2 * inner, columns: width, order };
            }
            Rows::all(builder.place(part), inner, width)
        };
        let (gate, up) = (rows(self, &names::GATE, 0), rows(self, &names::UP, inner));
        let gate = self.linear("gate", h, &gate)?;
        let up = self.linear("up", h, &up)?;
        let inside = self.gated("", gate, up);
        let down = Rows::all(self.place(&names::DOWN), width, inner);
        self.linear("down", inside, &down)
    }

    /// The activation of the gates, times what they gate.
    pub(super) fn gated(&mut self, prefix: &str, gate: Source, up: Source) -> Source {
        let gate = self.activation(&format!("{prefix}activation"), gate);
        self.pair(&format!("{prefix}inner"), &ops::multiply_f32::OPERATOR, gate, up)
    }
}
