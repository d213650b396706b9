//! Reading the configuration and saying everything that is wrong with it at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use figment::Figment;
use figment::error::Kind;
use figment::providers::{Format, Serialized, Toml};
use figment::value::{Dict, Value};

use lettre::message::Mailbox;
use tracing_subscriber::EnvFilter;

use super::keys::{Config, KEYS, Key, SECTIONS};
use super::reasons;
use crate::outbound::AllowList;
use crate::secret::MasterKey;

type SmtpTransport = lettre::AsyncSmtpTransport<lettre::Tokio1Executor>;

/// Names that other tools use for some of our keys.
const PLAIN_NAMES: &[(&str, &str)] = &[
    ("DATABASE_URL", "database.url"),
    ("REDIS_URL", "redis.url"),
    ("SMTP_URL", "smtp.url"),
    ("CLEARBIT_API_KEY", "enrichment.api_key"),
    ("HUNTER_API_KEY", "verification.api_key"),
];

const PREFIX: &str = "REFERRIS__";

/// One thing that is wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The key, as `section.key`.
    pub key: String,
    /// Where it was set: a file or a variable.
    pub source: String,
    /// What is wrong and what to do.
    pub reason: String,
}

/// All that is wrong with a configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(pub Vec<Mistake>);

impl ConfigError {
    /// For programs: `{"valid": false, "mistakes": [{"key", "source", "reason"}]}`.
    pub fn as_json(&self) -> serde_json::Value {
        let mistakes: Vec<_> = self
            .0
            .iter()
            .map(|m| serde_json::json!({ "key": m.key, "source": m.source, "reason": m.reason }))
            .collect();
        serde_json::json!({ "valid": false, "mistakes": mistakes })
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the configuration has {} mistake(s):", self.0.len())?;
        for Mistake { key, source, reason } in &self.0 {
            writeln!(f, "  {key} ({source}): {reason}")?;
        }
        write!(
            f,
            "every key is described in docs/CONFIGURATION.md; `auth-server config check` reads it without starting"
        )
    }
}

impl std::error::Error for ConfigError {}

/// Reads `file` (default: `referris.toml` when there is one) and this process's environment.
pub fn load(file: Option<&Path>) -> Result<Config, ConfigError> {
    let text = match file {
        Some(path) => Some((path.display().to_string(), std::fs::read_to_string(path))),
        None if Path::new("referris.toml").exists() => {
            Some(("referris.toml".into(), std::fs::read_to_string("referris.toml")))
        }
        None => None,
    };
    let text = match text {
        Some((name, Ok(text))) => Some((name, text)),
        Some((name, Err(e))) => {
            let reason = format!("can't be read: {e}");
            return Err(ConfigError(vec![Mistake { key: "(file)".into(), source: name, reason }]));
        }
        None => None,
    };
    load_from(text.as_ref().map(|(name, text)| (name.as_str(), text.as_str())), std::env::vars())
}

