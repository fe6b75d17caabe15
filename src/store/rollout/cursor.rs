//! Where the next read of a session's rollout starts.

use rusqlite::{Connection, OptionalExtension};

use crate::domain::shell::quoted;
use crate::domain::{Failure, Role, TurnKey};
use crate::store::{Query, StoreError, sessions};

/// Where the next read of a session's rollout starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The session.
    pub session_id: String,
    /// Its name.
    pub session_name: String,
    /// Its role.
    pub session_role: Role,
    /// The rollout file.
    pub path: String,
    /// The thread that the file should record.
    pub thread_id: Option<String>,
    /// Bytes already read: the end of a whole line.
    pub offset: u64,
    /// The turn that had not ended there.
    pub open_turn: Option<TurnKey>,
    /// Another program read a part of the file; the ends of its turns are not yet known as facts.
    pub behind: bool,
}

/// Where the next read of a session's rollout starts, by the session's name or id.
#[derive(Debug)]
pub struct GetCursor(pub String);

impl Query for GetCursor {
    type Out = Cursor;

    /// # Errors
    /// `NotFound` for an unknown session, `Refused` for one that is gone or has no rollout.
    fn run(self, conn: &Connection) -> Result<Cursor, StoreError> {
        let session = sessions::get(conn, &self.0)?;
        let register = format!("conveyor register-{} --name {}", session.role, quoted(&session.name));
        if !session.is_active() {
            return Err(Failure::refused(format!("session {} is gone", session.name))
                .hint(format!("register it again: `{register} …`"))
                .into());
        }
        let Some(path) = session.codex_session_path else {
            return Err(Failure::refused(format!("session {} has no rollout", session.name))
                .hint(format!("name it: `{register} --codex-session PATH`"))
                .into());
        };
        let offset = session.last_ingest_offset.unwrap_or(0).unsigned_abs();
        let place = Place::of(conn, &session.id, &path, offset)?;
        Ok(Cursor {
            session_name: session.name,
            session_role: session.role,
            thread_id: session.codex_session_id,
            open_turn: place.open_turn(),
            behind: place.behind_from().is_some(),
            session_id: session.id,
            path,
            offset,
        })
    }
}

/// When a session's rollout was last seen to grow, by the session's id. `None` when it was never read.
#[derive(Debug)]
pub struct GetLastRead(pub String);

/// See [`GetLastRead`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastRead {
    /// When.
    pub at: String,
    /// A turn had not ended there.
    pub in_turn: bool,
}

impl Query for GetLastRead {
    type Out = Option<LastRead>;

    fn run(self, conn: &Connection) -> Result<Option<LastRead>, StoreError> {
        let last_read = conn
            .prepare_cached(
                "SELECT updated_at, open_turn_key IS NOT NULL FROM rollout_cursors WHERE session_id = ?1",
            )?
            .query_row([&self.0], |row| Ok(LastRead { at: row.get(0)?, in_turn: row.get(1)? }));
        Ok(last_read.optional()?)
    }
}

/// How our cursor row stands to the session's position.
pub(super) enum Place {
    /// At the same byte of the same file.
    InStep { open_turn: Option<TurnKey> },
    /// Another program has read from this byte on.
    BehindFrom(u64),
    /// The session starts anew: first registration, or a later one.
    Anew,
}

impl Place {
    pub(super) fn of(
        conn: &Connection,
        session_id: &str,
        path: &str,
        offset: u64,
    ) -> Result<Self, StoreError> {
        let row = conn
            .prepare_cached(
                "SELECT offset, open_turn_key FROM rollout_cursors WHERE session_id = ?1 AND rollout_path = ?2",
            )?
            .query_row((session_id, path), |row| {
                Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get::<_, Option<String>>(1)?))
            })
            .optional()?;
        Ok(match row {
            Some((at, open)) if at == offset => {
                Self::InStep { open_turn: open.as_deref().map(TurnKey::parse) }
            }
            Some((at, _)) if at < offset => Self::BehindFrom(at),
            None if offset > 0 => Self::BehindFrom(0),
            _ => Self::Anew,
        })
    }

    pub(super) fn open_turn(&self) -> Option<TurnKey> {
        match self {
            Self::InStep { open_turn } => open_turn.clone(),
            Self::BehindFrom(_) | Self::Anew => None,
        }
    }

    pub(super) fn behind_from(&self) -> Option<u64> {
        match self {
            Self::BehindFrom(offset) => Some(*offset),
            Self::InStep { .. } | Self::Anew => None,
        }
    }
}
