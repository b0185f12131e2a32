-- What an import has done so far, in the database of the rows it writes: one transaction carries both.
CREATE TABLE import_run (
    task text PRIMARY KEY,
    binding text NOT NULL,
    outcome text CHECK (outcome IN ('completed', 'aborted', 'validated')),
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);

CREATE TABLE import_ledger (
    task text NOT NULL REFERENCES import_run ON DELETE CASCADE,
    chunk integer NOT NULL,
    position bigint NOT NULL,
    line bigint NOT NULL,
    rows bigint NOT NULL,
    bad bigint NOT NULL,
    changed bigint NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (task, chunk)
);

CREATE TABLE import_error (
    task text NOT NULL REFERENCES import_run ON DELETE CASCADE,
    line bigint NOT NULL,
    record text NOT NULL,
    reasons jsonb NOT NULL,
    PRIMARY KEY (task, line)
);

CREATE TABLE import_staging (
    task text NOT NULL REFERENCES import_run ON DELETE CASCADE,
    chunk integer NOT NULL,
    payload bytea NOT NULL,
    PRIMARY KEY (task, chunk)
);
ALTER TABLE import_staging ALTER COLUMN payload SET STORAGE EXTERNAL;
