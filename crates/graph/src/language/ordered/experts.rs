//! The feed-forward part made of experts: each row passes the few that its scores choose, and perhaps one for all.

use super::Builder;
use crate::{
    attribute::Attributes,
    graph::Source,
    language::{
        ImportRefusal,
        config::{Experts, Scores},
        weights::{
            Rows,
            names::{self, Part},
        },
    },
    ops,
};

/// A matrix of every expert, as its file may have it: apart, or fused with another in one stack.
struct Stack {
    own: &'static Part,
    one: &'static Part,
    /// Where the matrix begins in the fused ones.
    start: usize,
}

impl Builder<'_, '_> {
    pub(super) fn experts(&mut self, h: Source, experts: &Experts) -> Result<Source, ImportRefusal> {
        let (width, inner) = (self.config.width, experts.width);
        let (choice, weights) = self.choose(h, experts)?;
        let gates = Stack { own: &names::EXPERT_GATES, one: &names::ONE_GATE, start: 0 };
        let ups = Stack { own: &names::EXPERT_UPS, one: &names::ONE_UP, start: inner };
        let gate = self.through("expert_gate", h, choice, &gates, experts, inner)?;
        let up = self.through("expert_up", h, choice, &ups, experts, inner)?;
        let inside = self.gated("expert_", gate, up);
        let rows = Rows::all(self.place(&names::EXPERT_DOWNS), width, inner);
        let downs = if self.weights.has(rows.place, "weight") {
            self.weights.stack(&rows, experts.count)?
        } else {
            let rows = Rows::all(self.place(&names::ONE_DOWN), width, inner);
            self.weights.gathered(&rows, experts.count)?
        };
        let downs = self.weights("expert_down", downs);
        let said = self.chosen("expert_down", inside, downs, choice);
        let said = self.pair("experts", &ops::combine_experts_f32::OPERATOR, said, weights);
        let Some(shared) = experts.shared else { return Ok(said) };
        let beside = self.shared(h, shared)?;
        Ok(self.pair("experts_and_shared", &ops::add_f32::OPERATOR, said, beside))
    }

    /// Which experts each row passes, and what each of them counts.
    fn choose(&mut self, h: Source, experts: &Experts) -> Result<(Source, Source), ImportRefusal> {
        let rows = Rows::all(self.place(&names::ROUTER), experts.count, self.config.width);
        let matrix = self.weights.exact_matrix(&rows)?;
        let matrix = self.weights("router", matrix);
        let logits = self.apply("router", h, matrix, None);
        let operator = match experts.scores {
            Scores::Softmax => &ops::softmax_f32::OPERATOR,
            Scores::Sigmoid => &ops::sigmoid_f32::OPERATOR,
        };
        let scores = self.node("scores", operator, Attributes::new(), &[logits]);
        let mut inputs = vec![scores];
        let bias = self.place(&names::ROUTER_BIAS);
        if self.weights.has(bias, "bias") {
            let bias = self.weights.vector(bias, "bias", experts.count)?;
            inputs.push(self.constant("router.correction", &[experts.count], bias));
        }
        let mut attributes = Attributes::new().with("count", experts.chosen as i64);
        if let Some(groups) = experts.groups {
            let (count, kept, best) = (groups.count as i64, groups.kept as i64, groups.best as i64);
            attributes = attributes.with("groups", count).with("kept", kept).with("best", best);
        }
        let choice = self.node("choice", &ops::choose_experts_f32::OPERATOR, attributes, &inputs);
        let attributes = Attributes::new().with("normalise", i64::from(experts.normalise)).with("scale", experts.scale);
        let weights = self.node("choice_weights", &ops::weigh_experts_f32::OPERATOR, attributes, &[scores, choice]);
        Ok((choice, weights))
    }

    /// The matrices of the chosen experts.
    fn through(
        &mut self,
        part: &str,
        h: Source,
        choice: Source,
        stack: &Stack,
        experts: &Experts,
        inner: usize,
    ) -> Result<Source, ImportRefusal> {
        let width = self.config.width;
        let fused = self.place(&names::EXPERT_GATES_AND_UPS);
        let tensor = if self.weights.has(fused, "weight") {
            let order = (stack.start..stack.start + inner).collect();
            self.weights.stack(&Rows { place: fused, of: 2 * inner, columns: width, order }, experts.count)?
        } else if self.weights.has(self.place(stack.own), "weight") {
            self.weights.stack(&Rows::all(self.place(stack.own), inner, width), experts.count)?
        } else {
            self.weights.gathered(&Rows::all(self.place(stack.one), inner, width), experts.count)?
        };
        let tensor = self.weights(part, tensor);
        Ok(self.chosen(part, h, tensor, choice))
    }

    fn chosen(&mut self, part: &str, x: Source, stack: Source, choice: Source) -> Source {
        let float = self.is_float(stack);
        let operator =
            if float { &ops::linear_experts_f32::OPERATOR } else { &ops::linear_experts_blocks_f32::OPERATOR };
        self.node(part, operator, Attributes::new(), &[x, stack, choice])
    }

    /// What every row passes, as much of it as its own score allows where it has one.
    fn shared(&mut self, h: Source, inner: usize) -> Result<Source, ImportRefusal> {
        let width = self.config.width;
        let rows = |builder: &Self, part, rows, columns| Rows::all(builder.place(part), rows, columns);
        let (gate, up) = (rows(self, &names::SHARED_GATE, inner, width), rows(self, &names::SHARED_UP, inner, width));
        let down = rows(self, &names::SHARED_DOWN, width, inner);
        let gate = self.linear("shared_gate", h, &gate)?;
        let up = self.linear("shared_up", h, &up)?;
        let inside = self.gated("shared_", gate, up);
        let said = self.linear("shared_down", inside, &down)?;
        let place = self.place(&names::SHARED_SCORE);
        if !self.weights.has(place, "weight") {
            return Ok(said);
        }
        let row = self.weights.vector(place, "weight", width)?;
        let matrix = self.weights.unquantised("shared_score", &[1, width], &row)?;
        let matrix = self.weights("shared_score", matrix);
        let score = self.apply("shared_score", h, matrix, None);
        let score = self.node("shared_share", &ops::sigmoid_f32::OPERATOR, Attributes::new(), &[score]);
        Ok(self.pair("shared", &ops::multiply_f32::OPERATOR, said, score))
    }
}
