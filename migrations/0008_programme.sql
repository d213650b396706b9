-- The referral programme: the whole life of a referral, what speaks against one, and what is credited for it.
-- `referrals` is made anew, for its CHECK learns a status. The release before goes on working: what is added has defaults.

DROP INDEX referrals_referral_user_id;
DROP INDEX referrals_referrer;
DROP INDEX referrals_referrer_status;
DROP INDEX referrals_referrer_created;
DROP INDEX referrals_code_id;
DROP INDEX referral_events_referral;
ALTER TABLE referrals RENAME TO referrals_before;
ALTER TABLE referral_events RENAME TO referral_events_before;

CREATE TABLE referrals (
    id                UUID        NOT NULL PRIMARY KEY,
    referrer_id       UUID        NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    referral_user_id  UUID        REFERENCES users (id) ON DELETE SET NULL, -- the person who was invited; empty once their account is deleted
    code_id           UUID        NOT NULL REFERENCES referral_codes (id) ON DELETE CASCADE,
    status            TEXT        NOT NULL CHECK (status IN ('pending', 'verified', 'qualified', 'rewarded', 'rejected', 'reversed', 'expired')),
    -- how the code came to the sign-up: typed or in a link, or kept by a cookie since the first or the last link
    source            TEXT        NOT NULL DEFAULT 'code' CHECK (source IN ('code', 'first_touch', 'last_touch')),
    -- does something speak against it, and has somebody looked at that?
    review            TEXT        NOT NULL DEFAULT 'none' CHECK (review IN ('none', 'open', 'cleared')),
    lapses_at         TIMESTAMPTZ,                        -- until when it may qualify; empty once it did, or for any time
    held_until        TIMESTAMPTZ,                        -- qualified: when it may be rewarded
    reward_place      BIGINT,                             -- rewarded: which of the referrer's rewarded referrals it is, from 1
    -- the mailbox that signed up, as a keyed hash: known again when the account, or its address, is another by then
    mailbox_hash      BYTEA,
    created_at        TIMESTAMPTZ NOT NULL,
    updated_at        TIMESTAMPTZ NOT NULL,
    CHECK (referral_user_id IS NULL OR referral_user_id <> referrer_id)
);
INSERT INTO referrals (id, referrer_id, referral_user_id, code_id, status, created_at, updated_at)
    SELECT id, referrer_id, referral_user_id, code_id, status, created_at, updated_at FROM referrals_before;

CREATE TABLE referral_events (
    id           UUID        NOT NULL PRIMARY KEY,
    referral_id  UUID        NOT NULL REFERENCES referrals (id) ON DELETE CASCADE,
    from_status  TEXT,
    to_status    TEXT        NOT NULL,
    reason       TEXT        NOT NULL,
    actor        TEXT,                                    -- `user:ID` or `client:ID`; empty for our own rules
    created_at   TIMESTAMPTZ NOT NULL
);
INSERT INTO referral_events (id, referral_id, from_status, to_status, reason, created_at)
    SELECT id, referral_id, from_status, to_status, reason, created_at FROM referral_events_before;

DROP TABLE referral_events_before;
DROP TABLE referrals_before;

CREATE UNIQUE INDEX referrals_referral_user_id ON referrals (referral_user_id);
CREATE INDEX referrals_referrer ON referrals (referrer_id, id);
CREATE INDEX referrals_referrer_status ON referrals (referrer_id, status, id);
CREATE INDEX referrals_referrer_created ON referrals (referrer_id, created_at);
CREATE INDEX referrals_code_id ON referrals (code_id);
CREATE INDEX referrals_status ON referrals (status, id);
CREATE INDEX referrals_mailbox ON referrals (referrer_id, mailbox_hash);
CREATE INDEX referrals_open_review ON referrals (id) WHERE review = 'open';
CREATE INDEX referrals_held_until ON referrals (held_until) WHERE status = 'qualified' AND review <> 'open';
CREATE INDEX referrals_lapses_at ON referrals (lapses_at);
CREATE INDEX referral_events_referral ON referral_events (referral_id, id);

-- What speaks against a referral. Each kind of signal once.
CREATE TABLE referral_signals (
    referral_id  UUID        NOT NULL REFERENCES referrals (id) ON DELETE CASCADE,
    signal       TEXT        NOT NULL,
    details      JSONB       NOT NULL,                    -- counts and distances; never an address
    created_at   TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (referral_id, signal)
);

