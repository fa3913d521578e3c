-- Records as TimescaleDB keeps them: docs/decisions/0014-partitions.md. A hub does this by itself while it has none;
-- with records, for an operator, all hubs stopped: psql -1 -v ON_ERROR_STOP=1 -f timescaledb.sql DATABASE
-- The extension is there already. Runs whole, in one transaction.

DROP VIEW record_hour;
ALTER TABLE record RENAME TO record_by_week;
ALTER INDEX record_pkey RENAME TO record_by_week_pkey;
CREATE TABLE record (
    ts bigint NOT NULL,
    series integer NOT NULL,
    flags smallint NOT NULL,
    row bytea NOT NULL,
    PRIMARY KEY (series, ts)
);
SELECT create_hypertable('record', 'ts', chunk_time_interval => 604800000::bigint, create_default_indexes => false);
CREATE FUNCTION holdfast_now() RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT (extract(epoch FROM now()) * 1000)::bigint
$$;
SELECT set_integer_now_func('record', 'holdfast_now');
ALTER TABLE record SET (
    timescaledb.compress, timescaledb.compress_segmentby = 'series', timescaledb.compress_orderby = 'ts'
);
SELECT add_compression_policy('record', compress_after => 604800000::bigint);

INSERT INTO record (ts, series, flags, row) SELECT ts, series, flags, row FROM record_by_week;
SELECT holdfast_make_view();
DROP TABLE record_by_week;

-- Its policy looks at all hours that were written to, however old.
CREATE MATERIALIZED VIEW record_hour
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT series, time_bucket(3600000::bigint, ts) AS hour, count(*) AS records, min(ts) AS first, max(ts) AS last
FROM record GROUP BY 1, 2 WITH NO DATA;
SELECT add_continuous_aggregate_policy('record_hour', start_offset => NULL, end_offset => 3600000::bigint,
                                       schedule_interval => interval '5 minutes');

-- It makes its chunks itself; those begin where the weeks do.
CREATE OR REPLACE FUNCTION holdfast_make_week(week bigint) RETURNS void LANGUAGE plpgsql AS $$ BEGIN END $$;

CREATE OR REPLACE FUNCTION holdfast_weeks() RETURNS SETOF bigint LANGUAGE sql STABLE AS $$
    SELECT range_start_integer / 604800000 FROM timescaledb_information.chunks WHERE hypertable_name = 'record' ORDER BY 1
$$;

CREATE OR REPLACE FUNCTION holdfast_drop_week(week bigint) RETURNS void LANGUAGE plpgsql SET lock_timeout = '3s' AS $$
BEGIN
    PERFORM drop_chunks('record', newer_than => week * 604800000, older_than => (week + 1) * 604800000);
END
$$;

CREATE OR REPLACE FUNCTION holdfast_drop_empty_week(week bigint) RETURNS boolean LANGUAGE plpgsql
SET lock_timeout = '3s' AS $$
BEGIN
    IF EXISTS (SELECT FROM record WHERE ts >= week * 604800000 AND ts < (week + 1) * 604800000) THEN
        RETURN false;
    END IF;
    LOCK TABLE ONLY record IN SHARE ROW EXCLUSIVE MODE;
    IF EXISTS (SELECT FROM record WHERE ts >= week * 604800000 AND ts < (week + 1) * 604800000) THEN
        RETURN false;
    END IF;
    PERFORM holdfast_drop_week(week);
    RETURN true;
END
$$;
