-- One more kind of fact about a session: its rollout cannot be read. A check cannot be changed, so the table
-- is made again.
CREATE TABLE session_facts_of_17 (
    id          INTEGER PRIMARY KEY,
    session_id  TEXT NOT NULL REFERENCES sessions (id),
    kind        TEXT NOT NULL
        CHECK (kind IN ('exited', 'terminal_exited', 'waiting', 'idle_with_mail', 'unreadable')),
    dedupe_key  TEXT NOT NULL UNIQUE,
    detail_json TEXT NOT NULL CHECK (json_valid(detail_json)),
    recorded_at TEXT NOT NULL,
    -- When Dispatch took it up. None while there is nobody to tell.
    routed_at   TEXT,
    -- When it stopped being so: somebody answered, or the session is there again.
    cleared_at  TEXT
) STRICT;
INSERT INTO session_facts_of_17
SELECT id, session_id, kind, dedupe_key, detail_json, recorded_at, routed_at, cleared_at FROM session_facts;
DROP TABLE session_facts;
ALTER TABLE session_facts_of_17 RENAME TO session_facts;
CREATE INDEX session_facts_session ON session_facts (session_id, id);
CREATE INDEX session_facts_open ON session_facts (session_id, kind) WHERE cleared_at IS NULL;
CREATE INDEX session_facts_unrouted ON session_facts (session_id, id)
    WHERE routed_at IS NULL AND cleared_at IS NULL;
