//! Algorithms, by their registered names (RFC 7518 §3.1, RFC 8037 §3.1). `none` is never one.

use shared::jose;

use super::Fault;
use super::grants::known;
use crate::clients::ClientMetadata;
use crate::clients::metadata::ID_TOKEN_ALGS;

pub(super) fn check(metadata: &ClientMetadata) -> Result<(), Fault> {
    let one = |member, what, value: &Option<String>, there_are: &[&str]| {
        value.as_ref().map_or(Ok(()), |alg| known(member, what, std::slice::from_ref(alg), there_are))
    };
    let id_token = Some(metadata.id_token_signed_response_alg.clone());
    one("id_token_signed_response_alg", "ID token algorithm", &id_token, ID_TOKEN_ALGS)?;
    // What we sign is signed with the keys that ID tokens are signed with.
    for (member, value) in [
        ("userinfo_signed_response_alg", &metadata.userinfo_signed_response_alg),
        ("authorization_signed_response_alg", &metadata.authorization_signed_response_alg),
        ("introspection_signed_response_alg", &metadata.introspection_signed_response_alg),
    ] {
        one(member, "algorithm", value, ID_TOKEN_ALGS)?;
    }
    let asymmetric: Vec<&str> = jose::ASYMMETRIC.iter().map(|alg| jose::name_of(*alg)).collect();
    one("request_object_signing_alg", "algorithm", &metadata.request_object_signing_alg, &asymmetric)
}
