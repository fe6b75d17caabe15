-- What conveyor keeps beside the contract schema. Instants are UTC ISO 8601 text.

-- A turn that ended. It ends once, whatever the outcome, so a fact is never doubled.
CREATE TABLE turn_facts (
    id          INTEGER PRIMARY KEY,
    session_id  TEXT NOT NULL REFERENCES sessions (id),
    thread_id   TEXT NOT NULL,
    turn_key    TEXT NOT NULL,
    outcome     TEXT NOT NULL CHECK (outcome IN ('completed', 'interrupted', 'failed')),
    -- The rollout event that ended the turn; none when its process died without writing one.
    event_id    INTEGER REFERENCES codex_events (id),
    error_json  TEXT CHECK (error_json IS NULL OR json_valid(error_json)),
    recorded_at TEXT NOT NULL,
    -- When Dispatch took it up. None while the session is bound to nobody.
    routed_at   TEXT,
    UNIQUE (thread_id, turn_key),
    CHECK (error_json IS NULL OR outcome = 'failed')
) STRICT;
CREATE INDEX turn_facts_session ON turn_facts (session_id, id);
CREATE INDEX turn_facts_event ON turn_facts (event_id);
CREATE INDEX turn_facts_unrouted ON turn_facts (session_id, id) WHERE routed_at IS NULL;

-- What became known about a session beside its turns. The key is unique for a process and its start,
-- or for one wait, so that a fact is never doubled.
CREATE TABLE session_facts (
    id          INTEGER PRIMARY KEY,
    session_id  TEXT NOT NULL REFERENCES sessions (id),
    kind        TEXT NOT NULL CHECK (kind IN ('exited', 'terminal_exited', 'waiting', 'idle_with_mail')),
    dedupe_key  TEXT NOT NULL UNIQUE,
    detail_json TEXT NOT NULL CHECK (json_valid(detail_json)),
    recorded_at TEXT NOT NULL,
    -- When Dispatch took it up. None while there is nobody to tell.
    routed_at   TEXT,
    -- When it stopped being so: somebody answered, or the session is there again.
    cleared_at  TEXT
) STRICT;
CREATE INDEX session_facts_session ON session_facts (session_id, id);
CREATE INDEX session_facts_open ON session_facts (session_id, kind) WHERE cleared_at IS NULL;
CREATE INDEX session_facts_unrouted ON session_facts (session_id, id)
    WHERE routed_at IS NULL AND cleared_at IS NULL;

-- How far a session's rollout file has been read. `offset` is a byte position after a whole line.
CREATE TABLE rollout_cursors (
    session_id    TEXT PRIMARY KEY NOT NULL REFERENCES sessions (id),
    thread_id     TEXT,
    rollout_path  TEXT NOT NULL,
    offset        INTEGER NOT NULL CHECK (offset >= 0),
    open_turn_key TEXT,
    last_ordinal  INTEGER CHECK (last_ordinal >= 0),
    skipped_lines INTEGER NOT NULL DEFAULT 0 CHECK (skipped_lines >= 0),
    updated_at    TEXT NOT NULL
) STRICT;

-- How a session was found, and where its processes are. A pid counts only together with its start
-- time: the number alone may have gone to another process.
CREATE TABLE session_links (
    session_id        TEXT PRIMARY KEY NOT NULL REFERENCES sessions (id),
    tmux_socket       TEXT,
    codex_home        TEXT,
    codex_version     TEXT,
    app_server_socket TEXT,
    app_server_pid    INTEGER CHECK (app_server_pid > 0),
    tui_pid           INTEGER CHECK (tui_pid > 0),
    pid_started_at    TEXT,
    recipe            TEXT NOT NULL CHECK (recipe IN ('private_server', 'embedded', 'open_files', 'given')),
    mcp               INTEGER NOT NULL DEFAULT 0 CHECK (mcp IN (0, 1)),
    -- The only transports to use, best first, e.g. 'app_server,tmux'. None: all that are there.
    transports        TEXT,
    -- What its thread was started with, as Codex's `thread/start` takes it; needed to restore it.
    thread_start_json TEXT CHECK (thread_start_json IS NULL OR json_valid(thread_start_json)),
    updated_at        TEXT NOT NULL,
    CHECK (recipe <> 'private_server' OR app_server_socket IS NOT NULL),
    CHECK (app_server_pid IS NULL OR app_server_socket IS NOT NULL)
) STRICT;

