//! A checked graph made ready to run: one kernel for each node, and the walk over them for a chunk of rows.
//!
//! Nodes that no row-mixing node needs are *late*: they run on those rows only whose outputs are wanted, so a prompt
//! does not pay for logits that nobody reads. A value's memory is used again as soon as nobody needs the value.

use std::{collections::BTreeMap, sync::Arc};

use graph::{Checked, Data, Dimension, Element, Fact, Fault, Reach, Shape, Source};

use crate::{
    cache::PAGE,
    cpu::Level,
    fusion::{Fused, fusions},
    kernel::{Call, Kernel, Making, Place, State, Stays, Threads, excluded},
    ops,
};

pub struct Plan {
    checked: Checked,
    steps: Vec<Step>,
    /// The graph's outputs.
    outputs: Vec<Feed>,
    slots: usize,
    level: Level,
    threads: Threads,
}

struct Step {
    work: Work,
    inputs: Vec<Feed>,
    element: Element,
    shape: Shape,
    /// Where the output lies.
    slot: usize,
    late: bool,
    /// Which of a lane's states is the kernel's.
    state: Option<usize>,
}

enum Work {
    Kernel(Box<dyn Kernel>),
    /// Takes the wanted rows out of all.
    Pick,
}

/// Where a step's input comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Feed {
    Input(usize),
    Constant(usize),
    /// The output of the step with that number while the plan is made, then its slot.
    Made(usize),
}

/// What a text has left behind in each kernel.
pub struct Lane {
    states: Vec<State>,
    /// Rows that were run.
    pub length: usize,
}

impl Lane {
    /// A text that begins with the first `length` rows of this one; both use the same memory until one writes on.
    #[must_use]
    pub fn share(&self, length: usize) -> Self {
        let length = length.min(self.length);
        Self { states: self.states.iter().map(|state| state.share(length)).collect(), length }
    }

    /// Forgets the rows from `length` on.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
        self.states.iter_mut().for_each(|state| state.truncate(length));
    }

    /// Memory held for earlier rows, also where it is shared.
    pub fn bytes(&self) -> usize {
        self.states.iter().map(State::bytes).sum()
    }
}

/// The values of one call, kept so that the next need not allocate.
#[derive(Default)]
pub struct Workspace {
    slots: Vec<Data>,
    wanted: Vec<Place>,
}

/// Rows of several texts that are run in one call.
pub struct Chunk<'a> {
    /// The graph's inputs, for all rows.
    pub inputs: &'a [Data],
    pub places: &'a [Place],
    /// Indices, rising, of the rows whose outputs are wanted; outputs have these rows alone.
    pub wanted: &'a [usize],
}

const EMPTY: &Data = &Data::U8(Vec::new());
/// Inputs of a node that are gathered without allocating; only `concat` may have more.
const INPUTS: usize = 8;

impl Plan {
    pub fn new(checked: Checked, level: Level, threads: Threads) -> Self {
        let (mut steps, mut outputs) = Sorting::new(&checked).steps();
        let slots = assign(&mut steps, &mut outputs);
        Self { checked, steps, outputs, slots, level, threads }
    }

    pub fn checked(&self) -> &Checked {
        &self.checked
    }

    /// A text of which nothing was run.
    pub fn lane(&self) -> Lane {
        let kernels = self.steps.iter().filter(|step| step.state.is_some());
        let states =
            kernels.map(|step| if let Work::Kernel(kernel) = &step.work { kernel.state() } else { State::None });
        Lane { states: states.collect(), length: 0 }
    }

    pub fn threads(&self) -> &Threads {
        &self.threads
    }

    /// Memory that a text of so many positions keeps.
    pub fn lane_bytes(&self, positions: usize) -> usize {
        self.lane().states.iter().map(|state| state.bytes_of(positions)).fold(0, usize::saturating_add)
    }

    /// The most positions, up to `most`, that keep no more than so many bytes: whole pages of them.
    pub fn positions_within(&self, bytes: usize, most: usize) -> usize {
        let pages = bytes.checked_div(self.lane_bytes(PAGE));
        pages.map_or(most, |pages| pages.saturating_mul(PAGE).min(most))
    }

