//! `auth-server` as operators use it: what it prints, and with what it exits.

use std::process::Output;
use std::time::Duration;

use serde_json::{Value, json};
use shared::testing::Scratch;

use crate::app::App;
use crate::processes::command;
use crate::world::World;

/// Runs `auth-server` with these words on a store.
async fn auth_server(scratch: &Scratch, words: &[&str]) -> Output {
    command("auth-server", scratch).await.args(words).output().await.expect("auth-server runs")
}

/// Holds a run to success, and standard output to one JSON value and nothing else.
#[track_caller]
fn json_of(output: &Output) -> Value {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {out}{err}", output.status);
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("not JSON ({error}): {out}"))
}

/// What the services know of a client is at most a second old.
async fn soon(app: &App, status: u16) {
    let mut last = 0;
    for _ in 0..25 {
        last = app.token(&[("grant_type", "client_credentials")]).await.status;
        if last == status {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{last} and not {status} after two and a half seconds");
}

const JOB: &[&str] =
    &["client", "create", "--name", "Job", "--grant", "client_credentials", "--scope", "referral-codes:read"];

async fn a_client_is_created_changed_and_deleted_while_the_services_run(world: World) {
    let created = json_of(&auth_server(&world.scratch, &[JOB, &["--json"]].concat()).await);
    let members: Vec<_> = created.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["client_id", "client_secret"], "these and nothing else");
    let text = |value: &Value, name: &str| value[name].as_str().expect("text").to_owned();
    let mut app = App {
        auth_url: world.auth_url.clone(),
        http: world.http().clone(),
        client_id: text(&created, "client_id"),
        secret: Some(text(&created, "client_secret")),
        redirect_uri: String::new(),
    };
    soon(&app, 200).await;

    let listed = auth_server(&world.scratch, &["client", "list", "--json"]).await;
    let clients = json_of(&listed);
    let found = clients.as_array().unwrap().iter().find(|client| client["client_id"] == app.client_id.as_str());
    let found = found.unwrap_or_else(|| panic!("{clients} does not list {}", app.client_id));
    assert_eq!(found["token_endpoint_auth_method"], "client_secret_basic");
    assert_eq!(found["grant_types"], json!(["client_credentials"]));
    assert!(!String::from_utf8_lossy(&listed.stdout).contains(app.secret.as_deref().unwrap()), "shown once only");

    let rotated = json_of(&auth_server(&world.scratch, &["client", "rotate-secret", &app.client_id, "--json"]).await);
    soon(&app, 401).await;
    assert_eq!(rotated["client_id"], app.client_id.as_str());
    app.secret = Some(text(&rotated, "client_secret"));
    soon(&app, 200).await;
    let token = app.token(&[("grant_type", "client_credentials")]).await.is(200)["access_token"].clone();

    let deleted = json_of(&auth_server(&world.scratch, &["client", "delete", &app.client_id, "--json"]).await);
    assert_eq!(deleted, json!({ "client_id": app.client_id, "deleted": true }));
    soon(&app, 401).await;
    crate::races::is_soon_refused(&world, token.as_str().unwrap()).await;
    let again = auth_server(&world.scratch, &["client", "delete", &app.client_id, "--json"]).await;
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains(&app.client_id), "it says which");
}
on_both_stores!(a_client_is_created_changed_and_deleted_while_the_services_run);

