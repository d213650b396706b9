//! Secrets are types: what is shown once ([`PlainToken`]), what is stored ([`TokenHash`]), and what seals and signs at
//! rest ([`MasterKey`]).

use std::fmt;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use crate::random::Random;

/// A bearer secret in the clear: 256 random bits, base64url. It exists between its making and its being handed out, or
/// between a request and its look-up; it can neither be stored nor logged.
#[derive(Clone)]
pub struct PlainToken(Zeroizing<String>);

impl PlainToken {
    /// A new secret of 256 random bits.
    pub fn new(random: &Random) -> Self {
        let mut bytes = random.bytes::<32>();
        let token = URL_SAFE_NO_PAD.encode(bytes);
        bytes.zeroize();
        Self(Zeroizing::new(token))
    }

    /// What a caller presented.
    pub fn presented(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The secret itself. Call it where it leaves for its owner and nowhere else.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored of it.
    pub fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.0.as_bytes()).to_vec())
    }
}

impl fmt::Debug for PlainToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainToken(…)")
    }
}

/// SHA-256 of a bearer secret of 256 random bits: nothing slower is needed for a secret that can't be guessed.
#[derive(Clone, PartialEq, Eq, Hash, sqlx::Type)]
#[sqlx(transparent)]
pub struct TokenHash(Vec<u8>);

impl TokenHash {
    /// The 32 bytes of the hash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Compares in constant time.
    pub fn matches(&self, token: &PlainToken) -> bool {
        self.0.ct_eq(&token.hash().0).into()
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

/// A secret from the configuration: redacted wherever it is printed.
#[derive(Clone, serde::Deserialize)]
#[serde(transparent)]
pub struct Secret(SecretString);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The key that everything sealed at rest depends on. Never used itself: each purpose gets a key derived from it
/// (HKDF-SHA256, RFC 5869).
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

/// Why a master key can't be had.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    #[error("the master key must be 32 bytes in base64 (make one with `openssl rand -base64 32`)")]
    Malformed,
    #[error("the master key file {path} can't be used: {source}")]
    File { path: String, source: std::io::Error },
}

/// Something sealed does not open: another key, another purpose, or it was changed.
#[derive(Debug, thiserror::Error)]
#[error("a sealed value does not open with this key")]
pub struct Unsealable;

impl MasterKey {
    /// Reads a key in standard or URL-safe base64.
    pub fn parse(text: &str) -> Result<Self, MasterKeyError> {
        let text = text.trim();
        let bytes = Zeroizing::new(
            STANDARD.decode(text).or_else(|_| URL_SAFE_NO_PAD.decode(text)).map_err(|_| MasterKeyError::Malformed)?,
        );
        Ok(Self(Zeroizing::new(bytes.as_slice().try_into().map_err(|_| MasterKeyError::Malformed)?)))
    }

    /// A key drawn at random.
    pub fn generate(random: &Random) -> Self {
        Self(Zeroizing::new(random.bytes()))
    }

    /// The key in `path`, made there (mode 0600) when there is none. Of several processes that start at once, all use
    /// the key of the one that was first.
    pub fn load_or_create(path: &Path, random: &Random) -> Result<Self, MasterKeyError> {
        let failed = |source| MasterKeyError::File { path: path.display().to_string(), source };
        match std::fs::read_to_string(path) {
            Ok(text) => return Self::parse(&text),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(failed(e)),
        }
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        // Written whole under a name of its own, then linked: a reader never sees half a key, and the link fails for
        // all but the first.
        let draft = path.with_extension(format!("{}.new", random.uuid_v4()));
        write_private(&draft, STANDARD.encode(Self::generate(random).0.as_slice()).as_bytes()).map_err(failed)?;
        let linked = std::fs::hard_link(&draft, path);
        std::fs::remove_file(&draft).map_err(failed)?;
        match linked {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => return Err(failed(e)),
            _ => {}
        }
        Self::parse(&std::fs::read_to_string(path).map_err(failed)?)
    }

    /// A 256-bit key for one purpose.
    pub fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        derive_key(self.0.as_slice(), purpose)
    }

