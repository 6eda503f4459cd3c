-- Samples. `metric_head` has one row: the number of the newest write of samples, updated in the transaction of each.
CREATE TABLE metric_head (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    seq INTEGER NOT NULL
) STRICT;
INSERT INTO metric_head (one, seq) VALUES (1, 0);

-- AUTOINCREMENT: the number of a series that is gone is never given to another.
CREATE TABLE metric_series (
    series_id   INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    series_key  TEXT    NOT NULL UNIQUE, -- SHA-256 of service, name and tags, in hexadecimal
    service_id  TEXT    NOT NULL,
    metric_name TEXT    NOT NULL,
    metric_unit TEXT,                    -- absent until a sample names one
    tags        TEXT    NOT NULL CHECK (json_valid(tags)),
    created_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE metric_points (
    series_id INTEGER NOT NULL REFERENCES metric_series (series_id),
    at        INTEGER NOT NULL,
    value     REAL    NOT NULL,
    seq       INTEGER NOT NULL, -- the write that brought it
    PRIMARY KEY (series_id, at)
) STRICT, WITHOUT ROWID;

-- Samples with the columns that the seed gives them.
CREATE VIEW service_metrics AS
    SELECT s.series_id || '-' || p.at AS id, s.service_id, s.metric_name, p.value AS metric_value, s.metric_unit, s.tags,
        p.at AS timestamp
    FROM metric_points p JOIN metric_series s ON s.series_id = p.series_id;
