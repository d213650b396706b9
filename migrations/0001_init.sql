-- One file for both engines. PostgreSQL's type names are read by SQLite as affinities that keep what is bound:
-- UUID and BYTEA as blobs, TIMESTAMPTZ as RFC 3339 text (UTC, so it sorts), JSONB (objects only) as text.
-- Times are always bound from the application's clock, never taken from the database's.

-- People ------------------------------------------------------------------------------------------------------------

CREATE TABLE users (
    id                 UUID        NOT NULL PRIMARY KEY,
    email              TEXT        NOT NULL,              -- as typed, for display and for mail
    email_key          TEXT        NOT NULL,              -- lower case, domain in ASCII: what is unique
    email_canonical    TEXT        NOT NULL,              -- tags, dots and provider aliases folded: who is the same person
    email_verified_at  TIMESTAMPTZ,
    given_name         TEXT,
    family_name        TEXT,
    locale             TEXT,
    role               TEXT        NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'admin')),
    discoverable       BOOLEAN     NOT NULL DEFAULT TRUE, -- may the referral code be looked up by email?
    created_at         TIMESTAMPTZ NOT NULL,
    updated_at         TIMESTAMPTZ NOT NULL
);
CREATE UNIQUE INDEX users_email_key ON users (email_key);
CREATE INDEX users_email_canonical ON users (email_canonical);

CREATE TABLE password_credentials (
    user_id     UUID        NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    phc         TEXT        NOT NULL,                     -- argon2id, PHC string format
    updated_at  TIMESTAMPTZ NOT NULL
);

-- A sign-up that waits for its confirmation (`accounts.email_verification = "required"`): no account exists yet.
CREATE TABLE pending_signups (
    id             UUID        NOT NULL PRIMARY KEY,
    token_hash     BYTEA,                                 -- set when the mail is made; SHA-256 of what it carries
    email          TEXT        NOT NULL,
    email_key      TEXT        NOT NULL,
    phc            TEXT        NOT NULL,
    given_name     TEXT,
    family_name    TEXT,
    locale         TEXT,
    referral_code  TEXT,
    created_at     TIMESTAMPTZ NOT NULL,
    expires_at     TIMESTAMPTZ NOT NULL,
    consumed_at    TIMESTAMPTZ
);
CREATE UNIQUE INDEX pending_signups_token_hash ON pending_signups (token_hash);
CREATE INDEX pending_signups_expires_at ON pending_signups (expires_at);

CREATE TABLE email_verifications (
    token_hash   BYTEA       NOT NULL PRIMARY KEY,
    user_id      UUID        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email_key    TEXT        NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL,
    expires_at   TIMESTAMPTZ NOT NULL,
    consumed_at  TIMESTAMPTZ
);
CREATE INDEX email_verifications_user_id ON email_verifications (user_id);
CREATE INDEX email_verifications_expires_at ON email_verifications (expires_at);

-- What outside services say about an address (Hunter) and a person (Clearbit's shape).
CREATE TABLE email_checks (
    user_id     UUID        NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    source      TEXT        NOT NULL,
    status      TEXT        NOT NULL,
    score       BIGINT,
    flagged     BOOLEAN     NOT NULL,
    answer      JSONB       NOT NULL,
    checked_at  TIMESTAMPTZ NOT NULL
);

CREATE TABLE enrichments (
    user_id     UUID        NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    source      TEXT        NOT NULL,
    status      TEXT        NOT NULL,
    answer      JSONB       NOT NULL,
    fetched_at  TIMESTAMPTZ NOT NULL
);

-- Browser sessions --------------------------------------------------------------------------------------------------

CREATE TABLE browser_sessions (
    id_hash     BYTEA       NOT NULL PRIMARY KEY,         -- SHA-256 of the cookie's value
    user_id     UUID        REFERENCES users (id) ON DELETE CASCADE,
    sid         UUID,                                     -- the `sid` claim: names the session without being its key
    record      JSONB       NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL,
    expires_at  TIMESTAMPTZ NOT NULL
);
CREATE INDEX browser_sessions_user_id ON browser_sessions (user_id);
CREATE INDEX browser_sessions_sid ON browser_sessions (sid);
CREATE INDEX browser_sessions_expires_at ON browser_sessions (expires_at);

-- OAuth 2.0 ---------------------------------------------------------------------------------------------------------

CREATE TABLE clients (
    client_id    TEXT        NOT NULL PRIMARY KEY,
    name         TEXT        NOT NULL,
    secret_hash  BYTEA,                                   -- SHA-256 of 256 random bits; absent for public clients
    first_party  BOOLEAN     NOT NULL,
    metadata     JSONB       NOT NULL,                    -- redirect_uris, grant_types, scopes, auth method, algorithms (RFC 7591 names)
    created_at   TIMESTAMPTZ NOT NULL,
    updated_at   TIMESTAMPTZ NOT NULL
);

-- An authorization request that was validated and waits for sign-in or consent.
CREATE TABLE authorization_requests (
    id           UUID        NOT NULL PRIMARY KEY,
    client_id    TEXT        NOT NULL REFERENCES clients (client_id) ON DELETE CASCADE,
    request      JSONB       NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL,
    expires_at   TIMESTAMPTZ NOT NULL,
    consumed_at  TIMESTAMPTZ
);
CREATE INDEX authorization_requests_client_id ON authorization_requests (client_id);
CREATE INDEX authorization_requests_expires_at ON authorization_requests (expires_at);

CREATE TABLE consents (
    user_id     UUID        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id   TEXT        NOT NULL REFERENCES clients (client_id) ON DELETE CASCADE,
    consent     JSONB       NOT NULL,
    granted_at  TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, client_id)
);
CREATE INDEX consents_client_id ON consents (client_id);

