//! The journal of payments at a disk that stalls or breaks: no byte of an answer leaves before its payment is durable, and where that fails
//! nothing is given and nothing is charged.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod stub;

use std::{
    fs::File,
    io,
    sync::{
        Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use stub::{
    Behaviour,
    client::{chat_body, request},
    paid::{FORMS, PATH, Paid, line, other_payer, paid_synced, payer, until},
};
use tokio::{io::AsyncReadExt as _, time::timeout};

static IS_STALLED: Mutex<bool> = Mutex::new(false);
static GOES_ON: Condvar = Condvar::new();
static IS_BROKEN: AtomicBool = AtomicBool::new(false);

/// Waits for as long as the disk stalls.
fn stalling(file: &File) -> io::Result<()> {
    let is_stalled = IS_STALLED.lock().unwrap();
    drop(GOES_ON.wait_while(is_stalled, |is_stalled| *is_stalled).unwrap());
    file.sync_data()
}

fn stall(is_stalled: bool) {
    *IS_STALLED.lock().unwrap() = is_stalled;
    GOES_ON.notify_all();
}

fn breaking(file: &File) -> io::Result<()> {
    if IS_BROKEN.load(Ordering::SeqCst) { Err(io::Error::other("the disk is gone")) } else { file.sync_data() }
}

/// What a call asks beside its prompt, streamed or not.
const WISHES: [&str; 2] = [r#","stream":true"#, r#","stream":false"#];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_byte_of_an_answer_leaves_before_its_payment_is_durable() {
    for (form, wish) in FORMS.into_iter().flat_map(|form| WISHES.map(|wish| (form, wish))) {
        let stage = paid_synced(Behaviour::Honest, stalling).await;
        let required = stage.offers(wish).await;
        let payment = line(&form.payment(&payer(), &required, 1));
        let lines = format!("content-type: application/json\r\n{payment}");
        stall(true);
        let mut stream = stage.client.open(&request(PATH, &lines, &chat_body(wish))).await;
        until("its worker is asked meanwhile", || stage.worker.jobs() == 1).await;
        let mut first = [0];
        let early = timeout(Duration::from_millis(500), stream.read(&mut first)).await;
        assert!(early.is_err(), "{form:?}{wish}: {early:?}");
        stall(false);
        let mut answer = String::new();
        timeout(Duration::from_secs(10), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("forty"), "{form:?}{wish}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_journal_fails_nothing_is_given_and_nothing_charged() {
    for (form, wish) in FORMS.into_iter().flat_map(|form| WISHES.map(|wish| (form, wish))) {
        let stage = paid_synced(Behaviour::Honest, breaking).await;
        let required = stage.offers(wish).await;
        let (first, second) = (payer(), other_payer(6));
        IS_BROKEN.store(true, Ordering::SeqCst);
        let refused = stage.ask(&line(&form.payment(&first, &required, 1)), wish).await;
        assert_eq!(refused.error().0, 503, "{form:?}{wish}: {}", refused.body);
        assert_eq!(refused.error().1, "payments_unavailable", "{form:?}{wish}");
        assert!(!refused.body.contains("forty"), "{form:?}{wish}: {}", refused.body);
        let jobs = stage.worker.jobs();
        let next = stage.ask(&line(&form.payment(&second, &required, 2)), wish).await;
        assert_eq!(next.error().0, 503, "{form:?}{wish}: {}", next.body);
        assert_eq!(stage.worker.jobs(), jobs, "{form:?}{wish}: nobody is served from then on");
        IS_BROKEN.store(false, Ordering::SeqCst);
        let stage: Paid = stage.restarted(|_| {}).await;
        for payer in [&first, &second] {
            assert_eq!(stage.charged_in_the_end(payer).await, 0, "{form:?}{wish}");
        }
        assert_eq!((stage.distinct().len(), stage.validator.anchored()), (0, 0), "{form:?}{wish}");
        let again = stage.ask(&line(&form.payment(&second, &stage.offers(wish).await, 3)), wish).await;
        assert_eq!(again.status, 200, "{form:?}{wish}: {}", again.body);
    }
}
