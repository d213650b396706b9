//! docs/openapi/: what the services serve as `/openapi.json` on the default configuration.

use shared::Platform;
use shared::testing::{Scratch, Store};
use tokio::net::TcpListener;

#[tokio::test]
async fn the_openapi_documents_are_what_the_services_serve() {
    let scratch = Scratch::new(Store::Embedded).await.expect("the embedded store needs nothing");
    let platform = scratch.platform(&[]).await;

    // On free ports, while the configuration names the default addresses: those are what the documents show.
    let auth = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let urls = [&auth, &api].map(|listener| format!("http://{}/openapi.json", listener.local_addr().unwrap()));
    tokio::spawn(auth_server::serve(platform.clone(), auth, std::future::pending()));
    tokio::spawn(referral_api::serve(platform.clone(), api, std::future::pending()));

    let [auth, api] = urls;
    for (path, url) in [("docs/openapi/auth-server.json", auth), ("docs/openapi/referral-api.json", api)] {
        super::document(path, &fetch(&platform, &url).await);
    }
}

async fn fetch(platform: &Platform, url: &str) -> String {
    let answer = platform.outbound.trusted().get(url).send().await.unwrap().error_for_status().unwrap();
    // Read and written again: one member a line, so that a change is a small difference.
    let document: serde_json::Value = answer.json().await.unwrap();
    assert!(document["paths"].as_object().is_some_and(|paths| !paths.is_empty()), "{url} describes nothing");
    serde_json::to_string_pretty(&document).unwrap() + "\n"
}
