//! `SpaceToDepth`: blocks of places moved into channels, the block's own places varying slowest (DCR) or fastest (CRD).

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "SpaceToDepth",
    domain: "",
    versions: &[1, 13, 28],
    inputs: (1, 1),
    outputs: (1, 1),
    attributes: &["blocksize", "mode"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let x = inputs.tensor(0)?;
    let [batch, channels, rows, columns] = *x.shape() else { return Err(Problem::shape(0, "4 sizes", x.shape())) };
    let block = usize::try_from(node.integer("blocksize", 0)?).ok().filter(|&block| block > 0 && block <= 1 << 16);
    let block = block.ok_or(Problem::Attribute { name: "blocksize", expected: "1 to 65536" })?;
    if rows % block != 0 || columns % block != 0 {
        return Err(Problem::shape(0, format!("rows and columns in blocks of {block}"), x.shape()));
    }
    let slowest = match node.text("mode", "DCR")? {
        "DCR" => true,
        "CRD" => false,
        other => return Err(Problem::value("attribute mode", "DCR or CRD", other)),
    };
    let deep = channels.checked_mul(block * block).ok_or_else(|| Problem::shape(0, "channels that can grow", x.shape()))?;
    let (height, width) = (rows / block, columns / block);
    let shape = [batch, deep, height, width];
    let total = context.room(&shape, x.element())?;
    context.bytes(total as u64 * 8)?;
    let source = |at: usize| {
        let (column, row) = (at % width, at / width % height);
        let (to, image) = (at / width / height % deep, at / width / height / deep);
        let (place, channel) = match slowest {
            true => (to / channels, to % channels),
            false => (to % (block * block), to / (block * block)),
        };
        ((image * channels + channel) * rows + row * block + place / block) * columns + column * block + place % block
    };
    let indices: Vec<usize> = (0..total).map(source).collect();
    Ok(vec![x.take(&shape, &indices)?.into()])
}
