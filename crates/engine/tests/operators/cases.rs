//! The cases of `operators.txt`: one node each, over inputs that are drawn in an element.

use std::{collections::BTreeMap, sync::Arc};

use graph::program::{
    Array, Attribute, Body, Element, Limits, Node, Operator, Port, Program, Size, Source, Type, Value,
    machine::Derived, ops,
};

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/operators.txt");

/// Numbers at which operators change, and those that floats have beside numbers.
const ODD: [f64; 24] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    2.5,
    -2.5,
    3.0,
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    1e-45,
    -1e-40,
    1e-310,
    3.4e38,
    88.7,
    -103.9,
    1e-8,
    0.1,
    7.25,
    -7.75,
    127.5,
    300.0,
    -0.3,
];

/// A line of the table: which operator, and what its node says.
pub struct Case {
    pub line: &'static str,
    pub operator: &'static Operator,
    version: u16,
    attributes: Vec<&'static str>,
    inputs: Vec<&'static str>,
    outputs: u32,
}

pub fn cases() -> Vec<Case> {
    // Kept for as long as the tests run.
    let table: &'static str = std::fs::read_to_string(TABLE).unwrap().leak();
    table.lines().filter(|line| !line.starts_with('#')).map(Case::read).collect()
}

/// A program of one node, and what it runs on.
pub struct Drawn {
    pub program: Program,
    pub values: Vec<Value>,
}

impl Case {
    fn read(line: &'static str) -> Self {
        let (node, given) = line.split_once('|').unwrap();
        let mut words = node.split_whitespace();
        let name = words.next().unwrap();
        let (name, version) = name.split_once('@').unwrap_or((name, ""));
        let mut all = ops::OPERATORS.iter().chain(ops::ml::OPERATORS);
        let operator = all.find(|operator| operator.name == name).unwrap_or_else(|| panic!("{name}"));
        let (inputs, outputs) = given.split_once('>').unwrap_or((given, "1"));
        Self {
            line,
            operator,
            version: version.parse().unwrap_or(*operator.versions.last().unwrap()),
            attributes: words.collect(),
            inputs: inputs.split_whitespace().collect(),
            outputs: outputs.trim().parse().unwrap(),
        }
    }

    /// The case over inputs of an element, with odd numbers among them or without.
    pub fn drawn(&self, element: Element, odd: bool) -> Drawn {
        let draw = Draw { element, odd };
        let values: Vec<Option<Value>> =
            self.inputs.iter().enumerate().map(|(at, word)| draw.value(word, at as u64)).collect();
        let given: Vec<Value> = values.iter().flatten().cloned().collect();
        let mut slots = 0..;
        let sources =
            values.iter().map(|value| value.as_ref().map_or(Source::Nothing, |_| Source::Slot(slots.next().unwrap())));
        let sources: Vec<Source> = sources.collect();
        let count = given.len() as u32;
        let mut build = Build { slots: count + self.outputs, constants: Vec::new() };
        let attributes: BTreeMap<String, Attribute> =
            self.attributes.iter().map(|word| build.attribute(word, &draw)).collect();
        let node = Node {
            name: "it".to_owned(),
            operator: self.operator,
            version: self.version,
            attributes,
            inputs: sources,
            outputs: (count..count + self.outputs).map(Some).collect(),
            derived: Derived::default(),
        };
        let outputs: Vec<Source> = (count..count + self.outputs).map(Source::Slot).collect();
        let port = |name: &str, kind: Type| Port { name: name.to_owned(), kind };
        let program = Program {
            inputs: given.iter().enumerate().map(|(at, value)| port(&format!("x{at}"), kind(value))).collect(),
            outputs: (0..self.outputs)
                .map(|at| port(&format!("y{at}"), Type::Tensor { element, shape: None }))
                .collect(),
            constants: build.constants,
            body: Body::new((0..count).collect(), vec![node], outputs),
            slots: build.slots,
        };
        Drawn { program: program.released(), values: given }
    }
}

fn kind(value: &Value) -> Type {
    match value {
        Value::Tensor(array) => Type::Tensor {
            element: array.element(),
            shape: Some(array.shape().iter().map(|&size| Size::Fixed(size)).collect()),
        },
        Value::Sequence(values) => Type::Sequence(Box::new(kind(&values[0]))),
        Value::Map(keys, values) => {
            Type::Map { key: keys.element(), value: Box::new(Type::Tensor { element: values.element(), shape: None }) }
        }
        Value::Nothing => panic!("nothing has no type"),
    }
}

struct Draw {
    element: Element,
    odd: bool,
}

impl Draw {
    fn value(&self, word: &str, at: u64) -> Option<Value> {
        if word == "_" {
            return None;
        }
        if let Some(all) = word.strip_prefix("seq:") {
            let values = all.split(';').enumerate().map(|(place, word)| self.array(word, at + place as u64).into());
            return Some(Value::Sequence(Arc::new(values.collect())));
        }
        if let Some((keys, values)) = word.strip_prefix("map:").and_then(|all| all.split_once(';')) {
            return Some(Value::Map(Arc::new(self.array(keys, at)), Arc::new(self.array(values, at))));
        }
        Some(self.array(word, at).into())
    }

