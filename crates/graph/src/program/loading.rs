//! What loading a program takes of its constants, and what is kept of them between runs: forms of constants alone are one for all nodes that make
//! them of the same ones, and an account (`crate::loading`) bounds all of it before anything is looked at.
//!
//! Of its own lists a node keeps what it makes of them by itself: they are in the file once for each node.

use std::collections::{BTreeMap, BTreeSet};

use super::array::Array;
use super::element::Element;
use super::machine::{Attribute, Body, Derived, Node, Program, Source};
use super::ops::{Gru, Lstm, Rnn};
use super::problem::{Problem, ProgramFault};
use super::recurrent;
use crate::{loading::Account, refusal::Refusal};

/// Bytes of a number of a list that trees keep.
const LISTED_BYTES: u64 = 8;

impl Program {
    /// The same program with what each body may forget after each node, and with what nodes share: fit to run.
    pub fn released(mut self) -> Self {
        self.body.derive_release();
        share(&mut self.body, &mut BTreeMap::new());
        self
    }

    /// Refuses a program of which loading or running would walk through, or keep, too much of its constants; names the node.
    pub(super) fn check_loading(&self) -> Result<(), ProgramFault> {
        let bytes = self.constants.iter().map(|constant| constant.weight()).fold(0, u64::saturating_add);
        self.count(&self.body, &Account::of(bytes), &mut BTreeSet::new())
    }

    fn count(&self, body: &Body, account: &Account, counted: &mut BTreeSet<Form>) -> Result<(), ProgramFault> {
        for node in &body.nodes {
            self.count_node(node, account, counted).map_err(|refusal| ProgramFault::Node {
                name: node.name.clone(),
                operator: node.operator.name,
                problem: Problem::Loading(refusal),
            })?;
            for attribute in node.attributes.values() {
                if let Attribute::Body(body) = attribute {
                    self.count(body, account, counted)?;
                }
            }
        }
        Ok(())
    }

    fn count_node(&self, node: &Node, account: &Account, counted: &mut BTreeSet<Form>) -> Result<(), Refusal> {
        let listed = node.attributes.values().filter_map(|attribute| match attribute {
            Attribute::Constant(index) => self.constants.get(*index as usize),
            _ => None,
        });
        let numbers = listed.map(|array| array.len() as u64).fold(0, u64::saturating_add);
        account.walk(numbers)?;
        if node.operator.name.starts_with("TreeEnsemble") {
            // A base value for each target may be one for all in the file.
            let targets = u64::try_from(node.integer("n_targets", 1).unwrap_or(1)).unwrap_or(0);
            account.keep(numbers.saturating_add(targets).saturating_mul(LISTED_BYTES))?;
        }
        match Form::of(node) {
            Some(form) if counted.insert(form) => account.keep(self.bytes(&form)),
            _ => Ok(()),
        }
    }

    /// Bytes of a form, where a kernel keeps one.
    fn bytes(&self, form: &Form) -> u64 {
        let array = |index: u32| -> Option<&Array> { self.constants.get(index as usize).map(|array| &**array) };
        let (weights, behind) = (array(form.weights), form.behind.and_then(array));
        match (form.operator, weights, behind) {
            ("LSTM", Some(w), Some(r)) => recurrent::kept_bytes::<Lstm>(w, r),
            ("GRU", Some(w), Some(r)) => recurrent::kept_bytes::<Gru>(w, r),
            ("RNN", Some(w), Some(r)) => recurrent::kept_bytes::<Rnn>(w, r),
            (_, Some(weights), None) if weights.element() == Element::F32 => weights.weight(),
            _ => 0,
        }
    }
}

/// What is kept of constants alone, whichever node made it first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Form {
    operator: &'static str,
    weights: u32,
    /// A second constant that it is made of.
    behind: Option<u32>,
    /// In how many groups the outputs come.
    groups: i64,
}

impl Form {
    /// `None` where a node keeps nothing of its constants.
    fn of(node: &Node) -> Option<Self> {
        let constant = |input: usize| match node.inputs.get(input) {
            Some(Source::Constant(index)) => Some(*index),
            _ => None,
        };
        let form = Self { operator: node.operator.name, weights: constant(1)?, behind: None, groups: 1 };
        match form.operator {
            _ if !node.operator.domain.is_empty() => None,
            "Conv" => Some(Self { groups: node.integer("group", 1).unwrap_or(1), ..form }),
            "Gemm" => node.flag("transB", false).unwrap_or(false).then_some(form),
            "GRU" | "LSTM" | "RNN" => Some(Self { behind: Some(constant(2)?), ..form }),
            _ => None,
        }
    }
}

/// Gives all nodes that make the same form one place for it.
fn share(body: &mut Body, forms: &mut BTreeMap<Form, Derived>) {
    for node in &mut body.nodes {
        if let Some(form) = Form::of(node) {
            node.derived = forms.entry(form).or_default().shared();
        }
        node.bodies_mut().for_each(|body| share(body, forms));
    }
}
