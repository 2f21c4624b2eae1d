//! What of a program is refused before anything runs, by name: what attributes, missing inputs and stated elements say.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{collections::BTreeMap, sync::Arc};

use graph::{
    bytes::Malformed,
    program::{Array, Attribute, Body, Element, Node, Port, Program, Source, Type, encoding, machine::Derived, ops},
};

/// A node over tensors of f32; `inputs` says which of its inputs are there.
struct Said {
    operator: &'static str,
    version: u16,
    attributes: Vec<(&'static str, Attribute)>,
    inputs: Vec<bool>,
    outputs: u32,
    element: Element,
}

fn said(operator: &'static str, version: u16, attributes: &[(&'static str, Attribute)], inputs: usize) -> Said {
    Said {
        operator,
        version,
        attributes: attributes.to_vec(),
        inputs: vec![true; inputs],
        outputs: if operator.ends_with("Classifier") { 2 } else { 1 },
        element: Element::F32,
    }
}

impl Said {
    fn without(mut self, input: usize) -> Self {
        self.inputs[input] = false;
        self
    }

    fn of(self, element: Element) -> Self {
        Self { element, ..self }
    }

    fn giving(self, outputs: u32) -> Self {
        Self { outputs, ..self }
    }

    fn program(&self) -> Program {
        let operator = ops::find("", self.operator).or_else(|| ops::find("ai.onnx.ml", self.operator)).unwrap();
        let count = self.inputs.iter().filter(|there| **there).count() as u32;
        let mut slots = 0..;
        let source = |there: &bool| if *there { Source::Slot(slots.next().unwrap()) } else { Source::Nothing };
        let attributes: BTreeMap<String, Attribute> =
            self.attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let bodies = attributes.values().filter(|attribute| matches!(attribute, Attribute::Body(_))).count();
        assert_eq!(bodies, 0, "bodies have numbers of their own");
        let node = Node {
            name: "it".to_owned(),
            operator,
            version: self.version,
            attributes,
            inputs: self.inputs.iter().map(source).collect(),
            outputs: (count..count + self.outputs).map(Some).collect(),
            derived: Derived::default(),
        };
        let kind = |element| Type::Tensor { element, shape: None };
        let body = Body::new((0..count).collect(), vec![node], vec![Source::Slot(count)]);
        Program {
            inputs: (0..count).map(|at| Port { name: format!("x{at}"), kind: kind(self.element) }).collect(),
            outputs: vec![Port { name: "y".to_owned(), kind: kind(Element::F32) }],
            constants: vec![Arc::new(Array::f32s(&[2], vec![1.0, 2.0]).unwrap())],
            body,
            slots: count + self.outputs,
        }
        .released()
    }
}

fn integer(value: i64) -> Attribute {
    Attribute::Integer(value)
}

fn text(value: &str) -> Attribute {
    Attribute::Text(value.to_owned())
}

fn list(values: &[i64]) -> Attribute {
    Attribute::Integers(values.to_vec())
}

