-- The hub's store on PostgreSQL. Released migrations are never edited; a new one gets the next number.
-- Each runs whole, in one transaction.

CREATE TABLE node (
    id text PRIMARY KEY,
    first_seen bigint NOT NULL,
    last_seen bigint NOT NULL,
    records bigint NOT NULL DEFAULT 0
);

-- One layout of one node; records refer to it by number.
CREATE TABLE series (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    node text NOT NULL REFERENCES node (id),
    layout bytea NOT NULL,
    encoded bytea NOT NULL,
    UNIQUE (node, layout)
);

-- The key makes batches idempotent, however they were cut. The order of columns leaves no gaps between them.
CREATE TABLE record (
    ts bigint NOT NULL,
    series integer NOT NULL,
    flags smallint NOT NULL,
    row bytea NOT NULL,
    PRIMARY KEY (series, ts)
);

CREATE TABLE event (
    node text NOT NULL REFERENCES node (id),
    epoch text NOT NULL,
    seq bigint NOT NULL,
    ts bigint NOT NULL,
    kind text NOT NULL,
    device text NOT NULL,
    detail text NOT NULL,
    PRIMARY KEY (node, epoch, seq, ts)
);

-- One row for each batch that came with a good secret, taken or not.
CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at bigint NOT NULL,
    node text NOT NULL,
    type text NOT NULL,
    cursor text NOT NULL,
    bytes bigint NOT NULL,
    accepted bigint NOT NULL,
    duplicate bigint NOT NULL,
    error text NOT NULL,
    rejected bigint NOT NULL
);

-- body: the Command as JSON. state: queued, taken, and what the node's events say of it.
CREATE TABLE command (
    id text PRIMARY KEY, node text NOT NULL, created bigint NOT NULL, changed bigint NOT NULL,
    not_after bigint NOT NULL, state text NOT NULL, detail text NOT NULL DEFAULT '', body bytea NOT NULL
);
CREATE INDEX command_of_node ON command (node, state);

-- The last heartbeat of each node: a Heartbeat as JSON.
CREATE TABLE heartbeat (node text PRIMARY KEY, at bigint NOT NULL, body bytea NOT NULL);

-- For people and their tools: where each point of a series stands in its rows, and what makes a value of it:
-- (stored * times + plus) / over.
CREATE TABLE point (
    series integer NOT NULL REFERENCES series (id),
    place integer NOT NULL,
    device text NOT NULL,
    poll_group text NOT NULL,
    key text NOT NULL,
    unit text NOT NULL,
    type text NOT NULL,
    starts integer NOT NULL,
    bytes integer NOT NULL,
    bitmap_byte integer NOT NULL,
    bitmap_bit integer NOT NULL,
    times double precision NOT NULL,
    plus double precision NOT NULL,
    over double precision NOT NULL,
    PRIMARY KEY (series, place)
);

-- A binary float of `mantissa` and `exponent` bits; NULL for infinity and what is no number.
CREATE FUNCTION holdfast_float(bits bigint, mantissa integer, exponent integer) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN e = (1 << exponent) - 1 THEN NULL
        WHEN e = 0 AND m = 0 THEN 0
        ELSE sign * (CASE WHEN e = 0 THEN m ELSE m + (1::bigint << mantissa) END)::double precision
            * power(2::double precision, greatest(e, 1) - (1 << exponent - 1) + 1 - mantissa)
    END
    FROM (SELECT bits & ((1::bigint << mantissa) - 1) AS m,
                 (bits >> mantissa)::bit(32)::integer & ((1 << exponent) - 1) AS e,
                 CASE WHEN (bits >> mantissa + exponent) & 1 = 1 THEN -1 ELSE 1 END AS sign) AS parts
$$;

-- The number that stands at `starts` (from 0) of a row, big end first.
CREATE FUNCTION holdfast_number(record_row bytea, type text, starts integer, bytes integer) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN type = 'f32' THEN holdfast_float(bits, 23, 8)
        WHEN type = 'f64' THEN holdfast_float(bits, 52, 11)
        WHEN type = 'u64' AND bits < 0 THEN bits + 18446744073709551616::double precision
        WHEN type LIKE 'i%' AND bytes < 8 AND bits >> (8 * bytes - 1) = 1 THEN bits - (1::bigint << 8 * bytes)
        ELSE bits
    END::double precision
    FROM (SELECT ('x' || lpad(encode(substring(record_row FROM starts + 1 FOR bytes), 'hex'), 16, '0'))::bit(64)::bigint
          AS bits) AS word
$$;

-- Text as it stands in a row; what is not UTF-8, as where it was cut within a letter, with its odd bytes escaped.
CREATE FUNCTION holdfast_text(content bytea) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN convert_from(content, 'UTF8');
EXCEPTION WHEN others THEN
    RETURN encode(content, 'escape');
END
$$;

-- One line a reading; a missing one is not there. Ask by node, device, key and ts: those find their records at once.
CREATE VIEW reading AS
SELECT series.node, point.device, point.poll_group, point.key, record.ts,
    to_timestamp(record.ts / 1000.0) AS time,
    CASE WHEN point.type NOT LIKE 'text%' THEN
        (holdfast_number(record.row, point.type, point.starts, point.bytes) * point.times + point.plus) / point.over
    END AS value,
    CASE WHEN point.type LIKE 'text%' THEN
        holdfast_text(rtrim(substring(record.row FROM point.starts + 1 FOR point.bytes), '\x00'::bytea))
    END AS words,
    point.unit, record.flags
FROM point
JOIN series ON series.id = point.series
JOIN record ON record.series = point.series
WHERE get_byte(record.row, point.bitmap_byte) & point.bitmap_bit = 0;