    /// Runs all nodes for a chunk; `lanes` are the texts that its places speak of. A call that failed may be repeated.
    pub fn run(&self, space: &mut Workspace, lanes: &mut [&mut Lane], chunk: &Chunk) -> Result<(), Fault> {
        self.run_while(space, lanes, chunk, &|| true).map(|_| ())
    }

    /// As `run`, for as long as `stays` says, which is asked between the nodes; false where it did not to the end.
    pub fn run_while(
        &self,
        space: &mut Workspace,
        lanes: &mut [&mut Lane],
        chunk: &Chunk,
        stays: Stays,
    ) -> Result<bool, Fault> {
        space.slots.resize(self.slots, Data::U8(Vec::new()));
        space.wanted.clear();
        space.wanted.extend(chunk.wanted.iter().map(|&row| chunk.places[row]));
        let wanted = std::mem::take(&mut space.wanted);
        for step in &self.steps {
            let places = if step.late { &wanted } else { chunk.places };
            if places.is_empty() {
                continue;
            }
            if !stays() {
                return Ok(false);
            }
            let mut out = std::mem::replace(&mut space.slots[step.slot], Data::U8(Vec::new()));
            prepare(step, places.len(), &mut out)?;
            let outcome = self.step(step, space, lanes, chunk, places, &mut out);
            space.slots[step.slot] = out;
            outcome?;
        }
        space.wanted = wanted;
        for place in chunk.places {
            lanes[place.lane].length = place.position + 1;
        }
        Ok(true)
    }

    fn step(
        &self,
        step: &Step,
        space: &Workspace,
        lanes: &mut [&mut Lane],
        chunk: &Chunk,
        places: &[Place],
        out: &mut Data,
    ) -> Result<(), Fault> {
        let mut few = [EMPTY; INPUTS];
        let mut many = Vec::new();
        let inputs = if step.inputs.len() <= INPUTS {
            &mut few[..step.inputs.len()]
        } else {
            many.resize(step.inputs.len(), EMPTY);
            &mut many[..]
        };
        for (input, &feed) in inputs.iter_mut().zip(&step.inputs) {
            *input = self.data(space, chunk.inputs, feed).ok_or(excluded("plan"))?;
        }
        match &step.work {
            Work::Pick => pick(inputs[0], chunk.places.len(), chunk.wanted, out),
            Work::Kernel(kernel) => {
                let call = Call { inputs, places, level: self.level, threads: &self.threads };
                match step.state {
                    None => kernel.run(&call, &mut [], out),
                    Some(state) => {
                        let mut states: Vec<&mut State> =
                            lanes.iter_mut().map(|lane| &mut lane.states[state]).collect();
                        kernel.run(&call, &mut states, out)
                    }
                }
            }
        }
    }

    /// The output of that number after a run: its wanted rows.
    pub fn output<'a>(&'a self, space: &'a Workspace, inputs: &'a [Data], output: usize) -> Option<&'a Data> {
        self.data(space, inputs, *self.outputs.get(output)?)
    }

    fn data<'a>(&'a self, space: &'a Workspace, inputs: &'a [Data], feed: Feed) -> Option<&'a Data> {
        match feed {
            Feed::Input(index) => inputs.get(index),
            Feed::Constant(index) => self.checked.graph().constants.get(index).map(|found| found.tensor.data()),
            Feed::Made(slot) => space.slots.get(slot),
        }
    }
}

/// Finds which nodes are late and puts the steps in order.
struct Sorting<'a> {
    checked: &'a Checked,
    /// For each node.
    late: Vec<bool>,
    /// Steps of the nodes so far.
    nodes: Vec<usize>,
    /// Sources of which the wanted rows were picked, and the steps that did.
    picked: BTreeMap<Source, usize>,
    steps: Vec<Step>,
    states: usize,
    fused: Vec<Fused>,
}

