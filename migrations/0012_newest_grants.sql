-- Somebody's newest grants are read in the order of this index, however many there are, and which apps they are to without
-- looking at the grants. It also serves what the one before it did.

CREATE INDEX grants_newest ON grants (user_id, id, client_id, created_at, expires_at, revoked_at);
DROP INDEX grants_user_id;