async fn clients_of_every_kind_can_be_created_by_hand(world: World) {
    let public =
        ["client", "create", "--name", "Desk", "--id", "desk-app", "--public", "--grant", "authorization_code"];
    let more =
        ["--redirect-uri", "http://127.0.0.1/a", "--redirect-uri", "http://127.0.0.1/b", "--scope", "openid email"];
    let created = json_of(&auth_server(&world.scratch, &[&public[..], &more, &["--json"]].concat()).await);
    assert_eq!(created, json!({ "client_id": "desk-app" }), "a public client has no secret");
    let first = ["client", "create", "--name", "Ours", "--first-party", "--auth-method", "client_secret_post"];
    let more = ["--grant", "password", "--grant", "refresh_token", "--scope", "openid", "--scope", "account:read"];
    let created = json_of(&auth_server(&world.scratch, &[&first[..], &more, &["--json"]].concat()).await);

    let clients = json_of(&auth_server(&world.scratch, &["client", "list", "--json"]).await);
    let of = |id: &Value| clients.as_array().unwrap().iter().find(|c| c["client_id"] == *id).unwrap().clone();
    let desk = of(&json!("desk-app"));
    assert_eq!(desk["redirect_uris"], json!(["http://127.0.0.1/a", "http://127.0.0.1/b"]));
    assert_eq!((&desk["scope"], &desk["token_endpoint_auth_method"]), (&json!("openid email"), &json!("none")));
    let ours = of(&created["client_id"]);
    assert_eq!((&ours["first_party"], &ours["grant_types"]), (&json!(true), &json!(["password", "refresh_token"])));
    assert_eq!(ours["scope"], "openid account:read");

    // For people: the secret is named in words.
    let said = auth_server(&world.scratch, JOB).await;
    assert!(said.status.success());
    assert!(String::from_utf8_lossy(&said.stdout).contains("client_secret: "));

    // What can't be is refused, and leaves nothing.
    for words in [
        &["--name", "X", "--grant", "password"][..],
        &["--name", "X", "--grant", "implicit"],
        &["--name", "X", "--grant", "authorization_code"],
        &["--name", "X", "--grant", "authorization_code", "--redirect-uri", "javascript:alert(1)"],
        &["--name", "X", "--grant", "authorization_code", "--redirect-uri", "https://a.example/#fragment"],
        &["--name", "X", "--grant", "client_credentials", "--public"],
        &["--name", "X", "--grant", "client_credentials", "--scope", "no-such-scope"],
        &["--name", "X", "--grant", "client_credentials", "--auth-method", "tls_client_auth"],
        &["--name", "X", "--grant", "client_credentials", "--id", "desk-app"],
        &["--name", "X", "--grant", "client_credentials", "--id", "0190b5a2-0000-7000-8000-000000000000"],
    ] {
        let refused = auth_server(&world.scratch, &[&["client", "create"], words].concat()).await;
        assert_eq!(refused.status.code(), Some(1), "{words:?}");
        assert!(!refused.stderr.is_empty() && refused.stdout.is_empty(), "{words:?}");
    }
    let after = json_of(&auth_server(&world.scratch, &["client", "list", "--json"]).await);
    assert!(after.as_array().unwrap().iter().all(|client| client["client_name"] != "X"), "{after}");
    let usage = auth_server(&world.scratch, &["client", "create"]).await;
    assert_eq!(usage.status.code(), Some(2));
}
on_both_stores!(clients_of_every_kind_can_be_created_by_hand);

/// Holds a run to failure, and standard output to nothing; what was said instead.
#[track_caller]
fn refused(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!((output.status.code(), &*out), (Some(1), ""), "{err}");
    err.into_owned()
}

