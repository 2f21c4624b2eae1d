//! The discrete Fourier transform of one line of complex numbers, by its definition.
//!
//! Output k is a chain over n, in order from +0, in binary64: `re = fma(x.re, cos, re)`, then `re = fma(-x.im, sin, re)` (forward:
//! `+x.im`), the imaginary part likewise. The angle is `2π·(n·k mod N) / N`, its cosine and sine those of `math.rs`.

use super::crew::Crew;
use super::math;

/// A complex number: real and imaginary part.
pub type Complex = [f64; 2];

/// Cosines and sines of all N angles.
pub struct Angles(Vec<Complex>);

impl Angles {
    pub fn of(size: usize, crew: &dyn Crew) -> Self {
        let angle = |turn: usize| turn as f64 * std::f64::consts::TAU / size as f64;
        Self(crew.fill(size, 64, [0.0; 2], |turn| [math::cos(angle(turn)), math::sin(angle(turn))]))
    }

    /// The transform's first `count` numbers of a line of as many numbers as there are angles; what a line lacks is 0. The inverse is
    /// divided by N.
    pub fn transform(&self, line: &[Complex], count: usize, inverse: bool, crew: &dyn Crew) -> Vec<Complex> {
        let size = self.0.len();
        let sign = if inverse { -1.0 } else { 1.0 };
        let one = |k: usize| {
            let (mut real, mut imaginary) = (0.0_f64, 0.0_f64);
            for (n, &[re, im]) in crew.watched(line.iter().take(size).enumerate(), 8) {
                let [cosine, sine] = self.0[n * k % size];
                let sine = sign * sine;
                real = im.mul_add(sine, re.mul_add(cosine, real));
                imaginary = (-re).mul_add(sine, im.mul_add(cosine, imaginary));
            }
            match inverse {
                true => [real / size as f64, imaginary / size as f64],
                false => [real, imaginary],
            }
        };
        crew.fill(count, size.saturating_mul(8), [0.0; 2], one)
    }
}

/// The whole spectrum of real numbers from its first half: the second half is the first one's conjugate.
pub fn mirrored(half: &[Complex], size: usize) -> Vec<Complex> {
    let at = |k: usize| half.get(k).copied().unwrap_or_default();
    let real = |[re, _]: Complex| [re, 0.0];
    let one = |k: usize| match k {
        0 => real(at(0)),
        _ if 2 * k == size => real(at(k)),
        _ if 2 * k < size => at(k),
        _ => {
            let [re, im] = at(size - k);
            [re, -im]
        }
    };
    (0..size).map(one).collect()
}

/// How many numbers of a line's transform stand in the output.
pub fn bins(size: usize, onesided: bool) -> usize {
    if onesided { size / 2 + 1 } else { size }
}
