//! Peers that lie, cut, exaggerate and stall, beside honest ones.

use std::sync::atomic::{AtomicUsize, Ordering};

use network::{
    Limits, Server,
    axum::{Router, body::Body, body::Bytes, extract::Path as UrlPath, routing::get},
    nouns,
};

use super::{peers::FAILURES_MAX, *};

const EPOCH: u64 = 31;
const CHUNKS: usize = 5;

#[derive(Clone, Copy, PartialEq)]
enum Peer {
    Honest,
    /// Changes a byte of every chunk.
    False,
    Truncated,
    TooLarge,
    /// Begins an answer and never ends it.
    Stalls,
    /// Offers another snapshot.
    OtherOffer,
}

fn snapshot() -> Vec<u8> {
    (0..CHUNK_BYTES * (CHUNKS - 1) + 99).map(|index| (index / 4_096 + index / CHUNK_BYTES) as u8).collect()
}

fn offer() -> Offer {
    Offer::of_bytes(1, (EPOCH, 900), &snapshot()).unwrap()
}

struct Running {
    server: Server,
    asked: Arc<AtomicUsize>,
}

async fn peer(kind: Peer) -> Running {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let chunk = move |UrlPath((_, chunk)): UrlPath<(u64, usize)>| {
        counted.fetch_add(1, Ordering::Relaxed);
        let mut bytes = snapshot().chunks(CHUNK_BYTES).nth(chunk).unwrap().to_vec();
        match kind {
            Peer::Honest | Peer::OtherOffer => {}
            Peer::False => bytes[7] ^= 1,
            Peer::Truncated => bytes.truncate(bytes.len() / 2),
            Peer::TooLarge => bytes.extend([0; 9]),
            Peer::Stalls => {
                let begun = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"begun"))]);
                let body = Body::from_stream(futures::StreamExt::chain(begun, futures::stream::pending()));
                return futures::future::ready(body);
            }
        }
        futures::future::ready(Body::from(bytes))
    };
    let offers = move || {
        let mut offer = offer();
        if kind == Peer::OtherOffer {
            offer = Offer::of_bytes(1, (EPOCH + 32, 1_900), b"made up").unwrap();
        }
        futures::future::ready(nouns(&[offer]))
    };
    let floor = move || futures::future::ready(if kind == Peer::Honest { "a floor" } else { "a false floor" });
    let router = Router::new()
        .route("/snapshots", get(offers))
        .route("/snapshots/{epoch}/chunks/{chunk}", get(chunk))
        .route("/floor/{height}", get(floor));
    let server = Server::start("127.0.0.1:0".parse().unwrap(), router, Limits::default()).await.unwrap();
    Running { server, asked }
}

fn client() -> Client {
    Client::new(Duration::from_millis(500))
}

async fn load(kinds: &[Peer], folder: &Path) -> (Result<Vec<u8>, SyncError>, Vec<Running>) {
    let mut running = Vec::new();
    for kind in kinds {
        running.push(peer(*kind).await);
    }
    let peers: Vec<String> = running.iter().map(|peer| peer.server.url()).collect();
    let loaded = Loading::new(&offer(), &peers, folder, &client()).unwrap().run().await;
    (loaded, running)
}

#[tokio::test]
async fn whatever_the_others_do_one_honest_peer_is_enough() {
    for hostile in [Peer::False, Peer::Truncated, Peer::TooLarge, Peer::Stalls] {
        let folder = tempfile::tempdir().unwrap();
        let (loaded, running) = load(&[hostile, Peer::Honest, hostile], folder.path()).await;
        assert!(loaded.unwrap() == snapshot());
        let asked = running[0].asked.load(Ordering::Relaxed);
        assert!(asked <= LANES.max(FAILURES_MAX as usize) + 1, "left aside, but asked {asked} times");
    }
}

#[tokio::test]
async fn without_an_honest_peer_the_error_names_the_chunk_and_the_fault() {
    let faults = [
        (Peer::False, "another digest"),
        (Peer::Truncated, "instead of"),
        (Peer::TooLarge, "more than"),
        (Peer::Stalls, "no answer"),
    ];
    for (hostile, words) in faults {
        let folder = tempfile::tempdir().unwrap();
        let error = load(&[hostile], folder.path()).await.0.unwrap_err();
        assert!(matches!(error, SyncError::NoChunk { epoch: EPOCH, .. }), "{error}");
        let is_told = error.to_string().contains(words) || (hostile == Peer::Stalls && !error.to_string().is_empty());
        assert!(is_told, "{error}");
    }
}

