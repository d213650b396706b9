//! For this crate's tests: a state on each store, with passwords that cost next to nothing, and people to act in it.

use std::net::{IpAddr, Ipv4Addr};

use shared::Platform;
use shared::db::Conn;
use shared::http::ClientIp;
use shared::ids::UserId;
use shared::referrals::code::ReferralCode;
use shared::referrals::store::{self, CodeRow};
use shared::testing::each_store_with;

use super::signup::{NewAccount, Outcome, sign_up};
use crate::AppState;

pub(crate) const PASSWORD: &str = "correct horse battery";

/// Somebody's address in the network.
pub(crate) const HERE: ClientIp = ClientIp(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));

/// Runs `test` on each store with some configuration keys changed; rate limits are off unless they are switched on.
pub(crate) async fn each_state<F: Future<Output = ()>>(overrides: &[(&str, &str)], test: impl Fn(AppState) -> F) {
    let cheap = [("PASSWORDS__MEMORY_KIB", "7168"), ("PASSWORDS__ITERATIONS", "1"), ("LIMITS__ENABLED", "false")];
    // The later of two settings of one key counts.
    let overrides: Vec<_> = cheap.into_iter().chain(overrides.iter().copied()).collect();
    let test = &test;
    each_store_with(&overrides, |platform| async move {
        crate::keys::testing::lay_in(&platform).await.expect("the keys are kept");
        test(AppState::new(platform).await.expect("the state is made")).await;
    })
    .await;
}

/// What `email` types to sign up.
pub(crate) fn account(email: &str, code: Option<&str>) -> NewAccount {
    NewAccount {
        email: email.to_owned(),
        password: PASSWORD.to_owned(),
        referral_code: code.map(str::to_owned),
        ..NewAccount::default()
    }
}

/// Signs `email` up where verification is optional.
pub(crate) async fn person(state: &AppState, email: &str) -> UserId {
    match sign_up(state, account(email, None), &HERE).await.expect("the sign-up succeeds") {
        Outcome::Created { id, .. } => id,
        Outcome::VerificationRequired => panic!("verification is required here"),
    }
}

/// An active code of `referrer` for 30 days.
pub(crate) async fn code_of(platform: &Platform, referrer: UserId, max_uses: Option<i64>) -> CodeRow {
    let mut tx = platform.db.begin().await.unwrap();
    let code = ReferralCode::draw(&platform.random);
    let expires_at = platform.clock.now() + chrono::TimeDelta::days(30);
    let row = store::create(&mut tx, platform, referrer, &code, expires_at, max_uses).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    row
}

/// How many rows `sql` (`SELECT COUNT(*) …`) counts.
pub(crate) async fn count(conn: &mut Conn, sql: &'static str) -> i64 {
    let (count,): (i64,) = shared::fetch_one!(conn, (i64,), sql).unwrap();
    count
}
