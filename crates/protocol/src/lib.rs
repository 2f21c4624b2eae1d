//! Every noun on the wire: its canonical bytes, its digest, its limits.