/// Reads a configuration from a named TOML text and a set of environment variables.
pub fn load_from(
    toml: Option<(&str, &str)>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, ConfigError> {
    let mut mistakes = vec![];
    let mut given = BTreeMap::<String, (String, Value)>::new();

    if let Some((name, text)) = toml {
        match text.parse::<toml::Table>() {
            Ok(table) => match Value::serialize(table) {
                Ok(value) => flatten("", value, &mut |key, value| {
                    given.insert(key, (name.to_owned(), value));
                }),
                Err(e) => mistakes.push(Mistake { key: "(file)".into(), source: name.into(), reason: e.to_string() }),
            },
            Err(e) => {
                mistakes.push(Mistake {
                    key: "(file)".into(),
                    source: name.into(),
                    reason: reasons::not_toml(text, &e),
                });
            }
        }
    }
    let environment: BTreeMap<String, String> = environment.into_iter().collect();
    for (plain, key) in PLAIN_NAMES {
        if let Some(text) = environment.get(*plain).filter(|text| !text.is_empty()) {
            given.insert((*key).to_owned(), ((*plain).to_owned(), Value::from(text.as_str())));
        }
    }
    for (variable, text) in &environment {
        if let Some(name) = variable.strip_prefix(PREFIX) {
            let key = name.to_lowercase().replace("__", ".");
            let textual = find(&key).is_none_or(|k| k.textual);
            let value =
                if textual { Value::from(text.as_str()) } else { text.parse().unwrap_or(Value::from(text.as_str())) };
            given.insert(key, (variable.clone(), value));
        }
    }

    let mut settled = defaults();
    for (key, (source, value)) in given {
        let mut wrong = |reason: String| mistakes.push(Mistake { key: key.clone(), source: source.clone(), reason });
        let (target, value) = match find(&key) {
            Some(known) => (known, value),
            None => match key.strip_suffix("_file").and_then(find).filter(|k| k.secret) {
                Some(known) => match value.as_str().map(std::fs::read_to_string) {
                    Some(Ok(text)) => (known, Value::from(text.trim_end_matches(['\r', '\n']))),
                    Some(Err(e)) => {
                        wrong(format!("the file can't be read: {e}"));
                        continue;
                    }
                    None => {
                        wrong("must be the path of a file".into());
                        continue;
                    }
                },
                None => {
                    wrong(reasons::unknown(&key));
                    continue;
                }
            },
        };
        match (target.check)(&value) {
            Ok(()) => {
                settled.insert(target.path.to_owned(), value);
            }
            // A secret's value must not appear in the message, and figment quotes it.
            Err(_) if target.secret => wrong("does not fit: must be text".into()),
            // It holds secrets, too.
            Err(e) if target.path == "upstream" && matches!(e.kind, Kind::InvalidType(..) | Kind::InvalidValue(..)) => {
                wrong(format!("does not fit at {}; see docs/CONFIGURATION.md", e.path.join(".")));
            }
            Err(e) => wrong(reasons::unfit(&e.kind, target)),
        }
    }
    // What is set may contradict what a mistake was meant to be: where one is, its section is looked at again once it is
    // mended. What stands outside of the sections concerns them all.
    let amiss: BTreeSet<&'static str> = mistakes.iter().map(|mistake| section(&mistake.key)).collect();
    if amiss.contains("") {
        return Err(ConfigError(mistakes));
    }

    let mut figment = Figment::new();
    for (section, _) in SECTIONS {
        // A section without defaults is there all the same.
        figment = figment.merge(Serialized::default(section, Dict::new()));
    }
    for (key, value) in settled {
        figment = figment.merge(Serialized::default(&key, value));
    }
    let config: Config = match figment.extract() {
        Ok(config) => config,
        Err(error) => {
            mistakes.extend(error.into_iter().map(|e| Mistake {
                key: e.path.join("."),
                source: "configuration".into(),
                reason: e.kind.to_string(),
            }));
            return Err(ConfigError(mistakes));
        }
    };
    let contradictions = contradictions(&config).into_iter();
    mistakes.extend(contradictions.filter(|mistake| !amiss.contains(section(&mistake.key))));
    if mistakes.is_empty() { Ok(config) } else { Err(ConfigError(mistakes)) }
}

fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// The section that a key stands in; none for those that stand outside, for a file, and in a section that nobody knows. The
/// two services know of each other, so that their sections are one here.
fn section(key: &str) -> &'static str {
    let name = key.split_once('.').map_or("", |(section, _)| section);
    match SECTIONS.iter().find(|(known, _)| *known == name) {
        Some(("api", _)) => "auth",
        Some((known, _)) => known,
        None => "",
    }
}

fn flatten(prefix: &str, value: Value, leaf: &mut impl FnMut(String, Value)) {
    match value {
        Value::Dict(_, dict) => {
            for (name, value) in dict {
                let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
                flatten(&key, value, leaf);
            }
        }
        value => leaf(prefix.to_owned(), value),
    }
}

fn defaults() -> BTreeMap<String, Value> {
    let parse = |toml: &str| {
        let dict: Dict = Figment::from(Toml::string(&format!("value = {toml}"))).extract().expect("defaults are TOML");
        dict.into_values().next().expect("one value")
    };
    KEYS.iter().filter(|k| !k.default.is_empty()).map(|k| (k.path.to_owned(), parse(k.default))).collect()
}

