-- Look-ups at Hunter and Clearbit: how many are allowed, what is answered later, and when it is asked again. Only additions:
-- the release before goes on working while this is applied.

-- What a service lets us ask, counted for all instances together. It outlives restarts: a month is long.
CREATE TABLE lookup_allowances (
    service      TEXT        NOT NULL PRIMARY KEY,
    second_at    TIMESTAMPTZ NOT NULL,                    -- the beginning of the second that is being counted
    second_used  BIGINT      NOT NULL,
    minute_at    TIMESTAMPTZ NOT NULL,
    minute_used  BIGINT      NOT NULL,
    month_at     TIMESTAMPTZ NOT NULL,
    month_used   BIGINT      NOT NULL,
    rests_until  TIMESTAMPTZ                              -- the service wishes to be left alone
);

-- Look-ups that Clearbit has queued and will answer by a webhook. Each goes with its job: once there is an answer, or the
-- person is gone or forgotten, there is nobody left to call back about.
CREATE TABLE lookup_callbacks (
    id_hash     BYTEA       NOT NULL PRIMARY KEY,         -- SHA-256 of the webhook_id
    job_id      UUID        NOT NULL REFERENCES outbox (id) ON DELETE CASCADE,
    email_hash  BYTEA       NOT NULL,                     -- keyed: the address that was asked about
    created_at  TIMESTAMPTZ NOT NULL,
    expires_at  TIMESTAMPTZ NOT NULL
);
CREATE INDEX lookup_callbacks_job_id ON lookup_callbacks (job_id);
CREATE INDEX lookup_callbacks_expires_at ON lookup_callbacks (expires_at);

-- When asking again was last seen to. Whoever takes a row on moves it, so that of several instances one does.
ALTER TABLE email_checks ADD COLUMN asked_at TIMESTAMPTZ;
CREATE INDEX email_checks_asked_at ON email_checks (COALESCE(asked_at, checked_at));
ALTER TABLE enrichments ADD COLUMN asked_at TIMESTAMPTZ;
CREATE INDEX enrichments_asked_at ON enrichments (COALESCE(asked_at, fetched_at));
