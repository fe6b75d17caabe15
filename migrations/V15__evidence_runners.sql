-- Who runs the evidence that is running: when that process is gone, no end of it will ever be recorded.
CREATE TABLE evidence_runners (
    evidence_id INTEGER PRIMARY KEY REFERENCES executed_evidence (id),
    -- None for one that was begun before this was written down.
    pid         INTEGER
) STRICT;
INSERT INTO evidence_runners SELECT id, NULL FROM executed_evidence WHERE state = 'running';
