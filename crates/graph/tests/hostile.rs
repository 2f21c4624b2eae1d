//! Artefacts and graphs made to do harm: each is refused by name, none panics, and none makes the reader believe a size
//! before its bytes are there.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use graph::{
    ArtefactRefusal, Attribute, Attributes, Data, Defaults, Dimension, Element, Graph, GraphRefusal, Head, Input,
    Interval, Language, Model, Node, Output, Packed, Purpose, Refusal, Shape, Source, Tensor,
    bytes::Malformed,
    graph::{NODES_MAX, PORTS_MAX, ROWS_MAX},
    ops::find,
};

fn weights(shape: &[usize], values: &[i8]) -> Tensor {
    Tensor::packed(shape, Packed::of_integers(shape, values).unwrap())
}

/// Tokens to a table's row to logits: the smallest language model.
fn graph() -> Graph {
    let mut graph = Graph::default();
    let interval = Interval { low: 0, high: 2 };
    graph.inputs.push(Input { name: "tokens".into(), element: Element::I32, shape: Shape::rows(&[]), interval });
    let table = graph.constant("table", Tensor::of(&[3, 4], Data::I8((0..12).map(|i| i - 6).collect())));
    let weights = graph.constant("weights", weights(&[3, 4], &(0..12).map(|i| 5 - i).collect::<Vec<i8>>()));
    let row = graph.node("row", find("gather_rows").unwrap(), Attributes::new(), &[Source::Input(0), table]);
    let sums = graph.node("sums", find("linear").unwrap(), Attributes::new(), &[row, weights]);
    graph.outputs.push(Output { name: "logits".into(), source: sums });
    graph
}

fn language() -> Language {
    let defaults = Defaults::greedy(9);
    Language { tokenizer: b"{}".to_vec(), template: "x".into(), stop_tokens: vec![1], fraction_bits: 8, defaults }
}

fn model() -> Model {
    let purpose = Purpose::Language(Box::new(language()));
    Model { name: "least".into(), parameters: 12, graph: graph().check(16).unwrap(), purpose }
}

fn refused(bytes: &[u8]) -> ArtefactRefusal {
    Model::from_artefact(&bytes.to_vec().into()).err().unwrap()
}

#[test]
fn an_artefact_reads_back_to_the_same_bytes_and_root() {
    let (model, root) = (model(), model().root());
    let bytes = model.to_artefact();
    let (read, found) = Model::from_artefact(&bytes.clone().into()).unwrap();
    assert_eq!((found, read.root(), read.to_artefact()), (root, root, bytes));
    assert_eq!(root.to_string(), "46744af42eb84c8e6ca6b66b7d5c000ffa30b5ceea114e8fe93aaa0180d51537");
}

#[test]
fn defaults_that_say_more_are_part_of_the_root_and_there_is_one_way_to_say_less() {
    let of = |defaults: Defaults| Model {
        purpose: Purpose::Language(Box::new(Language { defaults, ..language() })),
        ..model()
    };
    let plain = Defaults::greedy(9);
    let mut roots = vec![of(plain).root()];
    for more in [
        Defaults { min_p_micros: 1, ..plain },
        Defaults { repetition_penalty_micros: 1, ..plain },
        Defaults { presence_penalty_micros: -1, ..plain },
        Defaults { frequency_penalty_micros: -1, ..plain },
    ] {
        let bytes = of(more).to_artefact();
        let (read, root) = Model::from_artefact(&bytes.clone().into()).unwrap();
        let Purpose::Language(language) = &read.purpose else { panic!("a language model") };
        assert_eq!((language.defaults, read.to_artefact()), (more, bytes.clone()));
        assert_eq!(Head::read(&Head::cut(&bytes.into()).unwrap()).unwrap().language.unwrap().defaults, more);
        roots.push(root);
    }
    roots.sort();
    roots.dedup();
    assert_eq!(roots.len(), 5);
    // The longer form that says no more than the shorter one: the last number of a manifest is the frequency penalty.
    let mut bytes = of(Defaults { frequency_penalty_micros: 7, ..plain }).to_artefact();
    let length = u32::from_le_bytes(bytes[8..12].try_into().unwrap()) as usize;
    bytes[12 + length - 4] = 0;
    assert_eq!(refused(&bytes), Malformed::NotCanonical { what: "the defaults" }.into());
}

