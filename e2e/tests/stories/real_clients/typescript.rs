//! A program on a client that is made from the OpenAPI document, checked by the compiler.

use xtask::clients;

use super::stage::plays;
use crate::world::World;

async fn a_client_made_from_the_openapi_document_compiles_and_is_used_on_the_api(world: World) {
    plays(world, clients::typescript, &["run.mjs"]).await;
}
on_both_stores_by_https!(a_client_made_from_the_openapi_document_compiles_and_is_used_on_the_api);
