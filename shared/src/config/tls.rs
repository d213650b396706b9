//! What the configuration says of TLS: the certificates of the listeners, and how clients show theirs.

use std::path::PathBuf;

use http::HeaderName;
use url::Url;

use super::keys::{Config, PublicUrl};

/// How one listener speaks TLS.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// The section of the keys that say so: `auth`, `api` or `demo`.
    pub section: &'static str,
    /// The chain in PEM, the listener's own certificate first.
    pub certificate_file: PathBuf,
    /// The private key in PEM.
    pub key_file: PathBuf,
    /// Are clients asked for a certificate?
    pub request_client_certificates: bool,
    /// May browsers be told to come by TLS only from now on (RFC 6797)? Not for a host that serves other things by
    /// plain http on other ports, as a developer's own machine does.
    pub strict_transport: bool,
}

impl Config {
    /// How the authorization server's listener speaks TLS, if it does.
    pub fn auth_tls(&self) -> Option<TlsSettings> {
        let Self { auth, .. } = self;
        settings("auth", &auth.tls_certificate_file, &auth.tls_key_file, false, auth.public_url.as_str())
    }

    /// The same of its second listener, which asks for certificates.
    pub fn auth_mtls(&self) -> Option<TlsSettings> {
        let Self { auth, .. } = self;
        let url = auth.mtls_public_url.as_ref().filter(|_| auth.mtls_listen.is_some())?;
        settings("auth", &auth.tls_certificate_file, &auth.tls_key_file, true, url.as_str())
    }

    /// How the referral API's listener speaks TLS, if it does.
    pub fn api_tls(&self) -> Option<TlsSettings> {
        let Self { api, .. } = self;
        let asks = api.request_client_certificates;
        settings("api", &api.tls_certificate_file, &api.tls_key_file, asks, api.public_url.as_str())
    }

    /// How the demo app's listener speaks TLS, if it does.
    pub fn demo_tls(&self) -> Option<TlsSettings> {
        let Self { demo, .. } = self;
        settings("demo", &demo.tls_certificate_file, &demo.tls_key_file, false, &self.demo_url())
    }

    /// Can a client's certificate reach the authorization server: over its own listener, or from a trusted proxy?
    pub fn auth_sees_client_certificates(&self) -> bool {
        self.auth.mtls_listen.is_some() || self.client_certificate_header.is_some()
    }

    /// The header in which trusted proxies hand on the client's certificate.
    pub fn client_certificate_header(&self) -> Option<HeaderName> {
        self.client_certificate_header.as_ref()?.parse().ok()
    }
}

fn settings(
    section: &'static str,
    certificate: &Option<PathBuf>,
    key: &Option<PathBuf>,
    request_client_certificates: bool,
    public_url: &str,
) -> Option<TlsSettings> {
    Some(TlsSettings {
        section,
        certificate_file: certificate.clone()?,
        key_file: key.clone()?,
        request_client_certificates,
        strict_transport: has_a_name_of_its_own(public_url),
    })
}

fn has_a_name_of_its_own(url: &str) -> bool {
    let url = Url::parse(url).ok();
    let domain = url.as_ref().and_then(Url::domain);
    domain.is_some_and(|domain| domain != "localhost" && !domain.ends_with(".localhost"))
}

/// What no single key can see.
pub(super) fn contradictions(config: &Config, wrong: &mut impl FnMut(&str, String)) {
    let Config { auth, api, demo, .. } = config;
    let demo_url = config.demo_url();
    for (section, certificate, key, url) in [
        ("auth", &auth.tls_certificate_file, &auth.tls_key_file, auth.public_url.as_str()),
        ("api", &api.tls_certificate_file, &api.tls_key_file, api.public_url.as_str()),
        ("demo", &demo.tls_certificate_file, &demo.tls_key_file, &demo_url),
    ] {
        let (certificate_key, key_key) = (format!("{section}.tls_certificate_file"), format!("{section}.tls_key_file"));
        match (certificate, key) {
            (Some(_), None) => wrong(&key_key, format!("is missing, and {certificate_key} is of no use without it")),
            (None, Some(_)) => wrong(&certificate_key, format!("is missing, and {key_key} is of no use without it")),
            (Some(_), Some(_)) if !url.starts_with("https://") => {
                wrong(&format!("{section}.public_url"), format!("{url} is not https, but {certificate_key} is set"));
            }
            _ => {}
        }
    }
    if let Some(listen) = auth.mtls_listen {
        if auth.tls_certificate_file.is_none() {
            wrong("auth.mtls_listen", "needs auth.tls_certificate_file and auth.tls_key_file".into());
        }
        if listen == auth.listen {
            wrong("auth.mtls_listen", "must differ from auth.listen, where browsers are not asked".into());
        }
        if auth.mtls_public_url.is_none() {
            wrong("auth.mtls_public_url", "is missing: clients must learn where auth.mtls_listen is reached".into());
        }
    }
    if let Some(url) = &auth.mtls_public_url {
        if !config.auth_sees_client_certificates() {
            let reason = "is set, but no certificate arrives: set auth.mtls_listen, or client_certificate_header for a \
                          proxy";
            wrong("auth.mtls_public_url", reason.into());
        }
        if *url == auth.public_url {
            wrong("auth.mtls_public_url", "must differ from auth.public_url; leave it out if they are one".into());
        }
        check_mtls_url(url, wrong);
    }
    if auth.client_ca_file.is_some() && !config.auth_sees_client_certificates() {
        let reason =
            "is set, but no certificate arrives: set auth.mtls_listen, or client_certificate_header for a proxy";
        wrong("auth.client_ca_file", reason.into());
    }
    if api.request_client_certificates && api.tls_certificate_file.is_none() {
        let reason = "needs api.tls_certificate_file and api.tls_key_file: behind a proxy it is the proxy that asks";
        wrong("api.request_client_certificates", reason.into());
    }
    if let Some(name) = &config.client_certificate_header {
        if name.parse::<HeaderName>().is_err() {
            wrong("client_certificate_header", format!("{name:?} is not the name of a header; write Client-Cert"));
        }
        if config.trusted_proxies.is_empty() {
            wrong("client_certificate_header", "is believed from trusted_proxies only, and there are none".into());
        }
    }
}

