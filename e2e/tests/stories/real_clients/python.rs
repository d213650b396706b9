//! Libraries from PyPI.

use xtask::clients;

use super::stage::plays;
use crate::world::World;

async fn an_app_on_authlib(world: World) {
    plays(world, clients::python, &["with_authlib.py"]).await;
}
on_both_stores_by_https!(an_app_on_authlib);

async fn a_client_made_from_the_openapi_document_is_used_on_the_api(world: World) {
    plays(world, clients::python_api, &["run.py"]).await;
}
on_both_stores_by_https!(a_client_made_from_the_openapi_document_is_used_on_the_api);
