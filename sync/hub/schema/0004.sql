-- Who may do what, where nodes stand, what is done about them. Times are milliseconds since 1970 UTC.

CREATE TABLE organisation (id TEXT PRIMARY KEY, name TEXT NOT NULL, created INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE site (
    id TEXT PRIMARY KEY, organisation TEXT NOT NULL REFERENCES organisation (id), name TEXT NOT NULL,
    timezone TEXT NOT NULL DEFAULT 'UTC', created INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX site_of_organisation ON site (organisation, id);

-- newest: ts of its newest record not from the future. revoked: since when it may not come in. hardware: what the gateway said of itself
-- when it was enrolled, as JSON.
ALTER TABLE node ADD COLUMN site TEXT REFERENCES site (id);
ALTER TABLE node ADD COLUMN newest INTEGER NOT NULL DEFAULT 0;
ALTER TABLE node ADD COLUMN revoked INTEGER;
ALTER TABLE node ADD COLUMN hardware BLOB;
CREATE INDEX node_of_site ON node (site, id);
CREATE INDEX node_by_sign_of_life ON node (last_seen);

-- Old and new ones side by side while a secret is changed; until NULL: for good.
CREATE TABLE node_secret (
    node TEXT NOT NULL REFERENCES node (id), sha256 TEXT NOT NULL, created INTEGER NOT NULL, until INTEGER,
    PRIMARY KEY (node, sha256)
) WITHOUT ROWID;

-- A code with which one gateway may come in, once.
CREATE TABLE claim (
    sha256 TEXT PRIMARY KEY, site TEXT NOT NULL REFERENCES site (id), node TEXT NOT NULL, created INTEGER NOT NULL,
    expires INTEGER NOT NULL, used INTEGER, made_by TEXT NOT NULL
) WITHOUT ROWID;

-- People who sign in. argon2: the password as argon2id has it.
CREATE TABLE person (
    name TEXT PRIMARY KEY, argon2 TEXT NOT NULL, created INTEGER NOT NULL, disabled INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- organisation empty: everywhere; site empty: all of the organisation. role: viewer, operator, admin.
CREATE TABLE person_grant (
    person TEXT NOT NULL REFERENCES person (name), organisation TEXT NOT NULL, site TEXT NOT NULL,
    role TEXT NOT NULL, PRIMARY KEY (person, organisation, site)
) WITHOUT ROWID;

CREATE TABLE session (
    sha256 TEXT PRIMARY KEY, person TEXT NOT NULL REFERENCES person (name),
    csrf TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL
) WITHOUT ROWID;

-- Each is good once; one that comes again ends its whole family.
CREATE TABLE refresh_token (
    sha256 TEXT PRIMARY KEY, family TEXT NOT NULL, person TEXT NOT NULL REFERENCES person (name),
    created INTEGER NOT NULL, expires INTEGER NOT NULL, used INTEGER
) WITHOUT ROWID;

-- What people did here.
CREATE TABLE act (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, person TEXT NOT NULL, address TEXT NOT NULL, action TEXT NOT NULL,
    object TEXT NOT NULL, organisation TEXT NOT NULL, site TEXT NOT NULL, detail TEXT NOT NULL
);
CREATE INDEX act_by_time ON act (at);

-- Which hub process does a chore just now.
CREATE TABLE lease (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID;

-- What the hub makes up once and all its processes use: signing keys and the like.
CREATE TABLE setting (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

CREATE INDEX event_by_time ON event (node, ts);
CREATE INDEX audit_by_node ON audit (node, at);
CREATE INDEX audit_by_time ON audit (at);

-- Roll-ups and retention.

-- Hours that records have come for since they were rolled up. since: when the first of these came.
CREATE TABLE dirty (
    series INTEGER NOT NULL, hour INTEGER NOT NULL, since INTEGER NOT NULL, PRIMARY KEY (series, hour)
) WITHOUT ROWID;
CREATE INDEX dirty_by_hour ON dirty (hour, series);

-- The minutes of an hour, and the hours of a day, as gateway.core.chunk packs them.
-- at: when it was rolled up last. NULL where its records have gone.
CREATE TABLE rollup_1m (
    series INTEGER NOT NULL, hour INTEGER NOT NULL, at INTEGER, bytes BLOB NOT NULL, PRIMARY KEY (series, hour)
);
CREATE INDEX rollup_1m_open ON rollup_1m (hour, series) WHERE at IS NOT NULL;
CREATE INDEX rollup_1m_closed ON rollup_1m (hour, series) WHERE at IS NULL;
CREATE TABLE rollup_1h (
    series INTEGER NOT NULL, day INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (series, day)
);

-- What is known of the records of an hour that have gone. count and digest: as gateway.core.accounts has them.
-- times: which they were, packed. NULL where that has gone too. minutes: what they alone come to, where others came later.
CREATE TABLE closed (
    series INTEGER NOT NULL, hour INTEGER NOT NULL, count INTEGER NOT NULL, digest INTEGER NOT NULL,
    times BLOB, minutes BLOB, PRIMARY KEY (series, hour)
) WITHOUT ROWID;

CREATE INDEX command_by_change ON command (changed);

INSERT INTO dirty SELECT DISTINCT series, ts - ts % 3600000, 0 FROM record;
-- How often a name's sign-in failed in a row at an address, and (*) at all that it is not known at, also of names that
-- nobody has. Until when it is not tried again, and when it was signed in there.
CREATE TABLE sign_in_failure (
    name_sha256 TEXT, address TEXT, failures INTEGER NOT NULL, locked_until INTEGER NOT NULL, signed_in INTEGER,
    PRIMARY KEY (name_sha256, address)
) WITHOUT ROWID;
CREATE INDEX grant_by_scope ON person_grant (organisation, site);
CREATE INDEX session_of_person ON session (person);
CREATE INDEX refresh_token_of_person ON refresh_token (person);
CREATE INDEX refresh_token_of_family ON refresh_token (family);


-- Reading back: nodes by what their last heartbeat said and by their newest reading, events and batches by time.
ALTER TABLE heartbeat ADD COLUMN backlog INTEGER;
ALTER TABLE heartbeat ADD COLUMN problems INTEGER;
CREATE INDEX node_by_newest ON node (newest, id);
CREATE INDEX event_by_ts ON event (ts, node);

-- Configurations and roll-outs. digest: of the report, a ConfigReport as JSON.
CREATE TABLE node_config (
    node TEXT PRIMARY KEY, digest TEXT NOT NULL, at INTEGER NOT NULL, report BLOB NOT NULL
) WITHOUT ROWID;

-- id: of the command that brings it. text: of site.yaml, as UTF-8.
CREATE TABLE desired_config (
    id TEXT PRIMARY KEY, node TEXT NOT NULL, at INTEGER NOT NULL, made_by TEXT NOT NULL, reason TEXT NOT NULL,
    sha256 TEXT NOT NULL, text BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX desired_config_of_node ON desired_config (node, at);

ALTER TABLE command ADD COLUMN taken INTEGER;

-- organisation, site: where all its nodes stand. spec: a Spec as JSON. state: running, paused, stopped, done, with why.
CREATE TABLE rollout (
    id TEXT PRIMARY KEY, organisation TEXT NOT NULL, site TEXT NOT NULL, made_by TEXT NOT NULL,
    created INTEGER NOT NULL, changed INTEGER NOT NULL, state TEXT NOT NULL, why TEXT NOT NULL DEFAULT '',
    undoes TEXT NOT NULL DEFAULT '', spec BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX rollout_by_state ON rollout (state, created);

-- ordered: when. before: how the node was then, as JSON. text: the configuration that it gets, former: the one that
-- it had, as UTF-8. ill: why it counts as ill.
CREATE TABLE rollout_node (
    rollout TEXT NOT NULL REFERENCES rollout (id), node TEXT NOT NULL, wave INTEGER NOT NULL, command TEXT NOT NULL,
    ordered INTEGER, ill TEXT NOT NULL DEFAULT '', before BLOB, text BLOB, former BLOB,
    PRIMARY KEY (rollout, node)
) WITHOUT ROWID;

-- Hours of a layout of which the node, by its last account of them, holds other records than the hub: so many.
CREATE TABLE differing_hour (
    node TEXT NOT NULL, layout BLOB NOT NULL, hour INTEGER NOT NULL, count INTEGER NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (node, layout, hour)
) WITHOUT ROWID;
CREATE INDEX differing_by_hour ON differing_hour (node, hour);

-- Enrolment. file_sha256: the secret that hub.yaml named at the last start. holder: SHA-256 of the secret of the one
-- gateway that has begun to use the code, so that it may ask again, and nobody else. replaces: 1 where the node is there.
ALTER TABLE node ADD COLUMN file_sha256 TEXT;
ALTER TABLE claim ADD COLUMN holder TEXT;
ALTER TABLE claim ADD COLUMN replaces INTEGER NOT NULL DEFAULT 0;
CREATE INDEX claim_of_site ON claim (site, created);
-- Day-ahead market prices. value: per MWh, as it is written, so that nothing of it is rounded.
CREATE TABLE price (
    area TEXT NOT NULL, ts INTEGER NOT NULL, minutes INTEGER NOT NULL, value TEXT NOT NULL, currency TEXT NOT NULL,
    fetched INTEGER NOT NULL, source TEXT NOT NULL, PRIMARY KEY (area, ts)
) WITHOUT ROWID;

-- Whose prices hold at a site.
CREATE TABLE price_area (
    site TEXT PRIMARY KEY REFERENCES site (id) ON DELETE CASCADE, area TEXT NOT NULL
) WITHOUT ROWID;

-- text: YAML or JSON, as it was written.
CREATE TABLE tariff (
    id TEXT PRIMARY KEY, organisation TEXT NOT NULL REFERENCES organisation (id) ON DELETE CASCADE,
    name TEXT NOT NULL, text TEXT NOT NULL, created INTEGER NOT NULL, changed INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX tariff_of_organisation ON tariff (organisation, id);

-- since: the local day from which on the tariff holds at the site, as 2026-11-21.
CREATE TABLE site_tariff (
    site TEXT NOT NULL REFERENCES site (id) ON DELETE CASCADE, since TEXT NOT NULL,
    tariff TEXT NOT NULL REFERENCES tariff (id),
    PRIMARY KEY (site, since)
) WITHOUT ROWID;
CREATE INDEX site_of_tariff ON site_tariff (tariff);
-- What is or was wrong with a node. since: when it began. times: how often it began, for what comes back soon is the
-- same alert. away: since when its cause is away, while it stands. changed: when it last began or ended.
CREATE TABLE alert (
    id INTEGER PRIMARY KEY, node TEXT NOT NULL REFERENCES node (id), device TEXT NOT NULL, kind TEXT NOT NULL,
    since INTEGER NOT NULL, words TEXT NOT NULL, times INTEGER NOT NULL DEFAULT 1, away INTEGER, ended INTEGER,
    changed INTEGER NOT NULL, acknowledged INTEGER, acknowledged_by TEXT NOT NULL DEFAULT '',
    note TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX alert_standing ON alert (node, kind, device) WHERE ended IS NULL;
CREATE UNIQUE INDEX alert_of_event ON alert (node, since) WHERE kind = 'update_failed';
CREATE INDEX alert_by_node ON alert (node, ended);
CREATE INDEX alert_by_end ON alert (ended);
CREATE INDEX alert_by_change ON alert (changed);

-- Who is told. kind: webhook, email. kinds: of alerts, as ,offline,disk, and empty for all. failures, error: of the last
-- messages. due: not before then. hour: when the hour began in which `sent` messages went out.
CREATE TABLE receiver (
    id TEXT PRIMARY KEY, organisation TEXT NOT NULL, site TEXT NOT NULL, kind TEXT NOT NULL, address TEXT NOT NULL,
    secret TEXT NOT NULL, kinds TEXT NOT NULL, every_s INTEGER NOT NULL, per_hour INTEGER NOT NULL,
    created INTEGER NOT NULL, failures INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '',
    due INTEGER NOT NULL DEFAULT 0, hour INTEGER NOT NULL DEFAULT 0, sent INTEGER NOT NULL DEFAULT 0,
    last_sent INTEGER
) WITHOUT ROWID;

-- What a receiver is to be told, and was. what: began, ended. sent: when; NULL: not yet.
CREATE TABLE notice (
    receiver TEXT NOT NULL REFERENCES receiver (id) ON DELETE CASCADE,
    alert INTEGER NOT NULL REFERENCES alert (id) ON DELETE CASCADE,
    times INTEGER NOT NULL, what TEXT NOT NULL, created INTEGER NOT NULL, sent INTEGER,
    PRIMARY KEY (receiver, alert, times, what)
) WITHOUT ROWID;
CREATE INDEX notice_waiting ON notice (receiver, created) WHERE sent IS NULL;
CREATE INDEX notice_of_alert ON notice (alert);

-- What the hub held before.
UPDATE node SET newest = coalesce((SELECT max(of_series) FROM
    (SELECT (SELECT max(ts) FROM record WHERE record.series = series.id
             AND ts <= CAST(strftime('%s', 'now') AS INTEGER) * 1000 + 86400000) AS of_series
     FROM series WHERE series.node = node.id) AS held), 0);

-- What nodes have not fetched yet; looked for every few seconds, for all of them at once.
CREATE INDEX command_queued ON command (node) WHERE state = 'queued';
