//! Rules that watch, and the overview that an administrator sees.

use crate::harness::{Client, Kind, TestServer};
use portcullis::app::App;
use portcullis::audit::Origin;
use portcullis::audit::{Event, Kind as EventKind};
use portcullis::config::Config;
use portcullis::defense::{bans, rules};
use portcullis::engine::Engine;
use portcullis::http::Backend;
use portcullis::server::Server;
use serde_json::json;
use std::net::IpAddr;
use std::time::Duration;

/// Has the rules look at all that was recorded on `app`.
async fn watch(app: &App) {
    while let Some(row) = app.watch.waiting().await {
        rules::look(app, &row).await.unwrap();
    }
}

/// Another replica on the same database and clock.
async fn replica(server: &TestServer) -> App {
    App::start(Config::clone(&server.app.config), server.app.clock.clone()).await.unwrap()
}

/// A failed sign-in as seen by `app`, from `address`, to the account `account` if there is one.
async fn failure(app: &App, address: IpAddr, account: Option<&Client>) {
    let origin = Origin { address: Some(address), ..Origin::default() };
    let mut event =
        Event::success(EventKind::LoginFail, "login").status(entity::audit_event::Status::Failure);
    if let Some(account) = account {
        event = event.on("user", &account.id);
    }
    app.audit.record(&origin, vec![event]).await.unwrap();
}

