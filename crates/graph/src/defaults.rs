//! What a language model's manifest says of sampling, for whoever names nothing.

use crate::bytes::{Malformed, Reader, Writer};

const MICROS: u32 = 1_000_000;

/// Parameters that apply where the caller names none, in millionths where fractions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defaults {
    pub max_tokens: u32,
    pub temperature_micros: u32,
    pub top_p_micros: u32,
    pub top_k: u32,
    /// What follows is in a manifest only where some of it changes anything.
    pub min_p_micros: u32,
    pub repetition_penalty_micros: u32,
    pub presence_penalty_micros: i32,
    pub frequency_penalty_micros: i32,
}

impl Defaults {
    /// The likeliest token each time, so many of them.
    pub const fn greedy(max_tokens: u32) -> Self {
        Self {
            max_tokens,
            temperature_micros: 0,
            top_p_micros: MICROS,
            top_k: 0,
            min_p_micros: 0,
            repetition_penalty_micros: MICROS,
            presence_penalty_micros: 0,
            frequency_penalty_micros: 0,
        }
    }

    /// Whether more is to be said than length, temperature, top-p and top-k.
    pub(crate) fn has_more(self) -> bool {
        let Self { max_tokens, temperature_micros, top_p_micros, top_k, .. } = self;
        self != Self { temperature_micros, top_p_micros, top_k, ..Self::greedy(max_tokens) }
    }

    pub(crate) fn write(self, writer: &mut Writer) {
        writer.u32(self.max_tokens).u32(self.temperature_micros).u32(self.top_p_micros).u32(self.top_k);
        if self.has_more() {
            writer.u32(self.min_p_micros).u32(self.repetition_penalty_micros);
            writer.i32(self.presence_penalty_micros).i32(self.frequency_penalty_micros);
        }
    }

    pub(crate) fn read(reader: &mut Reader, has_more: bool) -> Result<Self, Malformed> {
        let mut defaults = Self::greedy(reader.u32()?);
        defaults.temperature_micros = reader.u32()?;
        defaults.top_p_micros = reader.u32()?;
        defaults.top_k = reader.u32()?;
        if has_more {
            defaults.min_p_micros = reader.u32()?;
            defaults.repetition_penalty_micros = reader.u32()?;
            defaults.presence_penalty_micros = reader.i32()?;
            defaults.frequency_penalty_micros = reader.i32()?;
        }
        if has_more == defaults.has_more() {
            Ok(defaults)
        } else {
            Err(Malformed::NotCanonical { what: "the defaults" })
        }
    }
}