/// Every refusal with what it names.
fn refused() -> Vec<(Said, &'static str)> {
    let code = |element: Element| integer(element.code().into());
    vec![
        // Training, and forms that have no meaning here.
        (said("BatchNormalization", 6, &[], 5), "training by version 6"),
        (said("BatchNormalization", 9, &[], 5).giving(3), "an output that the node names"),
        (
            said("BatchNormalization", 15, &[("training_mode", integer(1))], 5).giving(4),
            "an output that the node names",
        ),
        (said("BatchNormalization", 7, &[("spatial", integer(0))], 5), "spatial = 0"),
        (said("Dropout", 6, &[], 1), "training by version 6"),
        (said("DeformConv", 19, &[("kernel_shape", list(&[3, 3, 3]))], 3), "other than two axes"),
        (said("Attention", 23, &[], 7), "a past together with a count"),
        (said("LinearAttention", 27, &[("update_rule", text("linear"))], 5), "decay or beta"),
        (said("LinearAttention", 27, &[("update_rule", text("gated"))], 3), "input 4 is missing"),
        (said("QuantizeLinear", 21, &[("output_dtype", code(Element::F32))], 2), "quantisation to this element"),
        (said("DequantizeLinear", 23, &[("output_dtype", code(Element::I8))], 2), "attribute output_dtype"),
        // Elements that attributes name.
        (said("Cast", 13, &[("to", code(Element::C64))], 1), "attribute to"),
        (said("Cast", 13, &[("to", integer(99))], 1), "attribute to"),
        (said("BitCast", 26, &[("to", code(Element::Text))], 1), "attribute to"),
        (said("EyeLike", 9, &[("dtype", integer(99))], 1), "attribute dtype"),
        (said("Multinomial", 7, &[("dtype", code(Element::F32))], 1), "attribute dtype"),
        (said("RandomNormalLike", 1, &[("dtype", code(Element::I64))], 1), "attribute dtype"),
        (said("HannWindow", 17, &[("output_datatype", code(Element::Text))], 1), "attribute output_datatype"),
        (said("Attention", 23, &[("softmax_precision", code(Element::I8))], 3), "attribute softmax_precision"),
        // Attributes that have no default, are of another kind, or say what is not known.
        (said("Concat", 13, &[], 2), "attribute axis"),
        (said("MaxPool", 12, &[], 1), "attribute kernel_shape"),
        (said("Softmax", 13, &[("axis", Attribute::Float(1.0))], 1), "attribute axis is missing or is not an integer"),
        (said("Conv", 11, &[("pads", integer(1))], 2), "attribute pads is missing or is not a list of integers"),
        (said("Conv", 11, &[("strides", list(&[0, 1]))], 2), "attribute strides"),
        (said("Conv", 11, &[("group", integer(0))], 2), "attribute group"),
        (said("Conv", 11, &[("auto_pad", text("SAME"))], 2), "attribute auto_pad"),
        (said("Resize", 13, &[("mode", text("area"))], 1), "attribute mode"),
        (said("Resize", 13, &[("nearest_mode", text("up"))], 1), "attribute nearest_mode"),
        (said("GridSample", 20, &[("padding_mode", text("none"))], 2), "attribute padding_mode"),
        (said("Gelu", 20, &[("approximate", text("sigmoid"))], 1), "attribute approximate"),
        (said("ScatterND", 18, &[("reduction", text("mean"))], 3), "attribute reduction"),
        (said("Pad", 13, &[("mode", text("mirror"))], 2), "attribute mode"),
        (said("RoiAlign", 16, &[("output_width", integer(0))], 3), "attribute output_width"),
        (said("LRN", 13, &[("size", integer(0))], 1), "attribute size"),
        (said("Transpose", 13, &[("perm", list(&[0, 2]))], 1), "attribute perm"),
        (said("Einsum", 12, &[("equation", text("ij,jk->ik"))], 1), "attribute equation"),
        (said("LSTM", 14, &[("direction", text("sideways"))], 3), "attribute direction"),
        (said("GRU", 14, &[("activations", Attribute::Texts(vec!["tanh".into()]))], 3), "attribute activations"),
        (said("ConstantOfShape", 9, &[("value", Attribute::Constant(0))], 1).of(Element::I64), "attribute value"),
        (said("RegexFullMatch", 20, &[("pattern", text("(a"))], 1).of(Element::Text), "attribute pattern"),
        (said("Loop", 13, &[], 2), "attribute body"),
        (said("If", 13, &[], 1).of(Element::Bool), "attribute then_branch"),
        // Inputs that are not there, and elements that ports state.
        (said("MatMul", 13, &[], 2).without(1), "input 1 is missing"),
        (said("Sqrt", 13, &[], 1).of(Element::I64), "input 0 has elements int64, expected floats"),
        (said("And", 7, &[], 2), "input 0 has elements float, expected bool"),
        (said("StringConcat", 20, &[], 2), "input 0 has elements float, expected string"),
        // Classical models.
        (said("ZipMap", 1, &[], 1), "attribute classlabels_int64s"),
        (said("OneHotEncoder", 1, &[], 1), "attribute cats_int64s"),
        (said("LabelEncoder", 2, &[("keys_int64s", list(&[1]))], 1), "attribute values_tensor"),
        (said("CategoryMapper", 1, &[("cats_int64s", list(&[1]))], 1), "attribute cats_int64s"),
        (said("Normalizer", 1, &[("norm", text("L3"))], 1), "attribute norm"),
        (said("LinearRegressor", 1, &[("post_transform", text("EXP"))], 1), "attribute post_transform"),
        (
            said("SVMClassifier", 1, &[("kernel_type", text("COSINE")), ("vectors_per_class", list(&[1, 1]))], 1),
            "attribute kernel_type",
        ),
        (said("TreeEnsembleClassifier", 3, &[("nodes_treeids", list(&[0]))], 1), "attribute nodes_"),
        (said("TreeEnsemble", 5, &[("aggregate_function", integer(9))], 1), "attribute aggregate_function"),
    ]
}

#[test]
fn what_no_input_is_needed_for_is_refused_before_anything_runs() {
    for (said, expected) in refused() {
        let operator = said.operator;
        let newest = said.program().body.nodes[0].operator.versions;
        assert!(newest.contains(&said.version), "{operator} has no version {} of {newest:?}", said.version);
        let program = said.program();
        let found = program.refusals();
        let [fault] = found.as_slice() else { panic!("{operator}: {found:?}, expected {expected}") };
        let words = fault.to_string();
        assert!(
            words.contains(expected) && words.contains("\"it\"") && words.contains(operator),
            "{operator}: {words}"
        );
        // Whoever serves or checks an artefact refuses it in the same words.
        let read = encoding::read(&encoding::write(&program));
        assert_eq!(read, Err(Malformed::Refused { cause: words }), "{operator}");
    }
}

#[test]
fn a_node_within_a_body_is_refused_too() {
    let inner = said("Cast", 13, &[], 1).program().body.nodes.remove(0);
    let branch = |node: Node, slot: u32| {
        Attribute::Body(Body::new(vec![], vec![Node { outputs: vec![Some(slot)], ..node }], vec![Source::Slot(slot)]))
    };
    let mut program = said("Not", 1, &[], 1).of(Element::Bool).program();
    let node = &mut program.body.nodes[0];
    (node.operator, node.version) = (ops::find("", "If").unwrap(), 13);
    node.attributes.insert("else_branch".to_owned(), branch(inner.clone(), 1));
    node.attributes.insert("then_branch".to_owned(), branch(inner, 2));
    node.outputs = vec![Some(3)];
    program.body.outputs = vec![Source::Slot(3)];
    program.slots = 4;
    let words: Vec<String> = program.refusals().iter().map(ToString::to_string).collect();
    assert_eq!(words.len(), 2, "{words:?}");
    assert!(words.iter().all(|words| words.contains("(Cast)") && words.contains("attribute to")), "{words:?}");
}
