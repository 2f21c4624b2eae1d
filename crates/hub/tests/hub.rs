//! A shelf, a hub and whoever fetches from it: what is kept, what is refused, what is never believed.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crypto::Digest;
use engine::Model;
use hub::{ARTEFACT_BYTES_MAX, Config, Hub, Models, ModelsError, Shelf, ShelfError};
use network::{
    Client, Limits, NetworkError, Server,
    axum::{Router, extract::State, routing::get},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const INTEGER: &[u8] = include_bytes!("../../../models/risk/risk-integer.ogm");
const ORDERED: &[u8] = include_bytes!("../../../models/risk/risk-ordered.ogm");

fn root(artefact: &[u8]) -> Digest {
    Model::load(artefact.to_vec()).unwrap().root()
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

async fn start(folder: &Path) -> Hub {
    Hub::start(Config { listen: loopback(), directory: folder.to_owned() }).await.unwrap()
}

fn refusal(error: &NetworkError) -> (u16, &str) {
    match error {
        NetworkError::Refused { status, code, .. } => (*status, code),
        other => panic!("{other}"),
    }
}

fn models(folder: &Path, hubs: &[String]) -> Models {
    Models::new(Shelf::open(folder).unwrap(), hubs, Client::default())
}

#[tokio::test]
async fn models_run_on_as_many_threads_as_their_shelf_is_told_wherever_they_come_from() {
    let full = tempfile::tempdir().unwrap();
    Shelf::open(full.path()).unwrap().put(ORDERED).unwrap();
    let hub = start(full.path()).await;
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::open(folder.path()).unwrap().with_threads(3);
    shelf.put(INTEGER).unwrap();
    let models = Models::new(shelf, &[hub.url()], Client::default());
    for artefact in [INTEGER, ORDERED] {
        assert_eq!(models.get(root(artefact)).await.unwrap().threads(), 3);
    }
    assert_eq!(Shelf::open(folder.path()).unwrap().load(&root(INTEGER)).unwrap().threads(), 1, "where nobody says it");
}

#[test]
fn a_shelf_keeps_artefacts_under_their_roots_and_has_them_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::open(folder.path()).unwrap();
    assert_eq!(shelf.list(), []);
    let entry = shelf.put(INTEGER).unwrap();
    assert_eq!((entry.root, entry.bytes), (root(INTEGER), INTEGER.len() as u64));
    assert_eq!(shelf.put(INTEGER).unwrap(), entry, "twice is once");
    shelf.put(ORDERED).unwrap();
    let again = Shelf::open(folder.path()).unwrap();
    assert_eq!(again.list(), shelf.list());
    assert_eq!(again.list().len(), 2);
    assert_eq!(again.get(&root(ORDERED)).unwrap(), ORDERED);
    assert_eq!(again.load(&root(ORDERED)).unwrap().root(), root(ORDERED));
    assert!(again.get(&Digest::ZERO).is_none() && again.load(&Digest::ZERO).is_none());
}

#[test]
fn what_does_not_load_is_neither_kept_nor_listed() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::open(folder.path()).unwrap();
    for cut in [0, 1, 100, INTEGER.len() - 1] {
        assert!(matches!(shelf.put(&INTEGER[..cut]), Err(ShelfError::Load(_))), "{cut} bytes");
    }
    for at in (0..INTEGER.len()).step_by(4_001) {
        let mut changed = INTEGER.to_vec();
        changed[at] ^= 0x10;
        // A change that loads is another model under another root, and is not found under this one.
        if let Ok(entry) = shelf.put(&changed) {
            assert_ne!(entry.root, root(INTEGER), "byte {at}");
        }
    }
    assert!(shelf.get(&root(INTEGER)).is_none());
    let large = storage::FileError::TooLarge { path: folder.path().to_owned(), limit: 7 };
    assert!(matches!(ShelfError::from(large), ShelfError::TooLarge { limit: 7 }));
    let mut incoming = shelf.incoming().unwrap();
    incoming.write(INTEGER).unwrap();
    let wrong = shelf.take(incoming, Some(root(ORDERED))).map(|_| ());
    assert!(matches!(wrong, Err(ShelfError::OtherRoot { found, .. }) if found == root(INTEGER)));
    assert!(shelf.get(&root(INTEGER)).is_none());
}