fn check_mtls_url(url: &PublicUrl, wrong: &mut impl FnMut(&str, String)) {
    if !url.is_https() {
        wrong("auth.mtls_public_url", format!("{url} is not https; certificates are shown over TLS"));
    }
    if Url::parse(url.as_str()).is_ok_and(|url| url.path() != "/") {
        wrong("auth.mtls_public_url", format!("{url} has a path; the services answer at the root of their host"));
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, ConfigError, load_from};

    fn load(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        load_from(None, pairs.iter().map(|(key, value)| (format!("REFERRIS__{key}"), (*value).to_owned())))
    }

    fn wrong_keys(pairs: &[(&str, &str)]) -> Vec<String> {
        load(pairs).unwrap_err().0.into_iter().map(|mistake| mistake.key).collect()
    }

    const AUTH: [(&str, &str); 3] = [
        ("AUTH__TLS_CERTIFICATE_FILE", "/etc/tls/chain.pem"),
        ("AUTH__TLS_KEY_FILE", "/etc/tls/key.pem"),
        ("AUTH__PUBLIC_URL", "https://id.example.com"),
    ];

    #[test]
    fn a_certificate_and_its_key_come_together_and_with_an_https_url() {
        assert_eq!(wrong_keys(&[AUTH[0], AUTH[2]]), ["auth.tls_key_file"]);
        assert_eq!(wrong_keys(&[AUTH[1], AUTH[2]]), ["auth.tls_certificate_file"]);
        assert_eq!(wrong_keys(&AUTH[..2]), ["auth.public_url"]);
        let config = load(&AUTH).unwrap();
        assert_eq!(config.auth_tls().unwrap().key_file.to_str(), Some("/etc/tls/key.pem"));
        assert!(config.auth_tls().unwrap().strict_transport);
        assert!(config.api_tls().is_none() && config.auth_mtls().is_none());
    }

    #[test]
    fn the_demo_app_with_a_certificate_is_at_https() {
        let config = load(&[("DEMO__TLS_CERTIFICATE_FILE", "c.pem"), ("DEMO__TLS_KEY_FILE", "k.pem")]).unwrap();
        assert_eq!(config.demo_url(), "https://127.0.0.1:8082");
        assert!(!config.demo_tls().unwrap().strict_transport, "other things are at home on one's own machine");
    }

    #[test]
    fn a_listener_for_certificates_needs_tls_and_an_address_of_its_own() {
        let listen = ("AUTH__MTLS_LISTEN", "127.0.0.1:8443");
        let url = ("AUTH__MTLS_PUBLIC_URL", "https://mtls.example.com");
        assert_eq!(wrong_keys(&[listen]), ["auth.mtls_listen", "auth.mtls_public_url"]);
        assert_eq!(wrong_keys(&[AUTH[0], AUTH[1], AUTH[2], url]), ["auth.mtls_public_url"]);
        let plain = ("AUTH__MTLS_PUBLIC_URL", "http://mtls.example.com/x");
        assert_eq!(wrong_keys(&[AUTH[0], AUTH[1], AUTH[2], listen, plain]).len(), 2);
        let same = ("AUTH__MTLS_PUBLIC_URL", "https://id.example.com");
        assert_eq!(wrong_keys(&[AUTH[0], AUTH[1], AUTH[2], listen, same]), ["auth.mtls_public_url"]);
        assert!(
            load(&[AUTH[0], AUTH[1], AUTH[2], listen, url]).unwrap().auth_mtls().unwrap().request_client_certificates
        );
    }

    #[test]
    fn certificates_that_can_not_arrive_are_a_mistake() {
        assert_eq!(wrong_keys(&[("AUTH__CLIENT_CA_FILE", "ca.pem")]), ["auth.client_ca_file"]);
        assert_eq!(wrong_keys(&[("API__REQUEST_CLIENT_CERTIFICATES", "true")]), ["api.request_client_certificates"]);
        assert_eq!(wrong_keys(&[("CLIENT_CERTIFICATE_HEADER", "Client-Cert")]), ["client_certificate_header"]);
        let proxy = ("TRUSTED_PROXIES", "[\"10.0.0.5/32\"]");
        assert_eq!(wrong_keys(&[proxy, ("CLIENT_CERTIFICATE_HEADER", "no header")]), ["client_certificate_header"]);
        let config = load(&[proxy, ("CLIENT_CERTIFICATE_HEADER", "Client-Cert")]).unwrap();
        assert_eq!(config.client_certificate_header().unwrap(), "client-cert");
        assert!(config.auth_sees_client_certificates());
    }
}
