-- Texts are compared bytewise, whatever the locale of the database. A tenth of each page
-- stays free, so that recording a use updates no index.
CREATE TABLE credentials (
    id          TEXT COLLATE "C" NOT NULL,
    kind        TEXT COLLATE "C" NOT NULL,
    user_id     TEXT COLLATE "C" NOT NULL,
    project_id  TEXT COLLATE "C",
    slot        TEXT COLLATE "C",
    access_key  TEXT COLLATE "C",
    material    TEXT COLLATE "C" NOT NULL,
    status      TEXT COLLATE "C" NOT NULL,
    delegation  TEXT COLLATE "C",
    attributes  TEXT COLLATE "C" NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    version     BIGINT NOT NULL,
    -- In seconds since 1970; NULL until a use is recorded.
    last_used   BIGINT,
    CONSTRAINT credentials_by_id PRIMARY KEY (id)
) WITH (fillfactor = 90);

-- Unique values. Rows with NULL in the column are not in the index.
CREATE UNIQUE INDEX credentials_by_access_key ON credentials (access_key)
    WHERE access_key IS NOT NULL;
CREATE UNIQUE INDEX credentials_by_user_and_slot ON credentials (user_id, slot)
    WHERE slot IS NOT NULL;

-- The indexes of lists, each in both orders. The first is also used to count for quotas.
CREATE INDEX credentials_by_user_and_id ON credentials (user_id, id);
CREATE INDEX credentials_by_user_and_access_key ON credentials (user_id, access_key)
    WHERE access_key IS NOT NULL;
CREATE INDEX credentials_by_project_and_id ON credentials (project_id, id)
    WHERE project_id IS NOT NULL;
CREATE INDEX credentials_by_project_and_access_key ON credentials (project_id, access_key)
    WHERE project_id IS NOT NULL AND access_key IS NOT NULL;

-- One row for each user with a quota. An insert for the user writes it first, and so waits
-- for earlier transactions that count the user's records.
CREATE TABLE credential_owners (
    user_id     TEXT COLLATE "C" NOT NULL,
    CONSTRAINT credential_owners_by_user PRIMARY KEY (user_id)
) WITH (fillfactor = 50);
