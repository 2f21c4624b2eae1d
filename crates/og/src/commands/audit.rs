//! `og audit`: re-executes a receipt on this machine and compares bits. Believes nobody but the model's root.

use std::{process::ExitCode, sync::Arc};

use anyhow::{Context as _, Result};
use auditor::{Judgement, fetch_opening, judge};
use engine::{Flow, Model};
use hub::{Models, Shelf};
use protocol::{Bundle, Opening, Receipt, Role, WrittenBundle};
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

use super::{context, receipt, show};
use crate::{cli, cli::Common, keys, node, remote::Remote, screen::complain};

/// Exit code of what came to nothing: "different" has another.
const COULD_NOT_TELL: u8 = 2;

pub async fn run(remote: &Remote, common: &Common, what: cli::Audit) -> Result<ExitCode> {
    Ok(compare(remote, common, what).await.unwrap_or_else(|error| {
        complain(&error);
        ExitCode::from(COULD_NOT_TELL)
    }))
}

async fn compare(remote: &Remote, common: &Common, what: cli::Audit) -> Result<ExitCode> {
    let bundle = bundle(remote, &what.receipt).await?;
    let claimed = bundle.receipt.receipt.clone();
    let opening = match bundle.opening {
        Some(opening) => opening,
        None => ask_worker(remote, &claimed, what.auditor.as_deref()).await?,
    };
    let timing = what.timing;
    // What is compared is the CPU's time, of which waiting threads take some.
    let threads = if timing { 1 } else { node::cores() };
    let model = model(remote, &claimed, threads).await?;
    let audited = tokio::task::spawn_blocking(move || audit(&model, &claimed, &opening, timing)).await?;
    let (word, code) = match &audited.judgement {
        Judgement::Equal => ("equal", ExitCode::SUCCESS),
        Judgement::False(_) => ("different", ExitCode::FAILURE),
        Judgement::NotDecidable => ("not auditable: a float model gave the answer", ExitCode::from(COULD_NOT_TELL)),
        Judgement::CouldNotTell(_) => {
            ("could not tell: this machine failed to re-execute it", ExitCode::from(COULD_NOT_TELL))
        }
        Judgement::OtherOpening(_) => ("the opening is another receipt's", ExitCode::from(COULD_NOT_TELL)),
    };
    let detail = match &audited.judgement {
        Judgement::Equal | Judgement::NotDecidable => None,
        Judgement::False(difference) => Some(difference.to_string()),
        Judgement::CouldNotTell(cause) => Some(cause.clone()),
        Judgement::OtherOpening(field) => Some((*field).to_owned()),
    };
    let said = json!({
        "receipt": bundle.receipt.receipt.id().to_string(),
        "audit": word,
        "detail": detail,
        "prompt_tokens": bundle.receipt.receipt.prompt_tokens,
        "output_tokens": bundle.receipt.receipt.output_tokens,
        "audit_cpu_s": audited.audit_cpu_s,
        "generation_cpu_s": audited.generation_cpu_s,
    });
    show(common, &said, |_| {
        let mut lines = vec![format!("re-execution  {word}")];
        lines.extend(detail.iter().map(|detail| format!("detail        {detail}")));
        lines.push(format!("CPU time      {:.4} s", audited.audit_cpu_s));
        lines.extend(audited.generation_cpu_s.map(|seconds| format!("to generate   {seconds:.4} s")));
        lines
    });
    Ok(code)
}

struct Audited {
    judgement: Judgement,
    audit_cpu_s: f64,
    generation_cpu_s: Option<f64>,
}

fn audit(model: &Model, claimed: &Receipt, opening: &Opening, timing: bool) -> Audited {
    let started = cpu_seconds();
    let judgement = judge(model, claimed, opening);
    let audit_cpu_s = cpu_seconds() - started;
    let generation_cpu_s = timing.then(|| generate(model, opening)).flatten();
    Audited { judgement, audit_cpu_s, generation_cpu_s }
}

fn generate(model: &Model, opening: &Opening) -> Option<f64> {
    let language = model.as_language()?;
    let started = cpu_seconds();
    language.generate(&opening.prompt, &opening.request.parameters, &mut |_| Flow::Continue).ok()?;
    Some(cpu_seconds() - started)
}

/// CPU time of this process, all threads.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The bundle of a file, or of the network.
async fn bundle(remote: &Remote, what: &str) -> Result<Bundle> {
    let unreadable = "the bundle file cannot be read; hint: og receipt export writes one";
    let written = match receipt::read_bundle_file(what) {
        Some(bytes) => api::face::read(&bytes?).context(unreadable)?,
        None => WrittenBundle::Short(Box::new(receipt::fetch(remote, what, true, None).await?)),
    };
    Ok(written.whole()?)
}

/// As the auditor that was named, or the first one with its key in the folder.
async fn ask_worker(remote: &Remote, claimed: &Receipt, named: Option<&str>) -> Result<Opening> {
    let missing =
        "the opening is not here; hint: audit from the folder in which the question was asked, or as an auditor";
    let network = remote.network().context(missing)?;
    let mut auditors = network.nodes.iter().filter(|node| node.role == "auditor").map(|node| node.name.as_str());
    let own = || auditors.find(|name| keys::has(&remote.home, name));
    let auditor = named.or_else(own).context(missing)?;
    let secrets = keys::open(&remote.home, &keys::passphrase(&remote.home)?, auditor)?;
    let nodes = remote.ledger()?.nodes().await?;
    let worker = nodes.iter().find(|node| node.node == claimed.worker && node.role == Role::Worker);
    let endpoint = &worker.context("the receipt's worker is not registered")?.endpoint;
    Ok(fetch_opening(&remote.client, endpoint, network.chain_id, claimed.id(), &secrets.key).await?)
}

async fn model(remote: &Remote, claimed: &Receipt, threads: usize) -> Result<Arc<Model>> {
    let hubs = remote.network().map(|network| network.urls("hub")).unwrap_or_default();
    let shelf = Shelf::open(&remote.home.folder().join("models"))?.with_threads(threads);
    let shelf = shelf.with_work_max(context::work_max(remote, Some(claimed.chain_id)));
    if shelf.get(&claimed.model).is_none() {
        // The models that this program brings need no hub.
        for (_, artefact) in crate::genesis::MODELS {
            if Model::load(artefact)?.root() == claimed.model {
                shelf.put(artefact)?;
            }
        }
    }
    Ok(Models::new(shelf, &hubs, remote.client.clone()).get(claimed.model).await?)
}