#[test]
fn no_flipped_byte_and_no_truncation_is_taken_for_the_same_model() {
    let bytes = model().to_artefact();
    let root = model().root();
    for at in 0..bytes.len() {
        for mask in [1, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] ^= mask;
            if let Ok((_, found)) = Model::from_artefact(&changed.into()) {
                assert_ne!(found, root, "byte {at} mask {mask}");
            }
        }
        assert!(Model::from_artefact(&bytes[..at].to_vec().into()).is_err(), "cut at {at}");
    }
    let longer = [bytes, vec![0]].concat();
    assert_eq!(refused(&longer), Malformed::Trailing { what: "the artefact", count: 1 }.into());
}

#[test]
fn a_model_without_an_exact_form_has_a_root_of_its_own_kind_and_stays_whole() {
    let model = Model::of_float("floats", 7, b"an ONNX file"[..].to_vec().into());
    let bytes = model.to_artefact();
    let (read, root) = Model::from_artefact(&bytes.clone().into()).unwrap();
    assert_eq!((read.purpose.clone(), read.kind(), root), (model.purpose.clone(), "float", model.root()));
    assert_eq!(model.root().to_string(), FLOAT_ROOT);
    let manifest = model.float_manifest().unwrap();
    assert_eq!(crypto::hash("og/model/float/v1", &[&manifest.0]), root);
    let head = graph::Head::read(&graph::Head::cut(&bytes.clone().into()).unwrap()).unwrap();
    assert_eq!((head.root, head.kind.as_str(), head.language), (root, "float", None));
    for place in 0..bytes.len() {
        let mut other = bytes.clone();
        other[place] ^= 1;
        let found = Model::from_artefact(&other.into()).map(|(_, root)| root);
        assert!(found.is_err() || found != Ok(root), "byte {place}");
        assert!(Model::from_artefact(&bytes[..place].to_vec().into()).is_err(), "cut at {place}");
    }
    assert_eq!(graph().check(4).map(|graph| Model { graph, ..model.clone() }.kind()).unwrap(), "float");
}

const FLOAT_ROOT: &str = "59e7488c2ff16a52c9490403b736004828dff43a488c3e506dbb0668289ef708";

#[test]
fn each_part_of_a_wrong_artefact_has_its_refusal() {
    let bytes = model().to_artefact();
    assert_eq!(refused(b"GGUF"), ArtefactRefusal::Magic);
    let with = |at: usize, byte: u8| {
        let mut changed = bytes.clone();
        changed[at] = byte;
        refused(&changed)
    };
    // The manifest begins after 8 bytes of magic and 4 of length.
    assert_eq!(with(12, 9), ArtefactRefusal::SpecVersion { found: 9 });
    assert!(matches!(with(11, 0xff), ArtefactRefusal::Malformed(Malformed::TooMany { what: "the manifest", .. })));
    let manifest = u32::from_le_bytes(bytes[8..12].try_into().unwrap()) as usize;
    let data = (12 + manifest).next_multiple_of(64);
    // The weights are one tile of 16 rows and 64 columns.
    let places = [("table", 0), ("weights", 64), ("the tokenizer", 1088), ("the chat template", 1090)];
    for (name, offset) in places {
        assert_eq!(with(data + offset, 77), ArtefactRefusal::Content { name: name.into() });
    }
    let padding = ArtefactRefusal::Malformed(Malformed::NotCanonical { what: "the padding" });
    assert_eq!((with(data - 1, 1), with(data + 12, 1)), (padding.clone(), padding));
    let kind = bytes.windows(7).position(|window| window == b"integer").unwrap();
    assert_eq!(with(kind, b'I'), ArtefactRefusal::Kind { stated: "another", found: "integer" });
    let operator = bytes.windows(6).position(|window| window == b"linear").unwrap();
    assert_eq!(with(operator, b'L'), Malformed::UnknownOperator { name: "Linear".into() }.into());
    assert_eq!(with(operator, 0xff), Malformed::Text { what: "the name of an operator" }.into());
}

