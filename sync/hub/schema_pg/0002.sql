-- Who may do what, where nodes stand, what is done about them. Times are milliseconds since 1970 UTC.

CREATE TABLE organisation (id text PRIMARY KEY, name text NOT NULL, created bigint NOT NULL);

CREATE TABLE site (
    id text PRIMARY KEY, organisation text NOT NULL REFERENCES organisation (id), name text NOT NULL,
    timezone text NOT NULL DEFAULT 'UTC', created bigint NOT NULL
);
CREATE INDEX site_of_organisation ON site (organisation, id);

-- newest: ts of its newest record. revoked: since when it may not come in. hardware: what the gateway said of itself
-- when it was enrolled, as JSON.
ALTER TABLE node ADD COLUMN site text REFERENCES site (id);
ALTER TABLE node ADD COLUMN newest bigint NOT NULL DEFAULT 0;
ALTER TABLE node ADD COLUMN revoked bigint;
ALTER TABLE node ADD COLUMN hardware bytea;
CREATE INDEX node_of_site ON node (site, id);
CREATE INDEX node_by_sign_of_life ON node (last_seen);

-- Old and new ones side by side while a secret is changed; until NULL: for good.
CREATE TABLE node_secret (
    node text NOT NULL REFERENCES node (id), sha256 text NOT NULL, created bigint NOT NULL, until bigint,
    PRIMARY KEY (node, sha256)
);

-- A code with which one gateway may come in, once.
CREATE TABLE claim (
    sha256 text PRIMARY KEY, site text NOT NULL REFERENCES site (id), node text NOT NULL, created bigint NOT NULL,
    expires bigint NOT NULL, used bigint, made_by text NOT NULL
);

-- People who sign in. argon2: the password as argon2id has it.
CREATE TABLE person (
    name text PRIMARY KEY, argon2 text NOT NULL, created bigint NOT NULL, disabled bigint NOT NULL DEFAULT 0
);

-- organisation empty: everywhere; site empty: all of the organisation. role: viewer, operator, admin.
CREATE TABLE person_grant (
    person text NOT NULL REFERENCES person (name), organisation text NOT NULL, site text NOT NULL,
    role text NOT NULL, PRIMARY KEY (person, organisation, site)
);

CREATE TABLE session (
    sha256 text PRIMARY KEY, person text NOT NULL REFERENCES person (name),
    csrf text NOT NULL, created bigint NOT NULL, expires bigint NOT NULL
);

-- Each is good once; one that comes again ends its whole family.
CREATE TABLE refresh_token (
    sha256 text PRIMARY KEY, family text NOT NULL, person text NOT NULL REFERENCES person (name),
    created bigint NOT NULL, expires bigint NOT NULL, used bigint
);

-- What people did here.
CREATE TABLE act (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at bigint NOT NULL, person text NOT NULL, address text NOT NULL, action text NOT NULL,
    object text NOT NULL, organisation text NOT NULL, site text NOT NULL, detail text NOT NULL
);
CREATE INDEX act_by_time ON act (at);

-- Which hub process does a chore just now.
CREATE TABLE lease (name text PRIMARY KEY, holder text NOT NULL, until bigint NOT NULL);

-- What the hub makes up once and all its processes use: signing keys and the like.
CREATE TABLE setting (name text PRIMARY KEY, value bytea NOT NULL);

CREATE INDEX event_by_time ON event (node, ts);
CREATE INDEX audit_by_node ON audit (node, at);
CREATE INDEX audit_by_time ON audit (at);

-- How often a name's sign-in failed in a row, also of names that nobody has; until when it is not tried again.
CREATE TABLE sign_in_failure (
    name_sha256 text PRIMARY KEY, failures bigint NOT NULL, locked_until bigint NOT NULL
);
CREATE INDEX grant_by_scope ON person_grant (organisation, site);
CREATE INDEX session_of_person ON session (person);
CREATE INDEX refresh_token_of_person ON refresh_token (person);
CREATE INDEX refresh_token_of_family ON refresh_token (family);