-- What a person allowed a client: the family that its code, refresh tokens and access tokens belong to.
CREATE TABLE grants (
    id           UUID        NOT NULL PRIMARY KEY,
    user_id      UUID        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id    TEXT        NOT NULL REFERENCES clients (client_id) ON DELETE CASCADE,
    sid          UUID,
    details      JSONB       NOT NULL,                    -- scope, resources, auth_time, acr, amr
    created_at   TIMESTAMPTZ NOT NULL,
    expires_at   TIMESTAMPTZ NOT NULL,
    revoked_at   TIMESTAMPTZ
);
CREATE INDEX grants_user_id ON grants (user_id);
CREATE INDEX grants_client_id ON grants (client_id);
CREATE INDEX grants_sid ON grants (sid);
CREATE INDEX grants_expires_at ON grants (expires_at);

CREATE TABLE authorization_codes (
    code_hash    BYTEA       NOT NULL PRIMARY KEY,
    grant_id     UUID        NOT NULL REFERENCES grants (id) ON DELETE CASCADE,
    client_id    TEXT        NOT NULL,
    request      JSONB       NOT NULL,                    -- redirect_uri, nonce, code_challenge
    created_at   TIMESTAMPTZ NOT NULL,
    expires_at   TIMESTAMPTZ NOT NULL,
    consumed_at  TIMESTAMPTZ
);
CREATE INDEX authorization_codes_grant_id ON authorization_codes (grant_id);
CREATE INDEX authorization_codes_expires_at ON authorization_codes (expires_at);

CREATE TABLE refresh_tokens (
    token_hash        BYTEA       NOT NULL PRIMARY KEY,
    grant_id          UUID        NOT NULL REFERENCES grants (id) ON DELETE CASCADE,
    client_id         TEXT        NOT NULL,
    sealed_successor  BYTEA,                              -- readable only with the token itself: for a retry within the leeway
    successor_hash    BYTEA,
    created_at        TIMESTAMPTZ NOT NULL,
    expires_at        TIMESTAMPTZ NOT NULL,
    consumed_at       TIMESTAMPTZ
);
CREATE INDEX refresh_tokens_grant_id ON refresh_tokens (grant_id);
CREATE INDEX refresh_tokens_expires_at ON refresh_tokens (expires_at);

