-- While records move to the new table: how far they have, and which have changed meanwhile.
CREATE TABLE moving (last INTEGER NOT NULL) STRICT;
INSERT INTO moving VALUES (-9223372036854775808);
CREATE TABLE changed (id TEXT NOT NULL PRIMARY KEY) STRICT;

-- Processes of an earlier release may still write.
CREATE TRIGGER changed_by_insert AFTER INSERT ON credentials BEGIN
    INSERT INTO changed SELECT new.id WHERE new.id NOT IN (SELECT id FROM changed);
END;
CREATE TRIGGER changed_by_update AFTER UPDATE ON credentials BEGIN
    INSERT INTO changed SELECT old.id WHERE old.id NOT IN (SELECT id FROM changed);
    INSERT INTO changed SELECT new.id WHERE new.id NOT IN (SELECT id FROM changed);
END;
CREATE TRIGGER changed_by_delete AFTER DELETE ON credentials BEGIN
    INSERT INTO changed SELECT old.id WHERE old.id NOT IN (SELECT id FROM changed);
END;
