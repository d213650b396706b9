//! Requests made up from the OpenAPI documents, good and bad, by people and clients with credentials: nothing is answered
//! 5xx, and nothing that the document does not say. `e2e/clients/schemathesis/` has what is asked and what is held to it.

use xtask::clients;

use crate::real_clients::plays;
use crate::world::World;

async fn the_referral_api_answers_whatever_comes_as_its_document_says(world: World) {
    plays(world, clients::schemathesis, &["run.py", "api"]).await;
}
on_both_stores_by_https!(the_referral_api_answers_whatever_comes_as_its_document_says);

async fn the_authorization_server_answers_whatever_comes_as_its_document_says(world: World) {
    plays(world, clients::schemathesis, &["run.py", "issuer"]).await;
}
on_both_stores_by_https!(the_authorization_server_answers_whatever_comes_as_its_document_says);
