//! Windows that are pooled: channels side by side, over the places of each window that are no padding.

use super::images::Images;
use crate::{
    cpu::Level,
    kernel::{Call, Making},
};

pub struct Pools {
    images: Images,
    /// For each window of an image, where in the image its places lie.
    windows: Vec<Vec<u32>>,
}

impl Pools {
    /// Of the first input; `None` for more than two axes.
    pub fn read(making: &Making) -> Option<Self> {
        let images = Images::read(making.attributes, &making.inputs.first()?.shape.with_rows(1))?;
        let windows = images.windows();
        Some(Self { images, windows })
    }

    /// Fills the channels of each window from its image and its places there.
    pub fn fill<T: Sync, U: Send>(&self, call: &Call, x: &[T], out: &mut [U], fill: fn(Level, &[T], &[u32], &mut [U])) {
        let (channels, count) = (self.images.channels, self.windows.len());
        call.threads.each(out, channels, 64, |first, out| {
            for (window, out) in out.chunks_exact_mut(channels).enumerate() {
                let (image, window) = ((first + window) / count, (first + window) % count);
                fill(call.level, &x[image * self.images.elements()..], &self.windows[window], out);
            }
        });
    }
}
