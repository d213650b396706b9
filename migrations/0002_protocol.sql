-- What the whole of OAuth 2.0 and OpenID Connect needs beyond sign-in, code and refresh. Only additions: the release
-- before goes on working while this is applied.

-- Standard claims (OpenID Connect Core §5.1) that have no column of their own.
ALTER TABLE users ADD COLUMN profile JSONB NOT NULL DEFAULT '{}';

-- Readable with the master key, for client_secret_jwt alone.
ALTER TABLE clients ADD COLUMN sealed_secret BYTEA;
-- operator, registered (RFC 7591) or document (Client ID Metadata Document)
ALTER TABLE clients ADD COLUMN origin TEXT NOT NULL DEFAULT 'operator';
-- RFC 7592: opens the client's own registration.
ALTER TABLE clients ADD COLUMN registration_token_hash BYTEA;
-- Client ID Metadata Document: until when it is believed without fetching it anew.
ALTER TABLE clients ADD COLUMN document_expires_at TIMESTAMPTZ;
CREATE INDEX clients_document_expires_at ON clients (document_expires_at);

-- RFC 7591 §3: who may register clients where registration is not open.
CREATE TABLE initial_access_tokens (
    token_hash  BYTEA       NOT NULL PRIMARY KEY,
    name        TEXT        NOT NULL,
    uses_left   BIGINT,                                   -- absent: any number
    created_at  TIMESTAMPTZ NOT NULL,
    expires_at  TIMESTAMPTZ NOT NULL
);
CREATE UNIQUE INDEX initial_access_tokens_name ON initial_access_tokens (name);
CREATE INDEX initial_access_tokens_expires_at ON initial_access_tokens (expires_at);

-- Pairwise subject identifiers (OpenID Connect Core §8.1): who a `sub` is.
CREATE TABLE pairwise_subjects (
    sub         TEXT        NOT NULL PRIMARY KEY,
    sector      TEXT        NOT NULL,
    user_id     UUID        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at  TIMESTAMPTZ NOT NULL
);
CREATE INDEX pairwise_subjects_user_id ON pairwise_subjects (user_id);

-- Authorization requests that were pushed (RFC 9126) and not taken up yet.
CREATE TABLE pushed_requests (
    uri_hash     BYTEA       NOT NULL PRIMARY KEY,        -- SHA-256 of the request_uri's random part
    client_id    TEXT        NOT NULL REFERENCES clients (client_id) ON DELETE CASCADE,
    request      JSONB       NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL,
    expires_at   TIMESTAMPTZ NOT NULL,
    consumed_at  TIMESTAMPTZ,
    authorization_request_id UUID                         -- what it became when it was taken up
);
CREATE INDEX pushed_requests_client_id ON pushed_requests (client_id);
CREATE INDEX pushed_requests_expires_at ON pushed_requests (expires_at);

-- Devices that wait for their person (RFC 8628).
CREATE TABLE device_authorizations (
    id                UUID        NOT NULL PRIMARY KEY,
    device_code_hash  BYTEA       NOT NULL,
    user_code_hash    BYTEA       NOT NULL,
    client_id         TEXT        NOT NULL REFERENCES clients (client_id) ON DELETE CASCADE,
    request           JSONB       NOT NULL,               -- scope, resources
    status            TEXT        NOT NULL CHECK (status IN ('pending', 'allowed', 'denied', 'used')),
    grant_id          UUID        REFERENCES grants (id) ON DELETE CASCADE,
    interval_seconds  BIGINT      NOT NULL,
    polled_at         TIMESTAMPTZ,
    created_at        TIMESTAMPTZ NOT NULL,
    expires_at        TIMESTAMPTZ NOT NULL
);
CREATE UNIQUE INDEX device_authorizations_device_code ON device_authorizations (device_code_hash);
CREATE UNIQUE INDEX device_authorizations_user_code ON device_authorizations (user_code_hash);
CREATE INDEX device_authorizations_client_id ON device_authorizations (client_id);
CREATE INDEX device_authorizations_grant_id ON device_authorizations (grant_id);
CREATE INDEX device_authorizations_expires_at ON device_authorizations (expires_at);

-- Ids of assertions and proofs that were used (RFC 7523 §3, RFC 9449 §11.1): each serves once while it is valid.
CREATE TABLE used_proofs (
    id_hash     BYTEA       NOT NULL PRIMARY KEY,         -- SHA-256 over kind, issuer and jti
    expires_at  TIMESTAMPTZ NOT NULL
);
CREATE INDEX used_proofs_expires_at ON used_proofs (expires_at);
