//! What each schema of the protocol looks like in an answer.

use serde_json::{Value, json};

/// Shortened where it would fill a page.
const JWT: &str =
    "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6ImVzMjU2LTAxOTk4ZjRlIn0.eyJpc3MiOiJodHRwczovL2lkIn0.c2ln";

/// A signed answer.
pub fn jwt() -> Value {
    JWT.into()
}

/// A page of ours.
pub fn page() -> Value {
    "<!doctype html><html lang=\"en\">…</html>".into()
}

/// An answer of this schema; null for one that has none.
pub fn of(schema: &str) -> Value {
    match schema {
        "OAuthError" => json!({ "error": "invalid_grant", "error_description": "the code is not valid" }),
        "Tokens" => json!({
            "access_token": JWT, "token_type": "Bearer", "expires_in": 600, "scope": "openid referral-codes:read",
            "refresh_token": "dGhpcyBpcyBub3QgYSByZWFsIHJlZnJlc2ggdG9rZW4", "id_token": JWT,
        }),
        "PushedRequest" => json!({
            "request_uri": "urn:ietf:params:oauth:request_uri:n3Vt1Yw0Qk2cW8bq5L7rXw", "expires_in": 60,
        }),
        "DeviceAuthorization" => json!({
            "device_code": "QmFzZTY0IG9mIHRoaXJ0eS10d28gcmFuZG9tIGJ5dGVz", "user_code": "WDJB-MJHT",
            "verification_uri": "https://id.example.com/device",
            "verification_uri_complete": "https://id.example.com/device?user_code=WDJB-MJHT",
            "expires_in": 600, "interval": 5,
        }),
        "Introspection" => json!({
            "active": true, "iss": "https://id.example.com", "sub": "01890a5d-ac96-774b-bcce-b302099a8057",
            "client_id": "demo-app", "scope": "referral-codes:read", "token_type": "Bearer",
            "aud": "https://api.example.com", "iat": 1893499200, "exp": 1893499800,
        }),
        "UserInfo" => json!({
            "sub": "01890a5d-ac96-774b-bcce-b302099a8057", "name": "Ann Lee", "given_name": "Ann", "family_name": "Lee",
            "email": "ann@example.com", "email_verified": true,
        }),
        "ClientMetadata" => {
            json!({ "client_name": "Wonder App", "redirect_uris": ["https://app.example.com/callback"] })
        }
        "ClientUpdate" => json!({
            "client_id": "f3b1c2d4e5a6978812345678abcdef01", "client_name": "Wonder App",
            "redirect_uris": ["https://app.example.com/callback"],
        }),
        "ClientRegistration" => json!({
            "client_id": "f3b1c2d4e5a6978812345678abcdef01", "client_secret": "bm90IGEgcmVhbCBzZWNyZXQ",
            "client_id_issued_at": 1893499200, "client_secret_expires_at": 0,
            "registration_access_token": "bm90IGEgcmVhbCB0b2tlbg",
            "registration_client_uri": "https://id.example.com/oauth/register/f3b1c2d4e5a6978812345678abcdef01",
            "client_name": "Wonder App", "redirect_uris": ["https://app.example.com/callback"],
            "grant_types": ["authorization_code"], "response_types": ["code"],
            "token_endpoint_auth_method": "client_secret_basic",
        }),
        "ServerMetadata" => json!({
            "issuer": "https://id.example.com",
            "authorization_endpoint": "https://id.example.com/oauth/authorize",
            "token_endpoint": "https://id.example.com/oauth/token",
            "userinfo_endpoint": "https://id.example.com/oauth/userinfo",
            "jwks_uri": "https://id.example.com/oauth/jwks",
            "response_types_supported": ["code"], "subject_types_supported": ["public", "pairwise"],
            "code_challenge_methods_supported": ["S256"],
        }),
        "KeySet" => json!({ "keys": [{
            "kty": "EC", "use": "sig", "crv": "P-256", "alg": "ES256", "kid": "es256-01998f4e",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        }] }),
        _ => Value::Null,
    }
}