#[test]
fn a_full_shelf_takes_nothing_more_and_still_gives() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::open(folder.path()).unwrap().with_room(INTEGER.len() as u64 + 10);
    shelf.put(INTEGER).unwrap();
    assert!(matches!(shelf.put(ORDERED), Err(ShelfError::Full { .. })));
    assert_eq!(shelf.list().len(), 1);
    shelf.put(INTEGER).unwrap();
    assert_eq!(shelf.get(&root(INTEGER)).unwrap(), INTEGER);
}

#[test]
fn damaged_and_misnamed_files_are_left_out_and_mended_by_the_artefact() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("{}.ogm", root(INTEGER)));
    std::fs::write(&path, &INTEGER[..200]).unwrap();
    std::fs::write(folder.path().join("other.ogm"), ORDERED).unwrap();
    std::fs::write(folder.path().join("notes.txt"), "no artefact").unwrap();
    let shelf = Shelf::open(folder.path()).unwrap();
    assert_eq!(shelf.list(), []);
    assert!(shelf.load(&root(INTEGER)).is_none());
    shelf.put(INTEGER).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), INTEGER);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let Err(refused) = Shelf::open(&file) else { panic!("a file is no folder") };
    assert!(refused.to_string().contains("failed to read the folder"), "{refused}");
}

#[tokio::test]
async fn a_hub_takes_lists_and_gives_artefacts() {
    let folder = tempfile::tempdir().unwrap();
    let (hub, client) = (start(folder.path()).await, Client::default());
    let url = format!("{}/artefacts", hub.url());
    let said: Value = serde_json::from_slice(&client.post_bytes(&url, INTEGER).await.unwrap()).unwrap();
    assert_eq!(said["root"], root(INTEGER).to_string());
    let list: Value = serde_json::from_slice(&client.get_bytes(&url).await.unwrap()).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!((&list[0]["root"], &list[0]["bytes"]), (&said["root"], &Value::from(INTEGER.len())));
    assert_eq!(list[0]["kind"], "integer");
    let status: Value =
        serde_json::from_slice(&client.get_bytes(&format!("{}/status", hub.url())).await.unwrap()).unwrap();
    assert_eq!((&status["role"], &status["artefacts"]), (&Value::from("hub"), &Value::from(1)));
    assert_eq!(client.get_bytes(&format!("{url}/{}", root(INTEGER))).await.unwrap(), INTEGER);
    let unknown = client.get_bytes(&format!("{url}/{}", Digest::ZERO)).await.unwrap_err();
    assert_eq!(refusal(&unknown), (404, "unknown_artefact"));
    for bad in ["..%2F..%2Fpasswd", "zz", "00"] {
        let bad = client.get_bytes(&format!("{url}/{bad}")).await.unwrap_err();
        assert_eq!(refusal(&bad), (400, "bad_root"));
    }
    hub.stop().await;
}

#[tokio::test]
async fn hostile_artefacts_are_refused_by_name_and_the_hub_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (hub, client) = (start(folder.path()).await, Client::default());
    let url = format!("{}/artefacts", hub.url());
    let mut bomb = INTEGER.to_vec();
    bomb[16..80].fill(0xff);
    for hostile in [Vec::new(), b"PK\x03\x04".to_vec(), INTEGER[..INTEGER.len() / 2].to_vec(), bomb] {
        let error = client.post_bytes(&url, hostile).await.unwrap_err();
        assert_eq!(refusal(&error), (400, "bad_artefact"));
        assert!(error.to_string().contains("failed to load the artefact"), "{error}");
    }
    client.post_bytes(&url, INTEGER).await.unwrap();
}

