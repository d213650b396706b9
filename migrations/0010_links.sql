-- Links to referral codes: who followed them, with which code a sign-up came, and invitations as their senders see them.

-- What came of a code, day by day. Added to with each click and each sign-up.
CREATE TABLE referral_code_days (
    code_id   UUID    NOT NULL REFERENCES referral_codes (id) ON DELETE CASCADE,
    day       TEXT    NOT NULL,                           -- `2030-01-31`, UTC
    clicks    BIGINT  NOT NULL,                           -- how often its link was followed
    visitors  BIGINT  NOT NULL,                           -- from how many network addresses
    sign_ups  BIGINT  NOT NULL,
    PRIMARY KEY (code_id, day)
);
INSERT INTO referral_code_days (code_id, day, clicks, visitors, sign_ups)
    SELECT code_id, SUBSTR(CAST(created_at AS TEXT), 1, 10), 0, 0, COUNT(*)
    FROM referrals GROUP BY code_id, SUBSTR(CAST(created_at AS TEXT), 1, 10);

-- Who was counted today. Hashes under the day's salt (`daily_salts`), gone when the day is over.
CREATE TABLE referral_visitors (
    address_hash  BYTEA       NOT NULL,
    code_id       UUID        NOT NULL REFERENCES referral_codes (id) ON DELETE CASCADE,
    expires_at    TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (address_hash, code_id)
);
CREATE INDEX referral_visitors_code_id ON referral_visitors (code_id);
CREATE INDEX referral_visitors_expires_at ON referral_visitors (expires_at);

-- A sign-up that waits for its confirmation keeps how its code came, and where it came from (as in `signup_traces`).
ALTER TABLE pending_signups ADD COLUMN referral_source TEXT NOT NULL DEFAULT 'code';
ALTER TABLE pending_signups ADD COLUMN address_hash BYTEA;
ALTER TABLE pending_signups ADD COLUMN device_hash BYTEA;

-- Invitations that people had mailed for their own codes. The address itself stands only in the job that mails it.
CREATE TABLE invitations (
    id            UUID        NOT NULL PRIMARY KEY,
    referrer_id   UUID        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email_hash    BYTEA       NOT NULL,                   -- of the mailbox, keyed: how its sender finds it again
    email_masked  TEXT        NOT NULL,
    -- `sending` is under way. Whether anybody was mailed stands nowhere (shared/src/referrals/invitations.rs)
    status        TEXT        NOT NULL CHECK (status IN ('accepted', 'sending', 'sent', 'failed', 'withdrawn')),
    created_at    TIMESTAMPTZ NOT NULL,
    sent_at       TIMESTAMPTZ,
    expires_at    TIMESTAMPTZ NOT NULL
);
CREATE INDEX invitations_referrer ON invitations (referrer_id, id);
CREATE INDEX invitations_email ON invitations (referrer_id, email_hash, id);
CREATE INDEX invitations_expires_at ON invitations (expires_at);