#[tokio::test]
async fn several_peers_share_the_work_and_what_came_once_is_not_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let (loaded, running) = load(&[Peer::Honest, Peer::Honest], folder.path()).await;
    assert!(loaded.unwrap() == snapshot());
    assert!(running.iter().all(|peer| peer.asked.load(Ordering::Relaxed) > 0));
    // Damaged on the disk: asked again, and nothing else is.
    let damaged = folder.path().join(offer().chunks[2].to_string());
    storage::write_file(&damaged, b"damaged").unwrap();
    let (loaded, running) = load(&[Peer::Honest], folder.path()).await;
    assert!(loaded.unwrap() == snapshot());
    assert_eq!(running[0].asked.load(Ordering::Relaxed), 1);
}

fn genesis() -> ledger::Genesis {
    let key = crypto::SigningKey::from_seed(&[1; 32]).public_key();
    let node = ledger::GenesisNode {
        role: protocol::Role::Validator,
        key,
        operator: key,
        endpoint: protocol::Text::new("http://127.0.0.1:1").unwrap(),
        stake: 1_000_000 * 1_000_000_000_000_000_000,
        models: protocol::List::default(),
    };
    ledger::Genesis {
        version: protocol::Version,
        chain_id: 1,
        time_ms: 1_000,
        accounts: protocol::List::default(),
        nodes: protocol::List::new(vec![node]).unwrap(),
        wallets: protocol::List::default(),
        allocations: protocol::List::default(),
        models: protocol::List::default(),
        reward_pool: 0,
        bridged: 0,
        rules: ledger::Rules::default(),
        parameters: protocol::List::default(),
        trust: ledger::FirstTrust::default(),
    }
}

fn floor_holds(_: &[[u8; 96]], bytes: &[u8]) -> Result<(), consensus::MemberError> {
    if bytes == b"a floor" { Ok(()) } else { Err(consensus::MemberError::Floor) }
}

#[tokio::test]
async fn a_floor_that_does_not_hold_is_asked_of_the_next_peer() {
    let directory = tempfile::tempdir().unwrap();
    let begin = Ledger::new(&genesis()).unwrap();
    let running = [peer(Peer::False).await, peer(Peer::Stalls).await, peer(Peer::Honest).await];
    let peers: Vec<String> = running.iter().map(|peer| peer.server.url()).collect();
    let keys = NetworkKeys::pinned(GroupKey([0; 96]));
    let sync = Sync {
        peers: &peers,
        directory: directory.path(),
        begin: &begin,
        network_key: &GroupKey([0; 96]),
        validators: 4,
        client: client(),
        floor_holds: &floor_holds,
        patience: PATIENCE,
    };
    assert_eq!(sync.floor(900, &keys).await.unwrap(), b"a floor");
    let hostile = Sync { peers: &peers[..2], patience: Duration::ZERO, ..sync };
    let error = hostile.floor(900, &keys).await.unwrap_err();
    assert!(matches!(&error, SyncError::NoFloor { height: 900, last } if last.contains("two thirds")), "{error}");
}

#[tokio::test]
async fn an_offer_of_fewer_peers_than_may_be_faulty_is_not_believed() {
    let directory = tempfile::tempdir().unwrap();
    let begin = Ledger::new(&genesis()).unwrap();
    let mut running = Vec::new();
    for kind in [Peer::Honest, Peer::OtherOffer, Peer::Honest] {
        running.push(peer(kind).await);
    }
    let peers: Vec<String> = running.iter().map(|peer| peer.server.url()).collect();
    let network_key = GroupKey([0; 96]);
    let sync = Sync {
        peers: &peers,
        directory: directory.path(),
        begin: &begin,
        network_key: &network_key,
        validators: 4,
        client: client(),
        floor_holds: &floor_holds,
        patience: PATIENCE,
    };
    let (offer, tellers) = sync.offer(2).await.unwrap();
    assert_eq!((offer.epoch, tellers.len()), (EPOCH, 2), "the newer one is told by one peer only");
    let alone = Sync { peers: &peers[..1], ..sync };
    assert!(matches!(alone.run().await, Err(SyncError::TooFewPeers { found: 1, wanted: 2 })));
    // All chunks are as offered; that they are no ledger is found in the end, and nothing is kept.
    let error = Sync { peers: &peers, ..alone }.run().await.unwrap_err();
    assert!(matches!(error, SyncError::Refused { epoch: EPOCH, .. }), "{error}");
    let begun = blocking(move || Ok(snapshot::is_begun(&snapshot::open(directory.path()).unwrap()).unwrap()));
    assert!(!begun.await.unwrap());
}

