//! Who hears whom, and how late: validators are in parts that do not hear each other, and some are slow.

use consensus::simulation::World;

/// What is between two validators.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cable {
    Whole,
    /// Messages take this many milliseconds.
    Slow(u64),
    Cut,
}

#[derive(Clone)]
pub(crate) struct Cables {
    /// The part that each is in; all in the first one, if nothing is cut.
    parts: Vec<usize>,
    /// What messages from and to each take, in milliseconds; zero where that is as usual.
    latencies_ms: Vec<u64>,
    newest: usize,
}

impl Cables {
    /// All whole.
    pub fn new(validators: usize) -> Self {
        Self { parts: vec![0; validators], latencies_ms: vec![0; validators], newest: 0 }
    }

    /// Leaves these to themselves: they hear each other, and nobody else hears them.
    pub fn split(&mut self, validators: &[usize], world: &mut World) {
        self.change(world, |cables| {
            cables.newest += 1;
            let newest = cables.newest;
            cables.put(validators, newest);
        });
    }

    pub fn slow(&mut self, validator: usize, latency_ms: u64, world: &mut World) {
        self.change(world, |cables| {
            cables.latencies_ms.get_mut(validator).into_iter().for_each(|latency| *latency = latency_ms);
        });
    }

    /// Has one hear and be heard as usual.
    pub fn mend(&mut self, validator: usize, world: &mut World) {
        self.change(world, |cables| {
            cables.put(&[validator], 0);
            cables.latencies_ms.get_mut(validator).into_iter().for_each(|latency| *latency = 0);
        });
    }

    fn put(&mut self, validators: &[usize], into: usize) {
        for validator in validators {
            self.parts.get_mut(*validator).into_iter().for_each(|part| *part = into);
        }
    }

    fn between(&self, one: usize, other: usize) -> Cable {
        let latency = |validator: usize| self.latencies_ms.get(validator).copied().unwrap_or(0);
        match latency(one).max(latency(other)) {
            _ if self.parts.get(one) != self.parts.get(other) => Cable::Cut,
            0 => Cable::Whole,
            latency_ms => Cable::Slow(latency_ms),
        }
    }

    /// Orders what has become another.
    fn change(&mut self, world: &mut World, change: impl FnOnce(&mut Self)) {
        let before = self.clone();
        change(self);
        let pairs = (0..self.parts.len()).flat_map(|one| (0..one).map(move |other| (one, other)));
        for (one, other) in pairs {
            match self.between(one, other) {
                same if same == before.between(one, other) => {}
                Cable::Whole => world.mend(one, other),
                Cable::Slow(latency_ms) => world.slow(one, other, latency_ms),
                Cable::Cut => world.cut(one, other),
            }
        }
    }
}
