//! pdns
