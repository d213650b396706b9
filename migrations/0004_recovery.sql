-- Recovery and change of an account. Only additions: the release before goes on working while this is applied.

-- When the account will be deleted; absent while nobody wants that.
ALTER TABLE users ADD COLUMN deletion_at TIMESTAMPTZ;
CREATE INDEX users_deletion_at ON users (deletion_at);
-- The referral code that rests meanwhile, and works again if the account is kept.
ALTER TABLE users ADD COLUMN resting_code_id UUID;

-- Forgotten passwords. Also written, without an account, for addresses that have none: an answer takes the same work.
CREATE TABLE recovery_requests (
    id           UUID        NOT NULL PRIMARY KEY,        -- random: the browser that asked names it
    user_id      UUID        REFERENCES users (id) ON DELETE CASCADE,
    email_key    TEXT        NOT NULL,                    -- serves no longer once the account has another address
    token_hash   BYTEA,                                   -- set when the mail is made; SHA-256 of what its link carries
    code_mac     BYTEA,                                   -- the same of the code to be typed; keyed, for it is short
    tries        BIGINT      NOT NULL DEFAULT 0,          -- codes that were tried
    created_at   TIMESTAMPTZ NOT NULL,
    expires_at   TIMESTAMPTZ NOT NULL,
    consumed_at  TIMESTAMPTZ
);
CREATE UNIQUE INDEX recovery_requests_token_hash ON recovery_requests (token_hash);
CREATE INDEX recovery_requests_user_id ON recovery_requests (user_id);
CREATE INDEX recovery_requests_expires_at ON recovery_requests (expires_at);

-- Who forgot may be waiting for the mail of a sign-up.
CREATE INDEX pending_signups_email_key ON pending_signups (email_key);

-- An address that is to take another's place, once both have confirmed.
CREATE TABLE email_changes (
    id                UUID        NOT NULL PRIMARY KEY,
    user_id           UUID        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    old_email_key     TEXT        NOT NULL,
    new_email         TEXT        NOT NULL,               -- as typed
    new_email_key     TEXT        NOT NULL,
    old_token_hash    BYTEA,                              -- of the link in the mail to the address of now
    new_token_hash    BYTEA,                              -- of the link in the mail to the new one
    old_code_mac      BYTEA,
    new_code_mac      BYTEA,
    tries             BIGINT      NOT NULL DEFAULT 0,
    old_confirmed_at  TIMESTAMPTZ,                        -- from the beginning where the address of now was never proved
    new_confirmed_at  TIMESTAMPTZ,
    created_at        TIMESTAMPTZ NOT NULL,
    expires_at        TIMESTAMPTZ NOT NULL,
    consumed_at       TIMESTAMPTZ                         -- done, stopped, or replaced by another
);
CREATE UNIQUE INDEX email_changes_old_token_hash ON email_changes (old_token_hash);
CREATE UNIQUE INDEX email_changes_new_token_hash ON email_changes (new_token_hash);
CREATE INDEX email_changes_user_id ON email_changes (user_id);
CREATE INDEX email_changes_expires_at ON email_changes (expires_at);
