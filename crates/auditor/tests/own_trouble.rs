//! What goes wrong in the judge is not held against a worker. Alone in its file: it takes memory from the whole process.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod stage;

use auditor::{Judgement, judge};
use protocol::{Constraint, Input, Parameters, Prompt, Text};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use stage::{Draft, chat_model};

/// Lets the process have no more than so many bytes of addresses beyond those that it has.
fn leave(bytes: u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")?.strip_suffix("kB")).unwrap();
    let current = Some((size.trim().parse::<u64>().unwrap() << 10) + bytes);
    let maximum = getrlimit(Resource::As).maximum;
    setrlimit(Resource::As, Rlimit { current, maximum }).unwrap();
}

#[test]
fn a_thread_that_cannot_start_makes_no_receipt_false() {
    let chat = chat_model();
    let greedy = Parameters { max_tokens: 6, ..Parameters::default() };
    let truth = Draft::chat(greedy.clone());
    let mut other = truth.tokens();
    other[0] ^= 1;
    let lie = truth.clone().saying(other);
    let constraint = Some(Constraint::Regex(Text::new("[a-z]{1,4}").unwrap()));
    let formed = Draft::chat(Parameters { constraint, ..greedy });
    let judged = |draft: &Draft| judge(&chat, &draft.sign().receipt, &draft.opening);
    for draft in [&truth, &formed] {
        assert_eq!(judged(draft), Judgement::Equal);
    }
    // The template's thread has a stack of 256 MiB.
    leave(128 << 20);
    for draft in [&truth, &lie, &formed] {
        let Judgement::CouldNotTell(cause) = judged(draft) else { panic!("{:?}", judged(draft)) };
        assert!(cause.contains("the chat template could not be run here"), "{cause}");
    }
    // A grammar's has 64 MiB; what no template wrote needs no other thread.
    let tokens = Prompt::Tokens(formed.opening.prompt.clone());
    let plain = formed.clone().changed(|draft| draft.opening.request.input = Input::Prompt(tokens));
    leave(256 << 20);
    assert_eq!(judged(&plain), Judgement::Equal);
    leave(32 << 20);
    let Judgement::CouldNotTell(cause) = judged(&plain) else { panic!("{:?}", judged(&plain)) };
    assert!(cause.contains("the regular expression could not be compiled here"), "{cause}");
}
