//! Boots and stops the actors, as the supervisor or inside a one-shot command.

use actix::prelude::*;

use super::gateway::Gateway;
use super::guardian::{Guardian, StopAll};
use super::hub::Hub;
use super::paths::Paths;
use crate::domain::Failure;
use crate::own_dir::private_dir;
use crate::store::Store;

/// How a runtime is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// For one call: nothing is watched, nothing outlives it.
    Embedded,
    /// For as long as it is not told to stop: listens, watches every bound session, dispatches.
    Supervisor {
        /// The id under which it dispatches.
        dispatcher_id: String,
    },
}

/// A started runtime.
pub struct Runtime {
    hub: Hub,
    guardian: Addr<Guardian>,
    gateway: Option<Addr<Gateway>>,
}

impl Runtime {
    /// Opens the store and starts the actors. Must be called inside an actix system; a supervisor's
    /// caller must hold the supervisor lock.
    ///
    /// # Errors
    /// When the state root, the database or the socket cannot be used.
    pub fn start(paths: Paths, mode: Mode) -> Result<Self, Failure> {
        make_state_root(&paths)?;
        let (readers, dispatches_as) = match mode {
            Mode::Embedded => (0, None),
            Mode::Supervisor { dispatcher_id } => (3, Some(dispatcher_id)),
        };
        let supervises = dispatches_as.is_some();
        let store = Store::open(&paths.database, readers)?;
        let guardian = Guardian::new(store.clone(), paths.clone(), dispatches_as).start();
        let hub = Hub {
            store,
            paths,
            supervises,
            attend: guardian.clone().recipient(),
            tasks: guardian.clone().recipient(),
            dispatch: guardian.clone().recipient(),
            locate: guardian.clone().recipient(),
            look: guardian.clone().recipient(),
            nudge: guardian.clone().recipient(),
            interrupt: guardian.clone().recipient(),
            slash: guardian.clone().recipient(),
            end: guardian.clone().recipient(),
        };
        let gateway = if supervises { Some(Gateway::bind(hub.clone())?.start()) } else { None };
        Ok(Self { hub, guardian, gateway })
    }

    /// What calls are served with.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Stops in order: no new clients, no new work, then everything accepted is made durable.
    pub async fn stop(self) {
        if let Some(gateway) = self.gateway {
            // An actor that is gone already has stopped.
            let _ = gateway.send(super::gateway::StopListening).await;
        }
        let _ = self.guardian.send(StopAll).await;
        self.hub.store.close().await;
    }
}

fn make_state_root(paths: &Paths) -> Result<(), Failure> {
    if paths.state_root.is_dir() {
        return Ok(());
    }
    private_dir(&paths.state_root).map_err(|error| {
        Failure::external(format!("failed to make the state root {}: {error}", paths.state_root.display()))
            .hint("name a writable one with CONVEYOR_STATE_ROOT")
    })
}
