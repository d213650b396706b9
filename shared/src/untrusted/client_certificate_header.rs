use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::http::ClientCertificate;
use crate::http::client_certificate::byte_sequence;

/// A certificate as a trusted proxy hands it on (RFC 9440 §2.1): a byte sequence of RFC 9651 with its DER in it.
pub fn client_certificate_header(data: &[u8]) -> bool {
    let Ok(der) = byte_sequence(data) else { return false };
    let again = format!(":{}:", STANDARD.encode(&der));
    assert_eq!(byte_sequence(again.as_bytes()).as_ref(), Ok(&der), "written again, it is the same");
    let Ok(certificate) = ClientCertificate::parse(&der, vec![]) else { return false };
    // Nothing was taken for the certificate that stood behind it or was left out of its thumbprint.
    assert_eq!(certificate.der(), der);
    let longer = [der.as_slice(), b"x"].concat();
    assert!(ClientCertificate::parse(&longer, vec![]).is_err(), "something stands behind the certificate");
    assert!(certificate.subject().matches(certificate.subject()));
    true
}
