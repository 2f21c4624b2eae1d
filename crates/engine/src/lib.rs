//! Runs exact graphs fast, with the bits that the graph defines.
