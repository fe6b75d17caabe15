-- Sessions that are being started. A row is written before anything runs, and goes when the session
-- is registered or what was begun is taken back: of a start that was killed it is what is known.
CREATE TABLE launches (
    id                TEXT PRIMARY KEY NOT NULL,
    -- The process that starts it.
    pid               INTEGER NOT NULL CHECK (pid > 0),
    begun_at          TEXT NOT NULL,
    app_server_socket TEXT,
    tmux_socket       TEXT,
    tmux_session      TEXT,
    CHECK ((tmux_socket IS NULL) = (tmux_session IS NULL))
) STRICT;
