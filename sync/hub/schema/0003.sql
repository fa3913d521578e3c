-- What the hub has for its nodes, and what they say of themselves.

-- body: the Command as JSON. state: queued, taken, and what the node's events say of it.
CREATE TABLE command (
    id TEXT PRIMARY KEY, node TEXT NOT NULL, created INTEGER NOT NULL, changed INTEGER NOT NULL,
    not_after INTEGER NOT NULL, state TEXT NOT NULL, detail TEXT NOT NULL DEFAULT '', body BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX command_of_node ON command (node, state);

-- The last heartbeat of each node: a Heartbeat as JSON.
CREATE TABLE heartbeat (node TEXT PRIMARY KEY, at INTEGER NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;

ALTER TABLE audit ADD COLUMN rejected INTEGER NOT NULL DEFAULT 0;
