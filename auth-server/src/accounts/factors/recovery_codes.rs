//! Recovery codes: ten, shown once, each good once. Sixty random bits each, kept as an HMAC under the master key, which
//! is not in the database: whoever reads that has nothing to try guesses on.

use serde_json::json;
use shared::db::{Conn, DbError, Tx};
use shared::ids::UserId;
use shared::{Platform, audit, execute, fetch_one};

use crate::sessions::remembered;

/// How many are made.
pub const COUNT: usize = 10;

/// Crockford's: no letter that looks like a digit.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

const LENGTH: usize = 12;

/// Makes ten, in place of those before. They are shown to the owner now and never again.
pub async fn make(tx: &mut Tx, platform: &Platform, user_id: UserId) -> Result<Vec<String>, DbError> {
    // Held, so that of two who make them at once one finds the other's.
    execute!(tx, "UPDATE totp_secrets SET last_step = last_step WHERE user_id = $1", user_id)?;
    execute!(tx, "DELETE FROM recovery_codes WHERE user_id = $1", user_id)?;
    let mut codes = Vec::with_capacity(COUNT);
    for _ in 0..COUNT {
        let code: String =
            platform.random.bytes::<LENGTH>().iter().map(|b| ALPHABET[usize::from(b % 32)] as char).collect();
        execute!(
            tx,
            "INSERT INTO recovery_codes (code_hash, user_id, created_at) VALUES ($1, $2, $3)",
            hash(platform, user_id, &code),
            user_id,
            platform.clock.now()
        )?;
        codes.push(format!("{}-{}-{}", &code[..4], &code[4..8], &code[8..]));
    }
    remembered::forget_all(tx, platform, user_id).await?;
    audit::record(tx, platform, "factor.recovery_codes_made", Some(user_id), None, json!({})).await?;
    Ok(codes)
}

/// Uses one up; `false` when `typed` is none that is left.
pub async fn use_up(tx: &mut Tx, platform: &Platform, user_id: UserId, typed: &str) -> Result<bool, DbError> {
    let Some(code) = fold(typed) else { return Ok(false) };
    let used = execute!(
        tx,
        "UPDATE recovery_codes SET used_at = $3 WHERE code_hash = $1 AND user_id = $2 AND used_at IS NULL",
        hash(platform, user_id, &code),
        user_id,
        platform.clock.now()
    )?;
    if used == 1 {
        audit::record(tx, platform, "factor.recovery_code_used", Some(user_id), None, json!({})).await?;
    }
    Ok(used == 1)
}

/// How many are left.
pub async fn left(conn: &mut Conn, user_id: UserId) -> Result<u64, DbError> {
    let (left,): (i64,) = fetch_one!(
        conn,
        (i64,),
        "SELECT COUNT(*) FROM recovery_codes WHERE user_id = $1 AND used_at IS NULL",
        user_id
    )?;
    Ok(left.unsigned_abs())
}

/// A code as people type it: in any case, with any spaces and dashes, letters for the digits they look like.
fn fold(typed: &str) -> Option<String> {
    let mut code = String::new();
    for c in typed.chars().filter(|c| !c.is_whitespace() && *c != '-') {
        let c = match c.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            c => c,
        };
        if code.len() == LENGTH || !ALPHABET.contains(&u8::try_from(c).ok()?) {
            return None;
        }
        code.push(c);
    }
    (code.len() == LENGTH).then_some(code)
}

fn hash(platform: &Platform, user_id: UserId, code: &str) -> Vec<u8> {
    platform.master_key.mac("recovery-code", &[user_id.0.as_bytes(), code.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_people_type_it() {
        let code = Some("01100ABCDEFG".to_owned());
        for typed in ["01100ABCDEFG", "0110-0abc-defg", " oiLo oabc defg"] {
            assert_eq!(fold(typed), code, "{typed}");
        }
        for bad in ["", "0110-0ABC-DEF", "0110-0ABC-DEFG-H", "0110-0ABC-DEFU", "١١١١-١١١١-١١١١"] {
            assert_eq!(fold(bad), None, "{bad}");
        }
    }
}
