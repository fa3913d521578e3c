-- Times that are not known yet, roll-ups for charts, and what was thinned.

-- One start of the machine. `estimate` + CLOCK_BOOTTIME (ms) was the wall time in use until it was known; `offset` +
-- CLOCK_BOOTTIME is the wall time, NULL until it is known. kernel: the kernel's wall time less CLOCK_BOOTTIME when the
-- boot was first seen. source: who made the time known, as in ClockState. A process that could not read the file at
-- its start may have another estimate: then there are two rows.
CREATE TABLE boot (
    id INTEGER PRIMARY KEY, kernel_id TEXT NOT NULL, estimate INTEGER NOT NULL, kernel INTEGER NOT NULL DEFAULT 0,
    offset INTEGER, source TEXT NOT NULL DEFAULT 'estimate', UNIQUE (kernel_id, estimate)
);

-- boot: holds records (an event) flagged UNCERTAIN that this boot may still correct; NULL: nothing to correct any more.
ALTER TABLE frame ADD COLUMN boot INTEGER;
ALTER TABLE event ADD COLUMN boot INTEGER;
ALTER TABLE segment ADD COLUMN boot INTEGER;
CREATE INDEX frame_of_boot ON frame (boot) WHERE boot IS NOT NULL;
CREATE INDEX event_of_boot ON event (boot) WHERE boot IS NOT NULL;
CREATE INDEX segment_of_boot ON segment (boot) WHERE boot IS NOT NULL;
-- rolled: 1 when its records are in the roll-ups. level: 0 whole; else thinned, to one record of a layout in so many ms.
ALTER TABLE segment ADD COLUMN rolled INTEGER NOT NULL DEFAULT 0;
-- rolled_block: so far as a segment is rolled up in several transactions, the rowid of its last block that is.
ALTER TABLE segment ADD COLUMN rolled_block INTEGER NOT NULL DEFAULT 0;
ALTER TABLE segment ADD COLUMN level INTEGER NOT NULL DEFAULT 0;
DROP INDEX block_in_time;
CREATE INDEX block_by_time ON block (layout, ts_max, ts_min);
-- Sealing makes no block of more than a day; those that are must not hide behind the days after them.
CREATE INDEX block_wide ON block (layout, ts_max) WHERE ts_max - ts_min > 86400000;
CREATE INDEX segment_unrolled ON segment (lo) WHERE rolled = 0;

-- Some buckets of one layout as columns: gateway/buffer/chunk.py. `ts` is when the first of them may begin: 5 minutes, a day.
CREATE TABLE rollup_1m (layout BLOB NOT NULL, ts INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (layout, ts)) WITHOUT ROWID;
CREATE TABLE rollup_1h (layout BLOB NOT NULL, ts INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (layout, ts)) WITHOUT ROWID;

-- The ledger of thinning: so many records of the layout's hour (`hour`: when it begins) are gone, so many are left.
CREATE TABLE thinned (
    layout BLOB NOT NULL, hour INTEGER NOT NULL, removed INTEGER NOT NULL, kept INTEGER NOT NULL, level INTEGER NOT NULL,
    PRIMARY KEY (layout, hour)
) WITHOUT ROWID;

-- Hours whose minutes have changed since `rollup_1h` was made of them.
CREATE TABLE stale_hour (layout BLOB NOT NULL, hour INTEGER NOT NULL, PRIMARY KEY (layout, hour)) WITHOUT ROWID;

-- How many records a thinned segment still has; NULL while it is whole: hi - lo.
ALTER TABLE segment ADD COLUMN kept INTEGER;
