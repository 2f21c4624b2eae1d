//! Places of an axis taken again, in another number or order, or filled: paddings, and images resized to their nearest places.

use super::super::error::CompileError;
use super::super::integer::encoding::{Encoding, rounded};
use super::emit::{Emitter, Held, name, refuse};
use super::moves::cut;
use super::net::{Net, output};
use super::padding;
use crate::program::{Node, Source, index, ops as program};
use crate::shape::{Dimension, Shape};
use crate::{Attributes, ops};

/// Most pieces that an axis is put together of: what one `concat` takes.
const PIECES_MAX: usize = 64;

/// Neighbours along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    /// Its own places from `start` on.
    Own { start: usize, step: usize, count: usize },
    /// As many that hold a constant.
    Filled { count: usize },
}

fn result(node: &Node) -> Result<u32, CompileError> {
    output(node).ok_or_else(|| refuse(node, "makes nothing that is read"))
}

pub fn pad(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let (input, mut held) = emitter.operand(node, 0)?;
    let slot = result(node)?;
    let found = padding::find(emitter.net, node, input);
    let padding = found.ok_or_else(|| refuse(node, "has computed pads, or pads with what is no finite number"))?;
    let mut fill = 0;
    if padding.mode == program::Padding::Constant {
        let target = emitter.target(node, slot)?;
        held = emitter.requantise(&format!("{}/own", name(node)), &held, target);
        fill = rounded(padding.value, target);
    }
    for (axis, &(before, behind)) in padding.ends.iter().enumerate().filter(|(_, ends)| **ends != (0, 0)) {
        let axis = held.axis(axis);
        let size = size(node, &held, axis)?;
        let places = (-before..size as i64 + behind).map(|place| padding.mode.source(place, size).ok());
        let places = places.collect::<Option<Vec<_>>>().ok_or_else(|| refuse(node, "repeats an axis of no places"))?;
        held = taken(emitter, node, &held, axis, (&places, fill))?;
    }
    emitter.keep(node, slot, held)
}

pub fn resize(emitter: &mut Emitter, node: &Node) -> Result<(), CompileError> {
    let (input, mut held) = emitter.operand(node, 0)?;
    let slot = result(node)?;
    let found = nearest(emitter.net, node, input, slot);
    let problem = "mixes places, or has computed scales: expected the nearest place, by constant scales or plain sizes";
    for (axis, places) in found.ok_or_else(|| refuse(node, problem))? {
        let axis = held.axis(axis);
        held = taken(emitter, node, &held, axis, (&places, 0))?;
    }
    emitter.keep(node, slot, held)
}

/// For each axis of another size, which places its new ones take.
fn nearest(net: &Net, node: &Node, x: u32, slot: u32) -> Option<Vec<(usize, Vec<Option<usize>>)>> {
    let (own, made) = (net.shape(x), net.shape(slot));
    let axes = match node.integers("axes").ok()? {
        Some(axes) => axes.iter().map(|&axis| index::axis(axis, own.rank()).ok()).collect::<Option<Vec<usize>>>()?,
        None => (0..own.rank()).collect(),
    };
    let scales = scales(net, node)?;
    if scales.is_empty() && node.text("keep_aspect_ratio_policy", "stretch").ok()? != "stretch" {
        return None;
    }
    let mut all = Vec::new();
    for (number, axis) in axes.into_iter().enumerate() {
        let scale = if scales.is_empty() { None } else { Some(f64::from(*scales.get(number)?)) };
        match (*own.0.get(axis)?, *made.0.get(axis)?, scale) {
            (Dimension::Rows, Dimension::Rows, None | Some(1.0)) => {}
            (Dimension::Fixed(own), Dimension::Fixed(made), scale) => {
                let scale = scale.unwrap_or(made as f64 / own as f64);
                if scale != 1.0 || own != made {
                    let places = program::nearest(node, own, scale, made)?;
                    all.push((axis, places.into_iter().map(Some).collect()));
                }
            }
            _ => return None,
        }
    }
    Some(all)
}

/// The scales that a node states; none where it states sizes.
fn scales(net: &Net, node: &Node) -> Option<Vec<f32>> {
    if let Some(scales) = node.floats("scales").ok()? {
        return Some(scales.to_vec());
    }
    match node.inputs.get(if node.version < 11 { 1 } else { 2 }) {
        None | Some(Source::Nothing) => Some(Vec::new()),
        Some(&source) => Some(net.floats(source)?.1),
    }
}

fn size(node: &Node, x: &Held, axis: usize) -> Result<usize, CompileError> {
    match x.shape.0.get(axis) {
        Some(Dimension::Fixed(size)) if *size > 0 => Ok(*size),
        _ => Err(refuse(node, "takes other rows than its own")),
    }
}

