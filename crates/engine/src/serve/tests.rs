//! Texts in company say what they say alone, and none can hurt another.

#[path = "../../tests/support/mod.rs"]
pub mod support;

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use proptest::prelude::*;
use protocol::{
    Constraint, Finish, List, Parameters,
    request::{Score, Scored, ScoredToken, TokenBias},
};
use support::{CONTEXT, KINDS, VOCABULARY, model, sampled, tokens};

use super::*;
use crate::{Check, Flow, Generation, cache::PAGE};

const LIMITS: Limits =
    Limits { texts: 8, waiting: 4, prompt_rows: 16, scored_rows: 4, memory_bytes: 1 << 30, tokens_ahead: 1_000 };

fn alone(language: &LanguageModel, job: &Job) -> Generation {
    language.generate(&job.prompt, &job.parameters, &mut |_| Flow::Continue).unwrap()
}

/// What came on a stream: the parts put together, or the failure.
fn heard(stream: &mut Stream) -> Result<Generation, RunError> {
    let mut said =
        Generation { tokens: Vec::new(), scores: Vec::new(), prompt_scores: Vec::new(), finish: Finish::Cancelled };
    while let Some(event) = stream.wait_next() {
        match event {
            Event::Part(crate::Part::PromptScores(scores)) => said.prompt_scores = scores,
            Event::Part(crate::Part::Token { token, score }) => {
                said.tokens.push(token);
                said.scores.extend(score);
            }
            Event::End(finish) => return Ok(Generation { finish, ..said }),
            Event::Embedding(_) => panic!("no embedding was asked for"),
            Event::Failed(error) => return Err(error),
        }
    }
    panic!("a stream has an end");
}

/// What an audit says of an answer.
fn checked(language: &LanguageModel, job: &Job, said: &Generation) -> Check {
    let Job { prompt, parameters } = job;
    if parameters.scores == 0 && !parameters.prompt_scores {
        return language.check(prompt, parameters, &said.tokens, said.finish).unwrap();
    }
    language.check_scored(prompt, parameters, &scored(said), said.finish).unwrap()
}

fn scored(said: &Generation) -> Scored {
    let tokens = said.tokens.iter().zip(&said.scores);
    let tokens = tokens.map(|(&token, score)| ScoredToken { token, score: score.clone() }).collect();
    Scored { prompt: List::new(said.prompt_scores.clone()).unwrap(), tokens: List::new(tokens).unwrap() }
}

fn job(length: usize, seed: u64) -> Job {
    Job { prompt: tokens(length, seed), parameters: sampled(seed) }
}

/// A batch that is stepped by hand.
struct Hand<'a> {
    language: &'a LanguageModel,
    limits: Limits,
    desk: Arc<Desk>,
    batch: Batch<'a>,
    /// Errands that are done behind each step.
    errands: usize,
}

impl<'a> Hand<'a> {
    fn new(language: &'a LanguageModel, limits: Limits) -> Self {
        let desk: Arc<Desk> = Arc::default();
        let batch = Batch::new(language, limits, Arc::clone(desk.aside()));
        Self { language, limits, desk, batch, errands: usize::MAX }
    }

    fn ticket(&self, job: &Job) -> (Ticket, Stream) {
        ticket(self.language, job.clone(), self.limits, &self.desk).unwrap()
    }

    fn submit(&self, job: &Job) -> Stream {
        let (ticket, stream) = self.ticket(job);
        self.desk.submit(ticket, self.limits.waiting).unwrap();
        stream
    }

    fn step(&mut self) -> Counts {
        self.desk.admit(&mut self.batch);
        self.batch.step();
        self.desk.set_counts(self.batch.counts());
        let _ = (0..self.errands).take_while(|_| self.desk.aside().run_one(Share::All)).count();
        self.desk.counts()
    }

    fn embed(&self, tokens: &[u32]) -> Stream {
        let (ticket, stream) = embedding_ticket(self.language, tokens.to_vec(), self.limits, &self.desk).unwrap();
        self.desk.submit(ticket, self.limits.waiting).unwrap();
        stream
    }

    fn finish(&mut self) {
        let mut steps = 0;
        while self.desk.counts().waiting > 0 || !self.batch.is_idle() {
            self.step();
            steps += 1;
            assert!(steps < 10_000, "the batch comes to an end");
        }
    }
}

/// How many parts wait on a stream.
fn ready(stream: &mut Stream) -> usize {
    let mut context = Context::from_waker(Waker::noop());
    let mut count = 0;
    while let Poll::Ready(Some(_)) = stream.poll_next(&mut context) {
        count += 1;
    }
    count
}

