-- What lets counts over a long history stay small.

-- As telemetry_days, of all tasks together: without it a count reads every task's days.
CREATE TABLE telemetry_totals (
    day           TEXT NOT NULL,
    actor         TEXT NOT NULL,
    event_type    TEXT NOT NULL,
    severity      TEXT NOT NULL,
    events        INTEGER NOT NULL,
    new_events    INTEGER NOT NULL,
    skipped_lines INTEGER NOT NULL,
    PRIMARY KEY (day, event_type, actor, severity)
) STRICT, WITHOUT ROWID;

INSERT INTO telemetry_totals
SELECT day, actor, event_type, severity, SUM(events), SUM(new_events), SUM(skipped_lines)
FROM telemetry_days
GROUP BY 1, 2, 3, 4;

CREATE TRIGGER telemetry_totals_count AFTER INSERT ON telemetry_events
BEGIN
    INSERT INTO telemetry_totals
    VALUES (
        substr(new.timestamp, 1, 10), new.actor, new.event_type, new.severity, 1,
        CASE new.event_type WHEN 'codex_events_ingested'
            THEN COALESCE(CAST(json_extract(new.attributes_json, '$.new_events') AS INTEGER), 0) ELSE 0 END,
        CASE new.event_type WHEN 'codex_events_ingested'
            THEN COALESCE(CAST(json_extract(new.attributes_json, '$.skipped_lines') AS INTEGER), 0) ELSE 0 END
    )
    ON CONFLICT DO UPDATE SET
        events = events + 1,
        new_events = new_events + excluded.new_events,
        skipped_lines = skipped_lines + excluded.skipped_lines;
END;

-- With the task, so that those of a few tasks are counted without their rows.
DROP INDEX manager_cycles_pane;
CREATE INDEX manager_cycles_pane
    ON manager_cycles (json_extract(status_json, '$.pane_signal.captured'), state, started_at, task_id);
CREATE INDEX manager_cycles_task_state ON manager_cycles (task_id, state, started_at);
DROP INDEX commands_state_created;
CREATE INDEX commands_state_created ON commands (state, created_at, task_id);
CREATE INDEX commands_id_type ON commands (id, type);
