//! Two servers of ours, of which one is the other's provider: a new person comes from there, somebody who has an account
//! here connects it, and each signs in on both.

use serde_json::json;
use shared::testing::Scratch;

use crate::visitor::{Page, Stop, Visitor};
use crate::world::{PASSWORD, Store, World, app_client};

/// The provider, whose people's addresses are proved, and the server that trusts it with sign-ins.
async fn two(store: Store) -> Option<(World, World)> {
    let there = World::new(store, &[]).await?;
    let mut client = app_client("Here", &["authorization_code"], "");
    // The other server's address is drawn when it starts: its port is taken before, and told to both.
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("it listens").port();
    let here_url = format!("http://127.0.0.1:{port}");
    client.metadata.redirect_uris = vec![format!("{here_url}/login/upstream/there/callback")];
    let app = there.register(client).await;
    let upstream = format!(
        r#"[{{id="there", name="There", issuer="{}", client_id="{}", client_secret="{}", trust_email_verified=true}}]"#,
        there.auth_url,
        app.client_id,
        app.secret.expect("it is confidential")
    );
    let settings = [("UPSTREAM", upstream.as_str()), ("OUTBOUND__ALLOW", r#"["127.0.0.1"]"#)];
    let here = World::at(Scratch::new(store).await?, &settings, port).await;
    Some((there, here))
}

/// From a page of ours with the button to the provider, through sign-in and consent there, back to what is shown here.
async fn comes_from_there(here: &World, visitor: &mut Visitor, email: &str) -> Page {
    let login = visitor.open(format!("{}/login", here.auth_url)).await.page();
    let Stop::Away(request) = visitor.submit(&login, &[("way", "there")]).await else { panic!("it leads there") };
    let Stop::Away(back) = visitor.allows(email, &request).await else { panic!("it leads back") };
    assert!(back.as_str().starts_with(&here.auth_url), "{back}");
    visitor.open(back).await.page()
}

async fn prove_address(world: &World, email: &str) {
    let mut tx = world.platform.db.begin().await.expect("a transaction");
    let now = world.platform.clock.now();
    shared::execute!(&mut tx, "UPDATE users SET email_verified_at = $2 WHERE email_key = $1", email, now)
        .expect("it is written");
    tx.commit().await.expect("it is written");
}

async fn another_server_of_ours_signs_people_in((there, here): (World, World)) {
    for name in ["ann", "ben"] {
        there.person(name).await;
        prove_address(&there, &format!("{name}@example.com")).await;
    }
    let cy = here.person("cy").await;
    let code = cy.creates_a_code(here.platform.clock.now(), 30).await;

    // Ann is new here: her name and address are filled in, and no password is asked for.
    let mut ann = here.visitor();
    let page = comes_from_there(&here, &mut ann, "ann@example.com").await;
    assert!(page.says("ann@example.com") && !page.has_field("password"), "{}", page.body);
    assert_eq!(page.value_of("given_name").as_deref(), Some("Ann"));
    let fields = [("given_name", "Ann"), ("referral_code", code.as_str())];
    let home = ann.submit(&page, &fields).await.page();
    assert!(home.status == 200 && home.says("ann@example.com"), "{}", home.body);
    let referrals = cy.get("/v1/referrers/me/referrals").await.is(200);
    assert_eq!(referrals["items"].as_array().expect("a list").len(), 1, "{referrals}");
    // In another browser the same way in leads to the same account.
    let mut elsewhere = here.visitor();
    let home = comes_from_there(&here, &mut elsewhere, "ann@example.com").await;
    assert!(home.says("ann@example.com"), "{}", home.body);

    // Ben has an account here: his address leads to no more than the question for a proof.
    here.person("ben").await;
    let mut ben = here.visitor();
    let page = comes_from_there(&here, &mut ben, "ben@example.com").await;
    let link = page.links().into_iter().find(|link| link.as_str().contains("request=upstream-"));
    let login = ben.open(link.unwrap_or_else(|| panic!("{}", page.body))).await.page();
    assert_eq!(login.value_of("email").as_deref(), Some("ben@example.com"));
    let asked = ben.submit(&login, &[("email", "ben@example.com"), ("password", PASSWORD)]).await.page();
    let home = ben.submit(&asked, &[("decision", "link")]).await.page();
    assert!(home.says("ben@example.com"), "{}", home.body);
    let mut elsewhere = here.visitor();
    let home = comes_from_there(&here, &mut elsewhere, "ben@example.com").await;
    assert!(home.says("ben@example.com"), "{}", home.body);

    // A token that such a sign-in leads to says how it was, and nothing of what happened there.
    let app = here.app().await;
    let tokens = app.signs_in(&mut elsewhere, "ben@example.com", "openid").await;
    let claims = tokens["id_token"].as_str().expect("an ID token").split('.').nth(1).expect("claims").to_owned();
    let claims = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, claims).expect("base64");
    let claims: serde_json::Value = serde_json::from_slice(&claims).expect("JSON");
    assert_eq!(claims["acr"], json!("urn:referris:acr:upstream"), "{claims}");
}
on_both_stores_with!(another_server_of_ours_signs_people_in, |store| super::two(store));
