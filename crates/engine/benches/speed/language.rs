//! What a language model is told to do.
//!
//! ```text
//! prefill N              one prompt of N tokens, the last one's logits
//! decode N               N tokens, one at a time, behind that prompt
//! chats TEXTS PROMPT N   N steps of one token for each of several texts, together
//! generate PROMPT N      a greedy answer of N tokens, from the prompt on; its tokens are kept
//! audit                  that answer checked by one run over prompt and answer
//! logits IDS FILE        logits after every token of IDS (with commas), as f32
//! ```

use engine::{LanguageModel, Text};
use serde_json::{Value, json};

use crate::{
    Outcome,
    clock::{Seconds, timed},
};

pub struct Worker<'a> {
    model: &'a LanguageModel,
    text: Text<'a>,
    prompt: Vec<u32>,
    answer: Vec<u32>,
}

/// Some token of any vocabulary of a thousand; the same rule in every worker.
fn token(index: usize) -> u32 {
    (7 * index as u32 + 3) % 1000
}

fn tokens(from: usize, count: usize) -> Vec<u32> {
    (from..from + count).map(token).collect()
}

impl<'a> Worker<'a> {
    pub fn new(model: &'a LanguageModel) -> Self {
        Self { model, text: model.text(), prompt: Vec::new(), answer: Vec::new() }
    }

    pub fn answer(&mut self, words: &[&str]) -> Outcome<Value> {
        match words {
            ["prefill", count] => self.prefill(count.parse()?),
            ["decode", count] => self.decode(count.parse()?),
            ["chats", texts, prompt, count] => self.chats(texts.parse()?, prompt.parse()?, count.parse()?),
            ["generate", prompt, count] => self.generate(prompt.parse()?, count.parse()?),
            ["audit"] => self.audit(),
            ["logits", ids, file] => self.logits(ids, file),
            _ => Err(format!("{words:?} is no command of a language model").into()),
        }
    }

    /// A text that gives logits from its last prompt token on.
    fn start(&self, prompt: usize) -> Text<'a> {
        let mut text = self.model.text();
        text.skip(prompt - 1);
        text
    }

    fn prefill(&mut self, count: usize) -> Outcome<Value> {
        self.text = self.start(count);
        let prompt = tokens(0, count);
        let (logits, seconds) = timed(|| self.text.extend(&prompt));
        logits?;
        Ok(seconds.json())
    }

    fn decode(&mut self, count: usize) -> Outcome<Value> {
        let mut all = Seconds::default();
        for _ in 0..count {
            let next = [token(self.text.length())];
            let (logits, seconds) = timed(|| self.text.extend(&next));
            logits?;
            all += seconds;
        }
        Ok(all.json())
    }

    fn chats(&mut self, texts: usize, prompt: usize, count: usize) -> Outcome<Value> {
        let mut together = Vec::new();
        for text in 0..texts {
            together.push(self.start(prompt));
            together[text].extend(&tokens(text, prompt))?;
        }
        let mut all = Seconds::default();
        for step in 0..count {
            let next: Vec<[u32; 1]> = (0..texts).map(|text| [token(prompt + step + text)]).collect();
            let pieces: Vec<&[u32]> = next.iter().map(|next| next.as_slice()).collect();
            let (logits, seconds) = timed(|| self.model.extend_together(&mut together, &pieces));
            logits?;
            all += seconds;
        }
        Ok(all.json())
    }

    fn generate(&mut self, prompt: usize, count: usize) -> Outcome<Value> {
        self.prompt = tokens(0, prompt);
        let (answer, seconds) = timed(|| -> Outcome<Vec<u32>> {
            let mut text = self.start(prompt);
            let mut answer = Vec::with_capacity(count);
            let mut logits = text.extend(&self.prompt)?;
            while answer.len() < count {
                let next = greedy(logits.last().ok_or("a run gave no logits")?);
                answer.push(next);
                if answer.len() < count {
                    logits = text.extend(&[next])?;
                }
            }
            Ok(answer)
        });
        self.answer = answer?;
        Ok(seconds.json())
    }

    fn audit(&mut self) -> Outcome<Value> {
        let (prompt, answer) = (&self.prompt, &self.answer);
        let claimed = answer.len().checked_sub(1).ok_or("nothing was generated")?;
        let run = [prompt, &answer[..claimed]].concat();
        let (equal, seconds) = timed(|| -> Outcome<bool> {
            let (mut position, mut equal) = (0, true);
            self.start(prompt.len()).run(&run, &mut |_row, logits, _scratch| {
                equal &= greedy(logits?) == answer[position];
                position += 1;
                Ok(())
            })?;
            Ok(equal && position == answer.len())
        });
        if !equal? {
            return Err("the audit found another answer than was generated".into());
        }
        Ok(seconds.json())
    }

    fn logits(&mut self, ids: &str, file: &str) -> Outcome<Value> {
        let ids: Vec<u32> = ids.split(',').map(str::parse).collect::<Result<_, _>>()?;
        let rows = self.model.logits(&ids)?;
        let bytes: Vec<u8> = rows.iter().flatten().flat_map(|&logit| (logit as f32 / 65_536.0).to_le_bytes()).collect();
        std::fs::write(file, bytes)?;
        Ok(json!({"rows": rows.len(), "vocabulary": self.model.vocabulary()}))
    }
}

/// The lowest index of the greatest logit.
fn greedy(logits: &[i64]) -> u32 {
    (0..logits.len()).rev().max_by_key(|&index| logits[index]).map_or(0, |index| index as u32)
}
