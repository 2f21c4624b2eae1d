//! What an integer model is calibrated by, and what it is then measured on: something else, wherever there is enough.

use std::path::Path;

/// Of what there is to calibrate by, one in so many is held back to measure on, where nothing else is said.
const ONE_IN: usize = 10;
const HELD_BACK: &str = "a tenth of the calibration, held back from it";
const ITSELF: &str = "the calibration itself, which is too little to hold any back";

pub struct Parts<T> {
    pub calibration: T,
    pub measured: T,
    /// What the card says of the latter.
    pub on: String,
}

impl<T> Parts<T> {
    /// Calibration whole, because a file to measure on was said.
    pub fn said(calibration: T, measured: T, path: &Path) -> Self {
        Self { calibration, measured, on: path.display().to_string() }
    }
}

/// Dialogues, a line each. Each stays on its line, so that whoever finds fault with one says where it is.
pub fn dialogues(calibration: &str) -> Parts<String> {
    let is_dialogue = |line: &&str| !line.trim().is_empty();
    if calibration.lines().filter(is_dialogue).count() < ONE_IN {
        let calibration = calibration.to_owned();
        return Parts { measured: calibration.clone(), calibration, on: ITSELF.to_owned() };
    }
    let (mut kept, mut held, mut seen) = (String::new(), String::new(), 0_usize);
    for line in calibration.lines() {
        seen += usize::from(is_dialogue(&line));
        let to = if is_dialogue(&line) && seen.is_multiple_of(ONE_IN) { &mut held } else { &mut kept };
        to.push_str(line);
        kept.push('\n');
        held.push('\n');
    }
    Parts { calibration: kept, measured: held, on: HELD_BACK.to_owned() }
}

/// Sets of inputs.
pub fn sets<T: Clone>(calibration: Vec<T>) -> Parts<Vec<T>> {
    if calibration.len() < ONE_IN {
        return Parts { measured: calibration.clone(), calibration, on: ITSELF.to_owned() };
    }
    let (mut kept, mut held) = (Vec::new(), Vec::new());
    for (index, set) in calibration.into_iter().enumerate() {
        let to = if (index + 1).is_multiple_of(ONE_IN) { &mut held } else { &mut kept };
        to.push(set);
    }
    Parts { calibration: kept, measured: held, on: HELD_BACK.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(count: usize) -> (Vec<usize>, Vec<usize>, String) {
        let parts = sets((1..=count).collect());
        (parts.calibration, parts.measured, parts.on)
    }

    #[test]
    fn one_in_ten_is_held_back_where_there_are_ten() {
        let nine: Vec<usize> = (1..10).collect();
        assert_eq!(of(9), (nine.clone(), nine.clone(), ITSELF.to_owned()));
        assert_eq!(of(10), (nine, vec![10], HELD_BACK.to_owned()));
        let (calibration, measured, _) = of(25);
        assert_eq!((calibration.len(), measured), (23, vec![10, 20]));
    }

    #[test]
    fn dialogues_stay_on_their_lines() {
        let lines: Vec<String> =
            (1..=12).map(|line| if line == 3 { String::new() } else { line.to_string() }).collect();
        let parts = dialogues(&lines.join("\n"));
        let at = |text: &str, line: usize| text.lines().nth(line - 1).unwrap().to_owned();
        assert_eq!((at(&parts.measured, 11), at(&parts.calibration, 11)), ("11".to_owned(), String::new()));
        assert_eq!((at(&parts.measured, 12), at(&parts.calibration, 12)), (String::new(), "12".to_owned()));
        assert_eq!(parts.measured.trim(), "11");
        let few = dialogues("1\n2\n");
        assert_eq!((few.calibration.as_str(), few.measured.as_str(), few.on.as_str()), ("1\n2\n", "1\n2\n", ITSELF));
    }
}
