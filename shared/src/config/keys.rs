//! What can be configured.

use std::net::SocketAddr;
use std::path::PathBuf;

use figment::value::Value;
use ipnet::IpNet;
use serde::Deserialize;

use super::programme::{QualifyOn, RewardRule};
use super::upstream::Upstream;
use crate::brand::{Colour, Theme};
use crate::referrals::signals::Signal;
use crate::secret::Secret;

/// One key of the configuration.
pub struct Key {
    /// `section.key`, or a bare name at the top level.
    pub path: &'static str,
    /// The default as TOML; empty where there is none.
    pub default: &'static str,
    /// What it means, in Markdown.
    pub doc: &'static [&'static str],
    /// May come from a file named by `<key>_file`, and is never printed.
    pub secret: bool,
    /// Text even where it looks like a number or a list.
    pub textual: bool,
    /// Does this value fit?
    pub check: fn(&Value) -> Result<(), Box<figment::Error>>,
}

/// What the reference needs to know of a key's type.
pub trait Setting {
    const SECRET: bool = false;
    const TEXTUAL: bool = true;
}

macro_rules! setting {
    ($($ty:ty { $($item:tt)* })*) => {$( impl Setting for $ty { $($item)* } )*};
}

setting! {
    bool { const TEXTUAL: bool = false; }
    Option<bool> { const TEXTUAL: bool = false; }
    u64 { const TEXTUAL: bool = false; }
    Option<u64> { const TEXTUAL: bool = false; }
    u32 { const TEXTUAL: bool = false; }
    Vec<IpNet> { const TEXTUAL: bool = false; }
    Vec<String> { const TEXTUAL: bool = false; }
    Vec<u64> { const TEXTUAL: bool = false; }
    SocketAddr {}
    Option<SocketAddr> {}
    String {}
    Option<String> {}
    PathBuf {}
    Option<PathBuf> {}
    Option<Secret> { const SECRET: bool = true; }
    PublicUrl {}
    Option<PublicUrl> {}
    EmailVerification {}
    EnrichmentProvider {}
    RegistrationPolicy {}
    SignUpPolicy {}
    Vec<Upstream> { const TEXTUAL: bool = false; }
    Vec<RewardRule> { const TEXTUAL: bool = false; }
    Vec<Signal> { const TEXTUAL: bool = false; }
    QualifyOn {}
    AttributionModel {}
    LogFormat {}
    Option<Colour> {}
    Theme {}
}

