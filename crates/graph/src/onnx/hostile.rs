//! Facts about files that are damaged, hostile or merely not supported.

use proptest::prelude::*;

use super::write::{
    Message, Parts, Setting, attribute, float_tensor, integer_tensor, node, one_node, tensor_head, value,
};
use super::{GRAPH_ITEMS_MAX, NAME_BYTES_MAX, NODE_ITEMS_MAX, OnnxError, import};

/// The file is refused, and the words say why.
fn refused(file: &[u8], said: &str) -> OnnxError {
    let error = import(file).expect_err(said);
    assert!(error.to_string().contains(said), "{error} lacks {said:?}");
    error
}

fn weights() -> Message {
    float_tensor("w", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
}

/// `y = relu(x · w)`, as a starting point for harm.
fn small() -> Parts {
    Parts {
        nodes: vec![node("MatMul", &["x", "w"], "h", &[]), node("Relu", &["h"], "y", &[])],
        initializers: vec![weights()],
        inputs: vec![value("x", &[0, 2])],
        outputs: vec![value("y", &[0, 3])],
    }
}

/// A graph whose only initializer is this one.
fn with_tensor(tensor: Message) -> Vec<u8> {
    Parts { initializers: vec![tensor], ..small() }.file()
}

#[test]
fn the_starting_point_is_fine() {
    let graph = import(&small().file()).unwrap();
    let operators: Vec<&str> = graph.nodes.iter().map(|node| node.operator.name).collect();
    assert_eq!(operators, ["linear_f32", "relu_f32"]);
    assert_eq!(graph.inputs[0].shape.to_string(), "[rows, 2]");
}

#[test]
fn every_cut_and_every_flipped_bit_of_the_published_file_ends_in_a_graph_or_a_typed_refusal() {
    let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/risk/risk.onnx")).unwrap();
    // Everything but the weights' own bytes: the structure lies before and after each tensor.
    let places = (0..file.len()).filter(|at| at % 97 == 0 || *at < 2_000 || *at + 400 > file.len());
    let mut fine = 0;
    for at in places {
        import(&file[..at]).expect_err("a cut file");
        let mut flipped = file.clone();
        flipped[at] ^= 1 << (at % 8);
        fine += usize::from(import(&flipped).is_ok());
    }
    assert!(fine > 0, "a flipped weight is still a graph");
}

proptest! {
    #[test]
    fn a_small_file_with_any_bytes_overwritten_never_panics(
        changes in prop::collection::vec((0_usize..400, any::<u8>()), 1..12),
    ) {
        let mut file = small().file();
        for (at, byte) in changes {
            let at = at % file.len();
            file[at] = byte;
        }
        let _ = import(&file);
    }

    #[test]
    fn any_bytes_at_all_never_panic(file in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = import(&file);
    }
}

#[test]
fn sizes_that_the_file_does_not_hold_are_refused_before_anything_is_kept() {
    refused(&[0x3a, 0x80, 0x80, 0x80, 0x80, 0x04], "claims 1073741824 bytes, 0 left in the file");
    let huge = tensor_head("w", &[1 << 40, 1 << 40], 1).bytes(9, &[0; 8]);
    refused(&with_tensor(huge), "elements of a tensor");
    let claimed = tensor_head("w", &[1 << 20], 1).bytes(9, &[0; 8]);
    refused(&with_tensor(claimed), "tensor \"w\" has the data of 2 elements, its shape says 1048576");
    let odd = tensor_head("w", &[2], 1).bytes(9, &[0; 9]);
    refused(&with_tensor(odd), "has the data of 2 elements, its shape says 2");
    refused(&with_tensor(tensor_head("w", &[2], 1)), "has the data of 0 elements");
    refused(&with_tensor(tensor_head("w", &[-2, 3], 1).bytes(9, &[0; 24])), "has a dimension of -2");
    refused(&with_tensor(tensor_head("w", &[0], 1)), "has a dimension of 0");
    refused(&with_tensor(tensor_head("w", &[1; 9], 1).bytes(9, &[0; 4])), "dimensions of a tensor, at most 8");
    refused(&with_tensor(tensor_head("w", &[2000], 7).bytes(9, &[0; 16_000])), "integers of a tensor, at most 1024");
    let packed = tensor_head("w", &[3], 7).bytes(7, &[1, 2]);
    refused(&with_tensor(packed), "has the data of 2 elements, its shape says 3");
}

#[test]
fn data_in_segments_or_of_another_type_is_refused() {
    refused(&with_tensor(tensor_head("w", &[2, 3], 1).bytes(3, &[])), "a tensor in segments");
    refused(&with_tensor(tensor_head("w", &[6], 10).bytes(9, &[0; 12])), "has elements of ONNX type 10");
    refused(&with_tensor(float_tensor("w", &[2, 3], &[1.0, 2.0, f32::NAN, 4.0, 5.0, 6.0])), "not finite");
}

#[test]
fn a_graph_that_does_not_hang_together_is_refused() {
    let cycle = vec![node("Add", &["x", "b"], "a", &[]), node("Relu", &["a"], "b", &[])];
    let outputs = vec![value("b", &[0, 2])];
    let error = refused(&Parts { nodes: cycle, outputs, ..small() }.file(), "a cycle, or nodes out of order");
    assert!(matches!(error, OnnxError::Cycle { .. }));
    let own = vec![node("Relu", &["y"], "y", &[])];
    refused(&Parts { nodes: own, ..small() }.file(), "a cycle");
    let dangling = vec![node("Relu", &["nobody"], "y", &[])];
    refused(&Parts { nodes: dangling, ..small() }.file(), "uses value \"nobody\", which nothing makes");
    refused(&Parts { outputs: vec![value("z", &[0, 3])], ..small() }.file(), "\"z\", which nothing makes");
    let twice = vec![node("Relu", &["x"], "y", &[]), node("Relu", &["x"], "y", &[])];
    refused(&Parts { nodes: twice, ..small() }.file(), "value \"y\" is made twice");
    refused(&Parts { initializers: vec![weights(), weights()], ..small() }.file(), "value \"w\" is made twice");
    let over_input = vec![node("Relu", &["x"], "x", &[])];
    refused(&Parts { nodes: over_input, ..small() }.file(), "value \"x\" is made twice");
    refused(&Parts { nodes: vec![node("Relu", &["x"], "", &[])], ..small() }.file(), "a value lacks name");
    for (parts, said) in [
        (Parts { nodes: vec![], ..small() }, "has no nodes"),
        (Parts { inputs: vec![], ..small() }, "has no inputs"),
        (Parts { outputs: vec![], ..small() }, "has no outputs"),
    ] {
        refused(&parts.file(), said);
    }
}

#[test]
fn what_a_file_may_hold_once_is_refused_twice() {
    let graph = small().graph();
    let opset = Message::default().integer(2, 17);
    let twice = Message::default().message(7, &graph).message(7, &graph).message(8, &opset);
    refused(&twice.0, "field 7 of ModelProto is there twice");
    refused(&Message::default().message(7, &graph).message(8, &opset).message(8, &opset).0, "there twice");
    refused(&Message::default().message(8, &opset).0, "ModelProto lacks graph");
    refused(&Message::default().message(7, &graph).0, "ModelProto lacks opset_import");
    refused(&Message::default().integer(7, 1).0, "field 7 of ModelProto is not bytes");
    let foreign = Message::default().text(1, "other").integer(2, 1);
    refused(&Message::default().message(7, &graph).message(8, &foreign).0, "lacks opset_import");
}

#[test]
fn parts_of_onnx_that_are_no_graph_are_refused_by_name() {
    let opset = Message::default().integer(2, 17);
    let with = |number, graph: Message| {
        Message::default().message(7, &graph).message(8, &opset).message(number, &Message::default()).0
    };
    refused(&with(20, small().graph()), "training information");
    refused(&with(25, small().graph()), "a model-local function");
    let harmless = Message::default().text(9, "");
    for (number, said) in [(14, "a quantization annotation"), (15, "a sparse initializer")] {
        let graph = small().graph().message(number, &harmless);
        refused(&Message::default().message(7, &graph).message(8, &opset).0, said);
    }
    let foreign = node("Relu", &["x"], "y", &[]).text(7, "com.example");
    refused(&Parts { nodes: vec![foreign], ..small() }.file(), "a domain other than the standard one");
    let sequence = Message::default().text(1, "x").message(2, &Message::default().message(4, &Message::default()));
    refused(&Parts { inputs: vec![sequence], ..small() }.file(), "a sequence, map, optional or sparse value");
}

#[test]
fn counts_beyond_the_limits_are_refused() {
    let many = Parts { nodes: vec![node("Relu", &["x"], "y", &[]); GRAPH_ITEMS_MAX + 1], ..small() };
    refused(&many.file(), "16385 nodes, at most 16384");
    let wide = node("Concat", &["x"; NODE_ITEMS_MAX + 1], "y", &[]);
    refused(&Parts { nodes: vec![wide], ..small() }.file(), "65 inputs of a node, at most 64");
    let long = "x".repeat(NAME_BYTES_MAX + 1);
    refused(&Parts { outputs: vec![value(&long, &[0, 3])], ..small() }.file(), "257 bytes in a name, at most 256");
    let nonsense = node("Relu", &["x"], "y", &[]).bytes(1, &[0xff, 0xfe]);
    refused(&Parts { nodes: vec![nonsense], ..small() }.file(), "a text that is not UTF-8");
}

#[test]
fn other_operator_sets_are_refused() {
    for opset in [12, 26, -1] {
        let error = refused(&small().file_of_opset(opset), "expected 13 to 25");
        assert_eq!(error, OnnxError::Opset { found: opset, low: 13, high: 25 });
    }
    for opset in [13, 17, 25] {
        assert!(import(&small().file_of_opset(opset)).is_ok());
    }
}

#[test]
fn all_unsupported_operators_are_named_with_their_nodes() {
    let nodes = vec![node("Conv", &["x"], "a", &[]), node("Relu", &["a"], "b", &[]), node("LSTM", &["b"], "y", &[])];
    let parts = Parts { nodes, ..small() };
    refused(&parts.file(), "unsupported operators: node \"the_a\" (Conv), node \"the_y\" (LSTM)");
    let nodes = (0..12).map(|i| node("Conv", &["x"], &format!("v{i}"), &[])).collect();
    refused(&Parts { nodes, outputs: vec![value("v1", &[0, 3])], ..small() }.file(), "and 4 more");
}

#[test]
fn shapes_that_cannot_be_run_are_refused() {
    refused(&Parts { inputs: vec![value("x", &[2, 0])], ..small() }.file(), "input \"x\" has shape [2, \"batch\"]");
    refused(&Parts { inputs: vec![value("x", &[0, 5])], ..small() }.file(), "node \"the_h\" (MatMul)");
    refused(
        &Parts { outputs: vec![value("y", &[0, 4])], ..small() }.file(),
        "stated as [\"batch\", 4], the graph makes",
    );
    refused(&Parts { outputs: vec![value("y", &[2, 3])], ..small() }.file(), "the graph makes [rows, 3]");
    let shapeless = Message::default().text(1, "x");
    let typed = Message::default().message(1, &Message::default().integer(1, 1));
    refused(&Parts { inputs: vec![shapeless.clone()], ..small() }.file(), "ValueInfoProto lacks type");
    refused(&Parts { inputs: vec![shapeless.message(2, &typed)], ..small() }.file(), "input \"x\" has shape []");
    let constant = Parts { outputs: vec![value("w", &[2, 3])], ..small() };
    refused(&constant.file(), "is a constant");
}

#[test]
fn nodes_that_say_too_much_or_too_little_are_refused() {
    let scalar = || float_tensor("c", &[], &[1.0]);
    let five = || float_tensor("c", &[5], &[1.0; 5]);
    let shape = |sizes: &[i64]| integer_tensor("c", sizes);
    let cases = [
        (one_node("Relu", &[0, 2], &[], &[("alpha", Setting::Float(1.0))]), "unknown attribute \"alpha\""),
        (one_node("Relu", &[0, 2], &[("c", scalar())], &[]), "has 2 inputs, expected 1 to 1"),
        (one_node("Add", &[0, 2], &[("c", five())], &[]), "broadcasts with [rows, 2]"),
        (one_node("Add", &[0, 2], &[("c", shape(&[1]))], &[]), "integers as input 1, expected floats"),
        (one_node("Clip", &[0, 2], &[("c", five())], &[]), "a bound of 5 elements"),
        (one_node("Concat", &[0, 2], &[], &[]), "lacks the attribute \"axis\""),
        (one_node("Concat", &[0, 2], &[], &[("axis", Setting::Integer(2))]), "has axis 2, expected -2 to 1"),
        (one_node("Concat", &[0, 2], &[], &[("axis", Setting::Integer(0))]), "but for axis 0"),
        (one_node("Flatten", &[0, 2], &[], &[("axis", Setting::Integer(0))]), "flattens from axis 0"),
        (one_node("Gemm", &[0, 2], &[("w", weights())], &[("alpha", Setting::Float(2.0))]), "\"alpha\" other than 1"),
        (one_node("Gemm", &[0, 2], &[("w", weights())], &[("transA", Setting::Integer(1))]), "transposed first input"),
        (one_node("Gemm", &[0, 2], &[("w", weights()), ("c", five())], &[]), "third input of shape [5]"),
        (one_node("Gemm", &[0, 2, 2], &[("w", weights())], &[]), "expected rank 2"),
        (one_node("MatMul", &[0, 5], &[("c", five())], &[]), "weights of shape [5], expected rank 2"),
        (one_node("Reshape", &[0, 6], &[("c", shape(&[0, 4]))], &[]), "attribute sizes"),
        (one_node("Reshape", &[0, 6], &[("c", shape(&[-1, -1]))], &[]), "cannot bring [rows, 6] to [-1, -1]"),
        (one_node("Reshape", &[0, 6], &[("c", five())], &[]), "expected constant integers"),
        (one_node("Softmax", &[0, 2], &[], &[("axis", Setting::Integer(0))]), "not the innermost"),
        (one_node("ReduceMean", &[0, 2], &[], &[]), "lacks its axes"),
        (one_node("ReduceMean", &[0, 2], &[], &[("axes", Setting::Integers(&[0]))]), "not the innermost"),
        (one_node("ReduceMean", &[0, 2], &[], &[("axes", Setting::Integers(&[0, 1]))]), "reduces 2 axes"),
        (one_node("Softmax", &[0, 2], &[], &[("axis", Setting::Float(1.0))]), "that is not an integer"),
    ];
    for (parts, said) in cases {
        refused(&parts.file(), said);
    }
    let twice = node("Softmax", &["x"], "y", &[("axis", Setting::Integer(1)), ("axis", Setting::Integer(1))]);
    refused(&Parts { nodes: vec![twice], ..small() }.file(), "has the attribute \"axis\" twice");
    let outputs = node("Relu", &["x"], "y", &[]).text(2, "also");
    refused(&Parts { nodes: vec![outputs], ..small() }.file(), "has 2 outputs, expected 1");
    let left_out = node("Relu", &[""], "y", &[]);
    refused(&Parts { nodes: vec![left_out], ..small() }.file(), "lacks its input 0");
    let computed = vec![node("MatMul", &["x", "x"], "y", &[])];
    refused(&Parts { nodes: computed, ..small() }.file(), "computed input 1, expected a float constant");
}

#[test]
fn a_constant_whose_attribute_lies_is_refused() {
    let value_of = |attribute: Message| {
        let constant = Message::default().text(2, "c").text(4, "Constant").message(5, &attribute);
        Parts { nodes: vec![constant, node("Add", &["x", "c"], "y", &[])], ..small() }.file()
    };
    assert!(import(&value_of(attribute("value_float", Setting::Float(2.0)))).is_err(), "the output is [rows, 2]");
    refused(&value_of(attribute("value_int", Setting::Float(2.0))), "does not hold what its name says");
    refused(&value_of(attribute("value_float", Setting::Float(f32::NAN))), "does not hold what its name says");
    refused(
        &value_of(Message::default().text(1, "value").float(2, 1.0).integer(20, 4)),
        "AttributeProto lacks content",
    );
    refused(&value_of(Message::default().float(2, 1.0).integer(20, 1)), "AttributeProto lacks name");
    refused(&value_of(Message::default().text(1, "value").float(2, 1.0).float(2, 1.0)), "there twice");
    refused(&value_of(Message::default().text(1, "value").bytes(6, &[1, 2]).integer(20, 5)), "what its name says");
}
