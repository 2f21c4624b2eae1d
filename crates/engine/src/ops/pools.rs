//! Windows that are pooled: channels side by side, over the places of each window that are no padding.

use super::images::Images;
use crate::{
    cpu::Level,
    kernel::{Call, Making},
};

pub struct Pools(Images);

impl Pools {
    /// Of the first input; `None` for more than two axes.
    pub fn read(making: &Making) -> Option<Self> {
        Some(Self(Images::read(making.attributes, &making.inputs.first()?.shape.with_rows(1))?))
    }

    /// Fills the channels of each window from its image and its places there.
    pub fn fill<T: Sync, U: Send>(
        &self,
        call: &Call,
        x: &[T],
        out: &mut [U],
        fill: fn(Level, &[T], &[usize], &mut [U]),
    ) {
        let Self(images) = self;
        let (channels, count) = (images.channels, images.outputs());
        call.threads.each(out, channels, 64, |first, out| {
            // One window's at a time: all of a graph's together know no bound.
            let mut places = Vec::new();
            for (window, out) in out.chunks_exact_mut(channels).enumerate() {
                let (image, window) = ((first + window) / count, (first + window) % count);
                images.window(window, &mut places);
                fill(call.level, &x[image * images.elements()..], &places, out);
            }
        });
    }
}
