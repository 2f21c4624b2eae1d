//! `DictVectorizer`: one row with the value of each key of the vocabulary, 0 (or an empty text) where the map lacks it.

use super::prelude::*;
use crate::program::lookup::{self, Places, keys, stated_list};

pub static OPERATOR: Operator = Operator {
    name: "DictVectorizer",
    domain: DOMAIN,
    versions: &[1],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["int64_vocabulary", "string_vocabulary"],
    run: |node, inputs, context| {
        let Value::Map(known, values) = inputs.value(0)? else {
            return Err(Problem::Kind { input: 0, expected: "a map", found: inputs.value(0)?.name() });
        };
        let missing = Problem::Attribute { name: "string_vocabulary", expected: "the keys, or int64_vocabulary" };
        let vocabulary = stated_list(node, &["int64_vocabulary", "string_vocabulary"], context)?.ok_or(missing)?;
        if vocabulary.element() != known.element() {
            let (expected, found) = (vocabulary.element().name(), known.element().name());
            return Err(Problem::Element { input: 0, expected, found });
        }
        let shape = [1, vocabulary.len()];
        context.room(&shape, values.element())?;
        lookup::room(known, &vocabulary, context)?;
        let places = Places::of(keys(known).ok_or(Problem::Excluded)?);
        let wanted = keys(&vocabulary).ok_or(Problem::Excluded)?;
        let found: Vec<usize> = wanted.iter().map(|key| places.find(key).unwrap_or(usize::MAX)).collect();
        Ok(vec![values.take_or(&shape, &found, &Array::zeros(values.element(), &[1])?)?.into()])
    },
};

/// What no input is needed for to refuse it.
pub(super) fn check(node: &Node, context: &Context) -> Result<(), Problem> {
    let missing = Problem::Attribute { name: "string_vocabulary", expected: "the keys, or int64_vocabulary" };
    stated_list(node, &["int64_vocabulary", "string_vocabulary"], context)?.map(|_| ()).ok_or(missing)
}
