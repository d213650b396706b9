//! What a client may register to hear of a sign-out (RP-Initiated Logout §3.1, Back-Channel Logout §2.2, Front-Channel
//! Logout §2).

use shared::outbound::Guarded;
use url::{Origin, Url};

use super::{Fault, check_redirect_uri};
use crate::clients::ClientMetadata;

pub(super) fn check(metadata: &ClientMetadata, guard: &Guarded) -> Result<(), Fault> {
    let fault = |member, reason: String| Err(Fault::new(member, reason));
    for uri in &metadata.post_logout_redirect_uris {
        if let Err(reason) = check_redirect_uri(uri) {
            return fault("post_logout_redirect_uris", format!("the post-logout redirect URI {uri:?} {reason}"));
        }
    }
    if let Some(uri) = &metadata.backchannel_logout_uri {
        let member = "backchannel_logout_uri";
        let said = |reason: &str| Fault::new(member, format!("the back-channel logout URI {uri:?} {reason}"));
        let url = absolute(uri).map_err(said)?;
        // We call it: what the guard would refuse then is refused now.
        guard.check(&url).map_err(|refused| said(&format!("can't be called: {refused}")))?;
    }
    if let Some(uri) = &metadata.frontchannel_logout_uri {
        let member = "frontchannel_logout_uri";
        let said = |reason: &str| Fault::new(member, format!("the front-channel logout URI {uri:?} {reason}"));
        let url = absolute(uri).map_err(said)?;
        let mut redirect_uris = metadata.redirect_uris.iter().filter_map(|uri| Url::parse(uri).ok());
        // §2. An opaque origin (of a private scheme) equals none, not even itself.
        let is_known = matches!(url.origin(), Origin::Tuple(..)) && redirect_uris.any(|u| u.origin() == url.origin());
        if !is_known {
            return Err(said("must have the origin of a redirect URI"));
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
            let at_fault = match &metadata {
                ClientMetadata { backchannel_logout_uri: Some(_), .. } => "backchannel_logout_uri",
                ClientMetadata { frontchannel_logout_uri: Some(_), .. } => "frontchannel_logout_uri",
                _ => "post_logout_redirect_uris",
            };
            match (check(&metadata, platform.outbound.guarded()), expected) {
                (Ok(()), None) => {}
                (Err(Fault { member, reason }), Some(expected)) if member == at_fault && reason.contains(expected) => {}
                other => panic!("{metadata:?}: {other:?}"),
            }
        }
    }
}
