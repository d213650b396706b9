//! `GET`: what is registered.

use super::Registration;
use crate::harness::each_server;
use crate::rfc7591_registration::{OPEN, register, web_app};

#[tokio::test]
async fn a_client_reads_what_it_registered_but_not_its_secret__rfc7592_2_1() {
    each_server(&[OPEN], |server| async move {
        let registration = Registration::of(&server, register(&server, &web_app()).await.json(201));
        let answer = registration.get().await;
        let mut expected = registration.said.clone();
        // It is kept as a hash.
        expected.as_object_mut().expect("an object").remove("client_secret");
        assert_eq!(answer.json(200), expected);
        answer.is_not_cached();
        assert_eq!(answer.header("pragma"), "no-cache");
    })
    .await;
}
