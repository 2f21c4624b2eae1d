//! The whole network on one seeded thread, with adversaries.
