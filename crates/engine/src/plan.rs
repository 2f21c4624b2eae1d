//! A checked graph made ready to run: one kernel for each node, and the walk over them for a chunk of rows.

use graph::{Checked, Data, Element, Fault, Source};

use crate::{
    cpu::Level,
    kernel::{Call, Kernel, Making, Place, State, Threads},
    ops,
};

pub struct Plan {
    checked: Checked,
    kernels: Vec<Box<dyn Kernel>>,
    level: Level,
    threads: Threads,
}

/// What a text has left behind in each kernel.
pub struct Lane {
    states: Vec<State>,
    /// Rows that were run.
    pub length: usize,
}

/// The values of one call, kept so that the next need not allocate.
#[derive(Default)]
pub struct Workspace {
    values: Vec<Data>,
}

/// Rows of several texts that are run in one call.
pub struct Chunk<'a> {
    /// The graph's inputs, for all rows.
    pub inputs: &'a [Data],
    pub places: &'a [Place],
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
        Self { checked, kernels, level, threads }
    }

    pub fn checked(&self) -> &Checked {
        &self.checked
    }

    /// A text of which nothing was run.
    pub fn lane(&self) -> Lane {
        Lane { states: self.kernels.iter().map(|kernel| kernel.state()).collect(), length: 0 }
    }

    /// Runs all nodes for a chunk; `lanes` are the texts that its places speak of.
    pub fn run(&self, space: &mut Workspace, lanes: &mut [&mut Lane], chunk: &Chunk) -> Result<(), Fault> {
        let rows = chunk.places.len();
        let nodes = &self.checked.graph().nodes;
        space.values.resize(nodes.len(), Data::U8(Vec::new()));
        for (index, (node, kernel)) in nodes.iter().zip(&self.kernels).enumerate() {
            let mut out = std::mem::replace(&mut space.values[index], Data::U8(Vec::new()));
            self.prepare(index, rows, &mut out)?;
            let inputs: Option<Vec<&Data>> =
                node.inputs.iter().map(|&source| self.data(space, chunk.inputs, source)).collect();
            let inputs = inputs.ok_or(Fault::Excluded { operator: node.operator.name })?;
            let call = Call { inputs: &inputs, places: chunk.places, level: self.level, threads: &self.threads };
            let mut states: Vec<&mut State> = lanes.iter_mut().map(|lane| &mut lane.states[index]).collect();
            kernel.run(&call, &mut states, &mut out)?;
            space.values[index] = out;
        }
        for place in chunk.places {
            lanes[place.lane].length = place.position + 1;
        }
        Ok(())
    }

    /// The output of that number after a run.
    pub fn output<'a>(&'a self, space: &'a Workspace, inputs: &'a [Data], output: usize) -> Option<&'a Data> {
        self.data(space, inputs, self.checked.graph().outputs.get(output)?.source)
    }

    fn data<'a>(&'a self, space: &'a Workspace, inputs: &'a [Data], source: Source) -> Option<&'a Data> {
        match source {
            Source::Input(index) => inputs.get(index),
            Source::Constant(index) => self.checked.graph().constants.get(index).map(|found| found.tensor.data()),
            Source::Node(index) => space.values.get(index),
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
