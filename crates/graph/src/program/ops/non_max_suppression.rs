//! `NonMaxSuppression`: for each class the boxes by falling score (a NaN above all, as for `TopK`), the lowest index first among equal ones, less those that overlap one that was kept.

use super::{prelude::*, top_k::rank};

pub static OPERATOR: Operator = Operator {
    name: "NonMaxSuppression",
    domain: "",
    versions: &[10, 11],
    inputs: (2, 5),
    outputs: (1, 1),
    attributes: &["center_point_box"],
    run,
};

fn run(node: &Node, inputs: &Inputs, context: &mut Context) -> Outcome {
    let (boxes, scores) = (inputs.tensor(0)?, inputs.tensor(1)?);
    let ([batch, spots, 4], [of_scores, classes, of_spots]) = (boxes.shape(), scores.shape()) else {
        return Err(Problem::shape(0, "[batch, boxes, 4]", boxes.shape()));
    };
    if (batch, spots) != (of_scores, of_spots) {
        return Err(Problem::shape(1, format!("[{batch}, classes, {spots}]"), scores.shape()));
    }
    let most = usize::try_from(inputs.integer_or_none(2)?.unwrap_or(0)).unwrap_or(0);
    let threshold = |input: usize| inputs.tensor_or_none(input)?.map(|_| inputs.number(input)).transpose();
    let (overlap, least) = (threshold(3)?.unwrap_or(0.0), threshold(4)?);
    let centered = node.flag("center_point_box", false)?;
    context.spend((batch * classes * spots) as u64 * (most.min(*spots) as u64 + 64))?;
    context.bytes(boxes.len() as u64 * 16 + scores.len() as u64 * 32)?;
    let values = boxes.doubles().ok_or_else(|| inputs.element(0, "floats"))?;
    let corners: Vec<[f64; 4]> = values.chunks_exact(4).map(|spot| corners(spot, centered)).collect();
    let scores = scores.doubles().ok_or_else(|| inputs.element(1, "floats"))?;
    let ranks: Vec<i128> = scores.iter().map(|&score| rank(score)).collect();
    let (crew, mut found) = (context.crew(), Vec::new());
    for image in 0..*batch {
        let corners = &corners[image * spots..][..*spots];
        for class in 0..*classes {
            let of_class = (image * classes + class) * spots..(image * classes + class + 1) * spots;
            let (scores, ranks) = (&scores[of_class.clone()], &ranks[of_class]);
            let mut order: Vec<usize> = (0..*spots).filter(|&spot| least.is_none_or(|least| scores[spot] > least)).collect();
            order.sort_by(|&one, &other| ranks[other].cmp(&ranks[one]).then(one.cmp(&other)));
            let mut kept: Vec<usize> = Vec::new();
            for spot in crew.watched(order, 0) {
                if kept.len() < most && crew.watched(&kept, 16).all(|&other| share(&corners[spot], &corners[other]) <= overlap) {
                    kept.push(spot);
                }
            }
            found.extend(kept.into_iter().flat_map(|spot| [image as i64, class as i64, spot as i64]));
        }
    }
    context.room(&[found.len()], Element::I64)?;
    Ok(vec![Array::i64s(&[found.len() / 3, 3], found)?.into()])
}

/// The least and the greatest of both axes.
fn corners(spot: &[f64], centered: bool) -> [f64; 4] {
    let [a, b, c, d] = [spot[0], spot[1], spot[2], spot[3]];
    if centered {
        return [a - c / 2.0, b - d / 2.0, a + c / 2.0, b + d / 2.0];
    }
    let sorted = |one: f64, other: f64| if one < other { (one, other) } else { (other, one) };
    let ((top, bottom), (left, right)) = (sorted(a, c), sorted(b, d));
    [top, left, bottom, right]
}

/// The common area over the area of both together; 0 where one has none.
fn share(one: &[f64; 4], other: &[f64; 4]) -> f64 {
    let area = |spot: &[f64; 4]| (spot[2] - spot[0]) * (spot[3] - spot[1]);
    let side = |axis: usize| one[axis + 2].lesser(other[axis + 2]) - one[axis].greater(other[axis]);
    let (high, wide) = (side(0), side(1));
    if area(one) <= 0.0 || area(other) <= 0.0 || high <= 0.0 || wide <= 0.0 {
        return 0.0;
    }
    high * wide / (area(one) + area(other) - high * wide)
}
