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

words! {
    /// Which sides something is about.
    Sides {
        /// Both.
        All = "all",
        /// The one that works.
        Worker = "worker",
        /// The one that supervises.
        Manager = "manager",
    }
}

impl Sides {
    /// The roles meant.
    pub fn roles(self) -> &'static [Role] {
        match self {
            Self::All => Role::ALL,
            Self::Worker => &[Role::Worker],
            Self::Manager => &[Role::Manager],
        }
    }
}
