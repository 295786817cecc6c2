-- Name, description, boundary and the rest, as JSON; the expiry in microseconds since 1970.
-- NULL in most rows.
ALTER TABLE credentials ADD COLUMN terms TEXT;
ALTER TABLE credentials ADD COLUMN expires_at INTEGER;

-- Keys without an expiry are not in it.
CREATE INDEX by_expiry ON credentials (expires_at, id) WHERE expires_at IS NOT NULL;
