//! The `conveyor` program.
fn main() {}
