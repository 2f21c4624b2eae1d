//! Fast `convolve`: rows of windows times tiles of weights, scaled while the sums are still near.
//!
//! Images are padded once; then a window is some lines of memory and needs no patch of its own. Where lines are no whole groups
//! of four columns, or channels come in groups, patches are copied. Channels that are each alone go side by side.

use std::{cell::RefCell, sync::Arc};

use graph::{Data, Element, Fault, Format, Packed, ops::convolve::IMAGE_MAX};

use super::{
    images::Images,
    scales::{Scales, Target},
};
use crate::{
    cpu::{Level, versions},
    dot::{
        Matrix, ROWS,
        windows::{HEIGHT, Pieces, Sums, TILES, Tiles},
    },
    kernel::{Call, Kernel, Making, State, excluded},
};

struct Convolve {
    weights: Packed,
    begins: Arc<Begins>,
    is_signed: bool,
    scales: Scales,
    images: Images,
    groups: usize,
    starts: Vec<u32>,
    way: Way,
}

enum Way {
    /// Windows are pieces of the padded image.
    Lines { pieces: Vec<u32>, groups: usize },
    /// Windows are copied, columns filled up to groups of four.
    Patches { places: Vec<u32>, width: usize },
    /// Every channel is its own group.
    Channels { places: Vec<u32>, weights: Arc<Channels> },
}

/// What the sum of each output begins with, for bytes without a sign and for those with one, whose top bits are turned.
struct Begins {
    unsigned: Vec<i32>,
    signed: Vec<i32>,
}

/// Weights of channels that are each alone: `[place][channel]`.
struct Channels(Vec<i16>);

/// What a turned top bit adds to a byte.
const TURN: u8 = 128;

pub fn make(making: &Making) -> Option<Box<dyn Kernel>> {
    let Data::Packed(weights) = making.constant(1)? else { return None };
    let x = making.inputs.first()?;
    let images = Images::read(making.attributes, &x.shape.with_rows(1))?;
    let groups = usize::try_from(making.integer("groups")?).ok()?;
    let known = matches!(making.output.element, Element::I8 | Element::U8 | Element::I16 | Element::I32);
    if weights.format() != Format::I8 || images.padded_elements() > IMAGE_MAX || !known {
        return None;
    }
    let begins = making.derived(&[1, 2], || Begins::new(weights, &making.constant_integers(2).unwrap_or_default()))?;
    let (is_signed, scales) = (x.element == Element::I8, Scales::read(making, [3, 4])?);
    let way = way(making, &images, weights, groups)?;
    let starts = images.starts();
    Some(Box::new(Convolve { weights: weights.clone(), begins, is_signed, scales, images, groups, starts, way }))
}

impl Begins {
    fn new(weights: &Packed, bias: &[i64]) -> Self {
        let sums = weight_sums(weights);
        let all = |turn: i64| {
            let mut all: Vec<i32> = bias.iter().zip(&sums).map(|(bias, sum)| (bias - turn * sum) as i32).collect();
            all.resize(weights.rows().next_multiple_of(ROWS), 0);
            all
        };
        Self { unsigned: all(0), signed: all(TURN.into()) }
    }
}

impl Channels {
    fn new(weights: &Packed) -> Self {
        let rows: Vec<Vec<i64>> = (0..weights.rows()).map(|output| weights.integers(output)).collect();
        Self((0..weights.columns()).flat_map(|place| rows.iter().map(move |row| row[place] as i16)).collect())
    }
}

/// Of each output.
fn weight_sums(weights: &Packed) -> Vec<i64> {
    let mut sums = Vec::new();
    for tile in weights.tiles() {
        let mut of_tile = [0_i64; ROWS];
        for group in tile.chunks_exact(4 * ROWS) {
            for (sum, bytes) in of_tile.iter_mut().zip(group.chunks_exact(4)) {
                *sum += bytes.iter().map(|byte| i64::from(byte.cast_signed())).sum::<i64>();
            }
        }
        sums.extend(of_tile);
    }
    sums.truncate(weights.rows());
    sums
}

