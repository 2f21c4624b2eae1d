//! Loopback HTTP between nodes: servers, clients, limits.