#[test]
fn a_language_model_is_more_than_a_graph() {
    let with = |change: &dyn Fn(&mut Graph, &mut Language)| {
        let (mut graph, mut language) = (graph(), language());
        change(&mut graph, &mut language);
        let graph = graph.check(16).unwrap();
        let purpose = Purpose::Language(Box::new(language));
        match refused(&Model { name: "x".into(), parameters: 0, graph, purpose }.to_artefact()) {
            ArtefactRefusal::Language { what } => what,
            other => panic!("{other}"),
        }
    };
    let stop = "its stop tokens are in the vocabulary and strictly rising";
    assert_eq!(with(&|_, language| language.stop_tokens = vec![3]), stop);
    assert_eq!(with(&|_, language| language.stop_tokens = vec![1, 1]), stop);
    let logits = "its logits are i32 with at most 16 fraction bits, or f32 with none";
    assert_eq!(with(&|_, language| language.fraction_bits = 17), logits);
    assert_eq!(with(&|graph, _| graph.inputs[0].interval.high = 1), "its output is [rows, vocabulary]");
    assert_eq!(with(&|graph, _| graph.inputs[0].interval.low = 1), "its input is i32 [rows], from 0");
    let second = |graph: &mut Graph| graph.outputs.push(graph.outputs[0].clone());
    assert_eq!(with(&|graph, _| second(graph)), "its second output is hidden, [rows, width]");
    let third = |graph: &mut Graph| graph.outputs.extend([graph.outputs[0].clone(), graph.outputs[0].clone()]);
    assert_eq!(with(&|graph, _| third(graph)), "its outputs are logits, and perhaps hidden");
    let second = |graph: &mut Graph| graph.inputs.push(graph.inputs[0].clone());
    assert_eq!(with(&|graph, _| second(graph)), "it takes one input, tokens");
}

#[test]
fn a_graph_that_uses_what_comes_later_is_refused() {
    let mut cyclic = graph();
    cyclic.nodes[0].inputs[1] = Source::Node(1);
    let expected = GraphRefusal::NotBefore { user: "row".into(), source_name: "Node(1)".into() };
    assert_eq!(cyclic.check(16).unwrap_err(), expected);
    for source in [Source::Node(9), Source::Constant(9), Source::Input(9)] {
        let mut graph = graph();
        graph.outputs[0].source = source;
        assert!(matches!(graph.check(16).unwrap_err(), GraphRefusal::NotBefore { user, .. } if user == "logits"));
    }
}

#[test]
fn graphs_beyond_the_limits_are_refused() {
    let refuse = |change: &dyn Fn(&mut Graph), rows| {
        let mut graph = graph();
        change(&mut graph);
        graph.check(rows).unwrap_err()
    };
    let node = |graph: &mut Graph| -> Node { graph.nodes[0].clone() };
    let many = |graph: &mut Graph| graph.nodes = vec![node(graph); NODES_MAX + 1];
    let limit = GraphRefusal::TooMany { what: "nodes", found: NODES_MAX + 1, limit: NODES_MAX };
    assert_eq!(refuse(&many, 16), limit);
    let limit = GraphRefusal::TooMany { what: "rows", found: ROWS_MAX + 1, limit: ROWS_MAX };
    assert_eq!(refuse(&|_| (), ROWS_MAX + 1), limit);
    let many = |graph: &mut Graph| graph.outputs = vec![graph.outputs[0].clone(); PORTS_MAX + 1];
    let limit = GraphRefusal::TooMany { what: "outputs", found: PORTS_MAX + 1, limit: PORTS_MAX };
    assert_eq!(refuse(&many, 16), limit);
    assert_eq!(refuse(&|graph| graph.outputs.clear(), 16), GraphRefusal::Missing { what: "outputs" });
    let deep = |graph: &mut Graph| graph.inputs[0].shape = Shape::fixed(&[1; 9]);
    assert_eq!(refuse(&deep, 16), GraphRefusal::Rank { name: "tokens".into(), rank: 9, limit: 8 });
    let inner = |sizes: &[Dimension]| Shape(sizes.to_vec());
    for shape in [inner(&[Dimension::Fixed(4), Dimension::Rows]), inner(&[Dimension::Rows, Dimension::Rows])] {
        let refused = refuse(&|graph| graph.inputs[0].shape = shape.clone(), 16);
        assert_eq!(refused, GraphRefusal::InnerRows { name: "tokens".into(), shape });
    }
    // A constant's sizes come to stand in front of the rows.
    let broadcast = |graph: &mut Graph| {
        let tall = graph.constant("tall", Tensor::new(&[4, 1], Data::I32(vec![1; 4])).unwrap());
        graph.node("sum", find("add").unwrap(), Attributes::new(), &[Source::Input(0), tall]);
    };
    let shape = inner(&[Dimension::Fixed(4), Dimension::Rows]);
    assert_eq!(refuse(&broadcast, 16), GraphRefusal::InnerRows { name: "sum".into(), shape });
    let wide = |graph: &mut Graph| graph.inputs[0].interval.high = 1 << 40;
    assert_eq!(refuse(&wide, 16), GraphRefusal::InputInterval { name: "tokens".into(), element: Element::I32 });
}

