//! The front door: takes a client request, has it served, hands back answer and receipt.
