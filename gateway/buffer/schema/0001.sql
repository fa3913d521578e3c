-- The store of one gateway. Released migrations are never edited; a new one gets the next number.

-- epoch: the random id of this file's life; head: the least seq that the next record may get.
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- id: digest of `encoded`, the layout as JSON.
CREATE TABLE layout (id BLOB PRIMARY KEY, encoded BLOB NOT NULL) WITHOUT ROWID;

-- The tail: one row a commit, the records lo <= seq < hi as one pack.
CREATE TABLE frame (lo INTEGER PRIMARY KEY, hi INTEGER NOT NULL, bytes BLOB NOT NULL);

-- Sealed: what was frames of lo <= seq < hi is now one block a layout.
CREATE TABLE segment (lo INTEGER PRIMARY KEY, hi INTEGER NOT NULL);
CREATE TABLE block (
    segment INTEGER NOT NULL REFERENCES segment (lo),
    layout BLOB NOT NULL REFERENCES layout (id),
    ts_min INTEGER NOT NULL,
    ts_max INTEGER NOT NULL,
    count INTEGER NOT NULL,
    bytes BLOB NOT NULL
);
CREATE INDEX block_of_segment ON block (segment);
CREATE INDEX block_in_time ON block (layout, ts_max);

CREATE TABLE event (
    seq INTEGER PRIMARY KEY,
    ts INTEGER NOT NULL,
    kind TEXT NOT NULL,
    device TEXT NOT NULL,
    detail TEXT NOT NULL
);

-- What the hub has not acknowledged, by stream: lo <= seq < hi; hi NULL: and all that is to come.
CREATE TABLE span (stream TEXT NOT NULL, lo INTEGER NOT NULL, hi INTEGER, PRIMARY KEY (stream, lo)) WITHOUT ROWID;
