//! Libraries from npm, in Node.js.

use xtask::clients;

use super::stage::plays;
use crate::world::World;

/// Each app plays its script.
macro_rules! apps {
    ($($name:ident: $script:literal;)*) => {$(
        async fn $name(world: World) {
            plays(world, clients::javascript, &[$script]).await;
        }
        on_both_stores_by_https!($name);
    )*};
}

apps! {
    an_app_on_openid_client: "openid-client.mjs";
    an_app_on_oauth4webapi: "oauth4webapi.mjs";
    an_app_on_openid_client_that_signs_and_reads_what_is_signed: "openid-client-signed.mjs";
    an_app_on_openid_client_whose_tokens_are_its_own: "openid-client-bound.mjs";
    apps_on_openid_client_with_other_grants: "openid-client-grants.mjs";
    an_app_on_openid_client_that_pushes_and_signs_its_requests: "openid-client-pushed.mjs";
    an_app_on_openid_client_held_to_fapi_2: "openid-client-fapi2.mjs";
    an_app_on_openid_client_that_registers_itself: "openid-client-registered.mjs";
    an_app_on_openid_client_that_is_known_by_its_document: "openid-client-document.mjs";
}
