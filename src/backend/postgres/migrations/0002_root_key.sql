-- Whether a key is its project's root key: `yes` or `no`. NULL in rows of earlier releases,
-- for which the form of the record decides.
ALTER TABLE credentials ADD COLUMN root_key TEXT COLLATE "C";
