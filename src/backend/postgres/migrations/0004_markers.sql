-- Indexes by the marker of a record in lists, in place of those by id and by access key. A
-- process that finds records builds them before, while others write.
CREATE UNIQUE INDEX IF NOT EXISTS credentials_by_marker ON credentials
    ((CASE WHEN access_key IS NULL THEN 'i' || id ELSE 'a' || access_key END));
CREATE INDEX IF NOT EXISTS credentials_by_user ON credentials
    (user_id, (CASE WHEN access_key IS NULL THEN 'i' || id ELSE 'a' || access_key END));
CREATE INDEX IF NOT EXISTS credentials_by_project ON credentials
    (project_id, (CASE WHEN access_key IS NULL THEN 'i' || id ELSE 'a' || access_key END))
    WHERE project_id IS NOT NULL;

DROP INDEX IF EXISTS credentials_by_access_key;
DROP INDEX IF EXISTS credentials_by_user_and_id;
DROP INDEX IF EXISTS credentials_by_user_and_access_key;
DROP INDEX IF EXISTS credentials_by_project_and_id;
DROP INDEX IF EXISTS credentials_by_project_and_access_key;