    fn array(&self, word: &str, at: u64) -> Array {
        let (letter, rest) = word.split_at(1);
        let (sizes, stated) = rest.split_once('=').map_or((rest, None), |(sizes, stated)| (sizes, Some(stated)));
        let shape: Vec<usize> =
            sizes.split(',').filter(|size| !size.is_empty()).map(|size| size.parse().unwrap()).collect();
        let count: usize = shape.iter().product();
        if letter == "t" {
            return Array::texts(&shape, stated.unwrap().split(',').map(Into::into).collect()).unwrap();
        }
        let odd = letter == "x" && self.odd;
        let values: Vec<f64> = match stated {
            Some(stated) => stated.split(',').map(|value| value.parse().unwrap()).collect(),
            None => (0..count).map(|place| drawn(place, at, odd)).collect(),
        };
        let element = match letter {
            "x" | "y" => self.element,
            "m" => Element::F32,
            "i" => Element::I64,
            "j" => Element::I32,
            "u" => Element::U8,
            "n" => Element::I8,
            "b" => Element::Bool,
            other => panic!("{other:?} in {word:?}"),
        };
        // What is drawn as bytes has more than three values.
        let wide = |value: f64| match (letter, stated) {
            ("u" | "n", None) => (value * 60.0).abs(),
            // Nothing that is drawn is 0, which alone would be false.
            ("b", None) => f64::from(value > 0.0),
            _ => value,
        };
        cast(&shape, values.into_iter().map(wide).collect(), element)
    }
}

/// A number that looks irregular, from -2 to 2, or an odd one.
fn drawn(place: usize, at: u64, odd: bool) -> f64 {
    if odd && !(place + at as usize).is_multiple_of(4) {
        return ODD[(place + 5 * at as usize) % ODD.len()];
    }
    let mixed = (place as u64 + 1000 * at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ mixed >> 29) >> 40) as f64 / f64::from(1 << 22) - 2.0
}

/// As `Cast` makes them.
fn cast(shape: &[usize], values: Vec<f64>, element: Element) -> Array {
    let x = Array::of(Element::F64, shape, graph::program::Data::F64(values)).unwrap();
    let node = Node {
        name: String::new(),
        operator: ops::find("", "Cast").unwrap(),
        version: 13,
        attributes: [("to".to_owned(), Attribute::Integer(element.code().into()))].into(),
        inputs: vec![Source::Slot(0)],
        outputs: vec![Some(1)],
        derived: Derived::default(),
    };
    let port = |element| Port { name: "x".to_owned(), kind: Type::Tensor { element, shape: None } };
    let program = Program {
        inputs: vec![port(Element::F64)],
        outputs: vec![port(element)],
        constants: Vec::new(),
        body: Body::new(vec![0], vec![node], vec![Source::Slot(1)]),
        slots: 2,
    };
    let mut outputs = program.released().run(vec![x.into()], Limits::default()).unwrap();
    outputs.remove(0).as_tensor().unwrap().as_ref().clone()
}

struct Build {
    slots: u32,
    constants: Vec<Arc<Array>>,
}

impl Build {
    fn attribute(&mut self, word: &str, draw: &Draw) -> (String, Attribute) {
        let (name, value) = word.split_once('=').unwrap();
        let list = value.strip_prefix('[').and_then(|value| value.strip_suffix(']'));
        let text = |value: &str| value.strip_prefix('\'').and_then(|value| value.strip_suffix('\'')).map(str::to_owned);
        let attribute = if let Some(word) = value.strip_prefix("c:") {
            self.constants.push(Arc::new(draw.array(word, 3)));
            Attribute::Constant(self.constants.len() as u32 - 1)
        } else if let Some(kind) = value.strip_prefix("body:") {
            Attribute::Body(self.body(kind))
        } else if let Some(list) = list {
            let words: Vec<&str> = list.split(',').collect();
            if let Some(texts) = words.iter().map(|&word| text(word)).collect::<Option<Vec<String>>>() {
                Attribute::Texts(texts.into_iter().map(Into::into).collect())
            } else if list.contains('.') {
                Attribute::Floats(words.iter().map(|word| word.parse().unwrap()).collect())
            } else {
                Attribute::Integers(words.iter().map(|word| word.parse().unwrap()).collect())
            }
        } else if let Some(text) = text(value) {
            Attribute::Text(text)
        } else if value.contains('.') {
            Attribute::Float(value.parse().unwrap())
        } else {
            Attribute::Integer(value.parse().unwrap())
        };
        (name.to_owned(), attribute)
    }

    fn slot(&mut self) -> u32 {
        self.slots += 1;
        self.slots - 1
    }

    /// One operator's body; `outer.` reads the node's own second input, `loop` and `scan` carry a sum.
    fn body(&mut self, kind: &str) -> Body {
        let (name, inputs) = match kind {
            "loop" => ("Add", 3),
            "scan" => ("Add", 2),
            kind => kind.strip_prefix("outer.").map_or((kind, 1), |name| (name, 0)),
        };
        let operator = ops::find("", name).unwrap();
        let ports: Vec<u32> = (0..inputs).map(|_| self.slot()).collect();
        let sources = match (kind, ports.as_slice()) {
            ("loop", &[_, _, state]) => vec![Source::Slot(state); 2],
            ("scan", &[state, x]) => vec![Source::Slot(state), Source::Slot(x)],
            (_, &[x]) => vec![Source::Slot(x)],
            _ => vec![Source::Slot(1)],
        };
        let y = self.slot();
        let node = Node {
            name: "inside".to_owned(),
            operator,
            version: *operator.versions.last().unwrap(),
            attributes: BTreeMap::new(),
            inputs: sources,
            outputs: vec![Some(y)],
            derived: Derived::default(),
        };
        let outputs = match (kind, ports.as_slice()) {
            ("loop", &[_, goes_on, _]) => vec![Source::Slot(goes_on), Source::Slot(y), Source::Slot(y)],
            ("scan", _) => vec![Source::Slot(y); 2],
            _ => vec![Source::Slot(y)],
        };
        Body::new(ports, vec![node], outputs)
    }
}