async fn every_mistake_in_a_client_is_told_at_once(world: World) {
    let create = async |words: &[&str]| {
        let words = [&["client", "create", "--name", "X"], words].concat();
        auth_server(&world.scratch, &words).await
    };
    let many = ["--id", "a b", "--grant", "authorization_code", "--grant", "magic", "--scope", "no-such-scope"];
    let more = ["--public", "--auth-method", "client_secret_post", "--backchannel-logout-uri", "http://a.example/"];
    let said = refused(&create(&[&many[..], &more, &["--logout-session-required"]].concat()).await);
    for mistake in
        ["6 mistakes", "client id", "\"magic\"", "\"no-such-scope\"", "redirect_uris", "--public", "http://a.example/"]
    {
        assert!(said.contains(mistake), "{mistake} is not named:\n{said}");
    }
    let uris = ["--redirect-uri", "http://b.example/cb", "--redirect-uri", "https://c.example/#x"];
    let said = refused(&create(&[&["--grant", "authorization_code"], &uris[..]].concat()).await);
    for mistake in ["2 mistakes", "http://b.example/cb", "https://c.example/#x"] {
        assert!(said.contains(mistake), "{mistake} is not named:\n{said}");
    }
    let said = refused(&create(&["--grant", "magic"]).await);
    assert!(said.starts_with("error: there is no grant \"magic\""), "one by itself is said without a list:\n{said}");

    // Whoever is told of no sign-out can't want to be told of which session.
    let app = ["--grant", "authorization_code", "--redirect-uri", "https://a.example/cb"];
    for (words, uri) in [
        (&["--logout-session-required"][..], "--backchannel-logout-uri"),
        (&["--metadata", r#"{"backchannel_logout_session_required":true}"#], "backchannel_logout_uri"),
        (&["--metadata", r#"{"frontchannel_logout_session_required":true}"#], "frontchannel_logout_uri"),
    ] {
        let said = refused(&create(&[&app[..], words].concat()).await);
        assert!(said.contains("session") && said.contains(uri) && !said.contains("mistakes"), "{words:?}:\n{said}");
    }
    let front = ["--logout-session-required", "--frontchannel-logout-uri", "https://a.example/out", "--json"];
    json_of(&create(&[&app[..], &front].concat()).await);
}
on_both_stores!(every_mistake_in_a_client_is_told_at_once);

async fn a_client_without_a_secret_is_told_from_one_that_is_not_there(world: World) {
    let keyed = ["client", "create", "--name", "Keyed", "--id", "keyed", "--grant", "client_credentials"];
    let more = ["--auth-method", "private_key_jwt", "--jwks-uri", "https://a.example/jwks", "--json"];
    json_of(&auth_server(&world.scratch, &[&keyed[..], &more].concat()).await);
    let public = ["client", "create", "--name", "Desk", "--id", "desk", "--public", "--grant", "authorization_code"];
    json_of(
        &auth_server(&world.scratch, &[&public[..], &["--redirect-uri", "http://127.0.0.1/a", "--json"]].concat())
            .await,
    );
    for (id, why) in [
        ("desk", "desk is a public client: it has no secret"),
        ("keyed", "keyed authenticates by private_key_jwt: it has no secret"),
        ("nobody", "there is no client nobody"),
    ] {
        let said = refused(&auth_server(&world.scratch, &["client", "rotate-secret", id]).await);
        assert!(said.contains(why), "{said}");
    }
}
on_both_stores!(a_client_without_a_secret_is_told_from_one_that_is_not_there);

async fn config_check_reports_every_mistake_at_once(world: World) {
    let check = async |settings: &[(&str, &str)], words: &[&str]| {
        let mut command = command("auth-server", &world.scratch).await;
        command.envs(settings.iter().map(|&(key, value)| (format!("REFERRIS__{key}"), value)));
        command.args(["config", "check"]).args(words).output().await.expect("auth-server runs")
    };
    let fine = check(&[], &["--json"]).await;
    assert_eq!(json_of(&fine), json!({ "valid": true, "mistakes": [] }));

    let wrong = [
        ("AUTH__LISTEN", "everywhere"),
        ("AUTH__PUBLIC_URL", "http://127.0.0.1:8080/"),
        ("TOKENS__CODE_SECONDS", "soon"),
        ("AUTH__COLOUR", "red"),
        ("ACCOUNTS__EMAIL_VERIFICATION", "perhaps"),
    ];
    let keys = ["auth.listen", "auth.public_url", "tokens.code_seconds", "auth.colour", "accounts.email_verification"];
    let output = check(&wrong, &["--json"]).await;
    assert_eq!(output.status.code(), Some(2));
    let said: Value = serde_json::from_slice(&output.stdout).expect("JSON and nothing else");
    assert_eq!(said["valid"], false);
    for key in keys {
        let mistake = said["mistakes"].as_array().unwrap().iter().find(|mistake| mistake["key"] == key);
        let mistake = mistake.unwrap_or_else(|| panic!("{key} is not among {said}"));
        assert!(mistake["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{mistake}");
    }
    let output = check(&wrong, &[]).await;
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    for key in keys {
        assert!(said.contains(key), "{key} is not named:\n{said}");
    }
    // Nothing is served on a configuration that is wrong.
    let mut serve = command("auth-server", &world.scratch).await;
    let serve = serve.env("REFERRIS__AUTH__LISTEN", "everywhere").arg("serve").output().await.unwrap();
    assert_eq!(serve.status.code(), Some(2));
}
on_both_stores!(config_check_reports_every_mistake_at_once);

async fn a_command_in_the_wrong_place_says_so_and_makes_nothing(world: World) {
    let elsewhere = world.scratch.dir.join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let run = async |url: &str, words: &[&str]| {
        let mut command = command("auth-server", &world.scratch).await;
        command.current_dir(&elsewhere).env("REFERRIS__DATABASE__URL", url);
        command.env("REFERRIS__DATABASE__MIGRATE_ON_START", "true").args(words).output().await.expect("it runs")
    };
    for words in [
        &["client", "list"][..],
        &["client", "delete", "x"],
        &["client", "initial-access-token", "list"],
        &["grant", "list"],
        &["grant", "revoke", "--client", "x"],
    ] {
        let said = refused(&run("sqlite://./data/referris.db", words).await);
        assert!(said.contains(elsewhere.join("data/referris.db").to_str().unwrap()), "{words:?}: {said}");
        assert!(std::fs::read_dir(&elsewhere).unwrap().next().is_none(), "{words:?} made something");
    }
    json_of(&run("sqlite://./data/referris.db", &[JOB, &["--json"]].concat()).await);
    assert!(elsewhere.join("data/referris.db").exists(), "a client may be made before the server first starts");

    // The right database, and the key of another folder: none is made there either.
    let mut listing = command("auth-server", &world.scratch).await;
    listing.current_dir(&elsewhere).env("REFERRIS__DATABASE__URL", "sqlite://./data/referris.db");
    listing.env("REFERRIS__DATA_DIR", "./nowhere").env_remove("REFERRIS__KEYS__MASTER_KEY");
    let said = refused(&listing.args(["client", "list"]).output().await.expect("it runs"));
    assert!(said.contains("./nowhere/master.key") && !elsewhere.join("nowhere").exists(), "{said}");

    // Bound and let go: nobody listens there.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for words in [&["client", "list"][..], &["migrate"], &["serve"]] {
        let said = refused(&run(&format!("postgres://ann:s3cret@{nobody}/x"), words).await);
        assert!(said.contains(&nobody.to_string()) && !said.contains("s3cret"), "{words:?}: {said}");
    }
}
on_both_stores!(a_command_in_the_wrong_place_says_so_and_makes_nothing);

async fn an_operator_dresses_a_client_and_looks_at_every_page(world: World) {
    let violet = ["--brand-accent-light", "#6d28d9", "--brand-theme", "dark"];
    json_of(&auth_server(&world.scratch, &[JOB, &["--id", "job"], &violet, &["--json"]].concat()).await);
    let looks = async || {
        let clients = json_of(&auth_server(&world.scratch, &["client", "list", "--json"]).await);
        let job = clients.as_array().unwrap().iter().find(|client| client["client_id"] == "job").unwrap().clone();
        ["brand_accent_light", "brand_accent_dark", "brand_theme"].map(|member| job[member].clone())
    };
    assert_eq!(looks().await, [json!("#6d28d9"), Value::Null, json!("dark")]);
    let again = ["client", "brand", "job", "--brand-accent-dark", "#c4b5fd", "--json"];
    json_of(&auth_server(&world.scratch, &again).await);
    assert_eq!(looks().await, [Value::Null, json!("#c4b5fd"), Value::Null]);
    let pale = auth_server(&world.scratch, &["client", "brand", "job", "--brand-accent-light", "#ffd400"]).await;
    assert_eq!(pale.status.code(), Some(1));
    let told = String::from_utf8_lossy(&pale.stderr).into_owned();
    assert!(told.contains("brand_accent_light") && told.contains("4.5:1") && told.contains("darker shade"), "{told}");
    json_of(&auth_server(&world.scratch, &["client", "brand", "job", "--json"]).await);
    assert_eq!(looks().await, [Value::Null, Value::Null, Value::Null]);

    let folder = world.scratch.dir.join("pages");
    let words = ["templates", "check", "--out", folder.to_str().unwrap(), "--json"];
    let checked = json_of(&auth_server(&world.scratch, &words).await);
    assert!(checked["rendered"].as_u64() > Some(200) && checked["faults"] == json!([]), "{checked}");
    for file in ["pages/en/login.html", "pages/ru/consent.html", "mails/en/invitation.txt", "mails/ru/invitation.html"]
    {
        let text = std::fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(text.contains("Referris"), "{file}");
    }
    // A colour that can't be read stops it before anything starts, and names the key.
    let mut command = command("auth-server", &world.scratch).await;
    let refused = command.args(["config", "check", "--json"]).env("REFERRIS__BRAND__ACCENT_LIGHT", "#ffd400").output();
    let refused = refused.await.unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let told: Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!(told["mistakes"][0]["key"], "brand.accent_light", "{told}");
}
on_both_stores!(an_operator_dresses_a_client_and_looks_at_every_page);
