//! `MelWeightMatrix`: triangles over the bins of a spectrum, even steps apart in mel (`2595·ln(1 + f / 700) / ln 10`), their corners rounded
//! down to bins; all in binary64, rounded once.

use super::prelude::*;

pub static OPERATOR: Operator = Operator {
    name: "MelWeightMatrix",
    domain: "",
    versions: &[17],
    inputs: (5, 5),
    outputs: (1, 1),
    attributes: &["output_datatype"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (bins, length) = (index::size(inputs.integer(0)?)?, index::size(inputs.integer(1)?)?);
    let rate = inputs.integer(2)?;
    let refused = Problem::Attribute { name: "output_datatype", expected: "an element of numbers" };
    let element = Element::from_code(node.integer("output_datatype", 1)?).ok_or(refused.clone())?;
    let shape = [length / 2 + 1, bins];
    let places = context.room(&shape, element)?;
    context.bytes(places as u64 * 8)?;
    let corners = corners(bins, length, rate, inputs.number(3)?, inputs.number(4)?)?;
    let mut weights = vec![0.0; places];
    for (column, corners) in corners.windows(3).enumerate() {
        let &[low, middle, high] = corners else { continue };
        let mut set = |row: usize, value: f64| weights[row * bins + column] = value;
        if low == middle {
            set(middle, 1.0);
        } else {
            (low..=middle).for_each(|row| set(row, (row - low) as f64 / (middle - low) as f64));
        }
        (middle..high).for_each(|row| set(row, (high - row) as f64 / (high - middle) as f64));
    }
    let made = precision!(element, T => T::write(element, &shape, weights.into_iter().map(T::of).collect()), else => {
        Array::wholes(element, &shape, weights.into_iter().map(|weight| weight as i128)).map_err(|_| refused)
    });
    Ok(vec![made?.into()])
}

/// The rows at which the triangles begin, peak and end: rising, all within the spectrum.
fn corners(bins: usize, length: usize, rate: i64, low: f64, high: f64) -> Result<Vec<usize>, Problem> {
    let ten = math::ln(10.0);
    let mel = |hertz: f64| 2595.0 * math::ln_one_more(hertz / 700.0) / ten;
    let (least, most) = (mel(low), mel(high));
    let step = (most - least) / (bins as f64 + 2.0);
    let row = |corner: usize| {
        let hertz = 700.0 * math::exp_less_one((corner as f64 * step + least) / 2595.0 * ten);
        ((length as f64 + 1.0) * hertz / rate as f64).floor()
    };
    let rows: Vec<f64> = (0..bins + 2).map(row).collect();
    let fits = rows.iter().all(|&row| row >= 0.0 && row <= (length / 2) as f64) && rows.is_sorted();
    match fits && rate > 0 {
        true => Ok(rows.into_iter().map(|row| row as usize).collect()),
        false => Err(Problem::value("the edges in hertz", format!("rising within the spectrum of {rate} a second"), format!("{low} to {high}"))),
    }
}
