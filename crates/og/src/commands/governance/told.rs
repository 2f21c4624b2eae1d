//! Proposals as people and programs read them: where each is in its life, how it stands, and what comes next and when.

use alloy_primitives::{B256, U256, hex as digits};
use alloy_sol_types::SolEvent as _;
use anyhow::{Result, ensure};
use evm::modules::{
    governance::{Action, IGovernance, MODULE},
    parameters::{IParameters, MODULE as PARAMETERS, UPGRADE_NOTICE},
    staking::IStakedVotes,
    votes,
};
use serde_json::{Value, json};

use super::{actions, bare, view};
use crate::{
    cli::Common,
    commands::{asked, module, show, terms::percent},
    remote::Remote,
    screen::row,
};

pub(super) const PENDING: u8 = 0;
pub(super) const ACTIVE: u8 = 1;
const CANCELED: u8 = 2;
const DEFEATED: u8 = 3;
pub(super) const EXECUTABLE: u8 = 4;
const WAITING: u8 = 5;
const EXPIRED: u8 = 6;
const EXECUTED: u8 = 7;
/// Their words, as the interface numbers them.
const STATES: [&str; 8] = ["pending", "active", "canceled", "defeated", "executable", "waiting", "expired", "executed"];
/// Blocks in one question for a description, and how many are asked: what is older is told by its digest alone.
const LOG_BLOCKS: u64 = 10_000;
const LOG_QUESTIONS: u64 = 64;
const MILLION: u64 = 1_000_000;

/// A proposal and the moment at which it was seen.
pub(super) struct Seen {
    id: u64,
    proposal: IGovernance::Proposal,
    /// The clock of the votes, in seconds.
    now: u64,
    /// All votes at the snapshot; none is known before it is over.
    all: Option<U256>,
}

pub(super) async fn seen(remote: &Remote, id: u64) -> Result<Seen> {
    let proposal = view(remote, &IGovernance::proposalCall { id: U256::from(id) }).await?;
    let clock = module::view(remote, &votes::MODULE, &IStakedVotes::clockCall {}).await?;
    let (now, snapshot) = (clock.saturating_to::<u64>(), proposal.snapshot.saturating_to::<u64>());
    let all = if snapshot < now {
        let call = IStakedVotes::getPastTotalSupplyCall { timepoint: U256::from(snapshot) };
        Some(module::view(remote, &votes::MODULE, &call).await?)
    } else {
        None
    };
    Ok(Seen { id, proposal, now, all })
}

pub(super) async fn list(remote: &Remote, common: &Common, count: u64) -> Result<()> {
    let made = view(remote, &IGovernance::proposalCountCall {}).await?.saturating_to::<u64>();
    let mut listed = Vec::new();
    for id in (made.saturating_sub(count)..made).rev() {
        listed.push(said(&seen(remote, id.saturating_add(1)).await?));
    }
    show(common, &Value::Array(listed), |listed| {
        let listed = listed.as_array().cloned().unwrap_or_default();
        if listed.is_empty() { vec!["nothing is proposed yet".to_owned()] } else { listed.iter().map(line).collect() }
    });
    Ok(())
}

pub(super) async fn one(remote: &Remote, common: &Common, id: u64) -> Result<()> {
    let seen = seen(remote, id).await?;
    let mut told = said(&seen);
    for (place, action) in seen.proposal.actions.iter().enumerate() {
        told["actions"][place]["now"] = actions::present(remote, action).await?.into();
        if let Some(height) = effective(remote, &seen, action).await? {
            told["actions"][place]["effective_height"] = height.to_string().into();
        }
    }
    told["description"] = description(remote, id).await?.into();
    show(common, &told, lines);
    Ok(())
}

/// From which height new rules of a proposal hold: since they are decided, or if they were executed now. Nothing of what is over.
async fn effective(remote: &Remote, seen: &Seen, action: &IGovernance::Action) -> Result<Option<U256>> {
    let Some(Action::Upgrade { rules, height }) = Action::known(action) else { return Ok(None) };
    match seen.proposal.state {
        EXECUTED => actions::scheduled(remote, rules).await,
        CANCELED | DEFEATED | EXPIRED => Ok(None),
        _ => {
            let call = IParameters::valueCall { name: UPGRADE_NOTICE.key() };
            let notice = module::view(remote, &PARAMETERS, &call).await?;
            Ok(Some(actions::effective(height, asked::height(remote).await?, notice)))
        }
    }
}

