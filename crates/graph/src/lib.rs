//! The exact graph: what a model computes, defined to the bit.