-- Where sign-ups came from, for as long as that is compared. Hashes: of the network address under a salt that is thrown
-- away after a day, of the browser under the master key.
CREATE TABLE signup_traces (
    user_id       UUID        NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    address_hash  BYTEA,
    device_hash   BYTEA,
    created_at    TIMESTAMPTZ NOT NULL,
    expires_at    TIMESTAMPTZ NOT NULL
);
CREATE INDEX signup_traces_address ON signup_traces (address_hash, created_at);
CREATE INDEX signup_traces_device ON signup_traces (device_hash, created_at);
CREATE INDEX signup_traces_expires_at ON signup_traces (expires_at);

-- What addresses are hashed with, a day each. Once a salt is deleted, nobody can tell any more whose hash is whose.
CREATE TABLE daily_salts (
    day         TEXT        NOT NULL PRIMARY KEY,         -- `2030-01-31`, UTC
    salt        BYTEA       NOT NULL,
    expires_at  TIMESTAMPTZ NOT NULL
);
CREATE INDEX daily_salts_expires_at ON daily_salts (expires_at);

-- Statistics are read from these, not counted. Written with each change of a status.
CREATE TABLE referral_totals (
    referrer_id  UUID    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    status       TEXT    NOT NULL,
    n            BIGINT  NOT NULL,                        -- how many have this status now
    PRIMARY KEY (referrer_id, status)
);
INSERT INTO referral_totals (referrer_id, status, n)
    SELECT referrer_id, status, COUNT(*) FROM referrals GROUP BY referrer_id, status;

CREATE TABLE referral_days (
    referrer_id  UUID    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    day          TEXT    NOT NULL,                        -- `2030-01-31`, UTC
    status       TEXT    NOT NULL,
    n            BIGINT  NOT NULL,                        -- how many got this status on that day
    PRIMARY KEY (referrer_id, day, status)
);
INSERT INTO referral_days (referrer_id, day, status, n)
    SELECT r.referrer_id, SUBSTR(CAST(e.created_at AS TEXT), 1, 10), e.to_status, COUNT(*)
    FROM referral_events e JOIN referrals r ON r.id = e.referral_id
    GROUP BY r.referrer_id, SUBSTR(CAST(e.created_at AS TEXT), 1, 10), e.to_status;

-- What was credited for referrals, and taken back. Appended, never changed; amounts in the smallest unit of the currency.
-- It outlives accounts, without saying whose it was.
CREATE TABLE reward_entries (
    id           UUID        NOT NULL PRIMARY KEY,
    referral_id  UUID        REFERENCES referrals (id) ON DELETE SET NULL,
    user_id      UUID        REFERENCES users (id) ON DELETE SET NULL,
    side         TEXT        NOT NULL CHECK (side IN ('referrer', 'referral')),
    rule         TEXT        NOT NULL,                    -- the name of the rule it was credited by
    currency     TEXT        NOT NULL,
    amount       BIGINT      NOT NULL CHECK (amount <> 0), -- below zero: taken back
    reverses     UUID        REFERENCES reward_entries (id),
    created_at   TIMESTAMPTZ NOT NULL,
    CHECK ((reverses IS NULL) = (amount > 0))
);
-- Once for a referral by each rule, and taken back once.
CREATE UNIQUE INDEX reward_entries_credit ON reward_entries (referral_id, rule) WHERE reverses IS NULL;
CREATE UNIQUE INDEX reward_entries_reverses ON reward_entries (reverses);
CREATE INDEX reward_entries_user ON reward_entries (user_id, id);

-- The sums of it, written with each entry.
CREATE TABLE reward_balances (
    user_id   UUID    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    currency  TEXT    NOT NULL,
    rule      TEXT    NOT NULL,
    credited  BIGINT  NOT NULL,
    reversed  BIGINT  NOT NULL CHECK (reversed BETWEEN 0 AND credited),
    PRIMARY KEY (user_id, currency, rule)
);

-- How many places among somebody's rewarded referrals were given: which tier the next one is of.
CREATE TABLE reward_counts (
    user_id  UUID    NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    places   BIGINT  NOT NULL CHECK (places >= 0)
);

-- Places that a reversal left free. The next reward takes the first of them: what a place is worth is credited for one
-- referral at a time.
CREATE TABLE reward_free_places (
    user_id  UUID    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    place    BIGINT  NOT NULL,
    PRIMARY KEY (user_id, place)
);
