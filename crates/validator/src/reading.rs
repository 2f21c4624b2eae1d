//! A block's transactions, read and checked before the ledger is asked for anything: what came in before is found where it waits, the rest
//! is read here.
//!
//! Signatures of a block are checked together, which costs a fraction of one by one (`crypto::claim`), and under no lock.

use std::{
    num::NonZeroUsize,
    panic,
    sync::{Arc, Mutex},
    thread,
};

use ledger::{Checked, Kind, Native, Ordered};

use crate::{ethereum::Ethereum, lock::locked, pool::Pool};

/// Signatures that are worth a thread. In one equation they cost less than in two, so where cores are few, and others wait for them, a
/// thread has more.
const SHARE: usize = 512;
const SHARE_OF_FEW: usize = 1_024;
/// So many cores are few.
const FEW: usize = 4;
const THREADS_MAX: usize = 8;

/// Reads a block's transactions, in their order.
pub(crate) fn read(all: &[Vec<u8>], pool: &Mutex<Pool>, ethereum: &Ethereum) -> Vec<Ordered> {
    let mut read: Vec<Option<Ordered>> = all.iter().map(|_| None).collect();
    let of = |kind| all.iter().enumerate().filter(move |(_, bytes)| Kind::of(bytes) == kind);
    let wallets: Vec<&[u8]> = of(Kind::Ethereum).map(|(_, bytes)| bytes.as_slice()).collect();
    for ((place, _), ordered) in of(Kind::Ethereum).zip(ethereum.read(&wallets)) {
        read[place] = Some(ordered);
    }
    let known: Vec<Option<Arc<Native>>> = {
        let mut pool = locked(pool);
        of(Kind::Native).map(|(_, bytes)| pool.take_read(bytes)).collect()
    };
    let (mut places, mut natives) = (Vec::new(), Vec::new());
    for ((place, bytes), known) in of(Kind::Native).zip(known) {
        match known.map_or_else(|| Native::read(bytes).map(Arc::new), Ok) {
            Ok(native) => {
                places.push(place);
                natives.push(native);
            }
            Err(refusal) => read[place] = Some(Ordered::Unreadable(refusal)),
        }
    }
    for (place, checked) in places.into_iter().zip(check(natives)) {
        read[place] = Some(Ordered::Native(checked));
    }
    read.into_iter().flatten().collect()
}

/// Checks all signatures, on as many threads as pay.
fn check(natives: Vec<Arc<Native>>) -> Vec<Checked> {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let signatures: usize = natives.iter().map(|native| native.signatures()).sum();
    let mut parts = parts(natives, signatures.div_ceil(threads(signatures, cores)));
    let Some(own) = parts.pop() else { return Vec::new() };
    thread::scope(|scope| {
        let others: Vec<_> = parts.into_iter().map(|part| scope.spawn(|| Checked::all(part))).collect();
        let own = Checked::all(own);
        let joined = others.into_iter().map(|other| other.join().unwrap_or_else(|reason| panic::resume_unwind(reason)));
        joined.flatten().chain(own).collect()
    })
}

/// So many that each has its share, and at least one.
fn threads(signatures: usize, cores: usize) -> usize {
    let share = if cores > FEW { SHARE } else { SHARE_OF_FEW };
    (signatures / share).min(cores).clamp(1, THREADS_MAX)
}

/// In order, each of at least so many signatures but the last.
fn parts(natives: Vec<Arc<Native>>, share: usize) -> Vec<Vec<Arc<Native>>> {
    let (mut parts, mut part, mut signatures) = (Vec::new(), Vec::new(), 0);
    for native in natives {
        signatures += native.signatures();
        part.push(native);
        if signatures >= share {
            parts.push(std::mem::take(&mut part));
            signatures = 0;
        }
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

#[cfg(test)]
mod tests {
    use crypto::SigningKey;
    use protocol::{Action, Canonical as _, EvmAddress, Transaction, Version, transaction::Transfer};

    use super::*;

    fn native(nonce: u64) -> Arc<Native> {
        let key = SigningKey::from_seed(&[1; 32]);
        let action = Action::Transfer(Transfer { to: EvmAddress([9; 20]), amount: 1 });
        let sender = key.public_key();
        let signed = Transaction { version: Version, chain_id: 1, sender, nonce, action }.sign(&key);
        Arc::new(Native::read(&signed.encode()).unwrap())
    }

    #[test]
    fn parts_keep_the_order_and_leave_nothing_out() {
        for (count, share, expected) in [(0, 1, 0), (1, 5, 1), (9, 3, 3), (10, 3, 4), (10, 100, 1)] {
            let natives: Vec<_> = (0..count).map(native).collect();
            let parts = parts(natives, share);
            assert_eq!(parts.len(), expected, "{count} by {share}");
            let nonces = parts.iter().flatten().map(|native| native.transaction().nonce);
            assert!(nonces.eq(0..count));
        }
    }

    #[test]
    fn a_thread_has_its_share_and_more_where_cores_are_few() {
        // (signatures, cores, threads)
        for (signatures, cores, expected) in [
            (0, 1, 1),
            (300, 64, 1),
            (1_542, 1, 1),
            (1_542, 2, 1),
            (1_542, 4, 1),
            (1_542, 8, 3),
            (2_056, 2, 2),
            (100_000, 3, 3),
            (100_000, 64, 8),
        ] {
            assert_eq!(threads(signatures, cores), expected, "{signatures} on {cores}");
        }
    }

    #[test]
    fn all_are_checked_in_their_order_on_any_number_of_threads() {
        let natives: Vec<_> = (0..2_000).map(native).collect();
        let ids: Vec<_> = natives.iter().map(|native| Some(native.id())).collect();
        let checked: Vec<_> = check(natives).into_iter().map(|checked| Ordered::Native(checked).id()).collect();
        assert_eq!(checked, ids);
        assert!(check(Vec::new()).is_empty());
    }
}
