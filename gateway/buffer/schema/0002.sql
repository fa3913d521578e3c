-- What the gateway remembers of its devices, beside the readings. Not sent to the hub.

-- Reads that a device refused (exceptions 2 and 3): they are not asked again. `plan` is a digest of the blocks they
-- were cut from, so that a changed profile starts anew.
CREATE TABLE refused (
    device TEXT NOT NULL, plan TEXT NOT NULL, tbl TEXT NOT NULL, address INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (device, plan, tbl, address, count)
) WITHOUT ROWID;

-- The connection log: one row where a device's condition changed, and one every ten minutes; kept for a week.
CREATE TABLE contact (
    ts INTEGER NOT NULL, device TEXT NOT NULL, status TEXT NOT NULL, error TEXT NOT NULL, response_ms REAL,
    PRIMARY KEY (ts, device)
) WITHOUT ROWID;

-- Which device answered with which serial number: a swapped address must not mix up histories.
CREATE TABLE identity (device TEXT PRIMARY KEY, serial TEXT NOT NULL, ts INTEGER NOT NULL) WITHOUT ROWID;

-- What devices pushed and we acknowledged: the same record again is a duplicate. digest: of device, ts and values.
CREATE TABLE pushed (digest BLOB PRIMARY KEY, ts INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX pushed_by_time ON pushed (ts);

-- Pushed records whose time cannot be right; `body` is the record as JSON, `received` wall time in ms.
CREATE TABLE doubtful (
    id INTEGER PRIMARY KEY, device TEXT NOT NULL, received INTEGER NOT NULL, reason TEXT NOT NULL, body BLOB NOT NULL
);

-- How far each device's own log has been taken: `position` is the device's record index.
CREATE TABLE pulled (device TEXT PRIMARY KEY, position INTEGER NOT NULL, ts INTEGER NOT NULL) WITHOUT ROWID;
