-- Which file a session's events were read from, from which event on. Long payloads are not stored but
-- read back from there.
CREATE TABLE rollout_files (
    session_id     TEXT NOT NULL REFERENCES sessions (id),
    first_event_id INTEGER NOT NULL REFERENCES codex_events (id),
    path           TEXT NOT NULL,
    PRIMARY KEY (session_id, first_event_id)
) STRICT, WITHOUT ROWID;

-- What was read and not yet told in telemetry, which is done once a turn.
ALTER TABLE rollout_cursors ADD COLUMN untold_from INTEGER;
ALTER TABLE rollout_cursors ADD COLUMN untold_lines INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollout_cursors ADD COLUMN untold_skipped_lines INTEGER NOT NULL DEFAULT 0;

-- The commands that wait, the oldest first.
CREATE INDEX commands_pending ON commands (created_at) WHERE state = 'pending';