/// Along an axis of what is held, these places one after the other; where there is none, `fill`.
fn taken(
    emitter: &mut Emitter,
    node: &Node,
    x: &Held,
    axis: usize,
    (places, fill): (&[Option<usize>], i64),
) -> Result<Held, CompileError> {
    let (name, size) = (format!("{}/{axis}", name(node)), size(node, x, axis)?);
    if let Some(times) = times(places, size) {
        return repeated(emitter, node, x, axis, times);
    }
    let pieces = pieces(places, size);
    if pieces.is_empty() || pieces.len() > PIECES_MAX {
        let found = pieces.len();
        return Err(refuse(node, format!("puts an axis together of {found} pieces, expected 1 to {PIECES_MAX}")));
    }
    let mut parts = Vec::new();
    for (number, piece) in pieces.into_iter().enumerate() {
        let name = format!("{name}/{number}");
        parts.push(match piece {
            Piece::Own { start, step, count } => {
                cut(emitter, &name, x, axis, [start, step, count].map(|value| value as i64))
            }
            Piece::Filled { count } => {
                let like = cut(emitter, &format!("{name}/like"), x, axis, [0, 1, count as i64]);
                emitter.requantise(&name, &like, Encoding { low: fill, high: fill, ..x.encoding })
            }
        });
    }
    let mut shape = x.shape.clone();
    shape.0[axis] = Dimension::Fixed(places.len());
    let source = match parts.as_slice() {
        [only] => only.source,
        parts => {
            let sources: Vec<_> = parts.iter().map(|part| part.source).collect();
            emitter.add(&name, &ops::concat::OPERATOR, Attributes::new().with("axis", axis as i64), &sources)
        }
    };
    Ok(Held { source, shape, ..x.clone() })
}

/// How often each place is taken, where all are as often and in order.
fn times(places: &[Option<usize>], size: usize) -> Option<usize> {
    let times = places.len() / size;
    let all = places.len() == times * size && (2..=PIECES_MAX).contains(&times);
    (all && places.iter().enumerate().all(|(at, place)| *place == Some(at / times))).then_some(times)
}

/// Each place so many times: with all that lies behind it it is one long row, which is joined to itself.
fn repeated(emitter: &mut Emitter, node: &Node, x: &Held, axis: usize, times: usize) -> Result<Held, CompileError> {
    let name = format!("{}/{axis}", name(node));
    let (front, behind) = x.shape.0.split_at(axis + 1);
    let behind = Shape(behind.to_vec()).sizes().map(|sizes| sizes.iter().product::<usize>());
    let behind = behind.ok_or_else(|| refuse(node, "has its rows inside"))?;
    let long = |behind: usize| Shape(front.iter().copied().chain([Dimension::Fixed(behind)]).collect());
    let row = emitter.reshape(&format!("{name}/row"), x, &long(behind));
    let attributes = Attributes::new().with("axis", axis as i64 + 1);
    let source = emitter.add(&format!("{name}/rows"), &ops::concat::OPERATOR, attributes, &vec![row.source; times]);
    let rows = Held { source, shape: long(behind * times), ..x.clone() };
    let mut shape = x.shape.clone();
    shape.0[axis] = Dimension::Fixed(size(node, x, axis)? * times);
    Ok(emitter.reshape(&name, &rows, &shape))
}

/// Places in order, as few pieces of which each rises evenly; no filled one is longer than the axis.
fn pieces(places: &[Option<usize>], size: usize) -> Vec<Piece> {
    let (mut pieces, mut rest) = (Vec::new(), places);
    while let Some(&first) = rest.first() {
        let (piece, count) = match first {
            None => {
                let count = rest.iter().take_while(|place| place.is_none()).count().min(size.max(1));
                (Piece::Filled { count }, count)
            }
            Some(start) => {
                let step = match rest.get(1) {
                    Some(&Some(next)) if next > start => next - start,
                    _ => 1,
                };
                let rises = |(number, place): &(usize, &Option<usize>)| **place == Some(start + number * step);
                let count = rest.iter().enumerate().take_while(rises).count();
                (Piece::Own { start, step, count }, count)
            }
        };
        pieces.push(piece);
        rest = &rest[count..];
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn own(start: usize, step: usize, count: usize) -> Piece {
        Piece::Own { start, step, count }
    }

    #[test]
    fn places_that_rise_evenly_are_one_piece() {
        let some = |places: &[usize]| places.iter().copied().map(Some).collect::<Vec<_>>();
        assert_eq!(pieces(&some(&[0, 1, 2, 3]), 4), [own(0, 1, 4)]);
        assert_eq!(pieces(&some(&[1, 3]), 4), [own(1, 2, 2)]);
        // Mirrored in front, the edge behind.
        let places = some(&[2, 1, 0, 1, 2, 3, 3]);
        assert_eq!(pieces(&places, 4), [own(2, 1, 1), own(1, 1, 1), own(0, 1, 4), own(3, 1, 1)]);
    }

    #[test]
    fn no_filled_piece_is_longer_than_the_axis() {
        let places = [None, None, None, Some(0), Some(1), None];
        let filled = |count| Piece::Filled { count };
        assert_eq!(pieces(&places, 2), [filled(2), filled(1), own(0, 1, 2), filled(1)]);
    }

    #[test]
    fn places_are_as_often_or_they_are_not() {
        let some = |places: &[usize]| places.iter().copied().map(Some).collect::<Vec<_>>();
        assert_eq!(times(&some(&[0, 0, 1, 1]), 2), Some(2));
        assert_eq!(times(&some(&[0, 0, 1]), 2), None);
        assert_eq!(times(&some(&[0, 1, 0, 1]), 2), None);
        assert_eq!(times(&some(&[0, 1]), 2), None);
    }
}