mod state {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use blocks::StateFile;
    use evm::{Account, Changes, Code, World};
    use network::{
        Limits, Noun, Server,
        axum::{Router, body::Body, extract::Path as UrlPath, http::StatusCode, routing::get},
    };
    use protocol::{Bytes, List, Version};

    use super::*;
    use crate::{
        offer::{Offers, PageRun},
        sync::ledger_tests::miscount,
    };

    /// What a peer does with the state that it offers.
    #[derive(Clone, Copy, PartialEq, Debug)]
    enum Peer {
        Honest,
        /// One page at a time.
        Slow,
        /// Changes a byte of the first page of every answer.
        False,
        /// Tells other numbers of leaves, where the digest is the same.
        Miscounts,
        /// Gives the pages of another place.
        Elsewhere,
        Nothing,
        /// Gives other code than was asked for.
        OtherCode,
        Unknown,
    }

    struct Sender {
        offer: Offer,
        offers: Arc<Offers>,
        world: World,
        /// Its moments are in the offers.
        _folder: tempfile::TempDir,
    }

    async fn sender(epoch: u64, nonce: u64) -> Sender {
        blocking(move || Ok(made(epoch, nonce))).await.unwrap()
    }

    fn made(epoch: u64, nonce: u64) -> Sender {
        let folder = tempfile::tempdir().unwrap();
        let file = StateFile::open(&folder.path().join("state.redb"), &[], 1 << 20).unwrap();
        let mut world = World::default();
        let mut changes = Changes::default();
        for number in 0..3_000_u64 {
            let code = Code::new_raw(vec![0x5f, (number % 3) as u8].into());
            let mut account = Account { nonce: 1, ..Account::default() };
            if number % 100 == 0 {
                let nonce = if number == 0 { nonce } else { 1 };
                account = Account { nonce, code_hash: code.hash_slow(), ..account };
                changes.codes.insert(code.hash_slow(), code);
            }
            let mut address = [0; 20];
            address[12..].copy_from_slice(&number.to_be_bytes());
            changes.accounts.insert(address.into(), Some(account));
        }
        world.apply(&changes).unwrap();
        let (_, moment) = file.write(&world.mark(), Vec::new()).unwrap();
        let (state_root, state_leaves) = (Digest(world.root().0), world.leaves());
        let offer = Offer { state_root, state_leaves, ..Offer::of_bytes(1, (epoch, 900), &[7]).unwrap() };
        let offers = Arc::new(Offers::default());
        offers.add(offer.clone(), moment);
        Sender { offer, offers, world, _folder: folder }
    }

    async fn peer(sender: &Sender, kind: Peer) -> (Server, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let (offers, counted) = (Arc::clone(&sender.offers), Arc::clone(&asked));
        let pages = move |UrlPath((epoch, name)): UrlPath<(u64, String)>| {
            counted.fetch_add(1, Ordering::Relaxed);
            let name: Vec<u8> =
                (0..name.len() / 2).map(|at| u8::from_str_radix(&name[2 * at..2 * at + 2], 16).unwrap()).collect();
            let mut pages: Vec<Vec<u8>> =
                offers.pages(epoch, &name).unwrap().pages.into_inner().into_iter().map(Bytes::into_inner).collect();
            match kind {
                Peer::Honest | Peer::OtherCode => {}
                Peer::Slow => pages.truncate(40),
                Peer::False => pages[0][4] ^= 1,
                Peer::Miscounts => pages.iter_mut().for_each(|page| miscount(page)),
                Peer::Elsewhere => drop(pages.remove(0)),
                Peer::Nothing => pages.clear(),
                Peer::Unknown => return futures::future::ready(Err(StatusCode::NOT_FOUND)),
            }
            let pages = List::new(pages.into_iter().map(|page| Bytes::new(page).unwrap()).collect()).unwrap();
            futures::future::ready(Ok(Noun(PageRun { version: Version, pages })))
        };
        let offers = Arc::clone(&sender.offers);
        let codes = move |UrlPath((epoch, hash)): UrlPath<(u64, String)>| {
            let code = offers.code(epoch, &Digest::from_hex(&hash).unwrap()).unwrap();
            futures::future::ready(Body::from(if kind == Peer::OtherCode { vec![0xfe] } else { code }))
        };
        let router = Router::new()
            .route("/snapshots/{epoch}/pages/{name}", get(pages))
            .route("/snapshots/{epoch}/codes/{hash}", get(codes));
        let server = Server::start("127.0.0.1:0".parse().unwrap(), router, Limits::default()).await.unwrap();
        (server, asked)
    }

