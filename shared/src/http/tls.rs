//! [`Tls`]: the certificate a listener shows, read again when its files change, and what it asks of clients.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::client_certificate::ClientCertificate;
use crate::config::TlsSettings;

/// A listener's TLS. Clones share everything.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    certificate: Arc<Certificate>,
    /// Are browsers told to come by TLS only from now on?
    pub(super) strict_transport: bool,
}

/// Why a listener can't speak TLS: the key that names the file, what is wrong with it and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{section}.{key}: {reason}")]
pub struct TlsError {
    section: &'static str,
    key: &'static str,
    reason: String,
}

impl Tls {
    /// Reads the certificate and its key.
    ///
    /// # Errors
    /// When one of the files can't be read, holds something else, or they do not belong together.
    pub fn load(settings: TlsSettings) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let stamp = Stamp::of(&settings);
        let shown = RwLock::new(Arc::new(read(&settings, &provider)?));
        let versions = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(&[&TLS13, &TLS12]);
        let TlsSettings { section, strict_transport, request_client_certificates, .. } = settings;
        let builder =
            versions.map_err(|error| TlsError { section, key: "tls_certificate_file", reason: error.to_string() })?;
        let certificate =
            Arc::new(Certificate { settings, provider: provider.clone(), shown, stamp: Mutex::new(stamp) });
        let mut config = if request_client_certificates {
            builder.with_client_cert_verifier(Arc::new(AnyClient(provider))).with_cert_resolver(certificate.clone())
        } else {
            builder.with_no_client_auth().with_cert_resolver(certificate.clone())
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), certificate, strict_transport })
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.clone())
    }

    /// Shows the new certificate when the files have changed. One that can't be used leaves the old one in place.
    pub(super) async fn reload(&self) {
        let certificate = self.certificate.clone();
        let _ = tokio::task::spawn_blocking(move || certificate.reload()).await;
    }
}

/// The certificate that is shown at present.
#[derive(Debug)]
struct Certificate {
    settings: TlsSettings,
    provider: Arc<CryptoProvider>,
    shown: RwLock<Arc<CertifiedKey>>,
    /// What the files looked like when they were last read.
    stamp: Mutex<Stamp>,
}

impl Certificate {
    fn reload(&self) {
        let stamp = Stamp::of(&self.settings);
        let mut last = self.stamp.lock().unwrap_or_else(PoisonError::into_inner);
        if *last == stamp {
            return;
        }
        // Also when they can't be used: whoever is replacing two files has not written the second one yet, and each
        // state of them is told of once.
        *last = stamp;
        match read(&self.settings, &self.provider) {
            Ok(new) => {
                *self.shown.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
                tracing::info!(file = %self.settings.certificate_file.display(), "the new certificate is in use");
            }
            Err(error) => tracing::error!(%error, "the new certificate can't be used; the old one stays"),
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.shown.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// Enough of two files to notice that one was replaced.
#[derive(Debug, PartialEq, Eq)]
struct Stamp([Option<(SystemTime, u64)>; 2]);

impl Stamp {
    fn of(settings: &TlsSettings) -> Self {
        let of = |file: &Path| {
            let metadata = std::fs::metadata(file).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        Self([of(&settings.certificate_file), of(&settings.key_file)])
    }
}

fn read(settings: &TlsSettings, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let (certificate, key) = (&settings.certificate_file, &settings.key_file);
    let wrong = |key, file: &Path, reason: &dyn fmt::Display| TlsError {
        section: settings.section,
        key,
        reason: format!("{} {reason}", file.display()),
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong("tls_certificate_file", certificate, &format_args!("can't be read as PEM: {error}")))?;
    if chain.is_empty() {
        let reason = "holds no certificate; it must begin with BEGIN CERTIFICATE";
        return Err(wrong("tls_certificate_file", certificate, &reason));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| {
        let reason = format_args!("can't be read as a private key in PEM (BEGIN PRIVATE KEY): {error}");
        wrong("tls_key_file", key, &reason)
    })?;
    CertifiedKey::from_der(chain, private, provider).map_err(|error| {
        let reason = format_args!("does not belong to the certificate in {}: {error}", certificate.display());
        wrong("tls_key_file", key, &reason)
    })
}

/// Asks for a certificate and takes none or any whose key the peer proves to hold: those of no authority are a
/// registered method (RFC 8705 §2.2), and which authority may speak for which client is known only to the application.
#[derive(Debug)]
struct AnyClient(Arc<CryptoProvider>);

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match ClientCertificate::parse(certificate, vec![]) {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(_) => Err(CertificateError::BadEncoding.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// For asking a listener on this machine how it is, by address. Whose certificate it shows is of no matter then: nothing
/// is told to it, and the one that clients trust bears a public name.
pub(crate) fn connector_to_ourselves() -> io::Result<TlsConnector> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
