-- The hub's store on SQLite. Released migrations are never edited; a new one gets the next number.

CREATE TABLE node (
    id TEXT PRIMARY KEY,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    records INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- One layout of one node; records refer to it by number.
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    node TEXT NOT NULL REFERENCES node (id),
    layout BLOB NOT NULL,
    encoded BLOB NOT NULL,
    UNIQUE (node, layout)
);

-- The key makes batches idempotent, however they were cut.
CREATE TABLE record (
    series INTEGER NOT NULL REFERENCES series (id),
    ts INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    row BLOB NOT NULL,
    PRIMARY KEY (series, ts)
) WITHOUT ROWID;

CREATE TABLE event (
    node TEXT NOT NULL REFERENCES node (id),
    epoch TEXT NOT NULL,
    seq INTEGER NOT NULL,
    ts INTEGER NOT NULL,
    kind TEXT NOT NULL,
    device TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (node, epoch, seq)
) WITHOUT ROWID;

-- One row for each batch that came with a good secret, taken or not.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    node TEXT NOT NULL,
    type TEXT NOT NULL,
    cursor TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    accepted INTEGER NOT NULL,
    duplicate INTEGER NOT NULL,
    error TEXT NOT NULL
);
