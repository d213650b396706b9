//! Libraries from PyPI.

use xtask::clients;

use super::stage::plays;
use crate::world::World;

async fn an_app_on_authlib(world: World) {
    plays(world, clients::python, &["with_authlib.py"]).await;
}
on_both_stores_by_https!(an_app_on_authlib);
