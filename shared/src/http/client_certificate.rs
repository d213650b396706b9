//! [`ClientCertificate`]: what a client showed of itself in mutual TLS (RFC 8705), on our own listener or at a trusted
//! proxy that hands it on (RFC 9440). That the peer holds its key is proved by then; whose it is, is for the application.

use std::convert::Infallible;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{OptionalFromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use base64::engine::{DecodePaddingMode, Engine as _};
use chrono::{DateTime, Utc};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use serde_json::json;
use sha2::{Digest, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

use super::distinguished_name::DistinguishedName;
use crate::jose::jwk;

/// Far beyond what certificates need.
const LARGEST: usize = 16 * 1024;
/// Certificates between the client's own and its authority.
const LONGEST_CHAIN: usize = 8;

/// A client's certificate. As an extractor, `Option<ClientCertificate>`: most clients show none.
#[derive(Clone)]
pub struct ClientCertificate(Arc<Inner>);

struct Inner {
    der: CertificateDer<'static>,
    intermediates: Vec<CertificateDer<'static>>,
    thumbprint: String,
    subject: DistinguishedName,
    dns: Vec<String>,
    uris: Vec<String>,
    ips: Vec<IpAddr>,
    emails: Vec<String>,
    public_key: Vec<u8>,
    key_thumbprint: Option<String>,
    validity: (DateTime<Utc>, DateTime<Utc>),
}

/// Not an X.509 certificate, or one that says things twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an X.509 certificate")]
pub struct NotACertificate;

impl ClientCertificate {
    /// Reads a certificate, and keeps what the client sent along with it to prove whose it is.
    ///
    /// # Errors
    /// When `der` is not one whole certificate, or larger than 16 KiB.
    pub fn parse(der: &[u8], intermediates: Vec<CertificateDer<'static>>) -> Result<Self, NotACertificate> {
        if der.len() > LARGEST || intermediates.len() > LONGEST_CHAIN {
            return Err(NotACertificate);
        }
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| NotACertificate)?;
        if !rest.is_empty() {
            return Err(NotACertificate);
        }
        let (mut dns, mut uris, mut ips, mut emails) = (vec![], vec![], vec![], vec![]);
        let names = certificate.subject_alternative_name().map_err(|_| NotACertificate)?;
        for name in names.iter().flat_map(|extension| &extension.value.general_names) {
            match name {
                GeneralName::DNSName(name) => dns.push((*name).to_owned()),
                GeneralName::URI(uri) => uris.push((*uri).to_owned()),
                GeneralName::RFC822Name(email) => emails.push((*email).to_owned()),
                GeneralName::IPAddress(bytes) => ips.extend(address(bytes)),
                _ => {}
            }
        }
        let time = |time: x509_parser::time::ASN1Time| DateTime::from_timestamp(time.timestamp(), 0);
        let validity = certificate.validity();
        let validity = time(validity.not_before).zip(time(validity.not_after)).ok_or(NotACertificate)?;
        Ok(Self(Arc::new(Inner {
            thumbprint: URL_SAFE_NO_PAD.encode(Sha256::digest(der)),
            subject: DistinguishedName::of(certificate.subject()).map_err(|_| NotACertificate)?,
            dns,
            uris,
            ips,
            emails,
            public_key: certificate.public_key().raw.to_vec(),
            key_thumbprint: key_thumbprint(&certificate),
            validity,
            der: CertificateDer::from(der.to_vec()),
            intermediates,
        })))
    }

    /// Its encoding.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// `x5t#S256`: the SHA-256 of its encoding in base64url (RFC 8705 §3.1).
    pub fn thumbprint(&self) -> &str {
        &self.0.thumbprint
    }

    /// Its subject; displayed as RFC 4514 writes it.
    pub fn subject(&self) -> &DistinguishedName {
        &self.0.subject
    }

    /// Its subject as RFC 4514 writes it.
    pub fn subject_dn(&self) -> String {
        self.0.subject.to_string()
    }

    /// Its `dNSName`s.
    pub fn dns_names(&self) -> &[String] {
        &self.0.dns
    }

    /// Its `uniformResourceIdentifier`s.
    pub fn uris(&self) -> &[String] {
        &self.0.uris
    }

    /// Its `iPAddress`es.
    pub fn ips(&self) -> &[IpAddr] {
        &self.0.ips
    }

    /// Its `rfc822Name`s.
    pub fn emails(&self) -> &[String] {
        &self.0.emails
    }

    /// Its public key as a SubjectPublicKeyInfo (RFC 5280 §4.1.2.7), to compare with registered keys.
    pub fn public_key(&self) -> &[u8] {
        &self.0.public_key
    }

    /// The SHA-256 thumbprint of its public key as a JWK (RFC 7638), the same as of that key registered in a `jwks`.
    /// `None` for kinds of keys that can't be registered here.
    pub fn key_thumbprint(&self) -> Option<&str> {
        self.0.key_thumbprint.as_deref()
    }

    /// From when until when it is valid, both included (RFC 5280 §4.1.2.5).
    pub fn validity(&self) -> (DateTime<Utc>, DateTime<Utc>) {
        self.0.validity
    }

    /// Is it valid at `now`?
    pub fn is_valid_at(&self, now: DateTime<Utc>) -> bool {
        let (from, until) = self.0.validity;
        (from.timestamp()..=until.timestamp()).contains(&now.timestamp())
    }

    /// Does a chain lead from it to one of `authorities`, all of it valid at `now` and meant for clients? Revocation
    /// lists are not read.
    pub fn is_issued_by(&self, authorities: &ClientAuthorities, now: DateTime<Utc>) -> bool {
        let since = Duration::from_secs(u64::try_from(now.timestamp()).unwrap_or_default());
        let now = UnixTime::since_unix_epoch(since);
        authorities.0.verify_client_cert(&self.0.der, &self.0.intermediates, now).is_ok()
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientCertificate({})", self.0.thumbprint)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for ClientCertificate {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get().cloned())
    }
}

fn key_thumbprint(certificate: &X509Certificate<'_>) -> Option<String> {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let key = certificate.public_key();
    let jwk = match key.parsed().ok()? {
        PublicKey::RSA(rsa) => {
            let unsigned = |bytes: &[u8]| encode(&bytes[bytes.iter().take_while(|&&byte| byte == 0).count()..]);
            json!({ "kty": "RSA", "n": unsigned(rsa.modulus), "e": unsigned(rsa.exponent) })
        }
        // Uncompressed: two coordinates behind a 4 (RFC 5480 §2.2).
        PublicKey::EC(point) => {
            let curve = match point.data().len() {
                65 => "P-256",
                97 => "P-384",
                _ => return None,
            };
            let (x, y) = point.data().strip_prefix(&[4])?.split_at((point.data().len() - 1) / 2);
            json!({ "kty": "EC", "crv": curve, "x": encode(x), "y": encode(y) })
        }
        // RFC 8410 §3
        _ if key.algorithm.algorithm.to_id_string() == "1.3.101.112" => {
            json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(&key.subject_public_key.data) })
        }
        _ => return None,
    };
    Some(jwk::PublicKey::parse(&jwk).ok()?.thumbprint().to_owned())
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// The authorities that clients' certificates may come from (`auth.client_ca_file`).
#[derive(Clone, Debug)]
pub struct ClientAuthorities(Arc<dyn ClientCertVerifier>);

