//! The two sides of a pair.

use super::words::words;

words! {
    /// Whether a session works or supervises.
    Role {
        /// Does the work.
        Worker = "worker",
        /// Supervises a worker.
        Manager = "manager",
    }
}

impl Role {
    /// The other side.
    pub fn other(self) -> Self {
        match self {
            Self::Worker => Self::Manager,
            Self::Manager => Self::Worker,
        }
    }
}
