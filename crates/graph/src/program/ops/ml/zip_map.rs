//! `ZipMap`: each row of scores as a map from the classes' labels.

use std::sync::Arc;

use super::prelude::*;
use crate::program::lookup::stated_list;

pub static OPERATOR: Operator = Operator {
    name: "ZipMap",
    domain: DOMAIN,
    versions: &[1],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["classlabels_int64s", "classlabels_strings"],
    run: |node, inputs, context| {
        let x = inputs.tensor(0)?;
        let (rows, columns) = features::sizes(inputs)?;
        let missing = Problem::Attribute { name: "classlabels_int64s", expected: "a label a column, or classlabels_strings" };
        let labels = stated_list(node, &["classlabels_int64s", "classlabels_strings"], context)?;
        let labels = Arc::new(labels.filter(|labels| labels.len() == columns).ok_or(missing)?);
        context.bytes(x.weight() + (rows as u64).saturating_mul(labels.weight() + 64))?;
        let map = |row: usize| {
            let places: Vec<usize> = (row * columns..(row + 1) * columns).collect();
            Ok(Value::Map(labels.clone(), Arc::new(x.take(&[columns], &places)?)))
        };
        let maps: Result<Vec<Value>, Problem> = (0..rows).map(map).collect();
        Ok(vec![Value::Sequence(Arc::new(maps?))])
    },
};

/// What no input is needed for to refuse it.
pub(super) fn check(node: &Node, context: &Context) -> Result<(), Problem> {
    let missing = Problem::Attribute { name: "classlabels_int64s", expected: "a label a column, or classlabels_strings" };
    stated_list(node, &["classlabels_int64s", "classlabels_strings"], context)?.map(|_| ()).ok_or(missing)
}
