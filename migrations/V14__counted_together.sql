-- Telemetry is counted when a transaction ends, all of its events together: a trigger made each event
-- cost twice as much. What other programs wrote meanwhile is past the place that was counted up to, and is
-- counted by whoever asks, until the next of our transactions counts it.

DROP TRIGGER telemetry_days_count;
DROP TRIGGER telemetry_totals_count;

-- The newest event that was counted.
CREATE TABLE telemetry_counted (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    place INTEGER NOT NULL
) STRICT;
INSERT INTO telemetry_counted SELECT 1, COALESCE(MAX(rowid), 0) FROM telemetry_events;

-- The others, as telemetry_days would count each.
CREATE VIEW telemetry_uncounted AS
SELECT
    substr(timestamp, 1, 10) AS day, COALESCE(task_id, '') AS task_id, actor, event_type, severity,
    1 AS events,
    CASE event_type WHEN 'codex_events_ingested'
        THEN COALESCE(CAST(json_extract(attributes_json, '$.new_events') AS INTEGER), 0) ELSE 0 END AS new_events,
    CASE event_type WHEN 'codex_events_ingested'
        THEN COALESCE(CAST(json_extract(attributes_json, '$.skipped_lines') AS INTEGER), 0) ELSE 0 END AS skipped_lines
FROM telemetry_events
WHERE rowid > (SELECT place FROM telemetry_counted);
