//! `DepthToSpace`: channels moved into blocks of places: the block's own places vary slowest among channels (DCR) or fastest (CRD).

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "DepthToSpace",
    domain: "",
    versions: &[1, 11, 13, 28],
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
    if channels % (block * block) != 0 {
        return Err(Problem::shape(0, format!("channels in blocks of {}", block * block), x.shape()));
    }
    let depth = channels / (block * block);
    let slowest = match node.text("mode", "DCR")? {
        "DCR" => true,
        "CRD" => false,
        other => return Err(Problem::value("attribute mode", "DCR or CRD", other)),
    };
    let overflow = || Problem::shape(0, "sizes that can grow by the block", x.shape());
    let (height, width) = (rows.checked_mul(block).ok_or_else(overflow)?, columns.checked_mul(block).ok_or_else(overflow)?);
    let shape = [batch, depth, height, width];
    let total = context.room(&shape, x.element())?;
    context.bytes(total as u64 * 8)?;
    let source = |at: usize| {
        let (column, row) = (at % width, at / width % height);
        let (channel, image) = (at / width / height % depth, at / width / height / depth);
        let place = row % block * block + column % block;
        let from = if slowest { place * depth + channel } else { channel * block * block + place };
        ((image * channels + from) * rows + row / block) * columns + column / block
    };
    let indices: Vec<usize> = (0..total).map(source).collect();
    Ok(vec![x.take(&shape, &indices)?.into()])
}
