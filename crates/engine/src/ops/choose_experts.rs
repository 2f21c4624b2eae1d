//! Fast `choose_experts`: the walk of its twin over floats.

use graph::{Data, Fault, ops::choose_experts_f32::Choice};

use super::{choose_experts_f32::Room, map::PIECE};
use crate::kernel::{Call, Kernel, Making, State, excluded};

const NAME: &str = "choose_experts";

struct Choose {
    choice: Choice,
    bias: Vec<i64>,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let experts = making.width(0)?;
    let bias = if making.inputs.len() > 1 { making.constant_integers(1)? } else { vec![0; experts] };
    Some(Box::new(Choose { choice: Choice::read(making.attributes, experts).ok()?, bias }))
}

impl Kernel for Choose {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let (Some(Data::I32(scores)), Data::I32(out)) = (call.inputs.first(), out) else { return Err(excluded(NAME)) };
        let (experts, count) = (self.bias.len(), self.choice.count);
        call.threads.each(out, count, PIECE.div_ceil(experts), |first, out| {
            let mut room = Room::<i64>::default();
            let rows = scores[first * experts..].chunks_exact(experts).zip(out.chunks_exact_mut(count));
            for (scores, out) in rows {
                room.corrected.clear();
                room.corrected.extend(scores.iter().zip(&self.bias).map(|(score, bias)| i64::from(*score) + bias));
                room.choose(&self.choice, out);
            }
        });
        Ok(())
    }
}