/// Says no more than the head of an upload, and reads the answer.
async fn announce(hub: &Hub, length: u64) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(hub.url().strip_prefix("http://").unwrap()).await.unwrap();
    let head = format!("POST /artefacts HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4_096];
    let read = tokio::time::timeout(Duration::from_millis(500), stream.read(&mut answer)).await;
    let count = read.map_or(0, Result::unwrap);
    (stream, String::from_utf8_lossy(&answer[..count]).into_owned())
}

#[tokio::test]
async fn a_head_says_what_a_model_is_without_its_weights() {
    let folder = tempfile::tempdir().unwrap();
    let hub = start(folder.path()).await;
    let demo = include_bytes!("../../../models/demo/demo-integer.ogm");
    let client = Client::default();
    client.post_bytes(&format!("{}/artefacts", hub.url()), &demo[..]).await.unwrap();
    let head = client.get_bytes(&format!("{}/artefacts/{}/head", hub.url(), root(demo))).await.unwrap();
    let read = graph::Head::read(&head).unwrap();
    assert_eq!((read.root, read.kind.as_str()), (root(demo), "integer"));
    assert!(head.len() < 200_000 && read.language.unwrap().template.contains("im_start"));
    for at in (0..head.len()).step_by(97) {
        let mut changed = head.to_vec();
        changed[at] ^= 1;
        assert!(!graph::Head::read(&changed).is_ok_and(|read| read.root == root(demo)), "byte {at}");
        assert!(graph::Head::read(&head[..at]).is_err());
    }
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let hub = start(folder.path()).await;
    let (_, answer) = announce(&hub, ARTEFACT_BYTES_MAX + 1).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("body_too_large"), "{answer}");
}

#[tokio::test]
async fn few_upload_at_a_time_and_the_others_are_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let hub = start(folder.path()).await;
    let (first, second) = (announce(&hub, 10).await, announce(&hub, 10).await);
    assert_eq!((first.1.as_str(), second.1.as_str()), ("", ""), "they wait for the body");
    let client = Client::default();
    let url = format!("{}/artefacts", hub.url());
    assert_eq!(refusal(&client.post_bytes(&url, INTEGER).await.unwrap_err()), (429, "busy"));
    drop(first);
    for _ in 0..500 {
        if client.post_bytes(&url, INTEGER).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the place of who left is not free");
}

#[tokio::test]
async fn a_full_hub_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = Shelf::open(folder.path()).unwrap().with_room(10);
    let hub = Hub::serve(loopback(), shelf).await.unwrap();
    let error = Client::default().post_bytes(&format!("{}/artefacts", hub.url()), INTEGER).await.unwrap_err();
    assert_eq!(refusal(&error), (507, "shelf_full"));
}

#[tokio::test]
async fn a_model_comes_from_the_shelf_or_from_a_hub_that_has_it() {
    let (shelf, empty, full) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    Shelf::open(full.path()).unwrap().put(INTEGER).unwrap();
    let hubs = [start(empty.path()).await, start(full.path()).await];
    let urls: Vec<String> = ["http://127.0.0.1:1".to_owned()].into_iter().chain(hubs.iter().map(Hub::url)).collect();
    let fetching = models(shelf.path(), &urls);
    let model = fetching.get(root(INTEGER)).await.unwrap();
    assert_eq!(model.root(), root(INTEGER));
    assert!(Arc::ptr_eq(&model, &fetching.get(root(INTEGER)).await.unwrap()), "loaded once");
    let missing = fetching.get(root(ORDERED)).await.map(|_| ()).unwrap_err();
    assert!(matches!(missing, ModelsError::Fetch { root: wanted, .. } if wanted == root(ORDERED)), "{missing}");
    for hub in hubs {
        hub.stop().await;
    }
    let alone = models(shelf.path(), &[]);
    assert_eq!(alone.get(root(INTEGER)).await.unwrap().root(), root(INTEGER));
    let nowhere = alone.get(root(ORDERED)).await.map(|_| ()).unwrap_err();
    assert!(matches!(nowhere, ModelsError::Nowhere { .. }), "{nowhere}");
}

