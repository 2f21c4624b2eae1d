//! The state machine: transactions in, state, epochs and settlements out.
