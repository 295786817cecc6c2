-- The records, in place of the table `credentials` of earlier versions. Processes of an earlier
-- release do not find that table any more, and return errors.
--
-- Ids of 32 or 64 lowercase hexadecimal digits are stored as bytes, other ids as text.
CREATE TABLE records (
    -- A hash of the id. A lookup by id searches this table only. So does one by access key:
    -- the id of most key pairs is the digest of the access key.
    hash        INTEGER PRIMARY KEY,
    id          ANY     NOT NULL,
    kind        TEXT    NOT NULL,
    user_id     ANY     NOT NULL,
    project_id  ANY,
    slot        TEXT,
    access_key  TEXT,
    material    TEXT    NOT NULL,
    status      TEXT    NOT NULL,
    delegation  TEXT,
    attributes  TEXT    NOT NULL,
    -- Whether a key is its project's root key: `yes` or `no`. NULL in the records of earlier
    -- releases, for which the record's form decides.
    root_key    TEXT,
    -- Name, description, boundary and the rest, as JSON.
    terms       TEXT,
    -- Times in microseconds since 1970.
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    expires_at  INTEGER,
    -- In whole seconds since 1970; NULL until a use is recorded.
    last_used   INTEGER,
    -- The id as text, and the marker of the record in lists. Not stored in the table.
    name        TEXT AS (iif(typeof(id) = 'blob', lower(hex(id)), id)) VIRTUAL,
    marker      TEXT AS (iif(access_key IS NULL, 'i' || name, 'a' || access_key)) VIRTUAL
) STRICT;

-- Access keys are unique, and so are ids.
CREATE UNIQUE INDEX records_by_marker ON records (marker);
CREATE UNIQUE INDEX records_by_slot ON records (user_id, slot) WHERE slot IS NOT NULL;

-- The lists of owners. The first is also used to count for quotas.
CREATE INDEX records_by_user ON records (user_id, marker);
CREATE INDEX records_by_project ON records (project_id, marker) WHERE project_id IS NOT NULL;

-- Records without an expiry are not in it.
CREATE INDEX records_by_expiry ON records (expires_at, name) WHERE expires_at IS NOT NULL;