fn way(making: &Making, images: &Images, weights: &Packed, groups: usize) -> Option<Way> {
    let (channels, outputs) = (images.channels, weights.rows());
    let places = images.places();
    if groups > 1 && groups == channels && outputs == channels {
        return Some(Way::Channels { places, weights: making.derived(&[1], || Channels::new(weights))? });
    }
    if groups == 1 && channels.is_multiple_of(4) {
        return Some(if images.dilations[1] == 1 {
            // A line of a window lies together.
            let pieces = places.iter().copied().step_by(images.kernel[1]).collect();
            Way::Lines { pieces, groups: images.kernel[1] * channels / 4 }
        } else {
            Way::Lines { pieces: places, groups: channels / 4 }
        });
    }
    let whole = groups == 1 || (outputs / groups).is_multiple_of(ROWS);
    let width = (places.len() * (channels / groups)).next_multiple_of(4);
    whole.then_some(Way::Patches { places, width })
}

/// What one thread keeps from call to call.
#[derive(Default)]
struct Scratch {
    padded: Vec<u8>,
    patches: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Kernel for Convolve {
    fn run(&self, call: &Call, _: &mut [&mut State], out: &mut Data) -> Result<(), Fault> {
        let refuse = || excluded("convolve");
        let out = Target::of(out).ok_or_else(refuse)?;
        SCRATCH.with_borrow_mut(|scratch| {
            let Scratch { padded, patches } = scratch;
            let x: &[u8] = match call.inputs.first() {
                Some(Data::U8(x)) if !self.images.is_padded() => x,
                Some(Data::U8(x)) => {
                    self.images.pad(x, 0, |x| x, padded);
                    padded
                }
                Some(Data::I8(x)) if !self.images.is_padded() => {
                    padded.clear();
                    padded.resize(x.len(), 0);
                    turn(call.level, x, padded);
                    padded
                }
                Some(Data::I8(x)) => {
                    self.images.pad(x, TURN, |x| x.cast_unsigned() ^ TURN, padded);
                    padded
                }
                _ => return Err(refuse()),
            };
            let matrix = Matrix::of(&self.weights, 0).ok_or_else(refuse)?;
            match &self.way {
                Way::Lines { pieces, groups } => {
                    let rows = Rows { bytes: x, image: self.images.padded_elements(), starts: &self.starts };
                    self.products(call, &matrix, &rows, (pieces, *groups), 0, &out);
                }
                Way::Patches { places, width } => self.by_patches(call, &matrix, x, (places, *width), patches, &out),
                Way::Channels { places, weights } => self.by_channels(call, x, places, &weights.0, &out),
            }
            Ok(())
        })
    }
}

/// Windows of several images, one behind the other.
struct Rows<'a> {
    bytes: &'a [u8],
    /// Bytes of an image.
    image: usize,
    /// Where the windows of an image begin.
    starts: &'a [u32],
}

impl Convolve {
    fn outputs(&self) -> usize {
        self.weights.rows()
    }

    /// What the sum of each output begins with.
    fn begins(&self) -> &[i32] {
        if self.is_signed { &self.begins.signed } else { &self.begins.unsigned }
    }

    /// All windows times the tiles of a group of outputs.
    fn products(&self, call: &Call, matrix: &Matrix, rows: &Rows, pieces: (&[u32], usize), group: usize, out: &Target) {
        let windows = rows.bytes.len() / rows.image.max(1) * rows.starts.len();
        let all = self.outputs() / self.groups;
        let tiles = group * all / ROWS..(group * all + all).div_ceil(ROWS);
        let columns = tiles.len().div_ceil(TILES);
        let parts = if call.threads.count() == 1 { 1 } else { (call.threads.count() * 4).div_ceil(columns) };
        let part = windows.div_ceil(parts).next_multiple_of(HEIGHT);
        call.threads.pieces(columns * windows.div_ceil(part.max(1)), |index| {
            let first = tiles.start + index % columns * TILES;
            let span = first..tiles.end.min(first + TILES);
            let from = index / columns * part;
            let windows = from..windows.min(from + part);
            self.unit(call.level, &Tiles::of(matrix, span.clone()), span.start, rows, pieces, windows, out);
        });
    }