/// A hub that gives these bytes for every root, and counts.
async fn liar(artefact: &'static [u8]) -> (Server, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let give = async move |State(asked): State<Arc<AtomicUsize>>| {
        asked.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(100)).await;
        artefact.to_vec()
    };
    let router = Router::new().route("/artefacts/{root}", get(give)).with_state(Arc::clone(&asked));
    (Server::start(loopback(), router, Limits::default()).await.unwrap(), asked)
}

#[tokio::test]
async fn another_model_than_was_asked_for_is_refused_and_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (liar, _) = liar(ORDERED).await;
    let models = models(folder.path(), &[liar.url()]);
    let refused = models.get(root(INTEGER)).await.map(|_| ()).unwrap_err();
    assert!(matches!(&refused, ModelsError::OtherRoot { found, .. } if *found == root(ORDERED)), "{refused}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a liar does not fill the disk");
    let (garbler, _) = self::liar(b"garbage").await;
    let refused = self::models(folder.path(), &[garbler.url()]).get(root(INTEGER)).await.map(|_| ()).unwrap_err();
    assert!(matches!(refused, ModelsError::Shelf(ShelfError::Load(_))), "{refused}");
}

#[tokio::test]
async fn a_crowd_that_wants_one_model_has_it_brought_once_and_another_does_not_wait() {
    let folder = tempfile::tempdir().unwrap();
    let (hub, asked) = liar(INTEGER).await;
    let models = models(folder.path(), &[hub.url()]);
    Shelf::open(folder.path()).unwrap().put(ORDERED).unwrap();
    let crowd = futures::future::join_all((0..20).map(|_| models.get(root(INTEGER))));
    let (crowd, other) = tokio::join!(crowd, models.get(root(ORDERED)));
    assert!(crowd.into_iter().all(|model| model.is_ok()));
    assert_eq!((asked.load(Ordering::SeqCst), other.unwrap().root()), (1, root(ORDERED)));
}

#[tokio::test]
async fn a_damaged_artefact_is_fetched_again() {
    let (folder, full) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    Shelf::open(full.path()).unwrap().put(INTEGER).unwrap();
    let hub = start(full.path()).await;
    std::fs::write(folder.path().join(format!("{}.ogm", root(INTEGER))), &INTEGER[..999]).unwrap();
    assert!(models(folder.path(), &[hub.url()]).get(root(INTEGER)).await.is_ok());
    assert!(models(folder.path(), &[]).get(root(INTEGER)).await.is_ok(), "and mended");
}

#[tokio::test]
async fn a_file_for_another_process_is_compared_with_its_root_and_not_looked_into() {
    let demo = network::Bytes::from_static(include_bytes!("../../../models/demo/demo-integer.ogm"));
    let (mut model, _) = graph::Model::from_artefact(&demo).unwrap();
    let graph::Purpose::Language(language) = &mut model.purpose else { panic!("it speaks") };
    language.tokenizer = b"what ends or fills whoever reads it".to_vec();
    let (root, bytes): (_, &'static [u8]) = (model.root(), model.to_artefact().leak());
    let (folder, (hub, asked)) = (tempfile::tempdir().unwrap(), liar(bytes).await);
    let models = models(folder.path(), &[hub.url()]);
    let path = models.file(root).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    assert!(matches!(models.get(root).await.map(drop), Err(ModelsError::Shelf(ShelfError::Load(_)))));
    // Whole files stay, damaged ones are brought anew.
    models.renew(root).await;
    assert!(path.exists());
    let mut damaged = bytes.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, damaged).unwrap();
    let before = asked.load(Ordering::SeqCst);
    models.renew(root).await;
    assert_eq!(std::fs::read(models.file(root).await.unwrap()).unwrap(), bytes);
    assert_eq!(asked.load(Ordering::SeqCst), before + 1);
    // Nor does a liar fill the disk of whoever loads elsewhere.
    let other = tempfile::tempdir().unwrap();
    let lied = self::models(other.path(), &[hub.url()]).file(self::root(INTEGER)).await.unwrap_err();
    assert!(matches!(lied, ModelsError::OtherRoot { .. }), "{lied}");
    assert_eq!(std::fs::read_dir(other.path()).unwrap().count(), 0);
}
