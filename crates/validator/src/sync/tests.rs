//! Peers that lie, cut, exaggerate and stall, beside honest ones.

use std::sync::atomic::{AtomicUsize, Ordering};

use network::{
    Limits, Server,
    axum::{Router, body::Body, body::Bytes, extract::Path as UrlPath, routing::get},
    nouns,
};

use super::*;

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
    Offer::of(1, EPOCH, 900, &snapshot()).unwrap()
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
            offer = Offer::of(1, EPOCH + 32, 1_900, b"made up").unwrap();
        }
        futures::future::ready(nouns(&[offer]))
    };
    let router = Router::new().route("/snapshots", get(offers)).route("/snapshots/{epoch}/chunks/{chunk}", get(chunk));
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
    }
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
    };
    let (offer, tellers) = sync.offer(2).await.unwrap();
    assert_eq!((offer.epoch, tellers.len()), (EPOCH, 2), "the newer one is told by one peer only");
    let alone = Sync { peers: &peers[..1], ..sync };
    assert!(matches!(alone.run().await, Err(SyncError::TooFewPeers { found: 1, wanted: 2 })));
    // All chunks are as offered; that they are no ledger is found in the end, and nothing is kept.
    let error = Sync { peers: &peers, ..alone }.run().await.unwrap_err();
    assert!(matches!(error, SyncError::Refused { epoch: EPOCH, .. }), "{error}");
    assert!(!directory.path().join(snapshot::FILE).exists());
}
