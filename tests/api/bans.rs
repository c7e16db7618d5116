//! The ban list: what may be banned, and that every replica refuses.

use crate::harness::{Kind, TestServer};
use portcullis::app::App;
use portcullis::audit::Origin;
use portcullis::clock::Clock;
use portcullis::config::Config;
use portcullis::defense::bans::{self, NewBan};
use portcullis::engine::Engine;
use portcullis::http::Backend;
use portcullis::server::Server;
use serde_json::json;
use std::time::Duration;

const BAN: &str = "ban { id address reason expiresAt }";

fn refuses(server: &TestServer, address: &str) -> bool {
    Server::new(server.engine.clone()).is_banned(address.parse().unwrap())
}

both! {
    /// ASVS: 16.3.3
    async fn a_ban_is_listed_enforced_expires_and_is_lifted(server: TestServer) {
        let root = server.admin().await;
        let input = json!({ "address": "203.0.113.77/24", "reason": "spraying" });
        let reply = root.mutate("banAddress", input, BAN).await.ok();
        assert_eq!(reply.data("/banAddress/ban/address"), "203.0.113.0/24");
        let id = reply.text_at("/banAddress/ban/id");
        assert!(refuses(&server, "203.0.113.1") && !refuses(&server, "203.0.114.1"));

        // The same network again: one ban, with the new reason and expiry.
        let input = json!({ "address": "203.0.113.0/24", "reason": "still", "expiresAt": "2026-01-01T00:10:00Z" });
        let reply = root.mutate("banAddress", input, BAN).await.ok();
        assert_eq!(reply.text_at("/banAddress/ban/id"), id);
        let list = "{ bans { edges { node { id reason } } } }";
        let reply = root.query(list, json!({})).await.ok();
        assert_eq!(reply.data("/bans/edges").as_array().unwrap().len(), 1);
        assert_eq!(reply.data("/bans/edges/0/node/reason"), "still");
        server.advance(Duration::from_millis(10 * 60_000 - 1));
        assert!(refuses(&server, "203.0.113.1"));
        server.advance(Duration::from_millis(1));
        assert!(!refuses(&server, "203.0.113.1"));
        assert!(root.query(list, json!({})).await.ok().data("/bans/edges").as_array().unwrap().is_empty());

        let input = json!({ "address": "2001:db8::1", "reason": "scanner" });
        let id = root.mutate("banAddress", input, BAN).await.ok().text_at("/banAddress/ban/id");
        assert!(refuses(&server, "2001:db8::1") && !refuses(&server, "2001:db8::2"));
        root.mutate("liftBan", json!({ "id": id }), "liftedId").await.ok();
        assert!(!refuses(&server, "2001:db8::1"));
        root.mutate("liftBan", json!({ "id": id }), "liftedId").await.refused("NOT_FOUND");
        assert_eq!(server.events("authz_admin", "SUCCESS").await, 4);
    }

    async fn what_must_not_be_banned_is_refused(kind: Kind) {
        let server = TestServer::with(kind, &[("PORTCULLIS_TRUSTED_PROXIES", "10.0.0.0/8")]).await;
        let root = server.admin().await;
        for address in [
            "127.0.0.1", "127.0.0.0/8", "::1", "::ffff:127.0.0.1", "10.1.2.3", "10.0.0.0/8", "0.0.0.0/0", "::/0",
            "192.0.0.0/7", "2001::/15", "0.0.0.0", "::", "nonsense", "1.2.3.4/33", "", "1.2.3.4, 5.6.7.8",
        ] {
            let input = json!({ "address": address, "reason": "x" });
            let reply = root.mutate("banAddress", input, BAN).await.refused("BAD_USER_INPUT");
            assert!(reply.field("address").is_array(), "{address}: {}", reply.text);
        }
        let past = json!({ "address": "192.0.2.1", "reason": "x", "expiresAt": "2026-01-01T00:00:00Z" });
        root.mutate("banAddress", past, BAN).await.refused("BAD_USER_INPUT");
        let mute = json!({ "address": "192.0.2.1", "reason": " " });
        root.mutate("banAddress", mute, BAN).await.refused("BAD_USER_INPUT");
        // One's own address, also as part of a network.
        let own = Origin { address: Some("192.0.2.9".parse().unwrap()), ..Origin::default() };
        for address in ["192.0.2.9", "192.0.2.0/24", "::ffff:192.0.2.9"] {
            let new = NewBan { address: address.to_owned(), reason: "x".to_owned(), expires_at: None };
            assert_eq!(bans::add(&server.app, &own, None, new).await.unwrap_err().code(), "BAD_USER_INPUT");
        }
        // A rule that would ban such an address does nothing.
        for address in ["127.0.0.1", "10.9.9.9"] {
            bans::by_rule(&server.app, &Origin::default(), address.parse().unwrap(), "burst", 60).await.unwrap();
        }
        assert_eq!(server.number("SELECT COUNT(*) FROM bans").await, 0);
    }

    /// ASVS: 8.2.1
    async fn only_administrators_see_and_change_the_list(server: TestServer) {
        let mira = server.moderator().await;
        let input = json!({ "address": "192.0.2.1", "reason": "x" });
        mira.mutate("banAddress", input.clone(), BAN).await.refused("FORBIDDEN");
        server.anonymous().mutate("banAddress", input, BAN).await.refused("UNAUTHENTICATED");
        mira.query("{ bans { edges { node { id } } } }", json!({})).await.refused("FORBIDDEN");
        let id = json!({ "id": format!("ban_{}", "0".repeat(32)) });
        mira.mutate("liftBan", id, "liftedId").await.refused("FORBIDDEN");
    }

    async fn the_other_replica_follows(server: TestServer) {
        let config = Config::clone(&server.app.config);
        let other = App::start(config, Clock::test(crate::harness::START)).await.unwrap();
        let replica = Server::new(Engine::new(other.clone()).unwrap());
        let address = "198.51.100.1".parse().unwrap();
        bans::by_rule(&server.app, &Origin::default(), address, "burst", 60).await.unwrap();
        assert!(!replica.is_banned(address));
        bans::refresh(&other).await.unwrap();
        assert!(replica.is_banned(address));
        // Nothing new: one small statement.
        let before = other.db.statements();
        bans::refresh(&other).await.unwrap();
        assert_eq!(other.db.statements() - before, 1);
        // A whole /64 for IPv6.
        replica.ban("2001:db8:0:7::1".parse().unwrap(), "burst").await;
        bans::refresh(&server.app).await.unwrap();
        assert!(refuses(&server, "2001:db8:0:7:ffff::") && !refuses(&server, "2001:db8:0:8::1"));
    }
}