    /// Loads what `sender` offers from peers that do this with it; how often they were asked for pages.
    async fn load(sender: &Sender, kinds: &[Peer], folder: &Path) -> (Result<Changes, SyncError>, Vec<usize>) {
        let mut running = Vec::new();
        for kind in kinds {
            running.push(peer(sender, *kind).await);
        }
        let peers: Vec<String> = running.iter().map(|(server, _)| server.url()).collect();
        let folder = folder.to_owned();
        let file = Arc::new(blocking(move || snapshot::open(&folder).map_err(kept)).await.unwrap());
        let mut turns = Turns::new(Peers::new(&peers, &client()));
        let loaded = Pages::<evm::Arriving>::default().run(&sender.offer, &mut turns, &file).await;
        let (root, leaves) = (sender.world.root(), sender.world.leaves());
        let found = blocking(move || {
            let whole = file.settle(root, leaves, Vec::new());
            let content = whole.map(|()| file.world(file.moment().unwrap()).unwrap().content().unwrap());
            Arc::into_inner(file).into_iter().for_each(StateFile::close);
            content.map_err(kept)
        });
        let found = found.await;
        (loaded.and(found), running.iter().map(|(_, asked)| asked.load(Ordering::Relaxed)).collect())
    }

    #[tokio::test]
    async fn one_honest_peer_is_enough_for_the_state_whatever_the_others_give() {
        let sender = sender(31, 5).await;
        for hostile in [Peer::False, Peer::Miscounts, Peer::Elsewhere, Peer::Nothing, Peer::OtherCode, Peer::Unknown] {
            let folder = tempfile::tempdir().unwrap();
            let (loaded, asked) = load(&sender, &[hostile, Peer::Slow, hostile], folder.path()).await;
            assert_eq!(loaded.unwrap(), sender.world.content().unwrap(), "{hostile:?}");
            assert!(hostile == Peer::OtherCode || asked[0] <= FAILURES_MAX as usize, "{hostile:?} was asked {asked:?}");
        }
    }

    #[tokio::test]
    async fn without_an_honest_peer_the_error_names_the_page_or_the_code_and_the_fault() {
        let sender = sender(31, 5).await;
        for (hostile, what, fault) in [
            (Peer::False, "page 01", "is not the one with digest"),
            (Peer::Miscounts, "page 01", "is not the one with digest"),
            (Peer::Elsewhere, "page 01", "is not the one with digest"),
            (Peer::Nothing, "page 01", "no pages at all"),
            (Peer::OtherCode, "code ", "is another"),
            (Peer::Unknown, "page 01", "404"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let error = load(&sender, &[hostile], folder.path()).await.0.unwrap_err();
            assert!(
                matches!(&error, SyncError::NoState { epoch: 31, what: found, .. } if found.starts_with(what)),
                "{error}"
            );
            assert!(error.to_string().contains(fault), "{error}");
        }
    }

    #[tokio::test]
    async fn what_came_once_is_not_asked_again_not_even_from_a_newer_offer() {
        let (older, newer, folder) = (sender(31, 5).await, sender(63, 6).await, tempfile::tempdir().unwrap());
        let (loaded, asked) = load(&older, &[Peer::Slow], folder.path()).await;
        assert_eq!(loaded.unwrap(), older.world.content().unwrap());
        let all = asked[0];
        let (loaded, asked) = load(&older, &[Peer::Honest], folder.path()).await;
        assert_eq!((loaded.unwrap(), asked[0]), (older.world.content().unwrap(), 0));
        // One account is another.
        let (loaded, asked) = load(&newer, &[Peer::Slow], folder.path()).await;
        assert_eq!(loaded.unwrap(), newer.world.content().unwrap());
        assert!(asked[0] > 0 && asked[0] < all, "{} instead of {all}", asked[0]);
    }
}
