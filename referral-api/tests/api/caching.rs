//! The cache makes look-ups cheap and never lets a deleted code through.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use shared::referrals::cached::{self, Entry};
use shared::referrals::code::CodeKey;
use shared::referrals::store;
use shared::testing::Store;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::world::{World, on_each_store, on_each_store_with};

#[tokio::test]
async fn a_code_comes_from_the_cache_and_a_counted_use_is_seen_there() {
    on_each_store(|world| async move {
        let (ann, bob) = (world.person("Ann").await, world.person("Bob").await);
        let code = ann.new_code().await;
        let path = format!("/v1/referral-codes/{code}");
        assert_eq!(ann.get(&path).await.body["uses"], 0);
        assert_eq!(bob.look_up(&ann.email).await.status, 200);

        world.execute("UPDATE referral_codes SET uses = 7, max_uses = 7 WHERE referrer_id = $1", ann.id()).await;
        assert_eq!(ann.get(&path).await.body["uses"], 0, "not from the database");
        assert_eq!(bob.look_up(&ann.email).await.status, 200);

        cached::refresh(&world.platform, &CodeKey::fold(&code).unwrap()).await.unwrap();
        assert_eq!(ann.get(&path).await.body["status"], "exhausted");
        assert_eq!(bob.look_up(&ann.email).await.status, 404);
    })
    .await;
}

#[tokio::test]
async fn a_deleted_code_is_found_no_more_at_once_and_a_late_fill_does_not_revive_it() {
    on_each_store(|world| async move {
        let (ann, bob) = (world.person("Ann").await, world.person("Bob").await);
        let code = ann.new_code().await;
        let key = CodeKey::fold(&code).unwrap();
        let path = format!("/v1/referral-codes/{code}");
        assert_eq!(ann.get(&path).await.text("status"), "active");
        assert_eq!(bob.look_up(&ann.email).await.status, 200);

        // Somebody read the row and is slow to put it into the cache.
        let mut conn = world.platform.db.read().await.unwrap();
        let read_before = store::by_key(&mut conn, &key).await.unwrap().unwrap();
        drop(conn);
        assert_eq!(ann.delete(&path).await.status, 204);
        cached::fill(&world.platform, &read_before).await;

        assert_eq!(bob.look_up(&ann.email).await.status, 404);
        assert_eq!(ann.get(&path).await.text("status"), "deleted");
        assert_eq!(world.count("SELECT COUNT(*) FROM cache_invalidations").await, 0, "delivered");

        let next = ann.new_code().await;
        assert_eq!(bob.look_up(&ann.email).await.text("code"), next);
    })
    .await;
}

#[tokio::test]
async fn without_redis_everything_is_right_only_slower() {
    // Nothing listens there.
    on_each_store_with(&[("REDIS__URL", "redis://127.0.0.1:9")], |world| async move {
        let (ann, bob) = (world.person("Ann").await, world.person("Bob").await);
        let code = ann.new_code().await;
        assert_eq!(bob.look_up(&ann.email).await.text("code"), code);
        assert_eq!(ann.delete(&format!("/v1/referral-codes/{code}")).await.status, 204);
        assert_eq!(bob.look_up(&ann.email).await.status, 404);
        world.state.codes().look().await;
        assert_eq!(bob.look_up(&ann.email).await.status, 404);
        assert_eq!(bob.invite(&ann.email, "friend@example.org").await.status, 202);
    })
    .await;
}

#[tokio::test]
async fn postgresql_without_redis_caches_nothing_that_another_instance_could_not_take_back() {
    let Some(server) = World::on(Store::Server, &[]).await else { return };
    let database = server.platform.config.database.url.as_ref().unwrap().expose();
    let one = World::on(Store::Embedded, &[("DATABASE__URL", database)]).await.unwrap();
    let two = one.another_instance(&[]).await;
    assert!(!one.platform.cache.keeps_entries());
    let (ann, bob) = (one.person("Ann").await, one.person("Bob").await);
    let code = ann.new_code().await;
    assert_eq!(bob.at(&two).look_up(&ann.email).await.status, 200);
    assert_eq!(ann.delete(&format!("/v1/referral-codes/{code}")).await.status, 204);
    assert_eq!(bob.at(&two).look_up(&ann.email).await.status, 404);
}

/// The line to Redis, which can be cut.
struct Line {
    port: u16,
    whole: Arc<AtomicBool>,
    cut: tokio::sync::watch::Sender<bool>,
}

impl Line {
    async fn to(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let whole = Arc::new(AtomicBool::new(true));
        let (cut, is_cut) = tokio::sync::watch::channel(false);
        let is_whole = whole.clone();
        tokio::spawn(async move {
            while let Ok((mut here, _)) = listener.accept().await {
                if !is_whole.load(Ordering::SeqCst) {
                    continue;
                }
                let (target, mut is_cut) = (target.clone(), is_cut.clone());
                tokio::spawn(async move {
                    let mut there = TcpStream::connect(target).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut here, &mut there) => {}
                        _ = is_cut.wait_for(|cut| *cut) => {}
                    }
                });
            }
        });
        Self { port, whole, cut }
    }

    fn set_whole(&self, whole: bool) {
        self.whole.store(whole, Ordering::SeqCst);
        self.cut.send_replace(!whole);
    }
}

#[tokio::test]
async fn a_code_deleted_by_an_instance_that_could_not_reach_redis_is_found_nowhere() {
    let Some(two) = World::on(Store::Server, &[]).await else { return };
    let redis = url::Url::parse(two.platform.config.redis.url.as_ref().unwrap().expose()).unwrap();
    let line = Line::to(format!("{}:{}", redis.host_str().unwrap(), redis.port().unwrap_or(6379))).await;
    let through_line = format!("redis://127.0.0.1:{}{}", line.port, redis.path());
    let one = two.another_instance(&[("REDIS__URL", &through_line)]).await;
    let queued = "SELECT COUNT(*) FROM cache_invalidations";

    let (ann, bob) = (one.person("Ann").await, one.person("Bob").await);
    let code = ann.new_code().await;
    assert_eq!(bob.look_up(&ann.email).await.status, 200);
    let in_redis = Entry::Referrer(ann.id());
    assert!(in_redis.get(&two.platform).await.is_some());

    line.set_whole(false);
    assert_eq!(ann.delete(&format!("/v1/referral-codes/{code}")).await.status, 204);
    assert_eq!(one.count(queued).await, 2);
    // `two` reaches it, and does not believe it: it looked at the queue too long ago.
    assert!(in_redis.get(&two.platform).await.is_some());
    for world in [&one, &two] {
        assert_eq!(bob.at(world).look_up(&ann.email).await.status, 404);
    }
    one.state.codes().look().await;
    assert_eq!(one.count(queued).await, 2, "it can't deliver");

    two.state.codes().look().await;
    assert_eq!(two.count(queued).await, 0, "delivered by whoever can");
    line.set_whole(true);
    one.state.codes().look().await;
    for world in [&one, &two] {
        assert_eq!(bob.at(world).look_up(&ann.email).await.status, 404);
    }
}
