-- What passes between gateway and hub beside the readings.

-- Records and events that the hub refuses for good. body: the Record or Event as MessagePack; `epoch` and `seq`: of the
-- buffer it was in; `again`: 1 when it is to be sent once more.
CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL, ts INTEGER NOT NULL,
    layout BLOB, body BLOB NOT NULL, reason TEXT NOT NULL, at INTEGER NOT NULL, again INTEGER NOT NULL DEFAULT 0,
    UNIQUE (kind, epoch, seq)
);

-- Commands that came, by their idempotency key; seq: in which order. body: the Command as JSON, until its end was
-- told; state: as in gateway/buffer/commands.py; told: 1 when the event that tells its end is on the disk.
CREATE TABLE command (
    id TEXT PRIMARY KEY, seq INTEGER NOT NULL, received INTEGER NOT NULL, changed INTEGER NOT NULL,
    state TEXT NOT NULL, detail TEXT NOT NULL DEFAULT '', told INTEGER NOT NULL DEFAULT 0, body BLOB NOT NULL
) WITHOUT ROWID;

-- Hours of which the hub holds others than the buffer: hub_digest is the account for which all of ours was sent again.
-- told: 1 once an event has said that this changed nothing.
CREATE TABLE settled (
    layout BLOB NOT NULL, hour INTEGER NOT NULL, hub_digest INTEGER NOT NULL, told INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (layout, hour)
) WITHOUT ROWID;
