//! Libraries from npm, in Node.js.

use xtask::clients;

use super::stage::plays;
use crate::world::World;

async fn an_app_on_openid_client(world: World) {
    plays(world, clients::javascript, &["openid-client.mjs"]).await;
}
on_both_stores_by_https!(an_app_on_openid_client);

async fn an_app_on_oauth4webapi(world: World) {
    plays(world, clients::javascript, &["oauth4webapi.mjs"]).await;
}
on_both_stores_by_https!(an_app_on_oauth4webapi);

async fn an_app_on_openid_client_that_signs_and_reads_what_is_signed(world: World) {
    plays(world, clients::javascript, &["openid-client-signed.mjs"]).await;
}
on_both_stores_by_https!(an_app_on_openid_client_that_signs_and_reads_what_is_signed);

async fn an_app_on_openid_client_whose_tokens_are_its_own(world: World) {
    plays(world, clients::javascript, &["openid-client-bound.mjs"]).await;
}
on_both_stores_by_https!(an_app_on_openid_client_whose_tokens_are_its_own);

async fn apps_on_openid_client_with_other_grants(world: World) {
    plays(world, clients::javascript, &["openid-client-grants.mjs"]).await;
}
on_both_stores_by_https!(apps_on_openid_client_with_other_grants);

async fn an_app_on_openid_client_that_pushes_and_signs_its_requests(world: World) {
    plays(world, clients::javascript, &["openid-client-pushed.mjs"]).await;
}
on_both_stores_by_https!(an_app_on_openid_client_that_pushes_and_signs_its_requests);

async fn an_app_on_openid_client_held_to_fapi_2(world: World) {
    plays(world, clients::javascript, &["openid-client-fapi2.mjs"]).await;
}
on_both_stores_by_https!(an_app_on_openid_client_held_to_fapi_2);
