-- Codes that are mailed in place of an app's, devices that are asked for none, and what browsers are known from before.
-- Only additions: the release before goes on working while this is applied.

-- Since a forgotten password was replaced by mail, no code of the app was shown: until one is, codes are not mailed.
ALTER TABLE totp_secrets ADD COLUMN mail_refused_at TIMESTAMPTZ;
-- Nobody knows how the passwords of now came to be.
UPDATE totp_secrets SET mail_refused_at = created_at;

-- Codes mailed in place of the app's, each for one sign-in that waits. Also written where none is mailed: an answer takes
-- the same work.
CREATE TABLE mailed_codes (
    id           UUID        NOT NULL PRIMARY KEY,        -- random: the mail's code is drawn from it
    user_id      UUID        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    signin_hash  BYTEA       NOT NULL REFERENCES unfinished_signins (key_hash) ON DELETE CASCADE,
    email_key    TEXT        NOT NULL,                    -- serves no longer once the account has another address
    code_mac     BYTEA,                                   -- set when the mail is made; keyed, for the code is short
    tries        BIGINT      NOT NULL DEFAULT 0,
    created_at   TIMESTAMPTZ NOT NULL,
    expires_at   TIMESTAMPTZ NOT NULL,
    consumed_at  TIMESTAMPTZ                              -- used, or replaced by another
);
CREATE INDEX mailed_codes_user_id ON mailed_codes (user_id);
CREATE INDEX mailed_codes_signin_hash ON mailed_codes (signin_hash);
CREATE INDEX mailed_codes_expires_at ON mailed_codes (expires_at);

-- Browsers in which somebody is asked for no second factor for a while.
CREATE TABLE remembered_devices (
    id            UUID        NOT NULL PRIMARY KEY,
    token_hash    BYTEA       NOT NULL,                   -- SHA-256 of what the browser's cookie holds
    user_id       UUID        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    user_agent    TEXT,                                   -- shortened, as with sessions
    created_at    TIMESTAMPTZ NOT NULL,
    last_used_at  TIMESTAMPTZ,
    expires_at    TIMESTAMPTZ NOT NULL                    -- from its making: use does not renew it
);
CREATE UNIQUE INDEX remembered_devices_token_hash ON remembered_devices (token_hash);
CREATE INDEX remembered_devices_user_id ON remembered_devices (user_id);
CREATE INDEX remembered_devices_expires_at ON remembered_devices (expires_at);

-- Since when browsers that knew an account before are strangers to it: it was signed out of everywhere, or has another
-- address. Their cookies stay where they are and say less.
CREATE TABLE forgotten_browsers (
    user_id  UUID         NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    at       TIMESTAMPTZ  NOT NULL
);

-- Sign-ups by way of another provider that wait for the proof of an address for which it does not vouch.
CREATE TABLE upstream_proofs (
    id           UUID        NOT NULL PRIMARY KEY,        -- random: the mail's code is drawn from it
    attempt_id   UUID        NOT NULL REFERENCES upstream_attempts (id) ON DELETE CASCADE,
    email_key    TEXT        NOT NULL,
    account      JSONB       NOT NULL,                    -- what was typed
    code_mac     BYTEA,
    tries        BIGINT      NOT NULL DEFAULT 0,
    created_at   TIMESTAMPTZ NOT NULL,
    expires_at   TIMESTAMPTZ NOT NULL,
    consumed_at  TIMESTAMPTZ                              -- used, or replaced by another
);
CREATE INDEX upstream_proofs_attempt_id ON upstream_proofs (attempt_id);
CREATE INDEX upstream_proofs_expires_at ON upstream_proofs (expires_at);
