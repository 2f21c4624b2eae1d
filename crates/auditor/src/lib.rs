//! Re-executes receipts and challenges the false ones.
