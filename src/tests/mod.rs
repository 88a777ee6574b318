//! Tests that stand on more than one layer.

mod fuzz;