impl<'a> Sorting<'a> {
    fn new(checked: &'a Checked) -> Self {
        let nodes = &checked.graph().nodes;
        let mut late = vec![true; nodes.len()];
        // Backward: a node is seen after all that use it.
        for (index, node) in nodes.iter().enumerate().rev() {
            let mixes = matches!(node.operator.reach, Reach::Before | Reach::All);
            let by_rows = checked.node_fact(index).is_some_and(|fact| has_outer_rows(&fact.shape));
            let feeds_by_rows = node.inputs.iter().all(|&input| fits(checked, input));
            late[index] &= !mixes && by_rows && feeds_by_rows;
            if !late[index] {
                for input in &node.inputs {
                    if let Source::Node(input) = *input {
                        late[input] = false;
                    }
                }
            }
        }
        let fused = fusions(checked);
        for fused in &fused {
            // What mixes rows needs all of them, and so all that is computed with it.
            let all = fused.hidden.iter().all(|&node| late[node]);
            late[fused.last] &= all;
        }
        Self { checked, late, nodes: Vec::new(), picked: BTreeMap::new(), steps: Vec::new(), states: 0, fused }
    }

    fn steps(mut self) -> (Vec<Step>, Vec<Feed>) {
        let graph = self.checked.graph();
        for (index, node) in graph.nodes.iter().enumerate() {
            // A checked graph has a fact for every source.
            let (Ok(facts), Some(output)) = (self.checked.input_facts(node), self.checked.node_fact(index)) else {
                break;
            };
            if self.fused.iter().any(|fused| fused.hidden.contains(&index)) {
                // Nobody asks for the output of this node.
                self.nodes.push(usize::MAX);
                continue;
            }
            let (late, tail) = (self.late[index], Arc::default());
            let (kernel, inputs) = match self.fused.iter().position(|fused| fused.last == index) {
                Some(place) => {
                    let Fused { kernel, inputs, .. } = self.fused.swap_remove(place);
                    (kernel, inputs)
                }
                None => {
                    let making = Making { attributes: &node.attributes, inputs: &facts, output, tail };
                    (ops::make(node, &making), node.inputs.clone())
                }
            };
            let inputs = inputs.into_iter().map(|source| self.feed(source, late)).collect();
            let state = (!matches!(kernel.state(), State::None)).then_some(self.states);
            self.states += usize::from(state.is_some());
            self.nodes.push(self.steps.len());
            self.push(Work::Kernel(kernel), inputs, output, late, state);
        }
        let outputs = graph.outputs.iter().map(|output| self.feed(output.source, fits(self.checked, output.source)));
        let outputs = outputs.collect();
        (self.steps, outputs)
    }

    fn push(&mut self, work: Work, inputs: Vec<Feed>, output: &Fact, late: bool, state: Option<usize>) {
        let (element, shape) = (output.element, output.shape.clone());
        self.steps.push(Step { work, inputs, element, shape, slot: 0, late, state });
    }

    /// Where a late or early user finds a value.
    fn feed(&mut self, source: Source, late: bool) -> Feed {
        let feed = match source {
            Source::Input(index) => Feed::Input(index),
            Source::Constant(index) => return Feed::Constant(index),
            Source::Node(index) => Feed::Made(self.nodes[index]),
        };
        let is_late = matches!(source, Source::Node(index) if self.late[index]);
        let Some(fact) = self.checked.fact(source).filter(|fact| late && !is_late && has_outer_rows(&fact.shape))
        else {
            return feed;
        };
        if let Some(step) = self.picked.get(&source) {
            return Feed::Made(*step);
        }
        let step = self.steps.len();
        self.picked.insert(source, step);
        self.push(Work::Pick, vec![feed], &fact, true, None);
        Feed::Made(step)
    }
}

/// Whether the rows are the outermost size and no other.
fn has_outer_rows(shape: &Shape) -> bool {
    shape.0.first() == Some(&Dimension::Rows) && !shape.0.iter().skip(1).any(|size| *size == Dimension::Rows)
}

/// Whether rows of a value can be picked, or it has none.
fn fits(checked: &Checked, source: Source) -> bool {
    checked.fact(source).is_some_and(|fact| has_outer_rows(&fact.shape) || !fact.shape.has_rows())
}

