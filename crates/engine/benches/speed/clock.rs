//! CPU seconds of the whole process, and seconds of the clock.

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// Seconds that work took.
#[derive(Clone, Copy, Default)]
pub struct Seconds {
    pub cpu: f64,
    pub wall: f64,
}

impl Seconds {
    pub fn json(self) -> Value {
        json!({"cpu_s": self.cpu, "wall_s": self.wall})
    }
}

impl std::ops::AddAssign for Seconds {
    fn add_assign(&mut self, other: Self) {
        self.cpu += other.cpu;
        self.wall += other.wall;
    }
}

pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Seconds) {
    let (cpu, wall) = (seconds(ClockId::ProcessCPUTime), seconds(ClockId::Monotonic));
    let result = work();
    let seconds = Seconds { cpu: seconds(ClockId::ProcessCPUTime) - cpu, wall: seconds(ClockId::Monotonic) - wall };
    (result, seconds)
}

fn seconds(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