/// What no single key can see.
fn contradictions(config: &Config) -> Vec<Mistake> {
    let mut mistakes = vec![];
    let mut wrong = |key: &str, reason: String| {
        mistakes.push(Mistake { key: key.into(), source: "configuration".into(), reason });
    };
    for (key, url) in [("auth.public_url", &config.auth.public_url), ("api.public_url", &config.api.public_url)] {
        let host = url::Url::parse(url.as_str()).ok().and_then(|u| u.host_str().map(str::to_owned)).unwrap_or_default();
        let local = host == "localhost" || host.ends_with(".localhost") || host.starts_with("127.") || host == "[::1]";
        if !url.is_https() && !local {
            wrong(key, format!("{url} is not https: tokens and passwords would cross the network in the clear"));
        }
        if url::Url::parse(url.as_str()).is_ok_and(|u| u.path() != "/") {
            wrong(key, format!("{url} has a path; the services answer at the root of their host"));
        }
    }
    super::tls::contradictions(config, &mut wrong);
    if config.auth.public_url == config.api.public_url {
        wrong("api.public_url", "must differ from auth.public_url: it tells the API's tokens from the server's".into());
    }
    for (key, value, least) in [
        ("tokens.access_token_seconds", config.tokens.access_token_seconds, 10),
        ("tokens.id_token_seconds", config.tokens.id_token_seconds, 10),
        ("tokens.code_seconds", config.tokens.code_seconds, 1),
        ("tokens.refresh_token_days", config.tokens.refresh_token_days, 1),
        ("tokens.grant_days", config.tokens.grant_days, 1),
        ("device.expires_in_seconds", config.device.expires_in_seconds, 30),
        ("device.interval_seconds", config.device.interval_seconds, 1),
        ("sessions.lifetime_hours", config.sessions.lifetime_hours, 1),
        ("referrals.max_code_days", config.referrals.max_code_days, 1),
        ("keys.rotation_days", config.keys.rotation_days, 1),
        ("accounts.verification_hours", config.accounts.verification_hours, 1),
        ("accounts.recovery_minutes", config.accounts.recovery_minutes, 5),
        ("accounts.deletion_grace_days", config.accounts.deletion_grace_days, 0),
        ("database.max_connections", u64::from(config.database.max_connections), 1),
        ("passwords.parallelism", u64::from(config.passwords.parallelism), 1),
        ("passwords.iterations", u64::from(config.passwords.iterations), 1),
        ("passwords.queue", u64::from(config.passwords.queue), 1),
        ("enrichment.webhooks_per_minute", config.enrichment.webhooks_per_minute, 1),
    ] {
        if value < least {
            wrong(key, format!("{value} is too small; at least {least}"));
        }
        // Far below where adding it to a date would overflow.
        if value > 1_000_000 {
            wrong(key, format!("{value} is too large; at most 1000000"));
        }
    }
    // What a service would refuse when it starts is told here, with everything else. No secret is repeated.
    if !["sqlite:", "postgres:", "postgresql:"].iter().any(|scheme| config.database_url().starts_with(scheme)) {
        wrong(
            "database.url",
            "unknown scheme; write postgres://user:password@host/name or sqlite:///path/file.db".into(),
        );
    }
    if config.redis.url.as_ref().is_some_and(|url| redis::Client::open(url.expose()).is_err()) {
        wrong("redis.url", "is not usable; write redis://host:6379 or rediss://user:password@host:6379".into());
    }
    if config.smtp.url.as_ref().is_some_and(|url| SmtpTransport::from_url(url.expose()).is_err()) {
        wrong("smtp.url", "is not usable; write smtps://user:password@host or smtp://host:587?tls=required".into());
    }
    if config.smtp.from.parse::<Mailbox>().is_err() {
        wrong("smtp.from", "is not a sender; write Name <address@example.com>".into());
    }
    if config.keys.master_key.as_ref().is_some_and(|key| MasterKey::parse(key.expose()).is_err()) {
        wrong("keys.master_key", "must be 32 bytes in base64; make one with `openssl rand -base64 32`".into());
    }
    if EnvFilter::builder().parse(&config.log.filter).is_err() {
        wrong("log.filter", "is not a filter; write info, or info,sqlx=warn".into());
    }
    if let Err(error) = AllowList::parse(&config.outbound.allow) {
        wrong("outbound.allow", error.to_string());
    }
    if config.api.step_up_max_age_seconds.is_some_and(|seconds| seconds > 1_000_000_000) {
        wrong("api.step_up_max_age_seconds", "too large to mean anything; leave it out".into());
    }
    if config.limits.api_requests_per_minute == 0 {
        wrong("limits.api_requests_per_minute", "0 lets nobody in; at least 1".into());
    }
    for origin in config.api.cors_origins.iter().filter(|origin| *origin != "*") {
        let as_sent = url::Url::parse(origin).ok().filter(|url| url.scheme() == "https" || url.scheme() == "http");
        if as_sent.is_none_or(|url| url.origin().ascii_serialization() != *origin) {
            wrong("api.cors_origins", format!("{origin} is no origin; write https://app.example.com, without a slash"));
        }
    }
    // It goes into a quoted string of a challenge (RFC 9470 §3).
    let fits =
        |value: &str| !value.is_empty() && value.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
    if config.api.step_up_acr.as_ref().is_some_and(|values| !values.split(' ').all(fits)) {
        wrong("api.step_up_acr", "must be names without quotes, separated by single spaces".into());
    }
    if config.tokens.code_seconds > 600 {
        wrong("tokens.code_seconds", "a code may live 600 seconds at most (RFC 6749 §4.1.2)".into());
    }
    // Its user codes are short: what lives long can be guessed (RFC 8628 §5.1).
    if config.device.expires_in_seconds > 3600 {
        wrong("device.expires_in_seconds", "at most 3600: a short code must not live long".into());
    }
    if config.passwords.memory_kib < 8 * config.passwords.parallelism || config.passwords.memory_kib < 7168 {
        wrong("passwords.memory_kib", "too little to slow an attacker down; at least 7168 (OWASP)".into());
    }
    if config.accounts.password_min_score > 4 {
        wrong("accounts.password_min_score", "is a number from 0 to 4".into());
    }
    let version = &config.accounts.terms_version;
    if version.is_empty() || version.len() > 64 || version.chars().any(char::is_control) {
        wrong("accounts.terms_version", "must be a short name, such as 2026-01-31".into());
    }
    if config.factors.remember_days > 365 {
        wrong("factors.remember_days", "at most 365: who left a device behind a year ago is to be asked".into());
    }
    if config.attribution.window_days > 400 {
        wrong("attribution.window_days", "at most 400: browsers keep no cookie longer".into());
    }
    lookups(config, &mut wrong);
    super::upstream::check(config, &mut wrong);
    super::programme::check(&config.programme, &mut wrong);
    super::webhooks::check(&config.webhooks, &mut wrong);
    super::brand::contradictions(config, &mut wrong);
    if config.passwords.min_length < 8 {
        wrong("passwords.min_length", "at least 8 (NIST SP 800-63B §3.1.1.2)".into());
    }
    mistakes
}

