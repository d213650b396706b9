//! For this crate's tests: a state on each store, with passwords that cost next to nothing, and people to act in it.

use std::net::{IpAddr, Ipv4Addr};

use shared::Platform;
use shared::db::Conn;
use shared::http::ClientIp;
use shared::ids::{GrantId, SessionId, UserId};
use shared::referrals::code::ReferralCode;
use shared::referrals::store::{self, CodeRow};
use shared::referrals::{life, signals};
use shared::testing::each_store_with;
use shared::users::User;

use super::signup::{NewAccount, Outcome, sign_up};
use crate::AppState;
use crate::clients::{ClientMetadata, NewClient, Origin};
use crate::protocol::grants::{self, GrantDetails};
use crate::sessions::{ACR_PASSWORD, SignedIn};

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

/// The referral by which `user` came: its status, its review, and the signals against it.
pub(crate) async fn referral_of(state: &AppState, user: UserId) -> Option<(String, String, Vec<String>)> {
    let mut conn = state.platform.db.read().await.unwrap();
    let row = life::of_user(&mut conn, user).await.unwrap()?;
    let signals = signals::of(&mut conn, row.id).await.unwrap();
    Some((row.status, row.review, signals.into_iter().map(|seen| seen.signal).collect()))
}

/// How many rows `sql` (`SELECT COUNT(*) …`) counts.
pub(crate) async fn count(conn: &mut Conn, sql: &'static str) -> i64 {
    let (count,): (i64,) = shared::fetch_one!(conn, (i64,), sql).unwrap();
    count
}

/// A browser of `user`, without the browser: its session's row, and who it says is signed in.
pub(crate) async fn session_of(state: &AppState, user: UserId) -> SignedIn {
    let platform = &state.platform;
    let now = platform.clock.now();
    let signed_in = SignedIn {
        user_id: user,
        sid: SessionId::new(&platform.random, &platform.clock),
        auth_time: now,
        acr: ACR_PASSWORD.into(),
        amr: vec![],
    };
    let mut tx = platform.db.begin().await.unwrap();
    shared::execute!(
        &mut tx,
        "INSERT INTO browser_sessions (id_hash, user_id, sid, record, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6)",
        platform.random.bytes::<32>().to_vec(),
        user,
        signed_in.sid,
        sqlx::types::Json(serde_json::json!({ "signed_in": signed_in })),
        now,
        now + chrono::TimeDelta::days(1)
    )
    .unwrap();
    tx.commit().await.unwrap();
    signed_in
}

/// The account as it is now.
pub(crate) async fn user(state: &AppState, id: UserId) -> Option<User> {
    shared::users::by_id(&mut state.platform.db.read().await.unwrap(), id).await.unwrap()
}

/// An app of our own, and what `user` granted it in `sid`.
pub(crate) async fn grant_of(state: &AppState, user: UserId, sid: Option<SessionId>) -> GrantId {
    let platform = &state.platform;
    let metadata = ClientMetadata {
        redirect_uris: vec!["https://app.example/cb".into()],
        grant_types: vec!["authorization_code".into(), "refresh_token".into()],
        scopes: vec!["openid".into()],
        token_endpoint_auth_method: "client_secret_basic".into(),
        ..ClientMetadata::default()
    };
    let client =
        NewClient { client_id: None, name: "Notes".into(), first_party: true, origin: Origin::Operator, metadata };
    let (client, _) = crate::clients::create(platform, client).await.unwrap();
    let mut tx = platform.db.begin().await.unwrap();
    let details = GrantDetails { scope: vec!["openid".into()], ..GrantDetails::default() };
    let granted = grants::insert_grant(&mut tx, platform, &client, user, sid, &details).await.unwrap();
    tx.commit().await.unwrap();
    granted.id
}