#[test]
fn a_shape_bomb_is_refused_before_anything_is_allocated() {
    let mut bomb = graph();
    // Rows of rows: a small file whose first value alone would need 2^40 elements.
    bomb.inputs[0].shape = Shape::rows(&[1 << 20]);
    assert!(matches!(bomb.check(ROWS_MAX).unwrap_err(), GraphRefusal::TooLarge { .. }));
    let mut manifest = model().to_artefact();
    // The size of a constant raised to 2^39: the data that it promises is not there.
    let size = manifest.windows(8).position(|window| window == 3_u64.to_le_bytes()).unwrap();
    manifest[size + 4] = 0x80;
    assert!(matches!(refused(&manifest), ArtefactRefusal::Malformed(Malformed::Truncated { .. })));
}

#[test]
fn constants_that_are_not_finite_are_refused() {
    for data in [Data::F32(vec![f32::NAN]), Data::F32(vec![f32::INFINITY]), Data::F16(vec![0x7c00])] {
        let mut graph = graph();
        graph.constant("poison", Tensor::of(&[1], data));
        assert_eq!(graph.check(16).unwrap_err(), GraphRefusal::NotFinite { name: "poison".into() });
    }
}

/// Why the graph's last node is refused after a change.
fn node_refusal(change: impl Fn(&mut Graph)) -> Refusal {
    let mut graph = graph();
    change(&mut graph);
    match graph.check(16).unwrap_err() {
        GraphRefusal::Node { cause, .. } => cause,
        other => panic!("{other}"),
    }
}

#[test]
fn nodes_that_break_a_rule_are_refused_by_name() {
    let attributes = |name: &str, value: i64| Attributes::new().with(name, value);
    let inputs = node_refusal(|graph| graph.nodes[1].inputs.truncate(1));
    assert_eq!(inputs, Refusal::Inputs { low: 2, high: 3, found: 1 });
    let unknown = node_refusal(|graph| graph.nodes[1].attributes = attributes("speed", 1));
    assert_eq!(unknown, Refusal::UnknownAttribute { name: "speed".into() });
    let element = node_refusal(|graph| graph.nodes[1].inputs[0] = Source::Input(0));
    assert_eq!(element, Refusal::Element { input: 0, expected: "i8, u8 or i16", found: Element::I32 });
    let shape = node_refusal(|graph| graph.nodes[1].inputs[1] = graph.constant("w", weights(&[3, 5], &[0; 15])));
    assert!(matches!(shape, Refusal::Shape { input: 1, .. }), "{shape}");
    let constant = node_refusal(|graph| graph.nodes[1].inputs[1] = Source::Node(0));
    assert_eq!(constant, Refusal::NotConstant { input: 1 });
    let index = node_refusal(|graph| graph.inputs[0].interval.high = 3);
    assert_eq!(index, Refusal::Overflow { what: "the rows of the table", magnitude: 3 });
    let missing = node_refusal(|graph| {
        graph.node("norm", find("rms_norm").unwrap(), Attributes::new(), &[Source::Node(0)]);
    });
    assert_eq!(missing, Refusal::Attribute { name: "epsilon", expected: "an integer" });
    let range = node_refusal(|graph| {
        graph.node("norm", find("rms_norm").unwrap(), attributes("epsilon", 0), &[Source::Node(0)]);
    });
    assert_eq!(range, Refusal::AttributeRange { name: "epsilon", value: 0, low: 1, high: 1 << 60 });
    let float = node_refusal(|graph| {
        let gain = graph.constant("gain", Tensor::of(&[3], Data::F32(vec![1.0; 3])));
        let attributes = Attributes::new().with("epsilon", Attribute::Float(f32::NAN));
        graph.node("norm", find("rms_norm_f32").unwrap(), attributes, &[gain, gain]);
    });
    assert_eq!(float, Refusal::Attribute { name: "epsilon", expected: "a finite float" });
}

