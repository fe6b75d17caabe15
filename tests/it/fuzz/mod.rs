//! Whatever comes from outside is read without a panic, and read the same however it comes.
//!
//! The inputs are what real programs wrote (`tests/fixtures`), changed here and there. bolero makes
//! the changes; `BOLERO_RANDOM_ITERATIONS`, `BOLERO_RANDOM_TEST_TIME_MS` and `BOLERO_RANDOM_SEED` say
//! how many, for how long, and which again. `cargo xtask fuzz` sets them.

mod header;
mod mutate;
mod pane;
mod rollout;
mod wire;

/// Inputs of each target, unless the environment says otherwise.
const ITERATIONS: usize = 1500;
