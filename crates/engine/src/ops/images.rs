//! Images as kernels walk over them: channels innermost, two axes in front of them, perhaps with padding around.

use graph::Attributes;

/// Windows over images of one size. Sequences are images of one line, single rows images of one place.
#[derive(Clone, Debug)]
pub struct Images {
    pub size: [usize; 2],
    pub channels: usize,
    pub kernel: [usize; 2],
    pub strides: [usize; 2],
    pub dilations: [usize; 2],
    /// In front of both axes, then behind.
    pub pads: [usize; 4],
    pub output: [usize; 2],
}

impl Images {
    /// Of a value with these sizes; `None` for more than two axes.
    pub fn read(attributes: &Attributes, sizes: &[usize]) -> Option<Self> {
        let list = |name: &'static str| {
            let values = attributes.integers(name).ok()?;
            values.iter().map(|&value| usize::try_from(value).ok()).collect::<Option<Vec<usize>>>()
        };
        let kernel = list("kernel")?;
        let axes = kernel.len();
        let inner = sizes.get(sizes.len().checked_sub(axes + 1)?..)?;
        let pair = |values: &[usize], fill: usize| match *values {
            [] => Some([fill; 2]),
            [one] => Some([fill, one]),
            [one, other] => Some([one, other]),
            _ => None,
        };
        let pads = list("pads")?;
        let (front, behind) = (pair(pads.get(..axes)?, 0)?, pair(pads.get(axes..)?, 0)?);
        let mut images = Self {
            size: pair(inner.get(..axes)?, 1)?,
            channels: *inner.last()?,
            kernel: pair(&kernel, 1)?,
            strides: pair(&list("strides")?, 1)?,
            dilations: pair(&list("dilations")?, 1)?,
            pads: [front[0], front[1], behind[0], behind[1]],
            output: [0; 2],
        };
        for axis in 0..2 {
            let extent = (images.kernel[axis] - 1) * images.dilations[axis] + 1;
            images.output[axis] = (images.padded()[axis].checked_sub(extent)?) / images.strides[axis] + 1;
        }
        Some(images)
    }

    pub fn padded(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.size[axis] + self.pads[axis] + self.pads[2 + axis])
    }

    pub fn is_padded(&self) -> bool {
        self.pads.iter().any(|&pad| pad > 0)
    }

    /// Elements of an image without its padding.
    pub fn elements(&self) -> usize {
        self.size[0] * self.size[1] * self.channels
    }

    /// Elements of an image with its padding.
    pub fn padded_elements(&self) -> usize {
        self.padded()[0] * self.padded()[1] * self.channels
    }

    pub fn outputs(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// Where each window begins in a padded image.
    pub fn starts(&self) -> Vec<u32> {
        let line = self.padded()[1] * self.channels;
        let start = |window: usize| {
            let (row, column) = (window / self.output[1], window % self.output[1]);
            (row * self.strides[0] * line + column * self.strides[1] * self.channels) as u32
        };
        (0..self.outputs()).map(start).collect()
    }

    /// Where each place of a window lies, from the window's beginning on.
    pub fn places(&self) -> Vec<u32> {
        let line = self.padded()[1] * self.channels;
        let place = |place: usize| {
            let (row, column) = (place / self.kernel[1], place % self.kernel[1]);
            (row * self.dilations[0] * line + column * self.dilations[1] * self.channels) as u32
        };
        (0..self.kernel[0] * self.kernel[1]).map(place).collect()
    }

    /// Copies images into `padded`, with `fill` around them; each element as `each` makes it.
    pub fn pad<T: Copy, U: Copy>(&self, x: &[T], fill: U, each: impl Fn(T) -> U, padded: &mut Vec<U>) {
        let images = x.len() / self.elements().max(1);
        padded.clear();
        padded.resize(images * self.padded_elements(), fill);
        let (line, padded_line) = (self.size[1] * self.channels, self.padded()[1] * self.channels);
        for (image, x) in x.chunks_exact(self.elements().max(1)).enumerate() {
            let to = &mut padded[image * self.padded_elements()..][..self.padded_elements()];
            for (row, x) in x.chunks_exact(line.max(1)).enumerate() {
                let at = (row + self.pads[0]) * padded_line + self.pads[1] * self.channels;
                to[at..at + line].iter_mut().zip(x).for_each(|(to, &x)| *to = each(x));
            }
        }
    }
}

impl Images {
    /// Where in an image without padding the places of a window lie that are no padding.
    pub fn window(&self, number: usize, places: &mut Vec<usize>) {
        let (row, column) = (number / self.output[1], number % self.output[1]);
        places.clear();
        for line in self.along(0, row) {
            places.extend(self.along(1, column).map(|at| (line * self.size[1] + at) * self.channels));
        }
    }

    /// Where along an axis a window's places lie that are no padding.
    fn along(&self, axis: usize, window: usize) -> impl Iterator<Item = usize> + use<> {
        let (size, pad, dilation) = (self.size[axis], self.pads[axis], self.dilations[axis]);
        let start = window * self.strides[axis];
        let first = pad.saturating_sub(start).div_ceil(dilation);
        let end = (size + pad).saturating_sub(start).div_ceil(dilation).min(self.kernel[axis]);
        (first..end).map(move |tap| start + tap * dilation - pad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_windows_places_are_those_of_the_operator_without_the_padding() {
        for (stride, dilation, pad) in [(1, 1, 0), (2, 1, 1), (1, 3, 2), (3, 2, 5)] {
            let lists = Attributes::new().with("kernel", vec![3, 2]).with("strides", vec![stride, 1]);
            let lists = lists.with("dilations", vec![dilation, 1]).with("pads", vec![pad, 0, 1, pad]);
            let images = Images::read(&lists, &[1, 9, 4, 5]).unwrap();
            let (windows, _) = graph::ops::window::Windows::at(&lists, &[1, 9, 4, 5]).unwrap();
            let mut places = Vec::new();
            for number in 0..images.outputs() {
                images.window(number, &mut places);
                let expected: Vec<usize> =
                    windows.window(number).into_iter().flatten().map(|place| place * 5).collect();
                assert_eq!(places, expected, "{number} of {images:?}");
            }
        }
    }
}
