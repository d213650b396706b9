//! Libraries for Go. Not every machine has it: `cargo xtask e2e --all`.

use xtask::clients;

use super::stage::plays;
use crate::world::World;

async fn an_app_on_go_oidc_and_oauth2(world: World) {
    plays(world, clients::go, &[]).await;
}
on_both_stores_by_https!(
    #[ignore = "needs go: cargo xtask e2e --all"]
    an_app_on_go_oidc_and_oauth2
);
