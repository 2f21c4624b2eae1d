//! Writes small ONNX files for the tests, field by field, so that a test can also write what no tool would.

/// A message under construction.
#[derive(Clone, Default)]
pub(super) struct Message(pub Vec<u8>);

/// An attribute of a test's node.
#[derive(Clone, Copy)]
pub(super) enum Setting<'a> {
    Integer(i64),
    Integers(&'a [i64]),
    Float(f32),
    Text(&'a str),
}

impl Message {
    pub fn integer(mut self, number: u32, value: i64) -> Self {
        self.varint(u64::from(number) << 3);
        self.varint(value.cast_unsigned());
        self
    }

    pub fn float(mut self, number: u32, value: f32) -> Self {
        self.varint(u64::from(number) << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn bytes(mut self, number: u32, value: &[u8]) -> Self {
        self.varint(u64::from(number) << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    pub fn text(self, number: u32, value: &str) -> Self {
        self.bytes(number, value.as_bytes())
    }

    pub fn message(self, number: u32, value: &Message) -> Self {
        self.bytes(number, &value.0)
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

pub(super) fn float_tensor(name: &str, dims: &[i64], values: &[f32]) -> Message {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor_head(name, dims, 1).bytes(9, &raw)
}

pub(super) fn integer_tensor(name: &str, values: &[i64]) -> Message {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor_head(name, &[values.len() as i64], 7).bytes(9, &raw)
}

pub(super) fn tensor_head(name: &str, dims: &[i64], element_type: i64) -> Message {
    dims.iter().fold(Message::default(), |message, &dim| message.integer(1, dim)).integer(2, element_type).text(8, name)
}

pub(super) fn node(kind: &str, inputs: &[&str], output: &str, settings: &[(&str, Setting)]) -> Message {
    let mut message = inputs.iter().fold(Message::default(), |message, input| message.text(1, input));
    message = message.text(2, output).text(3, &format!("the_{output}")).text(4, kind);
    settings.iter().fold(message, |message, (name, setting)| message.message(5, &attribute(name, *setting)))
}

pub(super) fn attribute(name: &str, setting: Setting) -> Message {
    let message = Message::default().text(1, name);
    match setting {
        Setting::Integer(value) => message.integer(3, value).integer(20, 2),
        Setting::Integers(values) => {
            values.iter().fold(message, |message, &value| message.integer(8, value)).integer(20, 7)
        }
        Setting::Float(value) => message.float(2, value).integer(20, 1),
        Setting::Text(value) => message.text(4, value).integer(20, 3),
    }
}

/// A float value; a size of 0 stands for the symbolic dimension `batch`.
pub(super) fn value(name: &str, sizes: &[i64]) -> Message {
    value_of(1, name, sizes)
}

/// The same of another element, by the standard's number.
pub(super) fn value_of(element: i64, name: &str, sizes: &[i64]) -> Message {
    let shape = sizes.iter().fold(Message::default(), |shape, &size| {
        let dimension = Message::default();
        shape.message(1, &if size == 0 { dimension.text(2, "batch") } else { dimension.integer(1, size) })
    });
    let tensor_type = Message::default().integer(1, element).message(2, &shape);
    Message::default().text(1, name).message(2, &Message::default().message(1, &tensor_type))
}

/// What a test's graph is made of.
#[derive(Clone, Default)]
pub(super) struct Parts {
    pub nodes: Vec<Message>,
    pub initializers: Vec<Message>,
    pub inputs: Vec<Message>,
    pub outputs: Vec<Message>,
}

impl Parts {
    pub fn graph(&self) -> Message {
        let mut graph = Message::default().text(2, "test");
        for (number, messages) in [(1, &self.nodes), (5, &self.initializers), (11, &self.inputs), (12, &self.outputs)] {
            graph = messages.iter().fold(graph, |graph, message| graph.message(number, message));
        }
        graph
    }

    pub fn file(&self) -> Vec<u8> {
        self.file_of_opset(17)
    }

    pub fn file_of_opset(&self, opset: i64) -> Vec<u8> {
        let opset = Message::default().text(1, "").integer(2, opset);
        Message::default().integer(1, 8).message(7, &self.graph()).message(8, &opset).0
    }
}

/// One node between an input `x` of these sizes and an output `y`.
pub(super) fn one_node(kind: &str, sizes: &[i64], extra: &[(&str, Message)], settings: &[(&str, Setting)]) -> Parts {
    let names: Vec<&str> = ["x"].into_iter().chain(extra.iter().map(|(name, _)| *name)).collect();
    Parts {
        nodes: vec![node(kind, &names, "y", settings)],
        initializers: extra.iter().map(|(_, tensor)| tensor.clone()).collect(),
        inputs: vec![value("x", sizes)],
        outputs: vec![value("y", sizes)],
    }
}