/// What is wrong with what Hunter and Clearbit may be asked.
fn lookups(config: &Config, wrong: &mut impl FnMut(&str, String)) {
    let (verification, enrichment) = (&config.verification, &config.enrichment);
    for (key, day) in [
        ("verification.month_starts_on", verification.month_starts_on),
        ("enrichment.month_starts_on", enrichment.month_starts_on),
    ] {
        if !(1..=28).contains(&day) {
            wrong(key, format!("{day} is no day that every month has; write 1 to 28"));
        }
    }
    for (key, days) in
        [("verification.refresh_days", verification.refresh_days), ("enrichment.refresh_days", enrichment.refresh_days)]
    {
        if days > 3650 {
            wrong(key, "at most 3650; write 0 for never".into());
        }
    }
    // With an empty secret anybody could sign.
    if enrichment.webhook_secret.as_ref().is_some_and(|secret| secret.expose().len() < 16) {
        wrong("enrichment.webhook_secret", "must have at least 16 characters: it is your secret API key".into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_to_sign_in_with_are_checked_and_their_secrets_are_not_repeated() {
        let file = r#"
            [[upstream]]
            id = "work"
            name = "Work"
            issuer = "https://id.example/"
            client_id = "us"
            client_secret = "s3cret"
        "#;
        let config = load_from(Some(("referris.toml", file)), []).unwrap();
        let [work] = &config.upstream[..] else { panic!("{:?}", config.upstream) };
        assert_eq!(work.secret().unwrap().unwrap().expose(), "s3cret");
        assert_eq!((work.scopes.len(), work.claims.email.as_str()), (3, "email"));
        assert!(!format!("{config:?}").contains("s3cret"));

        let wrong = r#"[{id="A b", name="", issuer="http://id.example", client_id="x", scopes=["email"]}]"#;
        let error = load_from(None, env(&[("REFERRIS__UPSTREAM", wrong)])).unwrap_err();
        assert_eq!(error.0.len(), 4, "{error}");
        let wrong = r#"[{id="a", name="A", issuer="https://id.example", client_id="x", client_secret=12345}]"#;
        let error = load_from(None, env(&[("REFERRIS__UPSTREAM", wrong)])).unwrap_err();
        assert!(!error.to_string().contains("12345"), "{error}");
    }

    fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn the_defaults_are_a_configuration() {
        let config = load_from(None, []).unwrap();
        assert_eq!(config.auth.public_url.as_str(), "http://127.0.0.1:8080");
        assert_eq!(config.database_url(), "sqlite://./data/referris.db");
        assert_eq!(config.jwks_url(), "http://127.0.0.1:8080/oauth/jwks");
    }

    #[test]
    fn the_environment_overrides_the_file_and_plain_names_are_read() {
        let file = Some(("referris.toml", "[auth]\nlisten = \"127.0.0.1:1\"\n[limits]\nenabled = true"));
        let config = load_from(
            file,
            env(&[
                ("REFERRIS__AUTH__LISTEN", "127.0.0.1:2"),
                ("REFERRIS__LIMITS__ENABLED", "false"),
                ("REFERRIS__OUTBOUND__ALLOW", "[\"127.0.0.1\"]"),
                ("DATABASE_URL", "postgres://a:secret@b/c"),
                ("REFERRIS__VERIFICATION__API_KEY", "12345"),
            ]),
        )
        .unwrap();
        assert_eq!(config.auth.listen.port(), 2);
        assert!(!config.limits.enabled);
        assert_eq!(config.outbound.allow, ["127.0.0.1"]);
        assert_eq!(config.verification.api_key.as_ref().unwrap().expose(), "12345");
        assert!(!format!("{config:?}").contains("secret@"));
    }

    #[test]
    fn every_mistake_is_reported_at_once_with_its_key() {
        let file = "[auth]\nlisten = \"nowhere\"\nlisden = \"127.0.0.1:1\"\n[limits]\nenabled = \"perhaps\"\n[nothing]\nat_all = 1";
        let error =
            load_from(Some(("referris.toml", file)), env(&[("REFERRIS__TOKENS__CODE_SECONDS", "-1")])).unwrap_err();
        let keys: Vec<_> = error.0.iter().map(|m| m.key.as_str()).collect();
        assert_eq!(keys, ["auth.lisden", "auth.listen", "limits.enabled", "nothing.at_all", "tokens.code_seconds"]);
        assert!(error.0[0].reason.contains("auth.listen"), "{error}");
    }

    #[test]
    fn what_contradicts_is_told_with_what_does_not_fit_but_not_what_may_come_of_it() {
        let pairs = [
            ("REFERRIS__LIMITS__ENABLED", "perhaps"),
            ("REFERRIS__BRAND__NAME", "A:B"),
            ("REFERRIS__DEMO__LISTEN", "nowhere"),
            ("REFERRIS__SMTP__FROM", "nobody"),
            // Its key has a name with a mistake: that no key is there is not said.
            ("REFERRIS__API__TLS_CERTIFICATE_FILE", "/etc/tls/chain.pem"),
            ("REFERRIS__API__TLS_KEY_FIEL", "/etc/tls/key.pem"),
            // Nor is that the two are the same, when one is not what it was meant to be.
            ("REFERRIS__AUTH__PUBLIC_URL", "id.example.com"),
            ("REFERRIS__API__PUBLIC_URL", "http://127.0.0.1:8080"),
        ];
        let error = load_from(None, env(&pairs)).unwrap_err();
        let keys: Vec<_> = error.0.iter().map(|m| m.key.as_str()).collect();
        let first = ["api.tls_key_fiel", "auth.public_url", "demo.listen", "limits.enabled"];
        assert_eq!(keys, [&first[..], &["smtp.from", "brand.name"]].concat(), "{error}");
        // Without the addresses that were meant, or a section that was, much could be wrong.
        for vague in ["REFERRIS__TRUSTED_PROXIES", "REFERRIS__BARND__NAME"] {
            let error = load_from(None, env(&[(vague, "x"), pairs[1]])).unwrap_err();
            assert_eq!(error.0.len(), 1, "{error}");
        }
    }

    #[test]
    fn of_a_url_with_a_secret_in_it_nothing_is_repeated() {
        for url in
            ["https://ann:s3cret@h.example", "https://h.example?key=s3cret", "h.example#s3cret", "ftp://s3cret@h"]
        {
            let error = load_from(None, env(&[("REFERRIS__BREACHED_PASSWORDS__URL", url)])).unwrap_err();
            assert_eq!(error.0[0].key, "breached_passwords.url");
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_no_toml_is_told_with_its_line() {
        let error = load_from(Some(("referris.toml", "[auth]\n\n  listen == \"s3cret\"\n")), []).unwrap_err();
        assert!(error.0[0].reason.starts_with("line 3, column "), "{error}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }

    #[test]
    fn a_secret_may_come_from_a_file_and_is_never_repeated() {
        let path = std::env::temp_dir().join(format!("referris-{}", std::process::id()));
        std::fs::write(&path, "s3cr3t\n").unwrap();
        let config = load_from(None, env(&[("REFERRIS__VERIFICATION__API_KEY_FILE", path.to_str().unwrap())])).unwrap();
        assert_eq!(config.verification.api_key.unwrap().expose(), "s3cr3t");
        std::fs::remove_file(path).unwrap();
        let error = load_from(None, env(&[("REFERRIS__VERIFICATION__API_KEY_FILE", "/nonexistent/x")])).unwrap_err();
        assert_eq!(error.0[0].key, "verification.api_key_file");
    }

    #[test]
    fn what_a_service_would_refuse_at_its_start_is_told_by_the_check() {
        let pairs = [
            ("DATABASE_URL", "mysql://ann:s3cret@x"),
            ("REDIS_URL", "s3cret"),
            ("REFERRIS__KEYS__MASTER_KEY", "s3cret"),
            ("REFERRIS__LOG__FILTER", "a=b=c"),
            ("REFERRIS__OUTBOUND__ALLOW", "[\"zz zz\"]"),
        ];
        let error = load_from(None, env(&pairs)).unwrap_err();
        assert_eq!(error.0.len(), pairs.len(), "{error}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }

    #[test]
    fn origins_are_written_as_browsers_send_them() {
        let with = |list: &str| load_from(None, env(&[("REFERRIS__API__CORS_ORIGINS", list)]));
        let good = r#"["https://app.example.com", "http://localhost:3000", "*"]"#;
        assert_eq!(with(good).unwrap().api.cors_origins.len(), 3);
        for bad in
            ["https://app.example.com/", "app.example.com", "https://App.example.com", "https://x:443", "null", ""]
        {
            let error = with(&format!("[{bad:?}]")).unwrap_err();
            assert_eq!(error.0[0].key, "api.cors_origins", "{bad}: {error}");
        }
    }

    #[test]
    fn a_webhook_secret_that_anybody_could_guess_and_a_day_that_not_every_month_has_are_refused() {
        let pairs = [
            ("REFERRIS__ENRICHMENT__WEBHOOK_SECRET", ""),
            ("REFERRIS__ENRICHMENT__MONTH_STARTS_ON", "29"),
            ("REFERRIS__VERIFICATION__MONTH_STARTS_ON", "0"),
            ("REFERRIS__VERIFICATION__REFRESH_DAYS", "9999"),
        ];
        let error = load_from(None, env(&pairs)).unwrap_err();
        assert_eq!(error.0.len(), pairs.len(), "{error}");
        let error = load_from(None, env(&[("REFERRIS__ENRICHMENT__WEBHOOK_SECRET", "s3cret")])).unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }

    #[test]
    fn plain_http_is_for_this_machine_only() {
        let error = load_from(None, env(&[("REFERRIS__AUTH__PUBLIC_URL", "http://id.example.com")])).unwrap_err();
        assert_eq!(error.0[0].key, "auth.public_url");
        let error = load_from(None, env(&[("REFERRIS__AUTH__PUBLIC_URL", "https://id.example.com/")])).unwrap_err();
        assert!(error.0[0].reason.contains("slash"), "{error}");
    }
}