/// What its proposer said, from the newest blocks: the module keeps its digest only.
async fn description(remote: &Remote, id: u64) -> Result<Option<String>> {
    let topics = [IGovernance::ProposalMade::SIGNATURE_HASH.to_string(), B256::from(U256::from(id)).to_string()];
    let mut to = asked::height(remote).await?;
    for _ in 0..LOG_QUESTIONS {
        let from = to.saturating_sub(LOG_BLOCKS - 1);
        let filter = json!([{
            "address": MODULE.address.to_string(), "topics": topics,
            "fromBlock": format!("{from:#x}"), "toBlock": format!("{to:#x}"),
        }]);
        // A validator that keeps fewer blocks, or answers no such question, leaves the digest.
        let Ok(logs) = asked::answer(remote, "eth_getLogs", &filter).await? else { return Ok(None) };
        let made = logs[0]["data"].as_str().and_then(|data| digits::decode(data).ok());
        if let Some(made) = made.and_then(|data| IGovernance::ProposalMade::abi_decode_data(&data).ok()) {
            return Ok(Some(made.3));
        }
        if from == 0 {
            break;
        }
        to = from - 1;
    }
    Ok(None)
}

/// Refuses a proposal that is elsewhere in its life.
pub(super) fn must_be(seen: &Seen, wanted: u8) -> Result<()> {
    let found = seen.proposal.state;
    ensure!(
        found == wanted,
        "proposal {} is {}, {} expected: {}; hint: og governance show {0} says what comes when",
        seen.id,
        state(found),
        state(wanted),
        next(seen)
    );
    Ok(())
}

fn state(number: u8) -> &'static str {
    STATES.get(usize::from(number)).copied().unwrap_or("in a state that this og does not know")
}

/// What comes next, and when.
fn next(seen: &Seen) -> String {
    let until = |second: u64| span(second.saturating_sub(seen.now));
    let proposal = &seen.proposal;
    match proposal.state {
        PENDING => format!("voting begins in {}", until(proposal.snapshot.saturating_to::<u64>().saturating_add(1))),
        ACTIVE => format!("voting ends in {}", until(proposal.deadline.saturating_to())),
        WAITING => format!("it can be executed in {}", until(proposal.executableFrom.saturating_to())),
        EXECUTABLE => format!("it can be executed for {} more", until(proposal.executableUntil.saturating_to())),
        CANCELED => "its proposer took it back".to_owned(),
        DEFEATED => "it missed its quorum or its majority".to_owned(),
        EXPIRED => "nobody executed it in its time".to_owned(),
        EXECUTED => "it is done".to_owned(),
        _ => "nothing that this og knows of".to_owned(),
    }
}

/// A length of time in two units at most.
fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// A part of a whole, in millionths.
fn part(part: U256, whole: U256) -> u32 {
    let millionths = part.saturating_mul(U256::from(MILLION)).checked_div(whole).unwrap_or(U256::ZERO);
    millionths.saturating_to()
}

/// A proposal for programs, with its words.
fn said(seen: &Seen) -> Value {
    let proposal = &seen.proposal;
    let present = proposal.votesFor.saturating_add(proposal.votesAbstain);
    let decided = proposal.votesFor.saturating_add(proposal.votesAgainst);
    let actions = proposal.actions.iter().map(|action| {
        json!({
            "kind": action.kind,
            "subject": digits::encode(action.subject),
            "value": action.value.to_string(),
            "words": actions::in_words(action),
        })
    });
    json!({
        "proposal": seen.id,
        "state": state(proposal.state),
        "next": next(seen),
        "proposer": proposal.proposer.to_string(),
        "snapshot": proposal.snapshot.saturating_to::<u64>(),
        "deadline": proposal.deadline.saturating_to::<u64>(),
        "executable_from": proposal.executableFrom.saturating_to::<u64>(),
        "executable_until": proposal.executableUntil.saturating_to::<u64>(),
        "votes": {
            "for": proposal.votesFor.to_string(),
            "against": proposal.votesAgainst.to_string(),
            "abstain": proposal.votesAbstain.to_string(),
            "all": seen.all.map(|all| all.to_string()),
        },
        "votes_words": format!(
            "{} OPG for, {} against, {} abstain",
            bare(proposal.votesFor), bare(proposal.votesAgainst), bare(proposal.votesAbstain)
        ),
        "quorum_millionths": proposal.quorum,
        "present_millionths": seen.all.map(|all| part(present, all)),
        "majority_millionths": proposal.majority,
        "for_millionths": part(proposal.votesFor, decided),
        "description_digest": digits::encode(proposal.descriptionHash),
        "actions": actions.collect::<Vec<_>>(),
    })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("-").to_owned()
}

/// One proposal of a list.
fn line(told: &Value) -> String {
    let actions: Vec<String> =
        told["actions"].as_array().into_iter().flatten().map(|one| text(&one["words"])).collect();
    let (id, votes) = (told["proposal"].to_string(), format!("{}, {}", text(&told["votes_words"]), quorum(told)));
    row(&[(&id, 5), (&text(&told["state"]), 10), (&actions.join("; "), 48), (&text(&told["next"]), 36), (&votes, 0)])
}

/// How much of all votes is there of what is needed.
fn quorum(told: &Value) -> String {
    let share = |key: &str| told[key].as_u64().map(|share| percent(u32::try_from(share).unwrap_or(u32::MAX)));
    let needed = share("quorum_millionths").unwrap_or_default();
    match share("present_millionths") {
        Some(present) => format!("{present} of all votes with {needed} needed"),
        None => format!("{needed} of all votes needed"),
    }
}

