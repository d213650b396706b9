-- Signing in with other OpenID providers, and what people agreed to when they signed up.

-- Who somebody is at another provider. The subject is unique within its issuer (OpenID Connect Core §2); its address is
-- what the provider said last, for show alone: nobody is ever found by it.
CREATE TABLE upstream_identities (
    issuer        TEXT        NOT NULL,
    subject       TEXT        NOT NULL,
    user_id       UUID        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email         TEXT,
    created_at    TIMESTAMPTZ NOT NULL,
    last_used_at  TIMESTAMPTZ,
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX upstream_identities_user_id ON upstream_identities (user_id);

-- A sign-in that is under way at another provider. It belongs to one browser, and its state serves once.
CREATE TABLE upstream_attempts (
    id             UUID        NOT NULL PRIMARY KEY,
    state_hash     BYTEA       NOT NULL,                  -- SHA-256 of the `state` that was sent along
    browser_hash   BYTEA       NOT NULL,                  -- SHA-256 of the browser's cookie
    provider       TEXT        NOT NULL,                  -- its id in the configuration
    sealed         BYTEA       NOT NULL,                  -- nonce and PKCE verifier, under the master key
    onward         TEXT        NOT NULL,                  -- what `request` said at sign-in
    user_id        UUID        REFERENCES users (id) ON DELETE CASCADE, -- who adds a way in to their account
    sid            UUID,                                  -- in which session
    identity       JSONB,                                 -- who the provider says it was, once it has
    created_at     TIMESTAMPTZ NOT NULL,
    expires_at     TIMESTAMPTZ NOT NULL,
    returned_at    TIMESTAMPTZ,                           -- when the state was used
    consumed_at    TIMESTAMPTZ                            -- when the identity was
);
CREATE UNIQUE INDEX upstream_attempts_state_hash ON upstream_attempts (state_hash);
CREATE INDEX upstream_attempts_user_id ON upstream_attempts (user_id);
CREATE INDEX upstream_attempts_expires_at ON upstream_attempts (expires_at);

-- Which terms somebody agreed to, and when.
CREATE TABLE terms_agreements (
    user_id    UUID        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    version    TEXT        NOT NULL,
    agreed_at  TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, version)
);

-- The same for a sign-up that waits for its confirmation: agreed to when it was sent.
ALTER TABLE pending_signups ADD COLUMN terms_version TEXT;
