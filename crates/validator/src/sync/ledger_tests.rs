//! The ledger's own tables from peers that lie, cut and say nothing, beside an honest one.

use std::sync::atomic::{AtomicUsize, Ordering};

use evm::World;
use network::{
    Limits, Noun, Server,
    axum::{Router, extract::Path as UrlPath, http::StatusCode, routing::get},
};
use protocol::{Bytes, List, Version, registry::state_key};

use super::{peers::FAILURES_MAX, *};
use crate::{
    offer::{Offers, PieceRow, PieceRun, RowRun},
    story::{blocks, genesis},
};

const EPOCHS: u64 = 12;
/// Of a peer's turn.
const SPAN: Duration = Duration::from_millis(120);

/// What a peer does with the ledger that it offers.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Peer {
    Honest,
    /// A few at a time.
    Slow,
    /// One piece at a time, and late.
    Drips,
    FalsePage,
    /// Tells other numbers of leaves, where the digest is the same.
    Miscounts,
    /// Writes statuses as plain rows: the same digests in longer pages.
    OtherForm,
    FalsePiece,
    /// Signs nothing: another signature with a right checksum.
    Forged,
    /// Gives the pieces of another place.
    Elsewhere,
    Nothing,
    Unknown,
}

/// A ledger of a few epochs: some without receipts, one with more than a piece has.
fn ledger() -> Ledger {
    let mut ledger = Ledger::new(&genesis()).unwrap();
    for block in blocks(EPOCHS) {
        ledger.execute(&block).unwrap();
    }
    assert_eq!(ledger.epoch(2).unwrap().receipts_count, 70);
    ledger
}

struct Sender {
    offer: Offer,
    bytes: Vec<u8>,
    offers: Arc<Offers>,
    world: World,
    ledger: Ledger,
    /// Its moments are in the offers.
    _folder: tempfile::TempDir,
}

fn sender() -> Sender {
    let (folder, ledger) = (tempfile::tempdir().unwrap(), ledger());
    let file = snapshot::open(folder.path()).unwrap();
    let taken = ledger.snapshot().unwrap();
    let offer = Offer::of(1, ledger.open_epoch() - 1, &taken).unwrap();
    let (_, moment) = snapshot::put(&file, &ledger::Cache::new(0), &offer, &taken).unwrap();
    let offers = Arc::new(Offers::default());
    offers.add(offer.clone(), moment);
    Sender { offer, bytes: taken.bytes().to_vec(), offers, world: taken.world().clone(), ledger, _folder: folder }
}