both! {
    /// ASVS: 6.3.1, 16.3.3
    async fn spraying_from_one_address_is_found_across_replicas_and_banned_at_all(kind: Kind) {
        let server = TestServer::with(
            kind,
            &[("PORTCULLIS_RULE_SPRAYING_ACCOUNTS", "4"), ("PORTCULLIS_RULE_BANS", "spraying")],
        )
        .await;
        let mut people = Vec::new();
        for name in ["greta", "bert", "cleo", "dora", "emil"] {
            people.push(server.user(name).await);
        }
        let (one, two) = (&server.app, replica(&server).await);
        let attacker: IpAddr = "203.0.113.9".parse().unwrap();
        for (app, person) in [(one, 0), (&two, 1), (one, 2), (one, 2)] {
            failure(app, attacker, Some(&people[person])).await;
        }
        watch(one).await;
        watch(&two).await;
        assert_eq!(server.events("malicious_password_spraying", "ALERT").await, 0, "three accounts only");
        failure(&two, attacker, Some(&people[3])).await;
        failure(one, attacker, Some(&people[4])).await;
        // Both replicas look at the same time: one incident.
        tokio::join!(watch(one), watch(&two));
        assert_eq!(server.events("malicious_password_spraying", "ALERT").await, 1);
        for app in [one, &two] {
            bans::refresh(app).await.unwrap();
            let door = Server::new(Engine::new(app.clone()).unwrap());
            assert!(door.is_banned(attacker) && !door.is_banned("203.0.113.10".parse().unwrap()));
        }
        // The ban ends by itself; a new window is a new incident.
        server.advance(Duration::from_secs(3601));
        assert!(!Server::new(server.engine.clone()).is_banned(attacker));
        for person in &people {
            failure(one, attacker, Some(person)).await;
        }
        watch(one).await;
        assert_eq!(server.events("malicious_password_spraying", "ALERT").await, 2);
    }

    /// ASVS: 6.3.1
    async fn bursts_are_found_by_address_and_by_account_at_the_threshold(kind: Kind) {
        let server = TestServer::with(
            kind,
            &[
                ("PORTCULLIS_RULE_LOGIN_ADDRESS", "5"),
                ("PORTCULLIS_RULE_LOGIN_ACCOUNT", "3"),
                ("PORTCULLIS_RULE_SPRAYING_ACCOUNTS", "100"),
            ],
        )
        .await;
        let ada = server.user("ada").await;
        let app = &server.app;
        let incidents = || async { server.events("authn_login_fail_max", "ALERT").await };
        // One account from many addresses.
        for last in 1..=2u8 {
            failure(app, IpAddr::from([198, 51, 100, last]), Some(&ada)).await;
        }
        watch(app).await;
        assert_eq!(incidents().await, 0);
        failure(app, IpAddr::from([198, 51, 100, 3]), Some(&ada)).await;
        watch(app).await;
        assert_eq!(incidents().await, 1);
        // One address against accounts that there are not.
        for _ in 0..4 {
            failure(app, IpAddr::from([192, 0, 2, 1]), None).await;
        }
        watch(app).await;
        assert_eq!(incidents().await, 1);
        for _ in 0..3 {
            failure(app, IpAddr::from([192, 0, 2, 1]), None).await;
            watch(app).await;
        }
        assert_eq!(incidents().await, 2, "once a window");
        assert_eq!(server.number("SELECT COUNT(*) FROM bans").await, 0, "no rule bans unless told to");
        // Out of the window nothing counts.
        server.advance(Duration::from_secs(901));
        failure(app, IpAddr::from([198, 51, 100, 4]), Some(&ada)).await;
        watch(app).await;
        assert_eq!(incidents().await, 2);
    }

    /// ASVS: 8.2.2, 16.3.2
    async fn guessing_ids_is_found(kind: Kind) {
        let server = TestServer::with(kind, &[("PORTCULLIS_RULE_IDS", "6")]).await;
        let ada = server.user("ada").await;
        let guess = "query($id: ID!) { a: post(id: $id) { id } b: post(id: $id) { id } }";
        let id = json!({ "id": format!("post_{}", "0".repeat(32)) });
        for _ in 0..2 {
            ada.query(guess, id.clone()).await.refused("NOT_FOUND");
        }
        assert_eq!(server.events("malicious_direct_reference", "ALERT").await, 0);
        for _ in 0..3 {
            ada.query(guess, id.clone()).await.refused("NOT_FOUND");
        }
        assert_eq!(server.events("malicious_direct_reference", "ALERT").await, 1);
        rules::took(&server.app, Some("Slow"), 9_999).await.unwrap();
        assert_eq!(server.events("sys_slow_request", "ALERT").await, 0);
        for _ in 0..2 {
            rules::took(&server.app, Some("Slow"), 10_000).await.unwrap();
        }
        assert_eq!(server.events("sys_slow_request", "ALERT").await, 1);
    }

    /// ASVS: 16.2.1
    async fn the_overview_counts_each_event_once(server: TestServer) {
        let root = server.admin().await;
        let ada = server.user("ada").await;
        for _ in 0..3 {
            server.anonymous().try_login("ada", "not the password at all", "TOKEN").await.refused("UNAUTHENTICATED");
        }
        ada.query("{ users { edges { node { id } } } }", json!({})).await.refused("FORBIDDEN");
        let other = replica(&server).await;
        let query = "query($hours: Int) { securityOverview(hours: $hours) { logins failedLogins denied incidents \
                     activeSessions topAddresses { address count } } }";
        // Two replicas count at the same time, again and again.
        for _ in 0..3 {
            let (a, b) = tokio::join!(server.app.rollup.step(&server.app, 20), other.rollup.step(&other, 20));
            a.unwrap();
            b.unwrap();
        }
        let reply = root.query(query, json!({})).await.ok();
        let found = reply.data("/securityOverview");
        assert_eq!((&found["logins"], &found["failedLogins"], &found["denied"]), (&json!(2), &json!(3), &json!(1)));
        assert_eq!(found["activeSessions"], 2);
        let bad = server.number("SELECT COUNT(*) FROM audit_events WHERE status <> 'SUCCESS'").await;
        assert_eq!(found["topAddresses"], json!([{ "address": "127.0.0.1", "count": bad }]));
        assert_eq!(
            server.number("SELECT CAST(SUM(count) AS BIGINT) FROM audit_rollups").await + 1,
            server.all_events().await,
            "every event but the note about this reading"
        );

        // Its statements do not grow with the trail.
        let (_, few) = server.counting(root.query(query, json!({}))).await;
        for _ in 0..30 {
            failure(&server.app, "192.0.2.1".parse().unwrap(), None).await;
        }
        server.app.rollup.step(&server.app, 20).await.unwrap();
        let (reply, many) = server.counting(root.query(query, json!({}))).await;
        assert!(many <= few + 2, "{few} and then {many}");
        assert_eq!(reply.ok().data("/securityOverview/topAddresses/0/count"), 30);

        // Hours pass; days and the chains of that time are closed.
        server.advance(Duration::from_secs(2 * 3600));
        let root = server_login(&server).await;
        let reply = root.query(query, json!({ "hours": 1 })).await.ok();
        assert_eq!(reply.data("/securityOverview/failedLogins"), 0);
        server.advance(Duration::from_secs(40 * 3600));
        let root = server_login(&server).await;
        let reply = root.query(query, json!({ "hours": 720 })).await.ok();
        assert_eq!(reply.data("/securityOverview/failedLogins"), 33);
        for hours in [0, 721] {
            root.query(query, json!({ "hours": hours })).await.refused("BAD_USER_INPUT");
        }
        server.user("eve").await.query(query, json!({})).await.refused("FORBIDDEN");
    }
}

/// The administrator `root`, signed in anew.
async fn server_login(server: &TestServer) -> Client {
    let mut root = server.anonymous();
    root.username = "root".to_owned();
    root.password = format!("quiet lantern under seven maps, {}", "toor");
    root.login().await;
    root
}
