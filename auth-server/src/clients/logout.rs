//! What a client may register to hear of a sign-out (RP-Initiated Logout §3.1, Back-Channel Logout §2.2, Front-Channel
//! Logout §2).

use shared::outbound::Guarded;
use url::{Origin, Url};

use super::check::check_redirect_uri;
use super::metadata::ClientMetadata;

pub(super) fn check(guard: &Guarded, metadata: &ClientMetadata) -> Result<(), String> {
    for uri in &metadata.post_logout_redirect_uris {
        check_redirect_uri(uri).map_err(|reason| format!("the post-logout redirect URI {uri:?} {reason}"))?;
    }
    if let Some(uri) = &metadata.backchannel_logout_uri {
        let url = absolute(uri).map_err(|reason| format!("the back-channel logout URI {uri:?} {reason}"))?;
        // We call it: what the guard would refuse then is refused now.
        let refused = |refused| format!("the back-channel logout URI {uri:?} can't be called: {refused}");
        guard.check(&url).map_err(refused)?;
    }
    if let Some(uri) = &metadata.frontchannel_logout_uri {
        let url = absolute(uri).map_err(|reason| format!("the front-channel logout URI {uri:?} {reason}"))?;
        let mut redirect_uris = metadata.redirect_uris.iter().filter_map(|uri| Url::parse(uri).ok());
        // §2. An opaque origin (of a private scheme) equals none, not even itself.
        let is_known = matches!(url.origin(), Origin::Tuple(..)) && redirect_uris.any(|u| u.origin() == url.origin());
        if !is_known {
            return Err(format!("the front-channel logout URI {uri:?} must have the origin of a redirect URI"));
        }
    }
    Ok(())
}

/// An absolute URI (RFC 3986 §4.3), which has no fragment.
fn absolute(uri: &str) -> Result<Url, &'static str> {
    let url = Url::parse(uri).map_err(|_| "is not an absolute URL")?;
    if uri.contains('#') { Err("has a fragment") } else { Ok(url) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::testing::{Scratch, Store};

    #[tokio::test]
    async fn what_is_called_or_framed_is_https_and_the_clients_own__backchannel_2_2() {
        let scratch = Scratch::new(Store::Embedded).await.unwrap();
        let platform = scratch.platform(&[("OUTBOUND__ALLOW", "[\"127.0.0.1:9\"]")]).await;
        let back = |uri: &str| ClientMetadata { backchannel_logout_uri: Some(uri.into()), ..Default::default() };
        let front = |uri: &str| ClientMetadata {
            redirect_uris: vec!["https://a.example/cb".into(), "com.example.app:/cb".into()],
            frontchannel_logout_uri: Some(uri.into()),
            ..Default::default()
        };
        let after = |uri: &str| ClientMetadata { post_logout_redirect_uris: vec![uri.into()], ..Default::default() };
        for (metadata, expected) in [
            (back("https://a.example/out"), None),
            (back("http://127.0.0.1:9/out"), None),
            (back("http://127.0.0.1:8/out"), Some("https://")),
            (back("http://a.example/out"), Some("https://")),
            (back("https://10.0.0.1/out"), Some("not public")),
            (back("https://a.example/out#x"), Some("fragment")),
            (back("/out"), Some("absolute")),
            (front("https://a.example/out?x=1"), None),
            (front("https://a.example:8443/out"), Some("origin")),
            (front("http://a.example/out"), Some("origin")),
            (front("com.example.app:/out"), Some("origin")),
            (front("https://a.example/out#x"), Some("fragment")),
            (after("https://a.example/bye"), None),
            (after("com.example.app:/bye"), None),
            (after("javascript:alert(1)"), Some("scheme")),
            (after("http://a.example/bye"), Some("plain http")),
        ] {
            match (check(platform.outbound.guarded(), &metadata), expected) {
                (Ok(()), None) => {}
                (Err(reason), Some(expected)) if reason.contains(expected) => {}
                other => panic!("{metadata:?}: {other:?}"),
            }
        }
    }
}
