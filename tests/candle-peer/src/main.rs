//! candle as a worker: candle-peer model.gguf
//!
//! ```text
//! prefill N    one prompt of N tokens                          seconds
//! decode N     N tokens, one at a time, behind that prompt     seconds
//! ```
//! The same lines as `llama_peer.py` reads and `clock.py` answers. candle's own quantised model is called as it is, and only its calls are
//! timed, with the logits brought to numbers; how many threads it has is the environment's say (`RAYON_NUM_THREADS`).

use std::{
    error::Error,
    fs::File,
    io::{BufRead as _, BufReader},
    time::Instant,
};

use candle_core::{Device, Tensor, quantized::gguf_file};
use candle_transformers::models::quantized_llama::ModelWeights;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error>>;

struct Worker {
    model: ModelWeights,
    length: usize,
}

/// Seconds of all processors and of the clock.
#[derive(Default)]
struct Seconds {
    cpu: f64,
    wall: f64,
}

fn main() -> Outcome<()> {
    let path = std::env::args().nth(1).ok_or("candle-peer model.gguf")?;
    let mut file = BufReader::new(File::open(path)?);
    let content = gguf_file::Content::read(&mut file)?;
    let model = ModelWeights::from_gguf(content, &mut file, &Device::Cpu)?;
    let mut worker = Worker { model, length: 0 };
    println!("{}", json!({"ready": true}));
    for line in std::io::stdin().lock().lines() {
        println!("{}", worker.answer(&line?)?);
    }
    Ok(())
}

impl Worker {
    fn answer(&mut self, line: &str) -> Outcome<Value> {
        let mut took = Seconds::default();
        match line.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["prefill", count] => {
                self.length = 0;
                let prompt: Vec<u32> = (0..count.parse()?).map(token).collect();
                self.run(&prompt, &mut took)?;
            }
            ["decode", count] => {
                for _ in 0..count.parse::<usize>()? {
                    self.run(&[token(self.length)], &mut took)?;
                }
            }
            words => return Err(format!("{words:?} is no command").into()),
        }
        Ok(json!({"cpu_s": took.cpu, "wall_s": took.wall}))
    }

    fn run(&mut self, tokens: &[u32], took: &mut Seconds) -> Outcome<()> {
        let tokens = Tensor::new(tokens, &Device::Cpu)?.unsqueeze(0)?;
        let (cpu, wall) = (cpu(), Instant::now());
        let logits: Vec<f32> = self.model.forward(&tokens, self.length)?.flatten_all()?.to_vec1()?;
        took.cpu += self::cpu() - cpu;
        took.wall += wall.elapsed().as_secs_f64();
        if !logits.iter().all(|logit| logit.is_finite()) {
            return Err("candle's logits are not finite".into());
        }
        self.length += tokens.elem_count();
        Ok(())
    }
}

/// CPU seconds of this process.
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Some token of any vocabulary of a thousand; the same rule in every worker.
fn token(index: usize) -> u32 {
    (7 * index as u32 + 3) % 1000
}
