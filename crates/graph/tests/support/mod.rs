//! ONNX files of one tree, written out by hand: no exporter makes all of what the standard says of a comparison.

/// A message of protobuf.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value > 127 {
            self.0.push(value as u8 | 128);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn number(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    fn message(self, field: u64, message: &Message) -> Self {
        self.bytes(field, &message.0)
    }
}

fn integers(name: &str, values: &[u64]) -> Message {
    let start = Message::default().text(1, name).number(20, 7);
    values.iter().fold(start, |message, &value| message.number(8, value))
}

fn floats(name: &str, values: &[f32]) -> Message {
    let packed: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Message::default().text(1, name).number(20, 6).bytes(7, &packed)
}

fn float(name: &str, value: f32) -> Message {
    let mut message = Message::default().text(1, name).number(20, 1);
    message.varint(2 << 3 | 5);
    message.0.extend_from_slice(&value.to_le_bytes());
    message
}

fn texts(name: &str, values: &[&str]) -> Message {
    let start = Message::default().text(1, name).number(20, 8);
    values.iter().fold(start, |message, value| message.text(9, value))
}

fn node(kind: &str, input: &str, output: &str, attributes: &[Message]) -> Message {
    let start = Message::default().text(1, input).text(2, output).text(3, output).text(4, kind);
    attributes.iter().fold(start, |message, attribute| message.message(5, attribute)).text(7, "ai.onnx.ml")
}

/// A port of f32 `[rows, 1]`.
fn port(name: &str) -> Message {
    let shape =
        Message::default().message(1, &Message::default().text(2, "rows")).message(1, &Message::default().number(1, 1));
    let tensor = Message::default().number(1, 1).message(2, &shape);
    Message::default().text(1, name).message(2, &Message::default().message(1, &tensor))
}

/// One split at 0.5 of one feature: 1 where the comparison holds, else 2. `prepared` may say that the feature is imputed (0.5 for a NaN)
/// and then turned round (multiplied by -1).
pub fn tree(mode: &str, tracks: u64, prepared: &str) -> Vec<u8> {
    let mut graph = Message::default().text(2, "tree");
    let mut last = "x";
    if prepared.contains("imputed") {
        let attributes = [floats("imputed_value_floats", &[0.5]), float("replaced_value_float", f32::NAN)];
        graph = graph.message(1, &node("Imputer", last, "imputed", &attributes));
        last = "imputed";
    }
    if prepared.contains("turned") {
        let attributes = [floats("offset", &[0.0]), floats("scale", &[-1.0])];
        graph = graph.message(1, &node("Scaler", last, "scaled", &attributes));
        last = "scaled";
    }
    let attributes = [
        integers("nodes_treeids", &[0, 0, 0]),
        integers("nodes_nodeids", &[0, 1, 2]),
        integers("nodes_featureids", &[0, 0, 0]),
        integers("nodes_truenodeids", &[1, 0, 0]),
        integers("nodes_falsenodeids", &[2, 0, 0]),
        integers("nodes_missing_value_tracks_true", &[tracks, 0, 0]),
        floats("nodes_values", &[0.5, 0.0, 0.0]),
        texts("nodes_modes", &[mode, "LEAF", "LEAF"]),
        integers("target_treeids", &[0, 0]),
        integers("target_nodeids", &[1, 2]),
        integers("target_ids", &[0, 0]),
        floats("target_weights", &[1.0, 2.0]),
        Message::default().text(1, "n_targets").number(20, 2).number(3, 1),
    ];
    let graph = graph
        .message(1, &node("TreeEnsembleRegressor", last, "y", &attributes))
        .message(11, &port("x"))
        .message(12, &port("y"));
    let opset = |domain: &str, version| Message::default().text(1, domain).number(2, version);
    let model = Message::default().number(1, 8).message(7, &graph);
    model.message(8, &opset("", 17)).message(8, &opset("ai.onnx.ml", 3)).0
}
