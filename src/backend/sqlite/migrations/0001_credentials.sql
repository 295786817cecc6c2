-- Rows are found by an implicit integer key: index entries stay short, so that a
-- lookup among a million rows touches few more pages than one among a thousand.
CREATE TABLE credentials (
    id          TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    user_id     TEXT    NOT NULL,
    project_id  TEXT,
    slot        TEXT,
    access_key  TEXT,
    material    TEXT    NOT NULL,
    status      TEXT    NOT NULL,
    delegation  TEXT,
    attributes  TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    version     INTEGER NOT NULL
) STRICT;

-- What is unique. Rows without the column are not in its index.
CREATE UNIQUE INDEX by_id ON credentials (id);
CREATE UNIQUE INDEX by_access_key ON credentials (access_key) WHERE access_key IS NOT NULL;
CREATE UNIQUE INDEX by_user_and_slot ON credentials (user_id, slot) WHERE slot IS NOT NULL;

-- What lists walk, each in both orders; the first also counts for the quota.
CREATE INDEX by_user_and_id ON credentials (user_id, id);
CREATE INDEX by_user_and_access_key ON credentials (user_id, access_key)
    WHERE access_key IS NOT NULL;
CREATE INDEX by_project_and_id ON credentials (project_id, id)
    WHERE project_id IS NOT NULL;
CREATE INDEX by_project_and_access_key ON credentials (project_id, access_key)
    WHERE project_id IS NOT NULL AND access_key IS NOT NULL;
