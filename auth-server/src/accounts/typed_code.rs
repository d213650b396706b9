//! Codes that are mailed and typed: eight characters of Crockford's alphabet, in two groups. 40 bits, of which a few tries
//! are allowed. What is stored of one is keyed: nobody finds it from the database.

use shared::Platform;
use uuid::Uuid;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Codes that may be tried for one request.
pub const TRIES: i64 = 5;

/// The code of the request `id`: the same each time its mail is made.
pub fn draw(platform: &Platform, purpose: &str, id: Uuid) -> String {
    let mac = platform.master_key.mac(&format!("{purpose}-code"), id.as_bytes());
    let mut code: String = mac.iter().take(8).map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect();
    code.insert(4, '-');
    code
}

/// What is stored of it.
pub fn mac(platform: &Platform, purpose: &str, id: Uuid, code: &str) -> Vec<u8> {
    platform.master_key.mac(&format!("{purpose}-code-stored"), &[id.as_bytes(), fold(code).as_bytes()].concat())
}

/// As it is meant: in capitals, without dashes and spaces, with the look-alikes that people type for what they read.
fn fold(typed: &str) -> String {
    let meant = |c: char| match c.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        c => c,
    };
    typed.chars().filter(|c| c.is_alphanumeric()).take(16).map(meant).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_people_type_it() {
        for typed in ["7K10-9QXZ", " 7k1o 9qxz", "7KIO9QXZ", "7kl0–9QXZ"] {
            assert_eq!(fold(typed), "7K109QXZ", "{typed}");
        }
        assert_ne!(fold("7K10-9QXY"), "7K109QXZ");
    }
}
