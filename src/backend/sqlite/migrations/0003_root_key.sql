-- Whether a key is its project's root key: `yes` or `no`. NULL in the rows of earlier
-- releases, for which the record's form decides.
ALTER TABLE credentials ADD COLUMN root_key TEXT;
