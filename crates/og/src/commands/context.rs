//! How long texts of a model may be where the folder's network judges them (`specs/evidence.md`, *Work*).

use engine::Model;
use serde_json::Value;

use crate::{home::Network, remote::Remote, screen::tell};

/// Tokens of prompt and answer together.
struct Context {
    /// That can be judged on the network.
    here: usize,
    /// That can be judged on any.
    anywhere: usize,
    /// That the model was made for.
    own: usize,
}

/// What the rules of a network let be judged: a longer text is no answer there. Nothing is too much where the folder holds another
/// network than that of `chain_id`, or none.
pub fn work_max(remote: &Remote, chain_id: Option<u64>) -> u64 {
    let is_meant = |network: &Network| chain_id.is_none_or(|chain_id| network.chain_id == chain_id);
    let network = remote.network().ok().filter(is_meant);
    let genesis = network.and_then(|network| remote.home.genesis(&network).ok());
    genesis.map_or(u64::MAX, |genesis| genesis.rules.work_max())
}

/// Puts the context of a model that was loaded within what the network judges into what is said of it, and tells where that is less than
/// there is.
pub fn tell_of(model: &Model, said: &mut Value) {
    if let Some(context) = Context::of(model) {
        context.put_into(said);
        context.lines().iter().for_each(|line| tell(line));
    }
}

impl Context {
    /// Of a model that was loaded within what the network judges; `None` where it has no texts.
    fn of(model: &Model) -> Option<Self> {
        let language = model.as_language()?;
        let (here, anywhere) = (language.context(), language.longest_context());
        Some(Self { here, anywhere, own: language.own_context() })
    }

    fn put_into(&self, said: &mut Value) {
        said["context"] = self.here.into();
        said["own_context"] = self.own.into();
    }

    fn lines(&self) -> Vec<String> {
        let Self { here, anywhere, own } = self;
        let mut lines = Vec::new();
        match here {
            0 | 1 => lines.push(
                "no answer of this model can be judged on this network: workers refuse all of its calls".to_owned(),
            ),
            _ if here < own => lines.push(format!(
                "texts of at most {here} tokens are judged here, of the {own} that the model was made for"
            )),
            _ => {}
        }
        if here < anywhere {
            let most = format!("of up to {anywhere} tokens (og devnet --challenge-window)");
            lines.push(format!("hint: a network with a longer challenge window judges texts {most}"));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_that_is_cut_is_told_with_what_would_lengthen_it() {
        let lines = |here, anywhere, own| Context { here, anywhere, own }.lines().join("; ");
        assert_eq!(lines(9, 9, 9), "");
        let cut = lines(4_096, 32_768, 32_768);
        assert!(cut.contains("at most 4096 tokens") && cut.contains("of the 32768"), "{cut}");
        assert!(cut.contains("hint: ") && cut.contains("up to 32768 tokens (og devnet --challenge-window)"), "{cut}");
        let large = lines(512, 512, 4_096);
        assert!(large.contains("at most 512 tokens") && !large.contains("hint"), "no window helps: {large}");
        assert!(lines(1, 64, 64).contains("no answer of this model"));
        let mut said = serde_json::json!({ "context": 7 });
        Context { here: 5, anywhere: 6, own: 7 }.put_into(&mut said);
        assert_eq!(said, serde_json::json!({ "context": 5, "own_context": 7 }));
    }
}
