-- Webhooks (Standard Webhooks 1.0.0): who is told of what, what there is to tell, and how the telling went. Only
-- additions: the release before goes on working while this is applied.

CREATE TABLE webhook_endpoints (
    id               UUID        NOT NULL PRIMARY KEY,
    client_id        TEXT        NOT NULL REFERENCES clients (client_id) ON DELETE CASCADE, -- whose it is: a client that is gone is told nothing more
    url              TEXT        NOT NULL,
    description      TEXT,
    status           TEXT        NOT NULL CHECK (status IN ('enabled', 'disabled')),
    disabled_reason  TEXT        CHECK (disabled_reason IN ('gone', 'failing', 'requested')),
    disabled_at      TIMESTAMPTZ,
    failures         BIGINT      NOT NULL DEFAULT 0,      -- in a row
    failing_since    TIMESTAMPTZ,                         -- the first of them
    not_before       TIMESTAMPTZ,                         -- it asked to be left alone until then, or failed too often
    revision         BIGINT      NOT NULL DEFAULT 0,      -- grows with each change by its owner: what an attempt found out is about one
    created_at       TIMESTAMPTZ NOT NULL,
    updated_at       TIMESTAMPTZ NOT NULL,
    CHECK ((status = 'disabled') = (disabled_reason IS NOT NULL))
);
CREATE INDEX webhook_endpoints_client_id ON webhook_endpoints (client_id, id);
CREATE INDEX webhook_endpoints_enabled ON webhook_endpoints (id) WHERE status = 'enabled';

-- What an endpoint wants to be told; `*` for everything.
CREATE TABLE webhook_subscriptions (
    endpoint_id  UUID  NOT NULL REFERENCES webhook_endpoints (id) ON DELETE CASCADE,
    kind         TEXT  NOT NULL,
    PRIMARY KEY (endpoint_id, kind)
);
CREATE INDEX webhook_subscriptions_kind ON webhook_subscriptions (kind, endpoint_id);

-- What messages to an endpoint are signed with, sealed under the master key. The last ones sign along for a while.
CREATE TABLE webhook_secrets (
    id           UUID        NOT NULL PRIMARY KEY,
    endpoint_id  UUID        NOT NULL REFERENCES webhook_endpoints (id) ON DELETE CASCADE,
    scheme       TEXT        NOT NULL CHECK (scheme IN ('v1', 'v1a')),
    sealed       BYTEA       NOT NULL,                    -- of `v1` the secret, of `v1a` the seed of the Ed25519 key
    public_key   BYTEA,                                   -- of `v1a`
    created_at   TIMESTAMPTZ NOT NULL,
    expires_at   TIMESTAMPTZ,                             -- empty: the one of now
    CHECK ((scheme = 'v1a') = (public_key IS NOT NULL))
);
CREATE UNIQUE INDEX webhook_secrets_current ON webhook_secrets (endpoint_id, scheme) WHERE expires_at IS NULL;
CREATE INDEX webhook_secrets_endpoint_id ON webhook_secrets (endpoint_id);
CREATE INDEX webhook_secrets_expires_at ON webhook_secrets (expires_at);

-- What there is to tell, written in the transaction that did it.
CREATE TABLE webhook_messages (
    id             UUID        NOT NULL PRIMARY KEY,
    kind           TEXT        NOT NULL,
    payload        TEXT        NOT NULL,                  -- as it is signed and sent, byte for byte
    endpoint_id    UUID        REFERENCES webhook_endpoints (id) ON DELETE CASCADE, -- for this one alone: a test
    client_id      TEXT        REFERENCES clients (client_id) ON DELETE CASCADE,    -- for the endpoints of this client alone
    created_at     TIMESTAMPTZ NOT NULL,
    handed_out_at  TIMESTAMPTZ,                           -- when it was put down for each endpoint that wants it
    expires_at     TIMESTAMPTZ NOT NULL
);
CREATE INDEX webhook_messages_waiting ON webhook_messages (id) WHERE handed_out_at IS NULL;
CREATE INDEX webhook_messages_created_at ON webhook_messages (created_at);
CREATE INDEX webhook_messages_endpoint_id ON webhook_messages (endpoint_id);
CREATE INDEX webhook_messages_client_id ON webhook_messages (client_id);
CREATE INDEX webhook_messages_expires_at ON webhook_messages (expires_at);

-- A message on its way to an endpoint.
CREATE TABLE webhook_deliveries (
    endpoint_id      UUID        NOT NULL REFERENCES webhook_endpoints (id) ON DELETE CASCADE,
    message_id       UUID        NOT NULL REFERENCES webhook_messages (id) ON DELETE CASCADE,
    status           TEXT        NOT NULL CHECK (status IN ('pending', 'delivered', 'failed')),
    attempts         BIGINT      NOT NULL DEFAULT 0,      -- since it was put down or replayed: where in the schedule it is
    next_attempt_at  TIMESTAMPTZ,                         -- of a pending one
    lease            UUID,                                -- who is at it,
    leased_until     TIMESTAMPTZ,                         -- and for how long at most
    expires_at       TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (endpoint_id, message_id),
    CHECK ((status = 'pending') = (next_attempt_at IS NOT NULL))
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, next_attempt_at) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_status ON webhook_deliveries (endpoint_id, status, message_id);
CREATE INDEX webhook_deliveries_message_id ON webhook_deliveries (message_id);
CREATE INDEX webhook_deliveries_expires_at ON webhook_deliveries (expires_at);

-- How each attempt went. Of an answer nothing is kept but its status.
CREATE TABLE webhook_attempts (
    id           UUID        NOT NULL PRIMARY KEY,
    endpoint_id  UUID        NOT NULL,
    message_id   UUID        NOT NULL,
    at           TIMESTAMPTZ NOT NULL,
    duration_ms  BIGINT      NOT NULL,
    status       BIGINT,
    error        TEXT,
    expires_at   TIMESTAMPTZ NOT NULL,
    FOREIGN KEY (endpoint_id, message_id) REFERENCES webhook_deliveries (endpoint_id, message_id) ON DELETE CASCADE
);
CREATE INDEX webhook_attempts_delivery ON webhook_attempts (endpoint_id, message_id, id);
CREATE INDEX webhook_attempts_expires_at ON webhook_attempts (expires_at);
