-- A gateway whose disk lost the end of its log gives the seqs of lost events to others: the time tells them apart.
ALTER TABLE event RENAME TO event_by_seq;
CREATE TABLE event (
    node TEXT NOT NULL REFERENCES node (id),
    epoch TEXT NOT NULL,
    seq INTEGER NOT NULL,
    ts INTEGER NOT NULL,
    kind TEXT NOT NULL,
    device TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (node, epoch, seq, ts)
) WITHOUT ROWID;
INSERT INTO event SELECT node, epoch, seq, ts, kind, device, detail FROM event_by_seq;
DROP TABLE event_by_seq;
