-- What people allowed apps, each different thing once, however many grants say it: what the page of apps tells is read from
-- here, and none of it is missing. Stop older services before: both changes of `grants` lock it.

CREATE TABLE app_permissions (
    id          UUID        NOT NULL PRIMARY KEY,          -- a hash of whom, which app and what
    user_id     UUID        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id   TEXT        NOT NULL REFERENCES clients (client_id) ON DELETE CASCADE,
    details     JSONB       NOT NULL,                      -- scope, authorization_details
    since       TIMESTAMPTZ NOT NULL,
    used_at     TIMESTAMPTZ,                               -- when the app got a refresh token last
    expires_at  TIMESTAMPTZ NOT NULL                       -- no grant of it lives longer
);
CREATE INDEX app_permissions_user_id ON app_permissions (user_id);
CREATE INDEX app_permissions_client_id ON app_permissions (client_id);
CREATE INDEX app_permissions_expires_at ON app_permissions (expires_at);

-- Not a foreign key: a permission is swept once all its grants have expired, and ends with its account or client as they do.
ALTER TABLE grants ADD COLUMN permission_id UUID;

-- What was granted before: a permission for each grant.
INSERT INTO app_permissions (id, user_id, client_id, details, since, used_at, expires_at)
SELECT g.id, g.user_id, g.client_id, g.details, g.created_at,
       (SELECT MAX(t.created_at) FROM refresh_tokens t WHERE t.grant_id = g.id), g.expires_at
FROM grants g WHERE g.revoked_at IS NULL;
UPDATE grants SET permission_id = id;

-- Is there a live grant of a permission?
CREATE INDEX grants_permission ON grants (permission_id, revoked_at, expires_at);
CREATE INDEX grants_of_user ON grants (user_id, id);
-- What a service of the release before grants after this.
CREATE INDEX grants_without_permission ON grants (user_id) WHERE permission_id IS NULL;
DROP INDEX grants_newest;
