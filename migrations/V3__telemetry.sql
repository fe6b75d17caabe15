-- Telemetry by time and by how much it matters.
CREATE INDEX telemetry_events_timestamp ON telemetry_events (timestamp);
CREATE INDEX telemetry_events_severity ON telemetry_events (severity, timestamp);

-- How many telemetry events of each kind there were on each day, so that counting them does not read
-- them. `task_id` is '' for events of no task. The triggers count the events of every program that
-- writes them.
CREATE TABLE telemetry_days (
    day           TEXT NOT NULL,
    task_id       TEXT NOT NULL,
    actor         TEXT NOT NULL,
    event_type    TEXT NOT NULL,
    severity      TEXT NOT NULL,
    events        INTEGER NOT NULL,
    -- Rollout lines that those events tell were read, and could not be read.
    new_events    INTEGER NOT NULL,
    skipped_lines INTEGER NOT NULL,
    PRIMARY KEY (task_id, day, event_type, actor, severity)
) STRICT, WITHOUT ROWID;
CREATE INDEX telemetry_days_day ON telemetry_days (day);

INSERT INTO telemetry_days
SELECT substr(timestamp, 1, 10), COALESCE(task_id, ''), actor, event_type, severity, COUNT(*),
    SUM(CASE event_type WHEN 'codex_events_ingested'
        THEN COALESCE(CAST(json_extract(attributes_json, '$.new_events') AS INTEGER), 0) ELSE 0 END),
    SUM(CASE event_type WHEN 'codex_events_ingested'
        THEN COALESCE(CAST(json_extract(attributes_json, '$.skipped_lines') AS INTEGER), 0) ELSE 0 END)
FROM telemetry_events
GROUP BY 1, 2, 3, 4, 5;

CREATE TRIGGER telemetry_days_count AFTER INSERT ON telemetry_events
BEGIN
    INSERT INTO telemetry_days
    VALUES (
        substr(new.timestamp, 1, 10), COALESCE(new.task_id, ''), new.actor, new.event_type, new.severity, 1,
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