#[test]
fn no_integer_can_overflow_in_a_graph_that_is_accepted() {
    let overflow = |change: &dyn Fn(&mut Graph)| match node_refusal(change) {
        Refusal::Overflow { what, .. } => what,
        other => panic!("{other}"),
    };
    // 32768 · 127 · 260 is just beyond 2^30.
    let sums = |graph: &mut Graph| {
        let x = graph.constant("x", Tensor::of(&[1, 260], Data::I16(vec![i16::MIN; 260])));
        let w = graph.constant("w", weights(&[1, 260], &[127; 260]));
        graph.node("long", find("linear").unwrap(), Attributes::new(), &[x, w]);
    };
    assert_eq!(overflow(&sums), "the accumulator's 2^30");
    let product = |graph: &mut Graph| {
        let square =
            graph.node("square", find("multiply").unwrap(), Attributes::new(), &[Source::Node(1), Source::Node(1)]);
        let fourth = graph.node("fourth", find("multiply").unwrap(), Attributes::new(), &[square, square]);
        graph.node("eighth", find("multiply").unwrap(), Attributes::new(), &[fourth, fourth]);
    };
    assert_eq!(overflow(&product), "i32");
    let scaled = |graph: &mut Graph| {
        let large = graph.constant("x", Tensor::of(&[1], Data::I64(vec![1 << 60])));
        let (m, s) = (Tensor::of(&[1], Data::I32(vec![99])), Tensor::of(&[1], Data::U8(vec![9])));
        let (m, s) = (graph.constant("m", m), graph.constant("s", s));
        let attributes = Attributes::new().with("axis", 0).with("element", 1).with("low", -9).with("high", 9);
        graph.node("scaled", find("requantise").unwrap(), attributes, &[large, m, s]);
    };
    assert_eq!(overflow(&scaled), "the product's 2^61");
    let squares = |graph: &mut Graph| {
        let x = graph.constant("x", Tensor::of(&[1, 2], Data::I64(vec![1 << 31; 2])));
        graph.node("norm", find("rms_norm").unwrap(), Attributes::new().with("epsilon", 1), &[x]);
    };
    assert_eq!(overflow(&squares), "the sum of squares' 2^62");
    let beyond = |graph: &mut Graph| {
        let table = graph.constant("t", Tensor::of(&[4], Data::I8(vec![0; 4])));
        graph.node("look", find("lookup").unwrap(), Attributes::new().with("first", 0), &[Source::Node(0), table]);
    };
    assert_eq!(overflow(&beyond), "the entries of the table");
    let narrow = |graph: &mut Graph| {
        let (m, s) = (Tensor::of(&[1], Data::I32(vec![3])), Tensor::of(&[1], Data::U8(vec![0])));
        let (m, s) = (graph.constant("m", m), graph.constant("s", s));
        let attributes = Attributes::new().with("axis", 1).with("element", 1).with("low", -999).with("high", 999);
        graph.node("scaled", find("requantise").unwrap(), attributes, &[Source::Node(1), m, s]);
    };
    assert_eq!(overflow(&narrow), "i8");
}

#[test]
fn oversize_tables_and_tables_of_no_exponential_are_refused() {
    let attend = |table: Tensor| {
        node_refusal(|graph| {
            let table = graph.constant("e", table.clone());
            let attributes =
                Attributes::new().with("heads", 2).with("kv_heads", 1).with("multiplier", 1).with("shift", 0);
            let shape = Shape::rows(&[2]);
            let keys = Input { name: "k".into(), element: Element::I8, shape, interval: Interval { low: -9, high: 9 } };
            graph.inputs.push(keys);
            let (q, k) = (Source::Node(0), Source::Input(1));
            graph.node("attend", find("attention").unwrap(), attributes, &[q, k, k, table]);
        })
    };
    let oversize = attend(Tensor::of(&[65_537], Data::I16(vec![1; 65_537])));
    assert!(matches!(oversize, Refusal::Shape { input: 3, .. }), "{oversize}");
    for table in [vec![0, 0], vec![1, 2], vec![3, -1]] {
        let refused = attend(Tensor::of(&[2], Data::I16(table)));
        assert!(matches!(refused, Refusal::Constant { input: 3, .. }), "{refused}");
    }
    let lookup = node_refusal(|graph| {
        let table = graph.constant("t", Tensor::of(&[65_537], Data::I8(vec![0; 65_537])));
        graph.node("look", find("lookup").unwrap(), Attributes::new().with("first", -9), &[Source::Node(0), table]);
    });
    assert!(matches!(lookup, Refusal::Shape { input: 1, .. }), "{lookup}");
    let short = node_refusal(|graph| {
        let table = graph.constant("angles", Tensor::of(&[15, 2], Data::I16(vec![0; 30])));
        graph.node("turn", find("rope").unwrap(), Attributes::new(), &[Source::Node(0), table]);
    });
    assert!(matches!(short, Refusal::Shape { input: 1, .. }), "{short}");
}
