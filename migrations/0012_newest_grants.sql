-- Somebody's newest grants are read in the order of this index, however many there are. It also serves what the one
-- before it did.

CREATE INDEX grants_user_id_id ON grants (user_id, id);
DROP INDEX grants_user_id;