    /// Encrypts `plain` (AES-256-GCM, random nonce in front) so that it opens for the same purpose and `context` only.
    pub fn seal(&self, purpose: &str, context: &[u8], plain: &[u8], random: &Random) -> Vec<u8> {
        seal(&self.derive(purpose), context, plain, random)
    }

    /// Opens what [`MasterKey::seal`] made.
    pub fn open(&self, purpose: &str, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unsealable> {
        open(&self.derive(purpose), context, sealed)
    }

    /// HMAC-SHA256 under a key derived for `purpose`.
    pub fn mac(&self, purpose: &str, message: &[u8]) -> Vec<u8> {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, self.derive(purpose).as_slice());
        aws_lc_rs::hmac::sign(&key, message).as_ref().to_vec()
    }

    /// Verifies [`MasterKey::mac`] in constant time.
    pub fn verify_mac(&self, purpose: &str, message: &[u8], mac: &[u8]) -> bool {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, self.derive(purpose).as_slice());
        aws_lc_rs::hmac::verify(&key, message, mac).is_ok()
    }
}

#[cfg(unix)]
fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(not(unix))]
fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::write(path, bytes)
}

/// A 256-bit key derived from `material` for `purpose` (HKDF-SHA256, RFC 5869).
pub fn derive_key(material: &[u8], purpose: &str) -> Zeroizing<[u8; 32]> {
    struct Len;
    impl hkdf::KeyType for Len {
        fn len(&self) -> usize {
            32
        }
    }
    let mut key = Zeroizing::new([0; 32]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, b"referris/1")
        .extract(material)
        .expand(&[purpose.as_bytes()], Len)
        .and_then(|okm| okm.fill(key.as_mut_slice()))
        .expect("32 bytes are within HKDF-SHA256's limit");
    key
}

/// Encrypts with AES-256-GCM: nonce, ciphertext, tag. `context` is authenticated and not contained.
pub fn seal(key: &[u8; 32], context: &[u8], plain: &[u8], random: &Random) -> Vec<u8> {
    let nonce = random.bytes::<NONCE_LEN>();
    let mut sealed = plain.to_vec();
    aead(key)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), &mut sealed)
        .expect("AES-256-GCM seals anything of this size");
    [nonce.as_slice(), &sealed].concat()
}

/// Opens what [`seal`] made.
pub fn open(key: &[u8; 32], context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unsealable> {
    let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or(Unsealable)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Unsealable)?;
    let mut body = Zeroizing::new(body.to_vec());
    let len = aead(key).open_in_place(nonce, Aad::from(context), body.as_mut_slice()).map_err(|_| Unsealable)?.len();
    body.truncate(len);
    Ok(body)
}

fn aead(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("32 bytes are an AES-256 key"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_for_its_purpose_and_context_only() {
        let random = Random::seeded(1);
        let key = MasterKey::generate(&random);
        let sealed = key.seal("keys", b"kid-1", b"secret", &random);
        assert_eq!(key.open("keys", b"kid-1", &sealed).unwrap().as_slice(), b"secret");
        assert!(key.open("keys", b"kid-2", &sealed).is_err());
        assert!(key.open("other", b"kid-1", &sealed).is_err());
        assert!(key.open("keys", b"kid-1", &sealed[1..]).is_err());
        assert!(key.open("keys", b"kid-1", b"").is_err());
    }

    #[test]
    fn a_master_key_file_is_made_once_and_private() {
        let dir = std::env::temp_dir().join(Random::system().uuid_v4().to_string());
        let path = dir.join("master.key");
        let random = Random::system();
        let keys: Vec<_> = std::thread::scope(|s| {
            let tasks: Vec<_> =
                (0..8).map(|_| s.spawn(|| MasterKey::load_or_create(&path, &random).unwrap())).collect();
            tasks.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|k| k.0 == keys[0].0));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn secrets_do_not_show_in_debug_output() {
        let token = PlainToken::new(&Random::seeded(2));
        assert!(!format!("{token:?} {:?} {:?}", token.hash(), Secret::new("hunter2")).contains(token.reveal()));
        assert!(!format!("{:?}", Secret::new("hunter2")).contains("hunter2"));
        assert!(token.hash().matches(&token));
    }
}