fn lines(told: &Value) -> Vec<String> {
    let majority = ["for_millionths", "majority_millionths"]
        .map(|key| percent(u32::try_from(told[key].as_u64().unwrap_or_default()).unwrap_or(u32::MAX)));
    let mut lines = vec![
        row(&[("proposal", 12), (&told["proposal"].to_string(), 0)]),
        row(&[("state", 12), (&format!("{}: {}", text(&told["state"]), text(&told["next"])), 0)]),
        row(&[("proposer", 12), (&text(&told["proposer"]), 0)]),
        row(&[("votes", 12), (&text(&told["votes_words"]), 0)]),
        row(&[("quorum", 12), (&quorum(told), 0)]),
        row(&[("majority", 12), (&format!("{} for, more than {} needed", majority[0], majority[1]), 0)]),
    ];
    for action in told["actions"].as_array().into_iter().flatten() {
        let height = action["effective_height"].as_str().map(|height| format!("; holds from height {height}"));
        let words = format!("{} (now: {}{})", text(&action["words"]), text(&action["now"]), height.unwrap_or_default());
        lines.push(row(&[("does", 12), (&words, 0)]));
    }
    match told["description"].as_str() {
        Some("") => {}
        Some(why) => lines.push(row(&[("why", 12), (why, 0)])),
        None => lines.push(row(&[("why", 12), (&format!("digest {}", text(&told["description_digest"])), 0)])),
    }
    lines
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, Uint};
    use evm::modules::parameters::SHARE_BURN;

    use super::*;

    const WHOLE: u64 = 1_000_000_000_000_000_000;

    fn at(state: u8, now: u64) -> Seen {
        let coins = |opg: u64| U256::from(opg).saturating_mul(U256::from(WHOLE));
        let action = Action::SetParameter { name: SHARE_BURN.key(), value: U256::from(10_000) };
        let proposal = IGovernance::Proposal {
            proposer: Address::repeat_byte(1),
            state,
            snapshot: Uint::from(100),
            deadline: Uint::from(200),
            executableFrom: Uint::from(300),
            executableUntil: Uint::from(90_000),
            quorum: 334_000,
            majority: 500_000,
            votesFor: coins(30),
            votesAgainst: coins(10),
            votesAbstain: coins(20),
            descriptionHash: B256::repeat_byte(7),
            actions: vec![action.written()],
        };
        Seen { id: 3, proposal, now, all: (now > 100).then(|| coins(120)) }
    }

    #[test]
    fn a_proposal_says_where_it_is_in_its_life_and_what_comes_when() {
        for (state, now, words) in [
            (PENDING, 96, "voting begins in 5 s"),
            (ACTIVE, 120, "voting ends in 1 min 20 s"),
            (WAITING, 250, "it can be executed in 50 s"),
            (EXECUTABLE, 400, "it can be executed for 1 d 0 h more"),
            (EXECUTABLE, 90_000 - 7_260, "it can be executed for 2 h 1 min more"),
            (CANCELED, 120, "its proposer took it back"),
            (DEFEATED, 300, "it missed its quorum or its majority"),
            (EXPIRED, 99_999, "nobody executed it in its time"),
            (EXECUTED, 400, "it is done"),
            (8, 400, "nothing that this og knows of"),
        ] {
            assert_eq!(next(&at(state, now)), words);
        }
    }

    #[test]
    fn what_cannot_be_done_now_is_refused_with_what_comes_next() {
        must_be(&at(ACTIVE, 120), ACTIVE).unwrap();
        let refused = must_be(&at(PENDING, 96), ACTIVE).unwrap_err().to_string();
        let expected = "proposal 3 is pending, active expected: voting begins in 5 s; hint: og governance show 3 says what comes when";
        assert_eq!(refused, expected);
    }

    #[test]
    fn votes_are_told_in_opg_beside_what_is_needed() {
        let mut told = said(&at(ACTIVE, 120));
        assert_eq!((&told["present_millionths"], &told["for_millionths"]), (&json!(416_666), &json!(750_000)));
        assert_eq!(told["votes"]["all"], json!((120 * u128::from(WHOLE)).to_string()));
        let short = line(&told);
        for words in ["set share.burn to 1%", "30 OPG for, 10 against, 20 abstain", "41.6666% of all votes with 33.4%"]
        {
            assert!(short.contains(words), "{words} in {short}");
        }
        told["actions"][0]["now"] = "0%".into();
        told["actions"][0]["effective_height"] = "450".into();
        let long = lines(&told).join("\n");
        for words in
            ["active: voting ends", "75% for, more than 50% needed", "(now: 0%; holds from height 450)", "0707"]
        {
            assert!(long.contains(words), "{words} in {long}");
        }
        told["description"] = "because".into();
        assert!(lines(&told).last().unwrap().ends_with("because"));
        assert!(line(&said(&at(PENDING, 96))).ends_with("33.4% of all votes needed"), "nobody knows all votes yet");
        assert_eq!(part(U256::ONE, U256::ZERO), 0);
    }
}
