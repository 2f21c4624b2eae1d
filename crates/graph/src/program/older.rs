//! How operator sets before 7 let a second operand broadcast: only where the node says so, as one number, or as sizes that
//! stand side by side in the first one's shape, from an axis on or at its end. A size of 1 among them stands for any, which the
//! standard's text leaves open and its own cases expect. Meanings and kernels are handed what later sets would be given.

use super::index;
use super::problem::Problem;

/// What a node says of it.
pub struct Said {
    pub broadcast: bool,
    pub axis: Option<i64>,
}

/// The shape under which the second operand broadcasts to the first, as later sets have it.
pub fn aligned(said: &Said, one: &[usize], other: &[usize]) -> Result<Vec<usize>, Problem> {
    let refused = |expected: String| Err(Problem::shape(1, expected, other));
    if !said.broadcast {
        return if one == other { Ok(other.to_vec()) } else { refused(format!("{one:?}, since broadcast is 0")) };
    }
    if other.len() <= one.len() && other.iter().all(|&size| size == 1) {
        return Ok(Vec::new());
    }
    let Some(last) = one.len().checked_sub(other.len()) else { return refused(format!("sizes of {one:?}")) };
    let axis = match said.axis {
        Some(axis) => index::axis(axis, one.len())?,
        None => last,
    };
    let end = axis.saturating_add(other.len());
    let fits = |sizes: &[usize]| sizes.iter().zip(other).all(|(size, other)| *other == 1 || size == other);
    if !one.get(axis..end).is_some_and(fits) {
        return refused(format!("sizes of {one:?} side by side, from axis {axis} on"));
    }
    Ok([other, &vec![1; one.len().saturating_sub(end)]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_operand_stands_where_the_node_says_or_is_refused() {
        let placed = |axis, other: &[usize]| aligned(&Said { broadcast: true, axis }, &[2, 3, 4, 5], other);
        // The standard's own examples.
        for (axis, other, shape) in [
            (None, &[][..], &[][..]),
            (None, &[1, 1], &[]),
            (None, &[5], &[5]),
            (None, &[4, 5], &[4, 5]),
            (Some(1), &[3, 4], &[3, 4, 1]),
            (Some(0), &[2], &[2, 1, 1, 1]),
            (Some(-2), &[4], &[4, 1]),
            (None, &[2, 3, 4, 5], &[2, 3, 4, 5]),
            // Of its cases: a size of 1 beside others.
            (None, &[4, 1], &[4, 1]),
            (Some(0), &[1, 3], &[1, 3, 1, 1]),
        ] {
            assert_eq!(placed(axis, other).unwrap(), shape, "{axis:?} {other:?}");
        }
        for (axis, other, said) in [
            (None, &[4][..], "from axis 3 on"),
            (Some(1), &[4, 5], "from axis 1 on"),
            (Some(4), &[2], "an axis is 4"),
            (None, &[1, 2, 3, 4, 5], "sizes of [2, 3, 4, 5]"),
            (None, &[4, 2], "from axis 2 on"),
            (Some(3), &[5, 1], "from axis 3 on"),
        ] {
            let refused = placed(axis, other).unwrap_err().to_string();
            assert!(refused.contains(said), "{refused} lacks {said:?}");
        }
        let off = Said { broadcast: false, axis: None };
        assert_eq!(aligned(&off, &[2, 3], &[2, 3]).unwrap(), [2, 3]);
        assert!(aligned(&off, &[2, 3], &[3]).unwrap_err().to_string().contains("since broadcast is 0"));
    }
}
