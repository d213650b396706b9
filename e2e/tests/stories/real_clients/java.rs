//! Libraries from Maven Central. Not every machine has Java and Maven: `cargo xtask e2e --all`.

use xtask::clients;

use super::stage::plays;
use crate::world::World;

async fn an_app_on_nimbus(world: World) {
    plays(world, clients::java, &["clients.Nimbus"]).await;
}
on_both_stores_by_https!(
    #[ignore = "needs java and mvn: cargo xtask e2e --all"]
    an_app_on_nimbus
);