fn named(name: &str) -> Vec<u8> {
    (0..name.len() / 2).map(|at| u8::from_str_radix(&name[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// Of a branch, a leaf more of the first way and one less of the second.
pub(super) fn miscount(page: &mut [u8]) {
    if page[0] == 2 && page[3 + 79] > 1 && page[3 + 39] < 255 {
        (page[3 + 39], page[3 + 79]) = (page[3 + 39] + 1, page[3 + 79] - 1);
    }
}

/// Of a bucket, each status as a plain row.
fn lengthened(page: &[u8]) -> Vec<u8> {
    let (mut written, mut rest) = (page[..2].to_vec(), &page[2..]);
    if page[0] != 1 {
        return page.to_vec();
    }
    while let Some(kind) = rest.first().copied() {
        let length = if kind == 1 { 134 } else { 37 + u32::from_be_bytes(rest[33..37].try_into().unwrap()) as usize };
        let (leaf, behind) = rest.split_at(length);
        if kind == 1 {
            let receipt = Digest(leaf[1..33].try_into().unwrap());
            written.push(2);
            written.extend_from_slice(&state_key::receipt(&receipt).0);
            written.extend_from_slice(&133_u32.to_be_bytes());
            written.extend_from_slice(&leaf[1..]);
        } else {
            written.extend_from_slice(leaf);
        }
        rest = behind;
    }
    written
}

/// Another signature of the first receipt of a piece, with a checksum as it should be.
fn forged(row: &mut PieceRow) {
    let mut value = row.value.to_vec();
    let items = value.len() - 8;
    let place = items - 1;
    value[place] ^= 1;
    let check = crypto::hash("og/ledger/piece/v1", &[&row.key, &value[..items]]);
    value[items..].copy_from_slice(&check.0[..8]);
    row.value = Bytes::new(value).unwrap();
}

async fn peer(sender: &Sender, kind: Peer) -> (Server, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let (offers, counted) = (Arc::clone(&sender.offers), Arc::clone(&asked));
    let rows = move |UrlPath((epoch, name)): UrlPath<(u64, String)>| {
        counted.fetch_add(1, Ordering::Relaxed);
        let run = offers.rows(epoch, &named(&name)).unwrap();
        let mut pages: Vec<Vec<u8>> = run.pages.into_inner().into_iter().map(Bytes::into_inner).collect();
        match kind {
            Peer::Slow => pages.truncate(2),
            Peer::FalsePage => pages[0][4] ^= 1,
            Peer::Miscounts => pages.iter_mut().for_each(|page| miscount(page)),
            Peer::OtherForm => pages.iter_mut().for_each(|page| *page = lengthened(page)),
            Peer::Nothing => pages.clear(),
            Peer::Unknown => return futures::future::ready(Err(StatusCode::NOT_FOUND)),
            Peer::Honest | Peer::Drips | Peer::FalsePiece | Peer::Forged | Peer::Elsewhere => {}
        }
        let pages = List::new(pages.into_iter().map(|page| Bytes::new(page).unwrap()).collect()).unwrap();
        futures::future::ready(Ok(Noun(RowRun { version: Version, pages })))
    };
    let (offers, counted) = (Arc::clone(&sender.offers), Arc::clone(&asked));
    let pieces = move |UrlPath((epoch, key)): UrlPath<(u64, String)>| {
        counted.fetch_add(1, Ordering::Relaxed);
        let mut pieces = offers.pieces(epoch, &named(&key)).unwrap().pieces.into_inner();
        match kind {
            Peer::Slow => pages_of_one(&mut pieces),
            Peer::Drips => {
                pages_of_one(&mut pieces);
                std::thread::sleep(SPAN / 2);
            }
            Peer::FalsePiece => {
                let mut value = pieces[0].value.to_vec();
                value[30] ^= 1;
                pieces[0].value = Bytes::new(value).unwrap();
            }
            Peer::Forged => forged(&mut pieces[0]),
            Peer::Elsewhere => drop(pieces.remove(0)),
            Peer::Nothing => pieces.clear(),
            Peer::Unknown => return futures::future::ready(Err(StatusCode::NOT_FOUND)),
            Peer::Honest | Peer::FalsePage | Peer::Miscounts | Peer::OtherForm => {}
        }
        futures::future::ready(Ok(Noun(PieceRun { version: Version, pieces: List::new(pieces).unwrap() })))
    };
    let router = Router::new()
        .route("/snapshots/{epoch}/rows/{name}", get(rows))
        .route("/snapshots/{epoch}/pieces/{key}", get(pieces));
    let server = Server::start("127.0.0.1:0".parse().unwrap(), router, Limits::default()).await.unwrap();
    (server, asked)
}

fn pages_of_one(pieces: &mut Vec<PieceRow>) {
    pieces.truncate(1);
}

/// Loads what `sender` offers from peers that do this with it: the ledger that comes of it, and how often each was asked.
async fn load(sender: &Sender, kinds: &[Peer], folder: &Path) -> (Result<Ledger, SyncError>, Vec<usize>) {
    let mut running = Vec::new();
    for kind in kinds {
        running.push(peer(sender, *kind).await);
    }
    let peers: Vec<String> = running.iter().map(|(server, _)| server.url()).collect();
    let folder = folder.to_owned();
    let client = Client::new(Duration::from_millis(500));
    let file = Arc::new(blocking(move || snapshot::open(&folder).map_err(kept)).await.unwrap());
    let loaded = async {
        let (mut arrived, offer) = (Arrived::default(), &sender.offer);
        let mut turns = Turns::new(Peers::new(&peers, &client)).with_span(SPAN);
        epochs::clear(&file).await?;
        arrived.ledger.run(offer, &mut turns, &file).await?;
        let (whole, root, rows) = (Arc::clone(&file), offer.ledger_root, offer.ledger_rows);
        blocking(move || whole.settle_tree::<Leaf>(root, rows).map_err(kept)).await?;
        Epochs::new(offer, &mut turns, &file, &mut arrived.epochs).await?.run(&sender.bytes).await?;
        // Whatever the next offer has of it need not come again.
        let mut nobody = Turns::new(Peers::new(&[], &client));
        arrived.ledger.run(offer, &mut nobody, &file).await?;
        Epochs::new(offer, &mut nobody, &file, &mut arrived.epochs).await?.run(&sender.bytes).await?;
        Ok(arrived.epochs)
    };
    let loaded: Result<Arrival, SyncError> = loaded.await;
    let (bytes, world) = (sender.bytes.clone(), sender.world.clone());
    let restored = blocking(move || {
        let restored = loaded.map(|arrival| {
            let own = Kept::open(snapshot::base_of(file.moment().unwrap())).unwrap();
            let ledger = Ledger::restore(&bytes, world, own).unwrap();
            assert!(arrival.is_of(&ledger));
            ledger
        });
        Arc::into_inner(file).into_iter().for_each(StateFile::close);
        restored
    });
    (restored.await, running.iter().map(|(_, asked)| asked.load(Ordering::Relaxed)).collect())
}

async fn same(sender: &Sender, ledger: Ledger) {
    let whole = sender.ledger.clone();
    let checked = blocking(move || {
        assert_eq!(ledger.snapshot_bytes(), whole.snapshot_bytes());
        for epoch in 0..EPOCHS {
            assert_eq!(ledger.epoch_receipts(epoch), whole.epoch_receipts(epoch), "epoch {epoch}");
        }
        Ok(())
    });
    checked.await.unwrap();
}

#[tokio::test]
async fn one_honest_peer_is_enough_for_the_ledger_whatever_the_others_give() {
    let sender = blocking(|| Ok(sender())).await.unwrap();
    for hostile in [
        Peer::FalsePage,
        Peer::Miscounts,
        Peer::OtherForm,
        Peer::FalsePiece,
        Peer::Forged,
        Peer::Elsewhere,
        Peer::Nothing,
        Peer::Unknown,
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (loaded, asked) = load(&sender, &[hostile, Peer::Slow, hostile], folder.path()).await;
        same(&sender, loaded.unwrap_or_else(|error| panic!("{hostile:?}: {error}"))).await;
        assert!(asked[0] <= 2 * FAILURES_MAX as usize, "{hostile:?} was asked {asked:?}");
    }
}

#[tokio::test]
async fn who_is_slow_has_its_turn_and_no_more() {
    let sender = blocking(|| Ok(sender())).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (loaded, asked) = load(&sender, &[Peer::Drips, Peer::Honest], folder.path()).await;
    same(&sender, loaded.unwrap()).await;
    assert!(asked[1] > 0 && asked[0] < 12, "there are more pieces than it was asked for: {asked:?}");
    // Where all are slow it takes long, and comes to its end.
    let folder = tempfile::tempdir().unwrap();
    let (loaded, _) = load(&sender, &[Peer::Drips, Peer::Drips], folder.path()).await;
    same(&sender, loaded.unwrap()).await;
}

#[tokio::test]
async fn without_an_honest_peer_the_error_names_what_is_missing_and_the_fault() {
    let sender = blocking(|| Ok(sender())).await.unwrap();
    for (hostile, what, fault) in [
        (Peer::FalsePage, "of the ledger", "is not the one with digest"),
        (Peer::Miscounts, "of the ledger", "is not the one with digest"),
        (Peer::OtherForm, "of the ledger", "is not the one with digest"),
        (Peer::FalsePiece, "the receipts of epoch 1", "no piece of receipts"),
        (Peer::Forged, "the receipts of epoch 1", "not signed"),
        (Peer::Elsewhere, "the receipts of epoch 1", "not wanted"),
        (Peer::Nothing, "of the ledger", "no pages at all"),
        (Peer::Unknown, "of the ledger", "404"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let error = load(&sender, &[hostile], folder.path()).await.0.unwrap_err();
        assert!(
            matches!(&error, SyncError::NoState { what: told, last, .. } if told.contains(what) && last.contains(fault)),
            "{hostile:?}: {error}"
        );
    }
}

/// What a liar left on the disk is nobody else's fault, however often the node begins.
#[tokio::test]
async fn false_numbers_on_the_disk_are_loaded_again_and_held_against_nobody() {
    let sender = blocking(|| Ok(sender())).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (loaded, _) = load(&sender, &[Peer::Miscounts], folder.path()).await;
    assert!(matches!(loaded, Err(SyncError::NoState { .. })));
    let (loaded, asked) = load(&sender, &[Peer::Slow], folder.path()).await;
    same(&sender, loaded.unwrap()).await;
    assert!(asked[0] > 1);
}

#[tokio::test]
async fn what_came_of_the_ledger_is_not_asked_for_again() {
    let sender = blocking(|| Ok(sender())).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (loaded, asked) = load(&sender, &[Peer::Honest], folder.path()).await;
    drop(loaded.unwrap());
    assert!(asked[0] >= 2);
    let (loaded, asked) = load(&sender, &[Peer::Honest], folder.path()).await;
    same(&sender, loaded.unwrap()).await;
    assert_eq!(asked[0], 0);
}
