//! Consensus, ledger and its read interface, as one node.
