-- What lets every view of a long history end in an index.

-- The task that a delivery belongs to: that of what it carries out, else the one that its target was
-- bound to.
ALTER TABLE deliveries ADD COLUMN task_id TEXT REFERENCES tasks (id);
UPDATE deliveries SET task_id = COALESCE(
    (SELECT task_id FROM routed_notifications WHERE id = notification_id),
    (SELECT task_id FROM commands WHERE id = command_id),
    (SELECT task_id FROM bindings WHERE worker_session_id = target_session_id AND state IN ('active', 'ending')),
    (SELECT task_id FROM bindings WHERE manager_session_id = target_session_id AND state IN ('active', 'ending')));
CREATE INDEX deliveries_task ON deliveries (task_id, id);

CREATE INDEX tasks_name ON tasks (name);
CREATE INDEX runs_name ON runs (name);

-- How loops stand.
CREATE INDEX commands_of_loop ON commands (json_extract(payload_json, '$.ralph_loop.run_id'), state)
    WHERE type = 'continue_iteration';
CREATE INDEX telemetry_events_run_type ON telemetry_events (run_id, event_type) WHERE run_id IS NOT NULL;
CREATE INDEX manager_cycle_spans_failed ON manager_cycle_spans (task_id, phase, started_at) WHERE state <> 'succeeded';

-- Exports of a task.
CREATE INDEX events_task_exports ON events (task_id, created_at) WHERE type = 'task_exported';

-- How many commands of each type, and attempts at them, ended how on each day, so that counting them does
-- not read them. `task_id` is '' for commands of no task. Those under way are few, and not in it.
CREATE TABLE command_days (
    task_id  TEXT NOT NULL,
    day      TEXT NOT NULL,
    type     TEXT NOT NULL,
    state    TEXT NOT NULL,
    commands INTEGER NOT NULL,
    PRIMARY KEY (task_id, day, type, state)
) STRICT, WITHOUT ROWID;
CREATE TABLE attempt_days (
    task_id  TEXT NOT NULL,
    day      TEXT NOT NULL,
    type     TEXT NOT NULL,
    state    TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    PRIMARY KEY (task_id, day, type, state)
) STRICT, WITHOUT ROWID;

INSERT INTO command_days
SELECT COALESCE(task_id, ''), substr(created_at, 1, 10), type, state, COUNT(*) FROM commands
WHERE state NOT IN ('pending', 'attempted')
GROUP BY 1, 2, 3, 4;
INSERT INTO attempt_days
SELECT COALESCE(c.task_id, ''), substr(a.started_at, 1, 10), c.type, a.state, COUNT(*)
FROM command_attempts a JOIN commands c ON c.id = a.command_id
WHERE a.state <> 'running'
GROUP BY 1, 2, 3, 4;

CREATE TRIGGER command_days_insert AFTER INSERT ON commands WHEN new.state NOT IN ('pending', 'attempted')
BEGIN
    INSERT INTO command_days
    VALUES (COALESCE(new.task_id, ''), substr(new.created_at, 1, 10), new.type, new.state, 1)
    ON CONFLICT DO UPDATE SET commands = commands + 1;
END;
CREATE TRIGGER command_days_end AFTER UPDATE OF state ON commands
WHEN new.state <> old.state AND new.state NOT IN ('pending', 'attempted')
BEGIN
    INSERT INTO command_days
    VALUES (COALESCE(new.task_id, ''), substr(new.created_at, 1, 10), new.type, new.state, 1)
    ON CONFLICT DO UPDATE SET commands = commands + 1;
END;
CREATE TRIGGER command_days_reopen AFTER UPDATE OF state ON commands
WHEN new.state <> old.state AND old.state NOT IN ('pending', 'attempted')
BEGIN
    UPDATE command_days SET commands = commands - 1
    WHERE task_id = COALESCE(old.task_id, '') AND day = substr(old.created_at, 1, 10)
      AND type = old.type AND state = old.state;
END;

CREATE TRIGGER attempt_days_insert AFTER INSERT ON command_attempts WHEN new.state <> 'running'
BEGIN
    INSERT INTO attempt_days
    SELECT COALESCE(task_id, ''), substr(new.started_at, 1, 10), type, new.state, 1
    FROM commands WHERE id = new.command_id
    ON CONFLICT DO UPDATE SET attempts = attempts + 1;
END;
CREATE TRIGGER attempt_days_end AFTER UPDATE OF state ON command_attempts
WHEN new.state <> old.state AND new.state <> 'running'
BEGIN
    INSERT INTO attempt_days
    SELECT COALESCE(task_id, ''), substr(new.started_at, 1, 10), type, new.state, 1
    FROM commands WHERE id = new.command_id
    ON CONFLICT DO UPDATE SET attempts = attempts + 1;
END;
CREATE TRIGGER attempt_days_reopen AFTER UPDATE OF state ON command_attempts
WHEN new.state <> old.state AND old.state <> 'running'
BEGIN
    UPDATE attempt_days SET attempts = attempts - 1
    WHERE (task_id, type) IN (SELECT COALESCE(task_id, ''), type FROM commands WHERE id = old.command_id)
      AND day = substr(old.started_at, 1, 10) AND state = old.state;
END;

-- When the whole file was checked last, and what was found.
CREATE TABLE file_checks (
    id             INTEGER PRIMARY KEY,
    at             TEXT NOT NULL,
    ok             INTEGER NOT NULL CHECK (ok IN (0, 1)),
    took_ms        INTEGER NOT NULL CHECK (took_ms >= 0),
    database_bytes INTEGER NOT NULL
) STRICT;