fn parameters() -> impl Strategy<Value = Parameters> {
    let penalties = (1..3_000_000_u32, -2_000_000..2_000_000_i32, -2_000_000..2_000_000_i32);
    let choice = (0..2_000_000_u32, 0..8_u32, 1..=1_000_000_u32, 0..200_000_u32, any::<u64>());
    let extras = (0..4_u8, any::<bool>(), prop::option::of(0..VOCABULARY as u32), 0..3_u8);
    (0..20_u32, choice, prop::option::of(penalties), extras).prop_map(|(max_tokens, choice, penalties, extras)| {
        let (temperature_micros, top_k, top_p_micros, min_p_micros, seed) = choice;
        let (repetition, presence, frequency) = penalties.unwrap_or((1_000_000, 0, 0));
        let (scores, prompt_scores, bias, constraint) = extras;
        let biases = bias.map(|token| TokenBias { token, bias_micros: 3_000_000 }).into_iter().collect();
        let text = |text: &str| protocol::Text::new(text).unwrap();
        Parameters {
            max_tokens,
            temperature_micros,
            top_k,
            top_p_micros,
            min_p_micros,
            seed,
            repetition_penalty_micros: repetition,
            presence_penalty_micros: presence,
            frequency_penalty_micros: frequency,
            logit_bias: List::new(biases).unwrap(),
            scores,
            prompt_scores,
            constraint: match constraint {
                1 => Some(Constraint::Regex(text("[a-z ]{3,9}!|[0-9]+"))),
                2 => Some(Constraint::JsonSchema(text(r#"{"type":"object"}"#))),
                _ => None,
            },
            ..Parameters::default()
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn in_any_company_a_text_is_what_it_is_alone(
        jobs in prop::collection::vec((1..CONTEXT, 0..3_u64, 0..6_usize, parameters()), 1..7),
        prompt_rows in 1..70_usize, scored_rows in 1..9_usize, texts in 1..6_usize, tokens_ahead in 1..4_usize,
        errands in 1..4_usize,
    ) {
        for kind in KINDS {
            let model = model(kind);
            let language = model.as_language().unwrap();
            let limits = Limits { texts, prompt_rows, scored_rows, tokens_ahead, waiting: 9, ..LIMITS };
            let mut hand = Hand { errands, ..Hand::new(language, limits) };
            let mut heard: Vec<(Job, Stream, Vec<Event>)> = Vec::new();
            let mut context = Context::from_waker(Waker::noop());
            let mut listen = |heard: &mut Vec<(Job, Stream, Vec<Event>)>| {
                for (_, stream, events) in heard {
                    if let Poll::Ready(Some(event)) = stream.poll_next(&mut context) {
                        events.push(event);
                    }
                }
            };
            // Few seeds, so that prompts have beginnings in common.
            for (length, seed, steps, parameters) in &jobs {
                let job = Job { prompt: tokens(*length, *seed), parameters: parameters.clone() };
                let stream = hand.submit(&job);
                heard.push((job, stream, Vec::new()));
                for _ in 0..*steps {
                    hand.step();
                    listen(&mut heard);
                }
            }
            for _ in 0..2_000 {
                hand.step();
                listen(&mut heard);
            }
            for (job, _, events) in heard {
                let expected = alone(language, &job);
                prop_assert_eq!(checked(language, &job, &expected), Check::Equal);
                let mut parts = Vec::new();
                if job.parameters.prompt_scores {
                    parts.push(Event::Part(crate::Part::PromptScores(expected.prompt_scores)));
                }
                for (index, &token) in expected.tokens.iter().enumerate() {
                    parts.push(Event::Part(crate::Part::Token { token, score: expected.scores.get(index).cloned() }));
                }
                parts.push(Event::End(expected.finish));
                prop_assert_eq!(events, parts);
            }
            prop_assert_eq!((hand.batch.counts().running, hand.batch.counts().reserved_bytes), (0, 0));
        }
    }
}

#[test]
fn a_long_prompt_stalls_no_answer_and_prompts_are_read_in_the_order_of_their_arrival() {
    let model = model(KINDS[0]);
    let language = model.as_language().unwrap();
    let mut hand = Hand::new(language, LIMITS);
    let mut answering = hand.submit(&Job { parameters: Parameters { max_tokens: 60, ..sampled(1) }, ..job(4, 1) });
    hand.step();
    assert_eq!(ready(&mut answering), 1);
    let mut first = hand.submit(&job(80, 2));
    let mut second = hand.submit(&job(40, 3));
    for step in 0..7 {
        let before = hand.batch.counts().rows;
        hand.step();
        let rows = hand.batch.counts().rows - before;
        assert_eq!(ready(&mut answering), 1, "a token in each step");
        assert!(rows <= 1 + 1 + 16, "{rows} rows");
        assert_eq!(ready(&mut first), usize::from(step >= 4), "80 rows in steps of 16");
        assert_eq!(ready(&mut second), 0, "whoever came later waits");
    }
    hand.step();
    assert_eq!(ready(&mut second), 1);
}

#[test]
fn a_scored_prompt_has_few_rows_of_a_step_in_company_and_all_of_them_alone() {
    let model = model(KINDS[0]);
    let language = model.as_language().unwrap();
    let scored = Job { parameters: Parameters { prompt_scores: true, scores: 3, ..sampled(2) }, ..job(61, 2) };
    let mut hand = Hand::new(language, LIMITS);
    let mut only = hand.submit(&scored);
    for _ in 0..4 {
        hand.step();
    }
    assert_eq!(ready(&mut only), 2, "scores and a token: 61 rows in steps of 16");
    drop(only);
    let answering = Job { parameters: Parameters { max_tokens: 60, ..sampled(1) }, ..job(4, 1) };
    let (mut plain, mut stream) = (hand.submit(&answering), hand.submit(&scored));
    hand.step();
    assert_eq!(ready(&mut plain), 1);
    let (mut steps, mut parts) = (1, 0);
    while parts == 0 {
        let before = hand.batch.counts().rows;
        hand.step();
        let rows = hand.batch.counts().rows - before;
        assert_eq!(ready(&mut plain), 1, "a token in each step");
        assert!(rows <= 1 + LIMITS.scored_rows as u64, "{rows} rows");
        parts = ready(&mut stream);
        steps += 1;
    }
    assert!((15..=16).contains(&steps), "61 rows, 4 a step: {steps}");
    // Read over again, since the parts were counted and not kept.
    let mut again = hand.submit(&scored);
    hand.finish();
    assert_eq!(heard(&mut again).unwrap(), alone(language, &scored));
}

#[test]
fn a_text_whose_mask_is_not_there_leaves_steps_out_and_holds_up_nobody() {
    let model = model(KINDS[0]);
    let language = model.as_language().unwrap();
    let pattern = Constraint::Regex(protocol::Text::new("(yes|no), [0-9]{2}").unwrap());
    let form = Job { parameters: Parameters { constraint: Some(pattern), max_tokens: 40, ..sampled(3) }, ..job(9, 3) };
    let plain = Job { parameters: Parameters { max_tokens: 30, ..sampled(1) }, ..job(4, 1) };
    let mut hand = Hand { errands: 0, ..Hand::new(language, LIMITS) };
    let (mut forming, mut answering) = (hand.submit(&form), hand.submit(&plain));
    for step in 0..30 {
        let before = hand.batch.counts();
        hand.step();
        let counts = hand.batch.counts();
        assert_eq!(ready(&mut answering), if step == 29 { 2 } else { 1 }, "a token in each step, then the end");
        // The first token's mask was found with the grammar, and the second's logits are computed while its mask is not.
        let rows = [13, 2].get(step).copied().unwrap_or(1);
        assert_eq!((counts.steps - before.steps, counts.rows - before.rows), (1, rows), "in step {step}");
    }
    assert!(hand.batch.is_idle() && hand.batch.counts().running == 1, "it waits for its mask alone");
    let rows = hand.batch.counts().rows;
    assert!(
        hand.desk.aside().run_one(Share::All) && !hand.desk.aside().run_one(Share::All),
        "one errand, whatever the number of steps"
    );
    assert!(!hand.batch.is_idle());
    hand.step();
    assert_eq!(hand.batch.counts().rows, rows + 1, "what it held is not run again");
    hand.errands = usize::MAX;
    hand.step();
    hand.finish();
    assert_eq!(heard(&mut forming).unwrap(), alone(language, &form));
}

#[test]
fn a_text_that_left_takes_its_errand_with_it_and_one_that_waits_for_its_mask_leaves_at_once() {
    let model = model(KINDS[0]);
    let pattern = Constraint::Regex(protocol::Text::new("[a-z]+").unwrap());
    let form = Job { parameters: Parameters { constraint: Some(pattern), max_tokens: 40, ..sampled(3) }, ..job(9, 3) };
    let mut hand = Hand { errands: 0, ..Hand::new(model.as_language().unwrap(), LIMITS) };
    let stream = hand.submit(&form);
    hand.step();
    hand.step();
    assert!(hand.batch.is_idle() && hand.batch.counts().running == 1);
    drop(stream);
    hand.step();
    assert_eq!((hand.batch.counts().running, hand.batch.counts().reserved_bytes), (0, 0));
    assert!(hand.desk.aside().run_one(Share::All), "nobody waits for it, so nothing is found");
}

#[test]
fn embeddings_are_the_same_in_company_and_a_reader_that_left_stops_one_within_a_step() {
    for kind in &KINDS[1..] {
        let model = model(*kind);
        let language = model.as_language().unwrap();
        let mut hand = Hand::new(language, LIMITS);
        let texts = [tokens(1, 4), tokens(40, 5), tokens(CONTEXT, 6), [tokens(PAGE, 6), tokens(9, 1)].concat()];
        let beside = job(20, 7);
        let mut answering = hand.submit(&beside);
        for text in &texts {
            let mut stream = hand.embed(text);
            hand.finish();
            let expected = language.embed(text).unwrap();
            assert_eq!((stream.wait_next(), stream.wait_next()), (Some(Event::Embedding(expected)), None));
        }
        assert_eq!(heard(&mut answering).unwrap(), alone(language, &beside));
        let rows = hand.batch.counts().rows;
        let stream = hand.embed(&tokens(CONTEXT, 9));
        hand.step();
        drop(stream);
        let counts = hand.step();
        assert_eq!((counts.running, counts.reserved_bytes, counts.rows - rows), (0, 0, 16));
    }
}

#[test]
fn a_text_to_embed_that_is_wrong_or_too_much_is_refused_before_a_row_is_run() {
    let model = model(KINDS[1]);
    let language = model.as_language().unwrap();
    let desk: Arc<Desk> = Arc::default();
    let refusal = |tokens: Vec<u32>, limits| embedding_ticket(language, tokens, limits, &desk).err();
    let limit = CONTEXT;
    assert_eq!(refusal(vec![], LIMITS), Some(RunError::PromptLength { found: 0, limit }.into()));
    let found = CONTEXT + 1;
    assert_eq!(refusal(tokens(found, 1), LIMITS), Some(RunError::PromptLength { found, limit }.into()));
    let (token, vocabulary) = (VOCABULARY as u32, VOCABULARY);
    assert_eq!(refusal(vec![token], LIMITS), Some(RunError::PromptToken { token, position: 0, vocabulary }.into()));
    let page = language.plan().lane_bytes(PAGE);
    let small = Limits { memory_bytes: page, ..LIMITS };
    assert_eq!(refusal(tokens(PAGE + 1, 1), small), Some(ServeError::TooLarge { needed: 2 * page, limit: page }));
    let without = support::model(KINDS[0]);
    let refused = embedding_ticket(without.as_language().unwrap(), tokens(3, 1), LIMITS, &desk).err();
    assert_eq!(refused, Some(RunError::NoEmbedding.into()));
}

#[test]
fn a_slow_reader_pauses_only_its_own_text() {
    let model = model(KINDS[0]);
    let language = model.as_language().unwrap();
    let mut hand = Hand::new(language, Limits { tokens_ahead: 3, ..LIMITS });
    let (slow_job, quick_job) = (job(5, 1), job(6, 2));
    let (mut slow, mut quick) = (hand.submit(&slow_job), hand.submit(&quick_job));
    let mut taken = 0;
    for _ in 0..30 {
        hand.step();
        taken += ready(&mut quick);
    }
    assert_eq!(taken, alone(language, &quick_job).tokens.len() + 1);
    assert!(hand.batch.is_idle() && hand.batch.counts().running == 1);
    let rows = hand.batch.counts().rows;
    hand.step();
    assert_eq!(hand.batch.counts().rows, rows, "a paused text costs nothing");
    let mut tokens = Vec::new();
    for _ in 0..30 {
        if let Poll::Ready(Some(Event::Part(crate::Part::Token { token, .. }))) =
            slow.poll_next(&mut Context::from_waker(Waker::noop()))
        {
            tokens.push(token);
        }
        hand.step();
    }
    assert_eq!(tokens, alone(language, &slow_job).tokens);
}

#[test]
fn a_reader_that_left_frees_its_place_at_the_next_step() {
    let model = model(KINDS[0]);
    let mut hand = Hand::new(model.as_language().unwrap(), Limits { texts: 1, ..LIMITS });
    let running = hand.submit(&job(5, 1));
    let (waiting, mut last) = (hand.submit(&job(5, 2)), hand.submit(&job(5, 3)));
    assert_eq!((hand.step().running, hand.step().waiting), (1, 2));
    drop((running, waiting));
    hand.step();
    assert_eq!((hand.batch.counts().running, hand.desk.counts().waiting, ready(&mut last)), (1, 0, 1));
    drop(last);
    hand.step();
    assert_eq!((hand.batch.counts().running, hand.batch.counts().reserved_bytes), (0, 0));
}

#[test]
fn a_poisoned_text_ends_alone_whatever_its_poison() {
    let model = model(KINDS[0]);
    let language = model.as_language().unwrap();
    let mut hand = Hand::new(language, LIMITS);
    let good: Vec<Job> = (0..3).map(|seed| job(20, seed)).collect();
    let mut streams = vec![hand.submit(&good[0])];
    // No token of the vocabulary: the kernel that looks it up panics.
    let (mut ticket, mut unknown) = hand.ticket(&job(9, 8));
    ticket.prompt[3] = u32::MAX;
    hand.desk.submit(ticket, 9).unwrap();
    streams.push(hand.submit(&good[1]));
    let (mut ticket, mut panics) = hand.ticket(&job(9, 9));
    let Wanted::Answer(rules) = &mut ticket.wanted else { panic!("an answer is wanted") };
    rules.panics = true;
    hand.desk.submit(ticket, 9).unwrap();
    hand.step();
    streams.push(hand.submit(&good[2]));
    hand.finish();
    assert_eq!(heard(&mut unknown), Err(RunError::Interrupted));
    assert_eq!(heard(&mut panics), Err(RunError::Interrupted));
    for (stream, job) in streams.iter_mut().zip(&good) {
        assert_eq!(heard(stream).unwrap(), alone(language, job));
    }
}

#[test]
fn memory_is_promised_before_a_text_begins_and_is_never_exceeded() {
    let model = model(KINDS[0]);
    let language = model.as_language().unwrap();
    let page = language.plan().lane_bytes(PAGE);
    let limits = Limits { memory_bytes: 3 * page, ..LIMITS };
    let mut hand = Hand::new(language, limits);
    let jobs: Vec<Job> = (0..4).map(|seed| job(70, seed)).collect();
    let mut streams: Vec<Stream> = jobs.iter().map(|job| hand.submit(job)).collect();
    for _ in 0..200 {
        let counts = hand.step();
        assert!(counts.running <= 1 && counts.reserved_bytes + counts.prefix_bytes <= 3 * page, "{counts:?}");
    }
    for (stream, job) in streams.iter_mut().zip(&jobs) {
        assert_eq!(heard(stream).unwrap(), alone(language, job));
    }
    let limits = Limits { memory_bytes: page, ..LIMITS };
    let refused = ticket(language, jobs[0].clone(), limits, &hand.desk).err();
    assert_eq!(refused, Some(ServeError::TooLarge { needed: 2 * page, limit: page }));
}

#[test]
fn a_text_is_no_longer_than_a_judge_has_memory_for_and_what_it_keeps_is_the_same_on_every_level() {
    // Of both layers: 2 heads of 16 numbers for keys and 16 for values, in 2 bytes each, or in 1 and scales in 4 for each head.
    for (kind, bytes) in KINDS.into_iter().zip([256, 256, 160]) {
        for level in crate::Level::available() {
            let model = support::model_with(kind, crate::Options { level, ..Default::default() });
            let plan = model.as_language().unwrap().plan();
            let page = bytes * PAGE;
            assert_eq!((plan.lane_bytes(1), plan.lane_bytes(PAGE), plan.lane_bytes(PAGE + 1)), (page, page, 2 * page));
            let most = [0, page - 1, page, 2 * page - 1, 2 * page].map(|bytes| plan.positions_within(bytes, 1_000));
            assert_eq!(most, [0, 0, PAGE, PAGE, 2 * PAGE]);
            assert_eq!((plan.positions_within(2 * page, 70), plan.positions_within(usize::MAX, 1_000)), (70, 1_000));
        }
    }
}

#[test]
fn a_guide_has_its_share_of_the_memory_until_its_text_has_ended() {
    let model = model(KINDS[0]);
    let language = model.as_language().unwrap();
    let pattern = Constraint::Regex(protocol::Text::new("(yes|no), [0-9]{2}").unwrap());
    let form = |max_tokens| Parameters { constraint: Some(pattern.clone()), max_tokens, ..sampled(3) };
    let guided = |max_tokens| Job { parameters: form(max_tokens), ..job(9, 3) };
    // So much for any, and 16 KiB for each token that it may have: as many as the context has, whatever is asked for.
    let share = |tokens: usize| (128 << 20) + (tokens << 14);
    let page = language.plan().lane_bytes(PAGE);
    let limits = Limits { memory_bytes: 2 * (share(40) + page) - 1, ..LIMITS };
    let mut hand = Hand::new(language, limits);
    let jobs = [guided(40), guided(40)];
    let mut streams: Vec<Stream> = jobs.iter().map(|job| hand.submit(job)).collect();
    let counts = hand.step();
    assert_eq!((counts.running, counts.waiting, counts.reserved_bytes), (1, 1, share(40) + page));
    let mut free = hand.submit(&job(5, 1));
    hand.finish();
    for (stream, job) in streams.iter_mut().zip(&jobs) {
        assert_eq!(heard(stream).unwrap(), alone(language, job));
    }
    assert_eq!((heard(&mut free).unwrap(), hand.batch.counts().reserved_bytes), (alone(language, &job(5, 1)), 0));
    let limits = Limits { memory_bytes: share(0), ..LIMITS };
    for (max_tokens, tokens) in [(1, 1), (CONTEXT as u32, CONTEXT), (u32::MAX, CONTEXT)] {
        let needed = share(tokens) + language.plan().lane_bytes((9 + tokens).min(CONTEXT));
        let refused = ticket(language, guided(max_tokens), limits, &hand.desk).err();
        assert_eq!(refused, Some(ServeError::TooLarge { needed, limit: share(0) }));
    }
}

#[test]
fn what_was_read_before_is_not_read_again_and_says_the_same() {
    for kind in KINDS {
        let model = model(kind);
        let language = model.as_language().unwrap();
        let mut hand = Hand::new(language, LIMITS);
        let common = tokens(PAGE, 5);
        let with = |end: &[u32]| Job { prompt: [&common, end].concat(), parameters: sampled(6) };
        let jobs = [with(&[9, 9, 9]), with(&[8, 7]), with(&[9]), with(&[9, 9, 9])];
        for (index, job) in jobs.iter().enumerate() {
            let mut stream = hand.submit(job);
            hand.finish();
            assert_eq!(heard(&mut stream).unwrap(), alone(language, job));
            assert_eq!(hand.batch.counts().rows_remembered, (index * PAGE) as u64);
        }
        let scored = Job { parameters: Parameters { prompt_scores: true, ..sampled(6) }, ..with(&[9, 9, 9]) };
        let mut stream = hand.submit(&scored);
        hand.finish();
        assert_eq!(heard(&mut stream).unwrap(), alone(language, &scored));
        assert_eq!(hand.batch.counts().rows_remembered, 3 * PAGE as u64, "scores need every row");
    }
}

#[test]
fn of_texts_with_one_beginning_the_first_reads_it_for_all() {
    let model = model(KINDS[0]);
    let language = model.as_language().unwrap();
    let mut hand = Hand::new(language, Limits { waiting: 9, ..LIMITS });
    let jobs: Vec<Job> = (0..5).map(|seed| Job { prompt: tokens(80, 7), parameters: sampled(seed) }).collect();
    let other = job(10, 3);
    let mut streams: Vec<Stream> = jobs.iter().map(|job| hand.submit(job)).collect();
    let mut passing = hand.submit(&other);
    assert_eq!((hand.step().running, ready(&mut passing)), (2, 0));
    hand.finish();
    for (stream, job) in streams.iter_mut().zip(&jobs) {
        assert_eq!(heard(stream).unwrap(), alone(language, job));
    }
    assert_eq!(hand.batch.counts().rows_remembered, 4 * PAGE as u64);
}

fn server(limits: Limits) -> Server {
    Server::start(Arc::new(model(KINDS[0])), limits).unwrap()
}

#[test]
fn many_threads_are_served_at_once_and_each_gets_its_own_answer() {
    let server = server(Limits { waiting: 64, tokens_ahead: 2, ..LIMITS });
    std::thread::scope(|scope| {
        for seed in 0..12 {
            let server = &server;
            scope.spawn(move || {
                let job = job(10 + seed as usize * 5, seed);
                let said = heard(&mut server.submit(job.clone()).unwrap()).unwrap();
                assert_eq!(said, alone(server.model().as_language().unwrap(), &job));
            });
        }
    });
    assert!(server.counts().steps > 0);
}

#[test]
fn what_is_wrong_or_too_much_is_refused_at_once() {
    let server = server(Limits { texts: 1, waiting: 2, tokens_ahead: 1, ..LIMITS });
    let limit = CONTEXT - 1;
    let empty = Job { prompt: Vec::new(), ..job(1, 1) };
    assert_eq!(server.submit(empty).err(), Some(RunError::PromptLength { found: 0, limit }.into()));
    let broken = Constraint::Regex(protocol::Text::new("(").unwrap());
    let broken = Parameters { constraint: Some(broken), ..sampled(1) };
    let refused = server.submit(Job { parameters: broken, ..job(1, 1) }).err();
    assert!(matches!(refused, Some(ServeError::Run(RunError::Constraint(_)))), "{refused:?}");
    let vocabulary = VOCABULARY;
    for token in [vocabulary as u32, u32::MAX] {
        let logit_bias = List::new(vec![TokenBias { token, bias_micros: 1 }]).unwrap();
        let refused = server.submit(Job { parameters: Parameters { logit_bias, ..sampled(1) }, ..job(1, 1) }).err();
        assert_eq!(refused, Some(RunError::BiasToken { token, vocabulary }.into()));
    }
    let mut running = server.submit(job(5, 1)).unwrap();
    assert!(matches!(running.wait_next(), Some(Event::Part(_))));
    let waiting = [server.submit(job(5, 2)).unwrap(), server.submit(job(5, 3)).unwrap()];
    assert_eq!(server.submit(job(5, 4)).err(), Some(ServeError::Busy { waiting: 2 }));
    drop(waiting);
    let mut next = server.submit(job(5, 5)).unwrap();
    drop(running);
    assert!(
        matches!(next.wait_next(), Some(Event::Part(_))),
        "who left the queue makes room, and who left makes place"
    );
}

#[test]
fn a_server_that_stops_tells_everyone_who_listens() {
    let server = server(Limits { texts: 1, tokens_ahead: 1, ..LIMITS });
    let (mut running, mut waiting) = (server.submit(job(5, 1)).unwrap(), server.submit(job(5, 2)).unwrap());
    running.wait_next();
    let desk = Arc::clone(&server.desk);
    drop(server);
    assert_eq!(heard(&mut running), Err(RunError::Interrupted));
    assert_eq!((heard(&mut waiting), waiting.wait_next()), (Err(RunError::Interrupted), None));
    let model = model(KINDS[0]);
    let (ticket, _) = ticket(model.as_language().unwrap(), job(5, 1), LIMITS, &desk).unwrap();
    assert_eq!(desk.submit(ticket, 9), Err(ServeError::Stopped));
}

#[test]
fn a_model_of_tensors_is_not_served_here() {
    let risk = Model::load(&include_bytes!("../../../../models/risk/risk-integer.ogm")[..]).unwrap();
    assert!(matches!(Server::start(Arc::new(risk), LIMITS), Err(ServeError::NotLanguage)));
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[test]
fn a_task_that_waits_is_woken_by_every_part_and_by_the_end() {
    let server = server(LIMITS);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let expected = alone(server.model().as_language().unwrap(), &job(5, 1));
    let mut stream = pin!(server.submit(job(5, 1)).unwrap());
    let mut parts = 0;
    loop {
        match stream.poll_next(&mut context) {
            Poll::Ready(Some(_)) => parts += 1,
            Poll::Ready(None) => break,
            Poll::Pending => std::thread::park(),
        }
    }
    assert_eq!(parts, expected.tokens.len() + 1);
}

#[test]
fn prompts_are_scored_as_their_own_continuation_would_be() {
    let model = model(KINDS[1]);
    let language = model.as_language().unwrap();
    let parameters = Parameters { max_tokens: 0, scores: 4, prompt_scores: true, ..Parameters::default() };
    let prompt = tokens(20, 3);
    let said = alone(language, &Job { prompt: prompt.clone(), parameters: parameters.clone() });
    assert_eq!((said.tokens.len(), said.finish, said.prompt_scores.len()), (0, Finish::Length, 19));
    for (position, score) in said.prompt_scores.iter().enumerate() {
        let after = Parameters { max_tokens: 1, scores: 4, ..Parameters::default() };
        let next = alone(language, &Job { prompt: prompt[..=position].to_vec(), parameters: after });
        let best: &Score = &next.scores[0];
        assert_eq!(best.alternatives, score.alternatives);
        assert_eq!(best.alternatives[0].token, next.tokens[0]);
        assert!(score.logprob_micros <= best.logprob_micros);
    }
}

#[test]
fn a_score_that_is_off_by_one_and_scores_that_nobody_asked_for_are_found() {
    let model = model(KINDS[0]);
    let language = model.as_language().unwrap();
    let parameters = Parameters { max_tokens: 6, scores: 3, prompt_scores: true, ..sampled(1) };
    let job = Job { prompt: tokens(9, 1), parameters };
    let said = alone(language, &job);
    let lie = |change: fn(&mut Generation)| {
        let mut lie = said.clone();
        change(&mut lie);
        checked(language, &job, &lie)
    };
    assert_eq!(lie(|_| {}), Check::Equal);
    assert_eq!(lie(|said| said.scores[4].logprob_micros += 1), Check::Score { position: 4 });
    assert_eq!(lie(|said| said.scores[0].alternatives = List::default()), Check::Score { position: 0 });
    assert_eq!(lie(|said| said.prompt_scores[7].logprob_micros -= 1), Check::PromptScore { position: 7 });
    assert_eq!(lie(|said| said.prompt_scores.truncate(3)), Check::PromptScore { position: 3 });
    let bare = language.check(&job.prompt, &job.parameters, &said.tokens, said.finish).unwrap();
    assert_eq!(bare, Check::Form);
    let plain = Parameters { scores: 0, prompt_scores: false, ..job.parameters.clone() };
    assert_eq!(language.check_scored(&job.prompt, &plain, &scored(&said), said.finish).unwrap(), Check::Form);
}

#[test]
fn a_constraint_is_kept_whatever_the_model_would_rather_say() {
    for kind in KINDS {
        let model = model(kind);
        let language = model.as_language().unwrap();
        for seed in 0..6 {
            let pattern = Constraint::Regex(protocol::Text::new("(yes|no), [0-9]{2}").unwrap());
            let parameters = Parameters { constraint: Some(pattern), max_tokens: 40, ..sampled(seed) };
            let job = Job { prompt: tokens(9, seed), parameters };
            let said = alone(language, &job);
            let text = language.tokenizer().decode(&said.tokens);
            let digits = text.strip_prefix("yes, ").or_else(|| text.strip_prefix("no, ")).unwrap();
            assert!(digits.len() == 2 && digits.parse::<u32>().is_ok(), "{text}");
            assert_eq!((said.finish, checked(language, &job, &said)), (Finish::Stop, Check::Equal));
            let mut lie = said.clone();
            lie.tokens[0] = if text.starts_with('y') { 6 + u32::from(b'n') } else { 6 + u32::from(b'y') };
            assert!(matches!(checked(language, &job, &lie), Check::Differs { position: 0, .. }));
        }
    }
}

#[test]
fn embeddings_have_the_same_bits_on_every_level_and_need_an_output_that_they_are_made_of() {
    let text = tokens(80, 3);
    let embed = |level| {
        let model = support::model_with(KINDS[1], crate::Options { level, ..Default::default() });
        model.as_language().unwrap().embed(&text).unwrap()
    };
    let expected = embed(crate::Level::PORTABLE);
    assert!((expected.iter().map(|value| value * value).sum::<f32>() - 1.0).abs() < 1e-5);
    assert!(crate::Level::available().into_iter().all(|level| embed(level) == expected));
    let model = model(KINDS[0]);
    assert_eq!(model.as_language().unwrap().embed(&text), Err(RunError::NoEmbedding));
}

#[test]
fn logits_that_nobody_reads_stop_neither_worker_nor_judge_and_those_that_are_read_stop_both() {
    let model = support::overflowing();
    let language = model.as_language().unwrap();
    let overflows = support::OVERFLOWING;
    let said = |prompt: &[u32], parameters: &Parameters| {
        let job = Job { prompt: prompt.to_vec(), parameters: parameters.clone() };
        let mut hand = Hand::new(language, LIMITS);
        let mut stream = hand.submit(&job);
        hand.finish();
        let served = heard(&mut stream);
        assert_eq!(served, language.generate(prompt, parameters, &mut |_| Flow::Continue));
        served.map(|said| (checked(language, &job, &said), said.tokens, said.finish))
    };
    let with = |max_tokens, bias_micros| {
        let logit_bias = List::new(vec![TokenBias { token: overflows, bias_micros }]).unwrap();
        Parameters { max_tokens, logit_bias, ..Parameters::default() }
    };
    let (always, never) = (2_000_000_000, -2_000_000_000);
    let plain: Vec<u32> = b"what now".iter().map(|&byte| 6 + u32::from(byte)).collect();
    let last = [&plain[..], &[overflows]].concat();
    let within = [&last[..], &plain].concat();
    let not_finite = Err(RunError::NotFinite { name: "logits".to_owned() });

    // An answer without tokens, whether its prompt is scored or not.
    assert_eq!(said(&last, &with(0, never)), Ok((Check::Equal, Vec::new(), Finish::Length)));
    let scored = |max_tokens| Parameters { prompt_scores: true, scores: 2, ..with(max_tokens, never) };
    assert_eq!(said(&last, &scored(0)), Ok((Check::Equal, Vec::new(), Finish::Length)));
    // The last token of one that a stop text or its length ends.
    let stop = List::new(vec![protocol::Text::new("z").unwrap()]).unwrap();
    let stops = Parameters { stop, ..with(5, always) };
    assert_eq!(said(&plain, &stops), Ok((Check::Equal, vec![overflows], Finish::Stop)));
    assert_eq!(said(&plain, &with(1, always)), Ok((Check::Equal, vec![overflows], Finish::Length)));
    // A row within a prompt that is not scored.
    assert!(matches!(said(&within, &with(2, never)), Ok((Check::Equal, ..))));

    for (prompt, parameters) in [(&last, with(1, never)), (&plain, with(2, always)), (&within, scored(0))] {
        assert_eq!(said(prompt, &parameters), not_finite);
    }
    let judged = |prompt: &[u32], parameters: &Parameters, claimed: &[u32]| {
        language.check(prompt, parameters, claimed, Finish::Length).unwrap_err()
    };
    let expected = RunError::NotFinite { name: "logits".to_owned() };
    assert_eq!(judged(&last, &with(1, never), &[7]), expected);
    assert_eq!(judged(&plain, &with(2, always), &[overflows, 7]), expected);
    let first = [&[overflows][..], &plain].concat();
    let score = Score { logprob_micros: 0, alternatives: List::default() };
    let claimed = Scored { prompt: List::new(vec![score; first.len() - 1]).unwrap(), tokens: List::default() };
    assert_eq!(language.check_scored(&first, &scored(0), &claimed, Finish::Length).unwrap_err(), expected);
}