-- Access tokens are not stored, so what ends them early is listed here until the last of them has expired.
CREATE TABLE revocations (
    kind        TEXT        NOT NULL CHECK (kind IN ('grant', 'session', 'user', 'client', 'token')),
    id          TEXT        NOT NULL,
    revoked_at  TIMESTAMPTZ NOT NULL,
    expires_at  TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX revocations_expires_at ON revocations (expires_at);

CREATE TABLE signing_keys (
    kid             TEXT        NOT NULL PRIMARY KEY,
    alg             TEXT        NOT NULL,
    generation      BIGINT      NOT NULL,                 -- counts up for each algorithm: of two instances that make a key at once, one wins
    public_jwk      JSONB       NOT NULL,
    sealed_private  BYTEA       NOT NULL,                 -- AES-256-GCM under a key derived from the master key
    created_at      TIMESTAMPTZ NOT NULL,
    activates_at    TIMESTAMPTZ NOT NULL                  -- published before, signs from here until its successor does
);
CREATE UNIQUE INDEX signing_keys_generation ON signing_keys (alg, generation);

-- Referrals ---------------------------------------------------------------------------------------------------------

CREATE TABLE referral_codes (
    id           UUID        NOT NULL PRIMARY KEY,
    referrer_id  UUID        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    code         TEXT        NOT NULL,                    -- as shown
    code_key     TEXT        NOT NULL,                    -- upper case, O and 0, I, L and 1 folded: what is unique
    status       TEXT        NOT NULL CHECK (status IN ('active', 'expired', 'deleted')),
    created_at   TIMESTAMPTZ NOT NULL,
    expires_at   TIMESTAMPTZ NOT NULL,
    deleted_at   TIMESTAMPTZ,
    max_uses     BIGINT      CHECK (max_uses > 0),
    uses         BIGINT      NOT NULL DEFAULT 0 CHECK (uses >= 0 AND (max_uses IS NULL OR uses <= max_uses))
);
CREATE UNIQUE INDEX referral_codes_code_key ON referral_codes (code_key);
CREATE UNIQUE INDEX referral_codes_one_active ON referral_codes (referrer_id) WHERE status = 'active';
CREATE INDEX referral_codes_referrer ON referral_codes (referrer_id, id);

CREATE TABLE referrals (
    id                UUID        NOT NULL PRIMARY KEY,
    referrer_id       UUID        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    referral_user_id  UUID        REFERENCES users (id) ON DELETE SET NULL, -- the person who was invited; empty once their account is deleted
    code_id           UUID        NOT NULL REFERENCES referral_codes (id) ON DELETE CASCADE,
    status            TEXT        NOT NULL CHECK (status IN ('pending', 'verified', 'qualified', 'rewarded', 'rejected', 'reversed')),
    created_at        TIMESTAMPTZ NOT NULL,
    updated_at        TIMESTAMPTZ NOT NULL,
    CHECK (referral_user_id IS NULL OR referral_user_id <> referrer_id)
);
CREATE UNIQUE INDEX referrals_referral_user_id ON referrals (referral_user_id);
CREATE INDEX referrals_referrer ON referrals (referrer_id, id);
CREATE INDEX referrals_referrer_status ON referrals (referrer_id, status, id);
CREATE INDEX referrals_code_id ON referrals (code_id);

CREATE TABLE referral_events (
    id           UUID        NOT NULL PRIMARY KEY,
    referral_id  UUID        NOT NULL REFERENCES referrals (id) ON DELETE CASCADE,
    from_status  TEXT,
    to_status    TEXT        NOT NULL,
    reason       TEXT        NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL
);
CREATE INDEX referral_events_referral ON referral_events (referral_id, id);

-- Work to be done after the commit that asked for it ----------------------------------------------------------------

CREATE TABLE outbox (
    id               UUID        NOT NULL PRIMARY KEY,
    kind             TEXT        NOT NULL,                -- mail, email_check, enrichment
    user_id          UUID        REFERENCES users (id) ON DELETE CASCADE, -- whom it is about: goes with them
    payload          JSONB       NOT NULL,
    attempts         BIGINT      NOT NULL DEFAULT 0,
    last_error       TEXT,
    created_at       TIMESTAMPTZ NOT NULL,
    next_attempt_at  TIMESTAMPTZ NOT NULL,
    expires_at       TIMESTAMPTZ NOT NULL
);
CREATE INDEX outbox_due ON outbox (next_attempt_at);
CREATE INDEX outbox_user_id ON outbox (user_id);
CREATE INDEX outbox_expires_at ON outbox (expires_at);

-- People who asked not to be mailed by others. A keyed hash: the address itself is not kept.
CREATE TABLE mail_objections (
    email_hash  BYTEA       NOT NULL PRIMARY KEY,
    created_at  TIMESTAMPTZ NOT NULL
);

-- People about whom an outside service may tell nothing (it answered 451): never asked about again. A keyed hash too.
CREATE TABLE lookup_objections (
    email_hash  BYTEA       NOT NULL PRIMARY KEY,
    created_at  TIMESTAMPTZ NOT NULL
);

-- Cache entries whose removal could not be delivered; while one is listed, readers use the database.
CREATE TABLE cache_invalidations (
    cache_key   TEXT        NOT NULL PRIMARY KEY,
    created_at  TIMESTAMPTZ NOT NULL,
    expires_at  TIMESTAMPTZ NOT NULL
);
CREATE INDEX cache_invalidations_expires_at ON cache_invalidations (expires_at);

-- Answers kept for a repeated Idempotency-Key.
CREATE TABLE idempotency_keys (
    key_hash      BYTEA       NOT NULL PRIMARY KEY,       -- SHA-256 over caller, route and key
    request_hash  BYTEA       NOT NULL,
    status        BIGINT      NOT NULL,
    answer        JSONB       NOT NULL,
    created_at    TIMESTAMPTZ NOT NULL,
    expires_at    TIMESTAMPTZ NOT NULL
);
CREATE INDEX idempotency_keys_expires_at ON idempotency_keys (expires_at);

CREATE TABLE audit_events (
    id          UUID        NOT NULL PRIMARY KEY,
    kind        TEXT        NOT NULL,
    user_id     UUID,
    client_id   TEXT,
    details     JSONB       NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL
);
CREATE INDEX audit_events_user ON audit_events (user_id, id);
CREATE INDEX audit_events_created_at ON audit_events (created_at);
