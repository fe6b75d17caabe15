//! What replies say of the things they are about: enough to tell them apart.

use serde::{Deserialize, Serialize};

use crate::domain::Role;
use crate::store::sessions::Session;
use crate::store::tasks::Task;

/// Which session.
#[derive(Debug, Serialize, Deserialize)]
pub struct SessionSummary {
    /// `session-<uuid>`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: Role,
}

/// Which task.
#[derive(Debug, Serialize, Deserialize)]
pub struct TaskSummary {
    /// `task-<uuid>`.
    pub id: String,
    /// Its name.
    pub name: String,
}

impl From<Task> for TaskSummary {
    fn from(task: Task) -> Self {
        Self { id: task.id, name: task.name }
    }
}

impl From<Session> for SessionSummary {
    fn from(session: Session) -> Self {
        Self { id: session.id, name: session.name, role: session.role }
    }
}
