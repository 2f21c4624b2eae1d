//! A job that was checked, and whether the batch can begin it.

use super::stream::Outbox;
use crate::course::Rules;

pub(super) struct Ticket {
    pub prompt: Vec<u32>,
    pub rules: Rules,
    /// Memory that the text needs when it is as long as it may become.
    pub needed: usize,
    pub outbox: Outbox,
}

/// Whether a waiting text can be begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Admission {
    Now,
    AfterOther,
    Later,
}
