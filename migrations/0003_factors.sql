-- Ways to prove oneself beyond a password. Only additions: the release before goes on working while this is applied.

-- The secret that an authenticator app shares (RFC 6238): its presence asks for a second factor.
CREATE TABLE totp_secrets (
    user_id        UUID        NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    sealed_secret  BYTEA       NOT NULL,                  -- opens with the master key, for this account alone
    last_step      BIGINT      NOT NULL,                  -- that of the last code accepted: none serves twice
    created_at     TIMESTAMPTZ NOT NULL
);

-- What stands in for the app when it is lost.
CREATE TABLE recovery_codes (
    code_hash   BYTEA       NOT NULL PRIMARY KEY,         -- HMAC under the master key, with the account
    user_id     UUID        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at  TIMESTAMPTZ NOT NULL,
    used_at     TIMESTAMPTZ
);
CREATE INDEX recovery_codes_user_id ON recovery_codes (user_id);

-- Public keys of passkeys (Web Authentication).
CREATE TABLE passkeys (
    id             UUID        NOT NULL PRIMARY KEY,
    user_id        UUID        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    credential_id  BYTEA       NOT NULL,                  -- the authenticator's name for it
    credential     JSONB       NOT NULL,                  -- key, counter and flags
    name           TEXT        NOT NULL,                  -- the owner's name for it
    created_at     TIMESTAMPTZ NOT NULL,
    last_used_at   TIMESTAMPTZ
);
-- Whose key it is must be certain.
CREATE UNIQUE INDEX passkeys_credential_id ON passkeys (credential_id);
CREATE INDEX passkeys_user_id ON passkeys (user_id);

-- Challenges that wait for their answer by a passkey.
CREATE TABLE passkey_ceremonies (
    key_hash     BYTEA       NOT NULL PRIMARY KEY,        -- SHA-256 of the key that the browser holds
    user_id      UUID        REFERENCES users (id) ON DELETE CASCADE, -- who registers; absent for a sign-in
    state        JSONB       NOT NULL,                    -- challenge and conditions
    created_at   TIMESTAMPTZ NOT NULL,
    expires_at   TIMESTAMPTZ NOT NULL,
    consumed_at  TIMESTAMPTZ
);
CREATE INDEX passkey_ceremonies_user_id ON passkey_ceremonies (user_id);
CREATE INDEX passkey_ceremonies_expires_at ON passkey_ceremonies (expires_at);

-- Sign-ins that wait for their second factor.
CREATE TABLE unfinished_signins (
    key_hash      BYTEA       NOT NULL PRIMARY KEY,       -- SHA-256 of the key in the browser's cookie
    user_id       UUID        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    amr           JSONB       NOT NULL,                   -- what was shown so far (RFC 8176)
    phc_digest    BYTEA,                                  -- SHA-256 of the hash that the password was verified against
    onward        TEXT        NOT NULL,                   -- the path it goes on to
    attempts      BIGINT      NOT NULL DEFAULT 0,
    created_at    TIMESTAMPTZ NOT NULL,
    expires_at    TIMESTAMPTZ NOT NULL,
    consumed_at   TIMESTAMPTZ
);
CREATE INDEX unfinished_signins_user_id ON unfinished_signins (user_id);
CREATE INDEX unfinished_signins_expires_at ON unfinished_signins (expires_at);