-- One attempt to make a session see something.
--
--   claimed ─► started ─► sent ─► observed
--      │          ├─────────┴───► unknown ─► observed | failed
--      └──────────┴─► failed
--
-- `started` is written before the effect, so a claim that died before it is safe to repeat and one
-- that died after it is `unknown`. `failed` says that nothing was sent, or that a person found that
-- it did not arrive. Every move is described in `docs/deliveries.md`.
CREATE TABLE deliveries (
    id                INTEGER PRIMARY KEY,
    notification_id   INTEGER REFERENCES routed_notifications (id),
    command_id        TEXT REFERENCES commands (id),
    attempt_id        INTEGER REFERENCES command_attempts (id),
    source            TEXT NOT NULL CHECK (source IN ('notification', 'command', 'nudge', 'interrupt')),
    target_session_id TEXT NOT NULL REFERENCES sessions (id),
    transport         TEXT CHECK (transport IN ('app_server', 'codex_queue', 'tmux', 'mailbox')),
    state             TEXT NOT NULL
        CHECK (state IN ('claimed', 'started', 'sent', 'observed', 'failed', 'unknown')),
    -- Grows with every claim; whoever finishes the delivery must name the current one.
    fence             INTEGER NOT NULL CHECK (fence > 0),
    client_message_id TEXT UNIQUE,
    correlation_id    TEXT,
    body_sha256       TEXT,
    body_bytes        INTEGER CHECK (body_bytes >= 0),
    claimed_at        TEXT NOT NULL,
    started_at        TEXT,
    sent_at           TEXT,
    settled_at        TEXT,
    receipt_event_id  INTEGER REFERENCES codex_events (id),
    receipt_json      TEXT CHECK (receipt_json IS NULL OR json_valid(receipt_json)),
    error             TEXT,
    pane_class        TEXT,
    CHECK (source <> 'notification' OR notification_id IS NOT NULL),
    CHECK (source <> 'command' OR command_id IS NOT NULL),
    CHECK (attempt_id IS NULL OR command_id IS NOT NULL),
    CHECK ((body_sha256 IS NULL) = (body_bytes IS NULL)),
    -- Only a claim that has not chosen its route yet, or never got to, has no transport.
    CHECK (transport IS NOT NULL OR state IN ('claimed', 'failed')),
    CHECK (state <> 'claimed' OR started_at IS NULL),
    CHECK (started_at IS NOT NULL OR transport = 'mailbox' OR state IN ('claimed', 'failed')),
    CHECK (sent_at IS NULL OR state IN ('sent', 'observed', 'failed', 'unknown')),
    CHECK (sent_at IS NOT NULL OR state <> 'sent'),
    CHECK ((settled_at IS NOT NULL) = (state IN ('observed', 'failed'))),
    -- Nothing but evidence makes a delivery observed.
    CHECK ((state = 'observed') = (receipt_event_id IS NOT NULL OR receipt_json IS NOT NULL)),
    CHECK (error IS NOT NULL OR state <> 'failed')
) STRICT;
CREATE INDEX deliveries_target_state ON deliveries (target_session_id, state, id);
CREATE INDEX deliveries_state ON deliveries (state, id);
-- Pushed, and not seen to arrive: few, and looked at every few seconds.
CREATE INDEX deliveries_unseen ON deliveries (sent_at) WHERE state = 'sent' AND transport <> 'mailbox';
CREATE INDEX deliveries_notification ON deliveries (notification_id, id);
CREATE INDEX deliveries_command ON deliveries (command_id, id);
CREATE INDEX deliveries_correlation ON deliveries (correlation_id);
-- A notification that may have been sent is not sent again.
CREATE UNIQUE INDEX deliveries_one_per_notification
    ON deliveries (notification_id) WHERE state <> 'failed';

-- A mailbox item in the hands of a reader. It comes back when the lease runs out, and is a dead
-- letter after too many hand-outs.
CREATE TABLE notification_leases (
    notification_id   INTEGER PRIMARY KEY NOT NULL REFERENCES routed_notifications (id),
    fence             INTEGER NOT NULL CHECK (fence > 0),
    holder_session_id TEXT REFERENCES sessions (id),
    leased_at         TEXT NOT NULL,
    expires_at        TEXT NOT NULL,
    hand_outs         INTEGER NOT NULL DEFAULT 1 CHECK (hand_outs > 0),
    state             TEXT NOT NULL
        CHECK (state IN ('leased', 'acknowledged', 'released', 'dead_letter')),
    ack_status        TEXT,
    ack_at            TEXT,
    CHECK (holder_session_id IS NOT NULL OR state <> 'leased'),
    CHECK ((ack_at IS NOT NULL) = (state = 'acknowledged')),
    CHECK (ack_status IS NULL OR state = 'acknowledged')
) STRICT;
CREATE INDEX notification_leases_expiry ON notification_leases (state, expires_at);
CREATE INDEX notification_leases_holder ON notification_leases (holder_session_id, state);

-- Dispatchers that are, or were, at work.
CREATE TABLE dispatcher_heartbeats (
    dispatcher_id TEXT PRIMARY KEY NOT NULL,
    pid           INTEGER NOT NULL CHECK (pid > 0),
    started_at    TEXT NOT NULL,
    beat_at       TEXT NOT NULL,
    iteration     INTEGER NOT NULL DEFAULT 0 CHECK (iteration >= 0)
) STRICT;

-- Finding a session's turns and messages among its events. An extra index does not keep
-- agent-conveyor from opening the file.
CREATE INDEX codex_events_session_subtype ON codex_events (session_id, subtype, id);

-- A task's cycle before this one.
CREATE INDEX manager_cycles_task ON manager_cycles (task_id, id);
