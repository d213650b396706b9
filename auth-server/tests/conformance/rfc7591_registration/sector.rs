//! `sector_identifier_uri` (OpenID Connect Registration §5, Core §8.1).

use serde_json::json;

use super::{OPEN, register};
use crate::harness::{ALLOWED, Site, Trap, each_server};

const HERE: &str = "https://a.example/cb";
const THERE: &str = "https://b.example/cb";

#[tokio::test]
async fn a_pairwise_client_on_several_hosts_names_a_sector__oidc_core_8_1() {
    each_server(&[OPEN, ALLOWED], |server| async move {
        let site = Site::start().await;
        let mut asked = json!({ "subject_type": "pairwise", "redirect_uris": [HERE, THERE] });
        let before = server.rows().await;
        register(&server, &asked).await.is_error(400, "invalid_client_metadata");
        assert_eq!(server.rows().await, before);
        asked["sector_identifier_uri"] = json!(site.publish("/sector", &json!([HERE, THERE, "https://c.example/"])));
        let said = register(&server, &asked).await.json(201);
        assert_eq!(said["sector_identifier_uri"], asked["sector_identifier_uri"]);
        assert_eq!(site.asked("/sector"), 1);
    })
    .await;
}

#[tokio::test]
async fn a_sector_that_does_not_list_every_redirect_uri_is_refused__oidcr_5() {
    each_server(&[OPEN, ALLOWED], |server| async move {
        let site = Site::start().await;
        site.publish("/part", &json!([HERE]));
        site.publish("/object", &json!({ "redirect_uris": [HERE, THERE] }));
        site.publish("/mixed", &json!([HERE, THERE, 1]));
        site.answer("/away", 302, &[("location", "/good")], "");
        site.publish("/good", &json!([HERE, THERE]));
        site.answer("/large", 200, &[], &format!("[\"{HERE}\",\"{THERE}\",\"{}\"]", "a".repeat(70_000)));
        site.answer("/broken", 200, &[], "[");
        let before = server.rows().await;
        for path in ["/part", "/object", "/mixed", "/away", "/large", "/broken", "/missing"] {
            let uri = format!("{}{path}", site.url);
            let asked = json!({ "redirect_uris": [HERE, THERE], "sector_identifier_uri": uri });
            let answer = register(&server, &asked).await;
            assert_eq!(answer.status.as_u16(), 400, "{path}: {answer:?}");
            answer.is_error(400, "invalid_client_metadata");
        }
        assert_eq!(server.rows().await, before);
        assert_eq!(site.asked("/good"), 0, "redirects are not followed");
    })
    .await;
}

#[tokio::test]
async fn a_sector_on_a_private_address_is_never_asked__oidcr_9() {
    each_server(&[OPEN], |server| async move {
        let trap = Trap::start().await;
        let site = Site::start().await;
        let before = server.rows().await;
        for uri in trap.urls("/sector").into_iter().chain([site.publish("/sector", &json!([HERE]))]) {
            let asked = json!({ "redirect_uris": [HERE], "sector_identifier_uri": uri });
            register(&server, &asked).await.is_error(400, "invalid_client_metadata");
        }
        assert_eq!((trap.came(), site.asked("/sector"), server.rows().await), (0, 0, before));
    })
    .await;
}