impl ClientAuthorities {
    /// Reads certificates in PEM.
    ///
    /// # Errors
    /// A sentence that names the file, when it can't be read or holds none.
    pub fn load(file: &Path) -> Result<Self, String> {
        let shown = file.display();
        let certificates = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let certificates = certificates.map_err(|error| format!("{shown} can't be read as PEM: {error}"))?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots.add(certificate).map_err(|error| format!("{shown} holds a certificate of no use: {error}"))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
        verifier.map(Self).map_err(|_| format!("{shown} holds no certificate in PEM"))
    }
}

/// Lets a trusted proxy say which certificate the client showed it, and nobody else: the headers are taken out either
/// way, and from a proxy they count instead of the connection's own certificate, which would be the proxy's.
pub(super) fn settle(request: &mut Request, from_proxy: bool, header: &HeaderName, chain: Option<&HeaderName>) {
    let certificate = from_proxy.then(|| handed_on(request.headers(), header, chain));
    request.headers_mut().remove(header);
    if let Some(chain) = chain {
        request.headers_mut().remove(chain);
    }
    let Some(certificate) = certificate else { return };
    request.extensions_mut().remove::<ClientCertificate>();
    match certificate {
        Ok(Some(certificate)) => {
            request.extensions_mut().insert(certificate);
        }
        Ok(None) => {}
        Err(NotACertificate) => tracing::warn!(%header, "a proxy handed on something else than a certificate"),
    }
}

/// RFC 9440 §2.2 and §2.3.
fn handed_on(
    headers: &HeaderMap,
    header: &HeaderName,
    chain: Option<&HeaderName>,
) -> Result<Option<ClientCertificate>, NotACertificate> {
    let mut lines = headers.get_all(header).into_iter();
    let Some(line) = lines.next() else { return Ok(None) };
    // One certificate on one line: a second is not for us to choose from.
    if lines.next().is_some() {
        return Err(NotACertificate);
    }
    let der = byte_sequence(line.as_bytes())?;
    let chain = chain.into_iter().flat_map(|chain| headers.get_all(chain));
    let chain = chain.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    let chain = chain.take(LONGEST_CHAIN + 1).map(|item| byte_sequence(item).map(CertificateDer::from));
    ClientCertificate::parse(&der, chain.collect::<Result<_, _>>()?).map(Some)
}

/// RFC 9651 §3.3.5: base64 between colons; padding may be missing (§4.2.7).
pub(crate) fn byte_sequence(text: &[u8]) -> Result<Vec<u8>, NotACertificate> {
    const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
    let text = text.trim_ascii();
    let inner = text.strip_prefix(b":").and_then(|text| text.strip_suffix(b":")).ok_or(NotACertificate)?;
    BASE64.decode(inner).map_err(|_| NotACertificate)
}
