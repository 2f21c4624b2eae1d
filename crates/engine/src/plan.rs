//! A checked graph made ready to run: one kernel for each node, and the walk over them for a chunk of rows.
//!
//! Nodes behind the last one that mixes rows run on the wanted rows alone: a prompt does not pay for its logits.

use graph::{Checked, Data, Element, Fault, Source};

use crate::{
    cpu::Level,
    kernel::{Call, Kernel, Making, Place, State, Threads},
    ops,
    tail::Tail,
};

pub struct Plan {
    checked: Checked,
    kernels: Vec<Box<dyn Kernel>>,
    tail: Tail,
    level: Level,
    threads: Threads,
}

/// What a text has left behind in each kernel.
pub struct Lane {
    states: Vec<State>,
    /// Rows that were run.
    pub length: usize,
}

impl Lane {
    /// A text that begins with the first `length` positions of this one; `length` counts whole pages.
    pub fn share(&self, length: usize) -> Self {
        let length = length.min(self.length);
        Self { states: self.states.iter().map(|state| state.share(self.length, length)).collect(), length }
    }
}

/// The values of one call, kept so that the next need not allocate.
#[derive(Default)]
pub struct Workspace {
    values: Vec<Data>,
    /// What the tail reads, cut to the wanted rows; unused where all rows are wanted.
    narrow: Vec<Data>,
    is_narrow: bool,
}

/// Rows of several texts that are run in one call.
pub struct Chunk<'a> {
    /// The graph's inputs, for all rows.
    pub inputs: &'a [Data],
    pub places: &'a [Place],
    /// Rising indices of the rows whose outputs are wanted; outputs have these rows and no others.
    pub wanted: &'a [usize],
}

/// What the nodes of one pass read.
struct Pass<'a> {
    inputs: &'a [Data],
    places: &'a [Place],
    is_narrow: bool,
}

impl Plan {
    pub fn new(checked: Checked, level: Level, threads: Threads) -> Self {
        let mut kernels = Vec::new();
        for (index, node) in checked.graph().nodes.iter().enumerate() {
            // A checked graph has a fact for every source.
            let (Ok(inputs), Some(output)) = (checked.input_facts(node), checked.fact(Source::Node(index))) else {
                break;
            };
            kernels.push(ops::make(node, &Making { attributes: &node.attributes, inputs: &inputs, output: &output }));
        }
        let tail = Tail::of(&checked);
        Self { checked, kernels, tail, level, threads }
    }

    pub fn checked(&self) -> &Checked {
        &self.checked
    }

    /// A text of which nothing was run.
    pub fn lane(&self) -> Lane {
        Lane { states: self.kernels.iter().map(|kernel| kernel.state()).collect(), length: 0 }
    }

    pub fn threads(&self) -> &Threads {
        &self.threads
    }

    /// Bytes that a text of that many positions keeps.
    pub fn lane_bytes(&self, positions: usize) -> usize {
        self.kernels.iter().map(|kernel| kernel.bytes(positions)).fold(0, usize::saturating_add)
    }

    /// Runs all nodes for a chunk; `lanes` are the texts that its places speak of. A call that failed may be repeated.
    pub fn run(&self, space: &mut Workspace, lanes: &mut [&mut Lane], chunk: &Chunk) -> Result<(), Fault> {
        space.values.resize(self.kernels.len(), Data::U8(Vec::new()));
        space.is_narrow = chunk.wanted.len() < chunk.places.len();
        let whole = Pass { inputs: chunk.inputs, places: chunk.places, is_narrow: false };
        for node in 0..self.kernels.len() {
            if !(space.is_narrow && self.tail.holds(node)) {
                self.run_node(node, space, lanes, &whole)?;
            }
        }
        if space.is_narrow {
            self.run_tail(space, lanes, chunk)?;
        }
        for place in chunk.places {
            lanes[place.lane].length = place.position + 1;
        }
        Ok(())
    }

    /// Runs the nodes behind the last that mixes rows, on the wanted rows.
    fn run_tail(&self, space: &mut Workspace, lanes: &mut [&mut Lane], chunk: &Chunk) -> Result<(), Fault> {
        let mut narrow = std::mem::take(&mut space.narrow);
        narrow.resize(self.tail.crossings().len(), Data::U8(Vec::new()));
        for (&source, narrow) in self.tail.crossings().iter().zip(&mut narrow) {
            let whole = self.data(space, chunk.inputs, source).ok_or(Fault::Excluded { operator: "plan" })?;
            crate::tail::cut(whole, chunk.places.len(), chunk.wanted, narrow);
        }
        space.narrow = narrow;
        let places: Vec<Place> = chunk.wanted.iter().map(|&row| chunk.places[row]).collect();
        let pass = Pass { inputs: chunk.inputs, places: &places, is_narrow: true };
        let wanted = if places.is_empty() { 0 } else { self.kernels.len() };
        (0..wanted).filter(|&node| self.tail.holds(node)).try_for_each(|node| self.run_node(node, space, lanes, &pass))
    }

    fn run_node(&self, index: usize, space: &mut Workspace, lanes: &mut [&mut Lane], pass: &Pass) -> Result<(), Fault> {
        let (node, kernel) = (&self.checked.graph().nodes[index], &self.kernels[index]);
        let mut out = std::mem::replace(&mut space.values[index], Data::U8(Vec::new()));
        self.prepare(index, pass.places.len(), &mut out)?;
        let source =
            |&source| if pass.is_narrow { self.cut(space, source) } else { self.data(space, pass.inputs, source) };
        let inputs: Option<Vec<&Data>> = node.inputs.iter().map(source).collect();
        let inputs = inputs.ok_or(Fault::Excluded { operator: node.operator.name })?;
        let call = Call { inputs: &inputs, places: pass.places, level: self.level, threads: &self.threads };
        let mut states: Vec<&mut State> = lanes.iter_mut().map(|lane| &mut lane.states[index]).collect();
        kernel.run(&call, &mut states, &mut out)?;
        space.values[index] = out;
        Ok(())
    }

    /// The output of that number after a run: the wanted rows.
    pub fn output<'a>(&'a self, space: &'a Workspace, inputs: &'a [Data], output: usize) -> Option<&'a Data> {
        let source = self.checked.graph().outputs.get(output)?.source;
        if space.is_narrow { self.cut(space, source) } else { self.data(space, inputs, source) }
    }

    fn data<'a>(&'a self, space: &'a Workspace, inputs: &'a [Data], source: Source) -> Option<&'a Data> {
        match source {
            Source::Input(index) => inputs.get(index),
            Source::Constant(index) => self.checked.graph().constants.get(index).map(|found| found.tensor.data()),
            Source::Node(index) => space.values.get(index),
        }
    }

    /// As `data`, on the wanted rows alone.
    fn cut<'a>(&'a self, space: &'a Workspace, source: Source) -> Option<&'a Data> {
        match self.tail.crossings().iter().position(|&crossing| crossing == source) {
            Some(crossing) => space.narrow.get(crossing),
            None => self.data(space, &[], source),
        }
    }

    /// Gives `out` the type and length of a node's output.
    fn prepare(&self, node: usize, rows: usize, out: &mut Data) -> Result<(), Fault> {
        let refuse = Fault::Excluded { operator: "plan" };
        let fact = self.checked.node_fact(node).ok_or(refuse.clone())?;
        let count = fact.shape.count(rows).ok_or(refuse)?;
        match (fact.element, out) {
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
    }
}
