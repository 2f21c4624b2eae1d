//! What the gateway lacks is not held against its caller.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

#[allow(clippy::allow_attributes_without_reason, reason = "the tiny model of the engine's own tests")]
#[path = "../../engine/tests/support/mod.rs"]
mod support;

mod counted;
mod stub;

use counted::{end_all, left, stage_of};
use gateway::Program;
use stub::{Behaviour, counter, pace};

#[tokio::test]
async fn a_process_that_cannot_start_is_no_fault_of_whoever_asks() {
    let folder = tempfile::tempdir().unwrap();
    let Program { path, arguments } = counter();
    let link = folder.path().join("counter");
    std::os::unix::fs::symlink(path, &link).unwrap();
    let stage = stage_of(Behaviour::Honest, pace(), &[""], Program { path: link.clone(), arguments }).await;
    assert_eq!(stage.count("hi").await.status, 200);
    std::fs::remove_file(link).unwrap();
    end_all();
    left(0).await;
    let chat = stage.body("hi", r#","max_tokens":4"#);
    for refused in [stage.count("hi").await, stage.client.post("/v1/chat/completions", &chat).await] {
        let error = refused.json()["error"].clone();
        assert_eq!((refused.status, &error["code"]), (503, &"gateway_overloaded".into()), "{}", refused.body);
        assert_eq!((&error["fault"], &error["retry"]), (&"network".into(), &true.into()));
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("failed to start the process that counts"), "{message}");
        assert!(error["hint"].as_str().unwrap().contains("no fault of the request"), "{error}");
        assert_eq!(refused.headers["retry-after"], "5");
    }
    // And the model is not refused for it.
    assert!(stage.count("hi").await.body.contains("failed to start"));
}