/// Gives each step's output a slot, one that is free if there is one of this element and shape: a slot never changes
/// its length but with the rows. Says how many slots there are.
fn assign(steps: &mut [Step], outputs: &mut [Feed]) -> usize {
    let mut last = vec![0; steps.len()];
    for (index, step) in steps.iter().enumerate() {
        // An output that nobody uses is free after its own step.
        last[index] = index;
        for feed in &step.inputs {
            if let Feed::Made(made) = *feed {
                last[made] = index;
            }
        }
    }
    for output in outputs.iter() {
        if let Feed::Made(made) = *output {
            last[made] = usize::MAX;
        }
    }
    let mut free: BTreeMap<SlotKind, Vec<usize>> = BTreeMap::new();
    let mut count = 0;
    for index in 0..steps.len() {
        steps[index].slot = free.get_mut(&kind(&steps[index])).and_then(Vec::pop).unwrap_or(count);
        count = count.max(steps[index].slot + 1);
        let ended = |&made: &usize| last[made] == index;
        let mut done: Vec<usize> = steps[index].inputs.iter().filter_map(made).filter(ended).collect();
        done.extend([index].iter().filter(|made| ended(made)));
        done.sort_unstable();
        done.dedup();
        for made in done {
            free.entry(kind(&steps[made])).or_default().push(steps[made].slot);
        }
    }
    let slots: Vec<usize> = steps.iter().map(|step| step.slot).collect();
    for feed in steps.iter_mut().flat_map(|step| &mut step.inputs).chain(outputs) {
        if let Feed::Made(made) = feed {
            *made = slots[*made];
        }
    }
    count
}

/// What outputs in one slot have in common: element, sizes without the rows, and whether all rows or the wanted ones.
type SlotKind = (Element, Vec<Option<usize>>, bool);

fn kind(step: &Step) -> SlotKind {
    let size = |size: &Dimension| if let Dimension::Fixed(size) = size { Some(*size) } else { None };
    (step.element, step.shape.0.iter().map(size).collect(), step.late)
}

fn made(feed: &Feed) -> Option<usize> {
    if let Feed::Made(made) = *feed { Some(made) } else { None }
}

/// Copies the wanted ones of `rows` rows.
fn pick(from: &Data, rows: usize, wanted: &[usize], out: &mut Data) -> Result<(), Fault> {
    fn copy<T: Copy>(from: &[T], rows: usize, wanted: &[usize], out: &mut [T]) {
        let width = from.len() / rows;
        for (&row, out) in wanted.iter().zip(out.chunks_exact_mut(width.max(1))) {
            out.copy_from_slice(&from[row * width..][..width]);
        }
    }
    match (from, out) {
        (Data::I8(from), Data::I8(out)) => copy(from, rows, wanted, out),
        (Data::U8(from), Data::U8(out)) => copy(from, rows, wanted, out),
        (Data::I16(from), Data::I16(out)) => copy(from, rows, wanted, out),
        (Data::I32(from), Data::I32(out)) => copy(from, rows, wanted, out),
        (Data::I64(from), Data::I64(out)) => copy(from, rows, wanted, out),
        (Data::F16(from), Data::F16(out)) => copy(from, rows, wanted, out),
        (Data::F32(from), Data::F32(out)) => copy(from, rows, wanted, out),
        _ => return Err(excluded("plan")),
    }
    Ok(())
}

/// Gives `out` the type and length of a step's output.
fn prepare(step: &Step, rows: usize, out: &mut Data) -> Result<(), Fault> {
    let count = step.shape.count(rows).ok_or(excluded("plan"))?;
    match (step.element, out) {
        (Element::I8, Data::I8(values)) => values.resize(count, 0),
        (Element::U8, Data::U8(values)) => values.resize(count, 0),
        (Element::I16, Data::I16(values)) => values.resize(count, 0),
        (Element::I32, Data::I32(values)) => values.resize(count, 0),
        (Element::I64, Data::I64(values)) => values.resize(count, 0),
        (Element::F16, Data::F16(values)) => values.resize(count, 0),
        (Element::F32, Data::F32(values)) => values.resize(count, 0.0),
        (element, out) => *out = zeros(element, count),
    }
    Ok(())
}

fn zeros(element: Element, count: usize) -> Data {
    match element {
        Element::I8 => Data::I8(vec![0; count]),
        Element::U8 => Data::U8(vec![0; count]),
        Element::I16 => Data::I16(vec![0; count]),
        Element::I32 => Data::I32(vec![0; count]),
        Element::I64 => Data::I64(vec![0; count]),
        Element::F16 => Data::F16(vec![0; count]),
        Element::F32 => Data::F32(vec![0.0; count]),
        // A checked graph computes no packed values.
        Element::Packed(_) => Data::U8(Vec::new()),
    }
}
