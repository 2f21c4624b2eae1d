//! Durable local storage: a journal with group commit, sealed keys, files written whole or not at all.
