//! Certificates for tests: an authority, and what it or nobody signs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use rcgen;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};

/// Signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

/// A certificate and its key.
pub struct Identity {
    /// The certificate in PEM.
    pub pem: String,
    pub der: Vec<u8>,
    /// The private key in PEM (PKCS#8).
    pub key_pem: String,
    pub key: KeyPair,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// Its own certificate, for those who trust it.
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// For a server at these names and addresses.
    pub fn server(&self, names: &[&str]) -> Identity {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    /// For a client with this common name, and what `more` says of it.
    pub fn client(&self, name: &str, more: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = named(name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        more(&mut params);
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Identity::of(&certificate, key)
    }
}

impl Identity {
    /// A client's own, signed by no authority.
    pub fn self_signed(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        Self::of(&named(name).self_signed(&key).expect("a certificate"), key)
    }

    fn of(certificate: &rcgen::Certificate, key: KeyPair) -> Self {
        Self { pem: certificate.pem(), der: certificate.der().to_vec(), key_pem: key.serialize_pem(), key }
    }

    /// Writes `NAME.pem` and `NAME.key` to `folder`, which is made if it is not there.
    pub fn write(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        std::fs::create_dir_all(folder).expect("a folder");
        let paths = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        std::fs::write(&paths.0, &self.pem).expect("a file");
        std::fs::write(&paths.1, &self.key_pem).expect("a file");
        paths
    }
}

/// A client that trusts `authority` and shows `identity`, if it has one.
pub fn client_config(authority: &Authority, identity: Option<&Identity>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate.der().clone()).expect("an authority");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .expect("versions")
        .with_root_certificates(roots);
    Arc::new(match identity {
        Some(identity) => {
            let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.key.serialize_der()));
            let chain = vec![CertificateDer::from(identity.der.clone())];
            builder.with_client_auth_cert(chain, key).expect("an identity")
        }
        None => builder.with_no_client_auth(),
    })
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