    /// Some windows times some tiles.
    #[allow(clippy::too_many_arguments, reason = "what a unit multiplies, and where it lies")]
    fn unit(
        &self,
        level: Level,
        tiles: &Tiles,
        first: usize,
        rows: &Rows,
        (pieces, groups): (&[u32], usize),
        windows: std::ops::Range<usize>,
        out: &Target,
    ) {
        let outputs = self.outputs();
        let width = (tiles.count * ROWS).min(outputs - first * ROWS);
        let mut sums = Sums([[0; TILES * ROWS]; HEIGHT]);
        for from in windows.clone().step_by(HEIGHT) {
            let count = HEIGHT.min(windows.end - from);
            let image = from / rows.starts.len();
            let mut starts = [0; HEIGHT];
            for (row, start) in starts[..count].iter_mut().enumerate() {
                let (of, window) = ((from + row) / rows.starts.len(), (from + row) % rows.starts.len());
                *start = ((of - image) * rows.image) as u32 + rows.starts[window];
            }
            let bytes = &rows.bytes[image * rows.image..];
            let x = Pieces { bytes, rows: &starts[..count], pieces, groups };
            x.multiply(level, tiles, &self.begins()[first * ROWS..], &mut sums);
            for (row, sums) in sums.0[..count].iter().enumerate() {
                let at = (from + row) * outputs + first * ROWS;
                // SAFETY: every window and tile is in one unit, and units are done once.
                unsafe { out.write(level, &self.scales, &sums[..width], first * ROWS, at) };
            }
        }
    }

    fn by_patches(
        &self,
        call: &Call,
        matrix: &Matrix,
        x: &[u8],
        (places, width): (&[u32], usize),
        patches: &mut Vec<u8>,
        out: &Target,
    ) {
        let (images, channels) = (x.len() / self.images.padded_elements(), self.images.channels / self.groups);
        // A line of a window lies together where no channel is left out and no place.
        let together = self.groups == 1 && self.images.dilations[1] == 1;
        let (step, length) =
            if together { (self.images.kernel[1], self.images.kernel[1] * channels) } else { (1, channels) };
        for group in 0..self.groups {
            patches.clear();
            patches.resize(images * self.starts.len() * width, 0);
            for (index, patch) in patches.chunks_exact_mut(width).enumerate() {
                let image = index / self.starts.len() * self.images.padded_elements() + group * channels;
                let from = &x[image + self.starts[index % self.starts.len()] as usize..];
                for (patch, &place) in patch.chunks_exact_mut(length).zip(places.iter().step_by(step)) {
                    patch.copy_from_slice(&from[place as usize..][..length]);
                }
            }
            let rows = Rows { bytes: patches, image: width, starts: &[0] };
            self.products(call, matrix, &rows, (&[0], width / 4), group, out);
        }
    }

    fn by_channels(&self, call: &Call, x: &[u8], places: &[u32], weights: &[i16], out: &Target) {
        let (image, channels) = (self.images.padded_elements(), self.images.channels);
        let line = self.images.output[1];
        let lines = x.len() / image * self.images.output[0];
        call.threads.pieces(lines, |index| {
            let mut sums = vec![0; channels];
            for window in index * line..(index + 1) * line {
                let start = window / self.starts.len() * image + self.starts[window % self.starts.len()] as usize;
                beside(call.level, &x[start..], places, weights, self.begins(), &mut sums);
                // SAFETY: every line is one piece, and pieces are done once.
                unsafe { out.write(call.level, &self.scales, &sums, 0, window * channels) };
            }
        });
    }
}

versions! {
    fn turn(x: &[i8], turned: &mut [u8]) {
        turned.iter_mut().zip(x).for_each(|(turned, x)| *turned = x.cast_unsigned() ^ TURN);
    }
}

versions! {
    /// Channels side by side, each with its own weights.
    fn beside(x: &[u8], places: &[u32], weights: &[i16], start: &[i32], sums: &mut [i32]) {
        sums.copy_from_slice(&start[..sums.len()]);
        for (&place, weights) in places.iter().zip(weights.chunks_exact(sums.len())) {
            let x = &x[place as usize..][..sums.len()];
            for ((sum, &x), &weight) in sums.iter_mut().zip(x).zip(weights) {
                *sum = sum.wrapping_add(i32::from(x) * i32::from(weight));
            }
        }
    }
}
