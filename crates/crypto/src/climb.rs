//! The walk from a leaf to a root that all our binary trees share (RFC 9162 §2.1.3.2).

/// Joins `node`, the leaf at `index` of `count`, with its siblings, lowest first; `None` when the path does not fit.
pub(crate) fn climb<N: Copy>(
    mut node: N,
    index: u64,
    count: u64,
    siblings: &[N],
    join: impl Fn(&N, &N) -> Option<N>,
) -> Option<N> {
    let (mut position, mut last) = (index, count.checked_sub(1)?);
    if position > last {
        return None;
    }
    for sibling in siblings {
        if last == 0 {
            return None;
        }
        if position & 1 == 1 || position == last {
            // A node promoted through levels where it has no sibling.
            while position & 1 == 0 && position != 0 {
                position = position.checked_shr(1)?;
                last = last.checked_shr(1)?;
            }
            node = join(sibling, &node)?;
        } else {
            node = join(&node, sibling)?;
        }
        position = position.checked_shr(1)?;
        last = last.checked_shr(1)?;
    }
    (last == 0).then_some(node)
}

/// The largest power of two below `count`, for `count` ≥ 2: where RFC 6962 divides a tree.
pub(crate) fn split(count: u64) -> Option<u64> {
    count.checked_sub(1)?.checked_ilog2().and_then(|bits| 1_u64.checked_shl(bits))
}
