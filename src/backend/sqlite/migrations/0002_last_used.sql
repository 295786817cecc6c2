-- In whole seconds since 1970; NULL as long as no use is known. In the row itself, so
-- that it goes with it, and behind all that is written with it.
ALTER TABLE credentials ADD COLUMN last_used INTEGER;
