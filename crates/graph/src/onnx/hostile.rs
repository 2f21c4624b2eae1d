//! Facts about files that are damaged, hostile or merely not supported.
