//! What the gateway lacks is not held against its caller. Alone in its file: it takes memory from the whole process.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

#[allow(clippy::allow_attributes_without_reason, reason = "the tiny model of the engine's own tests")]
#[path = "../../engine/tests/support/mod.rs"]
mod support;

mod counted;
mod stub;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use stub::{Behaviour, pace};

/// Lets the process have no more than so many bytes of addresses beyond those that it has.
fn leave(bytes: u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")?.strip_suffix("kB")).unwrap();
    let current = Some((size.trim().parse::<u64>().unwrap() << 10) + bytes);
    let maximum = getrlimit(Resource::As).maximum;
    setrlimit(Resource::As, Rlimit { current, maximum }).unwrap();
}

#[tokio::test]
async fn a_thread_that_cannot_start_is_no_fault_of_whoever_asks() {
    let stage = counted::stage(Behaviour::Honest, pace()).await;
    let chat = stage.body("hi", r#","max_tokens":4"#);
    assert_eq!(stage.count("hi").await.status, 200);
    assert_eq!(stage.client.post("/v1/chat/completions", &chat).await.status, 402);
    // The template's thread has a stack of 256 MiB.
    leave(128 << 20);
    for refused in [stage.count("hi").await, stage.client.post("/v1/chat/completions", &chat).await] {
        let error = refused.json()["error"].clone();
        assert_eq!((refused.status, &error["code"]), (503, &"gateway_overloaded".into()), "{}", refused.body);
        assert_eq!((&error["fault"], &error["retry"]), (&"network".into(), &true.into()));
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("the chat template could not be run here"), "{message}");
        assert!(error["hint"].as_str().unwrap().contains("no fault of the request"), "{error}");
        assert_eq!(refused.headers["retry-after"], "5");
    }
    leave(4 << 30);
    assert_eq!(stage.count("hi").await.status, 200, "and it is answered again");
}
