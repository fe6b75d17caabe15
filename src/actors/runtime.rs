//! Boots and stops the actors, as the supervisor or inside a one-shot command.

use actix::prelude::*;

use super::gateway::private_dir;
use super::guardian::Guardian;
use super::hub::Hub;
use super::paths::Paths;
use crate::domain::Failure;
use crate::store::{Store, StoreOptions};

/// How a runtime was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// For one call: nothing is watched, nothing outlives it.
    Embedded,
    /// For as long as it is not told to stop: watches every bound session and dispatches.
    Supervisor,
}

/// A started runtime.
pub struct Runtime {
    hub: Hub,
}

impl Runtime {
    /// Opens the store and starts the actors. Must be called inside an actix system.
    ///
    /// # Errors
    /// When the state root or the database cannot be used.
    pub fn start(paths: Paths, mode: Mode) -> Result<Self, Failure> {
        make_state_root(&paths)?;
        let options = match mode {
            Mode::Embedded => StoreOptions { readers: 1, watch: false },
            Mode::Supervisor => StoreOptions { readers: 3, watch: true },
        };
        let store = Store::open(&paths.database, options)?;
        let guardian = Guardian::default().start();
        let hub = Hub { store, paths, tasks: guardian.recipient() };
        Ok(Self { hub })
    }

    /// What calls are served with.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Stops: what was accepted is made durable first.
    pub async fn stop(self) {
        self.hub.store.close().await;
    }
}

fn make_state_root(paths: &Paths) -> Result<(), Failure> {
    let directory = paths.database.parent().unwrap_or(&paths.state_root);
    for directory in [&*paths.state_root, directory] {
        if !directory.is_dir() {
            private_dir(directory).map_err(|error| {
                Failure::external(format!("failed to make the state root {}: {error}", directory.display()))
                    .hint("name a writable one with CONVEYOR_STATE_ROOT, or a database with --path")
            })?;
        }
    }
    Ok(())
}
