//! Where the heads of attention lie in a tensor: `[batch, heads, length, width]`, or `[batch, length, heads · width]`.

use super::array::Array;
use super::machine::Context;
use super::machine::Node;
use super::problem::Problem;

/// How a tensor is split into heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    pub batch: usize,
    pub heads: usize,
    pub length: usize,
    pub width: usize,
    heads_first: bool,
}

impl Heads {
    /// Of a tensor of rank 4, or of rank 3 whose heads the attribute `name` counts.
    pub fn of(node: &Node, name: &'static str, x: &Array, input: usize) -> Result<Self, Problem> {
        match *x.shape() {
            [batch, heads, length, width] => Ok(Self { batch, heads, length, width, heads_first: true }),
            [batch, length, all] => {
                let heads = usize::try_from(node.integer(name, 0)?).unwrap_or(0);
                if heads == 0 || !all.is_multiple_of(heads) {
                    return Err(Problem::Attribute { name, expected: "a divisor of the width" });
                }
                Ok(Self { batch, heads, length, width: all / heads, heads_first: false })
            }
            _ => Err(Problem::shape(input, "3 or 4 sizes", x.shape())),
        }
    }

    /// Where the numbers of a head at a place begin.
    pub fn at(&self, batch: usize, head: usize, place: usize) -> usize {
        let index = match self.heads_first {
            true => (batch * self.heads + head) * self.length + place,
            false => (batch * self.length + place) * self.heads + head,
        };
        index * self.width
    }

    /// The shape with heads in front.
    pub fn shape(&self) -> [usize; 4] {
        [self.batch, self.heads, self.length, self.width]
    }

    /// The same numbers, heads in front.
    pub fn in_front(&self, x: &Array, context: &mut Context) -> Result<Array, Problem> {
        if self.heads_first {
            return Ok(x.clone());
        }
        let places = context.room(&self.shape(), x.element())?;
        context.bytes(places as u64 * 8)?;
        let mut indices = Vec::with_capacity(places);
        for batch in 0..self.batch {
            for head in 0..self.heads {
                for place in 0..self.length {
                    let start = self.at(batch, head, place);
                    indices.extend(start..start + self.width);
                }
            }
        }
        x.take(&self.shape(), &indices)
    }

    /// Undoes `in_front` for a tensor of these heads but another width: in the layout that the caller's tensors have.
    pub fn as_given(&self, y: Array, width: usize, context: &mut Context) -> Result<Array, Problem> {
        if self.heads_first {
            return Ok(y);
        }
        let shape = [self.batch, self.length, self.heads * width];
        let places = context.room(&shape, y.element())?;
        context.bytes(places as u64 * 8)?;
        let mut indices = Vec::with_capacity(places);
        for batch in 0..self.batch {
            for place in 0..self.length {
                for head in 0..self.heads {
                    let start = ((batch * self.heads + head) * self.length + place) * width;
                    indices.extend(start..start + width);
                }
            }
        }
        y.take(&shape, &indices)
    }
}