macro_rules! settings {
    (
        { $($(#[doc = $rdoc:literal])+ $rkey:ident : $rty:ty = $rdefault:literal;)* }
        $( $(#[doc = $sdoc:literal])* $section:ident : $Section:ident { $( $(#[doc = $doc:literal])+ $key:ident : $ty:ty = $default:literal; )* } )*
    ) => {
        /// The whole configuration, checked.
        #[derive(Clone, Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Config {
            $($(#[doc = $rdoc])* pub $rkey: $rty,)*
            $($(#[doc = $sdoc])* pub $section: $Section,)*
        }

        $(
            $(#[doc = $sdoc])*
            #[derive(Clone, Debug, Deserialize)]
            #[serde(deny_unknown_fields)]
            pub struct $Section { $( $(#[doc = $doc])* pub $key: $ty, )* }
        )*

        /// The sections with their first line of documentation, in the order of the reference.
        pub const SECTIONS: &[(&str, &str)] = &[$((stringify!($section), concat!($($sdoc),*))),*];

        /// Every key.
        pub const KEYS: &[Key] = &[
            $(Key {
                path: stringify!($rkey), default: $rdefault, doc: &[$($rdoc),*],
                secret: <$rty as Setting>::SECRET, textual: <$rty as Setting>::TEXTUAL,
                check: |v| v.deserialize::<$rty>().map(drop).map_err(Box::new),
            },)*
            $($(Key {
                path: concat!(stringify!($section), ".", stringify!($key)), default: $default, doc: &[$($doc),*],
                secret: <$ty as Setting>::SECRET, textual: <$ty as Setting>::TEXTUAL,
                check: |v| v.deserialize::<$ty>().map(drop).map_err(Box::new),
            },)*)*
        ];
    };
}

settings! {
    {
        /// Where the embedded defaults keep things: the SQLite database, the master key, mails that no server took.
        data_dir: PathBuf = "\"./data\"";
        /// Proxies whose `X-Forwarded-For` and `Forwarded` headers are believed: addresses or networks (`10.0.0.0/8`).
        trusted_proxies: Vec<IpNet> = "[]";
        /// The header in which these proxies hand on the client's certificate as RFC 9440 says, usually `Client-Cert`
        /// (its chain in the header named so with `-Chain`). They must take out what a client sends under these names.
        /// Default: certificates come from the TLS connection only.
        client_certificate_header: Option<String> = "";
        /// OpenID providers that people may sign in with. One table `[[upstream]]` for each, at the end of the file: `id`
        /// (its name in our URLs), `name` (as people read it), `issuer`, `client_id`, `client_secret` or
        /// `client_secret_file`, `scopes` (`["openid", "email", "profile"]`), and, where its claims are called otherwise,
        /// a table `claims` with `email`, `email_verified`, `given_name` and `family_name`. `trust_email_verified`
        /// (`false`): is its word enough that somebody has an address? Only where it proves each address itself: whoever
        /// can have it say what they like would have any address here. Without, we prove it by mail. `counts_as_factor`
        /// (`false`): is a sign-in there, with a code of an authenticator app here, one by two factors? Register
        /// `{auth.public_url}/login/upstream/{id}/callback` there. Its addresses pass the guard of `outbound.allow`.
        upstream: Vec<Upstream> = "[]";
    }
    /// The authorization server.
    auth: Auth {
        /// Where it listens.
        listen: SocketAddr = "\"127.0.0.1:8080\"";
        /// Its address as clients and browsers see it. It is the issuer, byte for byte: no slash at the end.
        public_url: PublicUrl = "\"http://127.0.0.1:8080\"";
        /// Its TLS certificate in PEM, followed by its chain. With it and its key it speaks TLS itself, without a proxy.
        /// Files that change are read again within half a minute.
        tls_certificate_file: Option<PathBuf> = "";
        /// The private key of that certificate, in PEM.
        tls_key_file: Option<PathBuf> = "";
        /// Where it listens, besides, for clients that show certificates (mutual TLS, RFC 8705). An address of its own,
        /// so that no browser is asked for a certificate at the other one. Needs `auth.tls_certificate_file`, which then
        /// holds the names of both.
        mtls_listen: Option<SocketAddr> = "";
        /// The address of that listener (or of the proxy that does the same) as clients see it.
        mtls_public_url: Option<PublicUrl> = "";
        /// Certificates of the authorities that clients' certificates may come from (`tls_client_auth`, RFC 8705 §2.1),
        /// in PEM. Without it clients may use certificates of their own only (`self_signed_tls_client_auth`).
        client_ca_file: Option<PathBuf> = "";
    }
    /// The referral API.
    api: Api {
        /// Where it listens.
        listen: SocketAddr = "\"127.0.0.1:8081\"";
        /// Its address as clients see it. It is the audience of its access tokens, byte for byte.
        public_url: PublicUrl = "\"http://127.0.0.1:8081\"";
        /// Its TLS certificate in PEM, followed by its chain. With it and its key it speaks TLS itself, without a proxy.
        tls_certificate_file: Option<PathBuf> = "";
        /// The private key of that certificate, in PEM.
        tls_key_file: Option<PathBuf> = "";
        /// Ask clients for a certificate, for access tokens that are bound to one (RFC 8705 §3). None need have one.
        request_client_certificates: bool = "false";
        /// The issuer whose tokens it accepts. Default: `auth.public_url`.
        issuer: Option<PublicUrl> = "";
        /// Where it fetches the issuer's keys, when that is another address than the public one. Default: the
        /// issuer's `/oauth/jwks`.
        jwks_url: Option<PublicUrl> = "";
        /// Must every access token be bound to a DPoP key (RFC 9449)? Tokens that are bound to one must prove it in any
        /// case.
        require_dpop: bool = "false";
        /// How many seconds ago at most a person must have signed in, for their token to create or delete codes
        /// (RFC 9470). Default: any time ago.
        step_up_max_age_seconds: Option<u64> = "";
        /// How a person must have signed in (`acr`) for that; any of several, separated by spaces. Default: in any way.
        step_up_acr: Option<String> = "";
        /// Origins whose scripts may read its answers, such as `https://app.example.com`; `*` for any. No cookie is
        /// involved, and a script must bring a token along, so any is safe; a list keeps out pages that got hold of one.
        cors_origins: Vec<String> = "[\"*\"]";
    }
    /// Proofs of possession by DPoP (RFC 9449), at the authorization server and at the referral API.
    dpop: Dpop {
        /// Must a proof carry a nonce from the server (RFC 9449 §8, §9)? Without one, whoever gets to use a client's key
        /// for a moment can make proofs for later.
        require_nonce: bool = "true";
    }
    /// The demo third-party app (standalone only).
    demo: Demo {
        /// Where it listens.
        listen: SocketAddr = "\"127.0.0.1:8082\"";
        /// Its address as browsers see it. Default: `http://` (with a certificate `https://`) and `demo.listen`.
        public_url: Option<PublicUrl> = "";
        /// Its TLS certificate in PEM, followed by its chain.
        tls_certificate_file: Option<PathBuf> = "";
        /// The private key of that certificate, in PEM.
        tls_key_file: Option<PathBuf> = "";
    }
    /// The database.
    database: Database {
        /// `postgres://user:password@host/name` or `sqlite:///path/file.db`. Default: SQLite in `data_dir`. Also read
        /// from `DATABASE_URL`.
        url: Option<Secret> = "";
        /// Connections each service keeps at most (on SQLite: readers).
        max_connections: u32 = "10";
        /// Migrate on start. Default: on SQLite only; with PostgreSQL run `auth-server migrate` before a release.
        migrate_on_start: Option<bool> = "";
    }
    /// The cache.
    redis: Redis {
        /// `redis://…` or `rediss://…`. Default: in-process on SQLite, no code or session cache on PostgreSQL. Also read
        /// from `REDIS_URL`.
        url: Option<Secret> = "";
    }
    /// Outgoing mail.
    smtp: Smtp {
        /// `smtps://user:password@host`, `smtp://host:587?tls=required`, or `smtp://host:25`. Default: mails are written
        /// to `data_dir/mail` as `.eml` files. Also read from `SMTP_URL`.
        url: Option<Secret> = "";
        /// The sender.
        from: String = "\"Referris <no-reply@localhost>\"";
    }
    /// Metrics.
    metrics: Metrics {
        /// Where Prometheus may fetch `/metrics`: a listener of its own, never the public one. Default: off.
        listen: Option<SocketAddr> = "";
    }
    /// Logs.
    log: Log {
        /// What is logged, in `tracing` filter syntax.
        filter: String = "\"info\"";
        /// `text` or `json`, one line an event, on standard error.
        format: LogFormat = "\"text\"";
    }
    /// Requests to addresses that users give.
    outbound: Outbound {
        /// Addresses, networks or `host:port`s that the guard against requests to private addresses lets through.
        allow: Vec<String> = "[]";
    }
    /// Keys at rest.
    keys: Keys {
        /// 32 bytes in base64 (`openssl rand -base64 32`): seals the signing keys in the database. The same for every
        /// instance of both services. Default: made on first start in `data_dir/master.key`, mode 0600.
        master_key: Option<Secret> = "";
        /// After how many days a new signing key takes over. The old one stays published until its last token expired.
        rotation_days: u64 = "90";
    }
    /// Accounts.
    accounts: Accounts {
        /// `optional`: an account is usable at once, a confirmation is mailed. `required`: there is no account until
        /// the address is confirmed, and the answer to a sign-up is the same whether the address was taken or not.
        email_verification: EmailVerification = "\"optional\"";
        /// How many hours a confirmation link works.
        verification_hours: u64 = "24";
        /// Who may sign up: `open`, everybody; `invitation`, who has a referral code; `off`, nobody.
        signup: SignUpPolicy = "\"open\"";
        /// The least a new password must be worth, from 0 to 4, as zxcvbn estimates it: 2 withstands guessing at our door,
        /// 3 also some guessing by whoever has stolen its hash. 0: any that is long enough and not among the most common.
        password_min_score: u32 = "3";
        /// Terms that people must agree to when they sign up: where they are. Default: none.
        terms_url: Option<PublicUrl> = "";
        /// Which terms these are, such as a date: recorded with each agreement. Change it when the terms change.
        terms_version: String = "\"1\"";
        /// How many minutes the link and the code for a forgotten password work.
        recovery_minutes: u64 = "30";
        /// How many days an account is kept after its owner had it deleted, in case they think better of it. 0: none.
        deletion_grace_days: u64 = "14";
    }
    /// Second factors.
    factors: Factors {
        /// May a code be mailed to who has an authenticator app, and neither it nor a recovery code at hand? With it,
        /// password and mailbox together are enough to sign in, which is less than two factors: the sign-in is told to
        /// apps as one by password, and changes nothing of the account. Never right after a forgotten password was
        /// replaced by mail.
        mailed_code: bool = "false";
        /// For how many days a device asks its owner for no second factor, where they wish that. 0: it always asks.
        remember_days: u64 = "30";
    }
    /// Password hashing (argon2id, RFC 9106).
    passwords: Passwords {
        /// Memory in KiB.
        memory_kib: u32 = "19456";
        /// Passes over the memory.
        iterations: u32 = "2";
        /// Lanes.
        parallelism: u32 = "1";
        /// Hashes computed at once. 0: one for each core.
        workers: u32 = "0";
        /// Hashes that may wait for a worker; beyond, the answer is 503 with `Retry-After`.
        queue: u32 = "256";
        /// Shortest password accepted, in characters.
        min_length: u32 = "8";
    }
    /// Passwords that others have lost: asked for by the first five digits of a hash (k-anonymity), so that nobody learns
    /// the password.
    breached_passwords: BreachedPasswords {
        /// A service with the range protocol of Have I Been Pwned, such as `https://api.pwnedpasswords.com`: it is asked
        /// `{url}/range/{5 digits}`, for 700 ms at most, and in doubt the password is taken. Default: nobody is asked.
        url: Option<PublicUrl> = "";
    }
    /// How the hosted pages and the mails look.
    brand: Brand {
        /// What the service is called: in titles, in mails, in authenticator apps and where passkeys are kept.
        name: String = "\"Referris\"";
        /// A logo for the pages, an SVG or a PNG. It stands on a white plate, and takes 10 KiB at most to send (an SVG goes
        /// compressed). Read once, at the start. Default: ours.
        logo_file: Option<PathBuf> = "";
        /// The colour of buttons and links on light pages, as `#rrggbb`; the other colours are made from it. On the light
        /// background it must have a contrast of 4.5:1 (WCAG 2.2 AA). Default: made from `brand.accent_dark`, else our green.
        accent_light: Option<Colour> = "";
        /// The same on dark pages. Default: made from `brand.accent_light`, else our green.
        accent_dark: Option<Colour> = "";
        /// `system`: light or dark as each person's system is; `light`; or `dark`.
        theme: Theme = "\"system\"";
    }
    /// Browser sessions.
    sessions: Sessions {
        /// How many hours a sign-in lasts.
        lifetime_hours: u64 = "336";
    }
    /// Tokens.
    tokens: Tokens {
        /// How many seconds an access token is valid.
        access_token_seconds: u64 = "600";
        /// How many seconds an ID token is valid.
        id_token_seconds: u64 = "600";
        /// How many seconds an authorization code is valid.
        code_seconds: u64 = "60";
        /// How many days a refresh token may stay unused before it expires.
        refresh_token_days: u64 = "30";
        /// How many days a grant lasts in all, however often it is refreshed.
        grant_days: u64 = "180";
        /// How many seconds after its use a refresh token may be presented again and gives the same successor, for
        /// answers lost on the way. 0: any second use ends the family.
        refresh_leeway_seconds: u64 = "10";
    }
    /// The device grant (RFC 8628).
    device: Device {
        /// How many seconds a person has to enter a device's code and decide.
        expires_in_seconds: u64 = "600";
        /// How many seconds a device waits between its questions.
        interval_seconds: u64 = "5";
    }
    /// Clients that register themselves (RFC 7591), or are known by the URL of their metadata.
    registration: Registration {
        /// `off`; `initial_access_token`: with a token of `auth-server client initial-access-token create`; or `open`:
        /// anybody, as often as `limits.registrations_per_minute` allows.
        policy: RegistrationPolicy = "\"initial_access_token\"";
        /// Must clients that register themselves use PKCE?
        require_pkce: bool = "true";
        /// May a client's id be the https URL of a document with its metadata (OAuth Client ID Metadata Document)? The
        /// document is fetched; people are asked for consent under the name of its host.
        metadata_documents: bool = "false";
        /// After how many days a client that registered itself is forgotten, when it has no grant and did not act for
        /// itself in that time. 0: never.
        unused_days: u64 = "90";
    }
    /// Rate limits, by client address unless said otherwise.
    limits: Limits {
        /// Off only for load tests.
        enabled: bool = "true";
        /// Sign-ups a minute.
        signups_per_minute: u64 = "30";
        /// Sign-ins and password grants a minute.
        signins_per_minute: u64 = "60";
        /// Wrong passwords for one account, from one address or one browser that knows the account, that cost no time.
        /// From then on each doubles the wait, from five seconds up to 15 minutes, until a day has passed.
        failures_without_delay: u64 = "5";
        /// Authorization requests a minute.
        authorizations_per_minute: u64 = "300";
        /// Requests to register a client, or to manage one's own registration, a minute.
        registrations_per_minute: u64 = "30";
        /// Client metadata documents that are fetched for the first time a minute. Three times as many by the document's
        /// host, ten times as many in all, and twenty times as many that are fetched again.
        client_documents_per_minute: u64 = "30";
        /// Requests to the referral API a minute, by caller: each answer tells what is left, in `RateLimit`.
        api_requests_per_minute: u64 = "600";
        /// Look-ups by email a minute, by caller.
        lookups_per_minute: u64 = "60";
        /// Live checks of a referral code a minute.
        code_checks_per_minute: u64 = "60";
        /// Links to referral codes (`/r/CODE`) that are looked at and counted a minute. Beyond it they lead on, uncounted.
        link_clicks_per_minute: u64 = "60";
    }
    /// Referral codes.
    referrals: Referrals {
        /// The furthest a code's expiry may lie ahead, in days.
        max_code_days: u64 = "365";
    }
    /// The referral programme: when a referral counts, what is credited for it, and what speaks against it.
    programme: Programme {
        /// When a referral qualifies: `call`, when somebody says so by the API (`POST /v1/referrals/{id}/qualify`);
        /// `verified`, by itself once the person's address is confirmed.
        qualify_on: QualifyOn = "\"call\"";
        /// How many days after the sign-up a referral may qualify; after that it expires. 0: any time.
        lapse_days: u64 = "0";
        /// How many days a qualified referral is held before it is rewarded, in case it has to be rejected.
        hold_days: u64 = "14";
        /// What is credited once a referral is rewarded. One table `[[programme.rewards]]` for each rule: `name` (stays
        /// the same: it is in the ledger), `to` (`referrer` or `referral`), `currency` (such as `EUR`), `amount` in its
        /// smallest unit; `from` and `up_to` (the first and the last of a referrer's rewarded referrals, counted from 1,
        /// that the rule is for: a tier; default: all), and `cap` (how much one person is credited by this rule in all;
        /// default: any amount).
        rewards: Vec<RewardRule> = "[]";
        /// Signals for which a referral is rejected at once. All others are for somebody to look at:
        /// `same_mailbox`, `disposable_domain`, `same_device`, `address_velocity`, `cycle`, `undeliverable_email`,
        /// `taken_over`.
        reject_on: Vec<Signal> = "[]";
        /// More sign-ups than this by one referrer's codes from one network address in a day are a signal.
        address_velocity: u64 = "5";
        /// How many days sign-ups are compared by browser. Their traces are deleted after it. 0: no traces are kept.
        trace_days: u64 = "30";
    }
    /// Whose sign-up it is where no code was typed: a link to a referral code is remembered in the browser.
    attribution: Attribution {
        /// Which link counts: `last_touch`, the one followed last, or `first_touch`.
        model: AttributionModel = "\"last_touch\"";
        /// For how many days it is remembered, 400 at most (browsers keep no cookie longer). 0: not at all.
        window_days: u64 = "30";
    }
    /// Invitations by mail.
    invitations: Invitations {
        /// May someone without a token ask for an invitation?
        anonymous: bool = "false";
        /// Invitations a caller may cause a day.
        per_caller_per_day: u64 = "50";
        /// Invitations an address may be sent a day.
        per_address_per_day: u64 = "3";
        /// Invitations in all a day.
        per_day: u64 = "5000";
    }
    /// Webhooks: telling other systems of referrals and rewards, as Standard Webhooks says.
    webhooks: Webhooks {
        /// How many seconds to wait before each further attempt to deliver a message, a little more at random. After the
        /// last one it has failed, until somebody has it replayed. Default: for three days, as the specification suggests.
        retry_seconds: Vec<u64> = "[5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]";
        /// How many seconds an endpoint has to answer, from 1 to 30.
        timeout_seconds: u64 = "15";
        /// An endpoint is disabled when it has done nothing but fail for so many days.
        disable_after_days: u64 = "5";
        /// How many days messages and the log of their deliveries are kept, delivered or not.
        keep_days: u64 = "30";
        /// How many endpoints a client may have.
        max_endpoints: u64 = "20";
        /// How often a minute a client may register or change an endpoint, rotate secrets, send a test or have something
        /// replayed.
        writes_per_minute: u64 = "30";
    }
    /// Verification of email addresses by Hunter.
    verification: Verification {
        /// Hunter's key. Default: no verification. Also read from `HUNTER_API_KEY`.
        api_key: Option<Secret> = "";
        /// Hunter's address; another one for a stand-in.
        base_url: PublicUrl = "\"https://api.hunter.io\"";
        /// Ask during sign-up (at most 700 ms, and in doubt for the person) and refuse invalid and disposable
        /// addresses, instead of flagging the account afterwards.
        inline: bool = "false";
        /// Questions a second, of all instances together; the default is what Hunter documents for its email verifier.
        /// 0: no limit of ours. What Hunter itself says of its limits is heeded in any case.
        per_second: u64 = "10";
        /// Questions a minute, likewise.
        per_minute: u64 = "300";
        /// Questions that were answered a month, as many as your plan has. Who can't be asked about waits for the next
        /// month, up to 35 days. 0: no limit of ours.
        per_month: u64 = "0";
        /// The day on which your plan's month begins, 1 to 28, in UTC.
        month_starts_on: u64 = "1";
        /// After how many days an address is asked about again, if its owner has proved it. 0: never.
        refresh_days: u64 = "0";
    }
    /// Enrichment of new accounts, once their address is confirmed.
    enrichment: Enrichment {
        /// `auto` (Clearbit when it has a key, else Hunter when it has one), `clearbit`, `hunter` or `off`.
        provider: EnrichmentProvider = "\"auto\"";
        /// Clearbit's key. Also read from `CLEARBIT_API_KEY`. Hunter's is `verification.api_key`.
        api_key: Option<Secret> = "";
        /// Clearbit's address; another one for a stand-in. Hunter's is `verification.base_url`.
        base_url: PublicUrl = "\"https://person.clearbit.com\"";
        /// Questions a second, of all instances together. 0: no limit of ours. Default: what the provider documents, 15 at
        /// Hunter and none at Clearbit.
        per_second: Option<u64> = "";
        /// Questions a minute, likewise. Default: 500 at Hunter, 600 at Clearbit.
        per_minute: Option<u64> = "";
        /// Questions that were answered a month, as many as your plan has; as `verification.per_month`.
        per_month: u64 = "0";
        /// The day on which your plan's month begins, 1 to 28, in UTC.
        month_starts_on: u64 = "1";
        /// After how many days a person is looked up again. 0: never.
        refresh_days: u64 = "0";
        /// What Clearbit signs its webhooks with: your secret API key there. With it, a look-up that Clearbit queued is
        /// answered at `{auth.public_url}/webhooks/clearbit` as soon as it is done, and need not be asked for again. At
        /// least 16 characters. Default: there is no such address.
        webhook_secret: Option<Secret> = "";
        /// Webhooks a minute from one address.
        webhooks_per_minute: u64 = "1200";
    }
}

/// An absolute http(s) URL kept exactly as written: issuers and audiences are compared byte for byte
/// (RFC 8414 §3.3, RFC 9068 §4).
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PublicUrl(String);

impl PublicUrl {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Is it reached over TLS?
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// The URL of `path` (which starts with a slash) below this one.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

impl TryFrom<String> for PublicUrl {
    type Error = String;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        // Somebody's secret may stand there.
        let shown = if text.contains(['@', '?', '#']) { "it".to_owned() } else { format!("{text:?}") };
        let url = url::Url::parse(&text).map_err(|e| format!("{shown} is not a URL ({e}); write https://host"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(format!("{shown} is not an http(s) URL; write https://host"));
        }
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            return Err(format!("{shown} may have no user, query or fragment (RFC 8414 §2)"));
        }
        if text.ends_with('/') {
            return Err(format!("{shown} ends with a slash; leave it out"));
        }
        Ok(Self(text))
    }
}

impl std::fmt::Debug for PublicUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// When an account is usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmailVerification {
    Optional,
    Required,
}

/// Who is asked about new accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnrichmentProvider {
    Auto,
    Clearbit,
    Hunter,
    Off,
}

/// Who may register clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegistrationPolicy {
    Off,
    InitialAccessToken,
    Open,
}

/// Which of the links that were followed counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttributionModel {
    FirstTouch,
    LastTouch,
}

/// Who may sign up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignUpPolicy {
    Open,
    Invitation,
    Off,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Text,
    Json,
}

impl Config {
    /// The database's URL: the configured one, or the embedded default.
    pub fn database_url(&self) -> String {
        match &self.database.url {
            Some(url) => url.expose().to_owned(),
            None => format!("sqlite://{}", self.data_dir.join("referris.db").display()),
        }
    }

    /// Does a service bring the schema up to date when it starts?
    pub fn migrates_on_start(&self) -> bool {
        self.database.migrate_on_start.unwrap_or_else(|| self.database_url().starts_with("sqlite:"))
    }

    /// The issuer whose tokens the referral API accepts.
    pub fn issuer(&self) -> &PublicUrl {
        self.api.issuer.as_ref().unwrap_or(&self.auth.public_url)
    }

    /// Where the referral API fetches the issuer's keys.
    pub fn jwks_url(&self) -> String {
        match &self.api.jwks_url {
            Some(url) => url.as_str().to_owned(),
            None => self.issuer().join("/oauth/jwks"),
        }
    }

    /// The demo app's address as browsers see it.
    pub fn demo_url(&self) -> String {
        match &self.demo.public_url {
            Some(url) => url.as_str().to_owned(),
            None if self.demo.tls_certificate_file.is_some() => format!("https://{}", self.demo.listen),
            None => format!("http://{}", self.demo.listen),
        }
    }
}
