-- Text is compared bytewise whatever the locale of the database is. A tenth of each
-- page stays free, so that noting a use touches no index.
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
    -- In whole seconds since 1970; NULL as long as no use is known.
    last_used   BIGINT,
    CONSTRAINT credentials_by_id PRIMARY KEY (id)
) WITH (fillfactor = 90);

-- What is unique. Rows without the column are not in its index.
CREATE UNIQUE INDEX credentials_by_access_key ON credentials (access_key)
    WHERE access_key IS NOT NULL;
CREATE UNIQUE INDEX credentials_by_user_and_slot ON credentials (user_id, slot)
    WHERE slot IS NOT NULL;

-- What lists walk, each in both orders; the first also counts for the quota.
CREATE INDEX credentials_by_user_and_id ON credentials (user_id, id);
CREATE INDEX credentials_by_user_and_access_key ON credentials (user_id, access_key)
    WHERE access_key IS NOT NULL;
CREATE INDEX credentials_by_project_and_id ON credentials (project_id, id)
    WHERE project_id IS NOT NULL;
CREATE INDEX credentials_by_project_and_access_key ON credentials (project_id, access_key)
    WHERE project_id IS NOT NULL AND access_key IS NOT NULL;

-- One row for each user who was ever held to a quota: whoever inserts for the user
-- writes it first, and so waits for those who count before.
CREATE TABLE credential_owners (
    user_id     TEXT COLLATE "C" NOT NULL,
    CONSTRAINT credential_owners_by_user PRIMARY KEY (user_id)
) WITH (fillfactor = 50);
