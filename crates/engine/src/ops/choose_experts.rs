//! Fast `choose_experts`: the walk of its twin over floats.

use graph::{Data, Fault, ops::choose_experts_f32::Choice};

use super::{choose_experts_f32::Room, map::PIECE};
use crate::{
    constants::Numbers,
    kernel::{Call, Kernel, Making, State, excluded},
};

const NAME: &str = "choose_experts";

struct Choose {
    choice: Choice,
    experts: usize,
    bias: Option<Numbers<i32>>,
}

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let experts = making.width(0)?;
    let bias = if making.inputs.len() > 1 { Some(making.numbers(1)?) } else { None };
    Some(Box::new(Choose { choice: Choice::read(making.attributes, experts).ok()?, experts, bias }))
}

impl Kernel for Choose {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let (Some(Data::I32(scores)), Data::I32(out)) = (call.inputs.first(), out) else { return Err(excluded(NAME)) };
        let (experts, count) = (self.experts, self.choice.count);
        call.threads.each(out, count, PIECE.div_ceil(experts), |first, out| {
            let mut room = Room::<i64>::default();
            let rows = scores[first * experts..].chunks_exact(experts).zip(out.chunks_exact_mut(count));
            for (scores, out) in rows {
                room.corrected.clear();
                match self.bias.as_deref() {
                    Some(bias) => {
                        let corrected =
                            scores.iter().zip(bias).map(|(&score, &bias)| i64::from(score) + i64::from(bias));
                        room.corrected.extend(corrected);
                    }
                    None => room.corrected.extend(scores.iter().map(|&score| i64::from(score))),
                }
                room.choose(&self.choice, out);
            }
        });
        Ok(())
    }
}
