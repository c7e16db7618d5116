//! Registering and signing in by password.

use crate::harness::{TestServer, settled};
use portcullis::crypto::password::{HashParams, PasswordHasher};
use secrecy::SecretString;
use serde_json::{Value, json};

async fn register(server: &TestServer, username: &str, email: &str, password: &str) -> crate::harness::Reply {
    let input = json!({ "username": username, "email": email, "password": password });
    server.anonymous().mutate("register", input, "accepted").await
}

const LONG: &str = "quiet lantern under seven maps";

both! {
    async fn a_person_registers_signs_in_and_is_known(server: TestServer) {
        let mut ada = server.register("ada").await;
        let reply = ada.login().await;
        assert_eq!(reply.data("/login/status"), "SIGNED_IN");
        assert!(reply.data("/login/csrfToken").is_null());
        let me = ada.query("{ me { username email role permissions isActive } }", json!({})).await.ok();
        assert_eq!(me.data("/me/username"), "ada");
        assert_eq!(me.data("/me/email"), "ada@example.org");
        assert_eq!(me.data("/me/role"), "USER");
        assert_eq!(me.data("/me/permissions"), &json!(["READ_POSTS", "WRITE_POSTS"]));
        assert_eq!(me.data("/me/isActive"), true);
        assert!(server.anonymous().query("{ me { id } }", json!({})).await.ok().data("/me").is_null());
    }

    /// ASVS: 6.3.8
    async fn a_taken_name_or_address_is_answered_like_a_free_one(server: TestServer) {
        let first = register(&server, "Åda", "ada@example.org", LONG).await.ok();
        for (username, email) in [
            ("Åda", "other@example.org"),
            ("åDA", "other@example.org"),
            ("A\u{30a}da", "other@example.org"),
            ("other", "ada@example.org"),
            ("other", "ADA@Example.ORG"),
            ("Åda", "ada@example.org"),
        ] {
            let (again, _) = server.counting(register(&server, username, email, LONG)).await;
            assert_eq!(again.comparable(), first.comparable(), "{username} {email}");
            assert_eq!(again.status, first.status);
        }
        assert_eq!(server.number("SELECT COUNT(*) FROM users").await, 1);
        assert_eq!(server.events("user_created", "SUCCESS").await, 1);
        assert_eq!(server.events("user_created", "FAILURE").await, 6);
        let (_, taken) = server.counting(register(&server, "other", "ada@example.org", LONG)).await;
        let (_, free) = server.counting(register(&server, "other", "other@example.org", LONG)).await;
        assert_eq!(taken, free, "the same statements for both");
    }

    /// ASVS: 15.4.1, 15.4.2
    async fn of_racing_registrations_one_wins_and_all_are_answered_alike(server: TestServer) {
        let racers = (0..8).map(|n| {
            let server = server.clone();
            tokio::spawn(async move {
                let name = if n % 2 == 0 { "ada" } else { "ADA" };
                register(&server, name, &format!("ada{n}@example.org"), LONG).await
            })
        });
        for racer in racers.collect::<Vec<_>>() {
            assert_eq!(racer.await.unwrap().ok().data("/register/accepted"), true);
        }
        assert_eq!(server.number("SELECT COUNT(*) FROM users").await, 1);
        assert_eq!(server.events("user_created", "SUCCESS").await, 1);
        assert_eq!(server.events("user_created", "FAILURE").await, 7);
    }

    /// ASVS: 2.2.1, 1.3.3, 1.3.11
    async fn every_wrong_field_is_named_at_once(server: TestServer) {
        let input = json!({
            "username": "a\u{202e}b", "email": "ada@example.org\r\nBcc: x@y.z", "password": "short",
            "fullName": "a\u{0}b",
        });
        let reply = server.anonymous().mutate("register", input, "accepted").await.refused("BAD_USER_INPUT");
        for field in ["username", "email", "password", "fullName"] {
            assert!(reply.field(field).as_array().is_some_and(|reasons| !reasons.is_empty()), "{field}");
        }
        for (username, email) in [
            ("ad", "a@example.org"),
            (&*"a".repeat(33), "a@example.org"),
            ("ada\n", "a@example.org"),
            ("ad a", "a@example.org"),
            ("ada", "not an address"),
            ("ada", &*format!("{}@example.org", "a".repeat(255))),
        ] {
            register(&server, username, email, LONG).await.refused("BAD_USER_INPUT");
        }
        assert_eq!(server.number("SELECT COUNT(*) FROM users").await, 0);
    }

    /// ASVS: 6.2.1, 6.2.8, 6.2.9
    async fn a_password_has_from_15_characters_up_to_256_and_more_none_of_them_cut_off(server: TestServer) {
        register(&server, "short", "short@example.org", "lantern mapxyz").await.refused("BAD_USER_INPUT");
        register(&server, "fifteen", "fifteen@example.org", "lantern mapxyzt").await.ok();
        let unicode = "  ключ от всех дверей 🔑 \u{301}  ";
        register(&server, "unicode", "unicode@example.org", unicode).await.ok();
        let alphabet = ["quartz", " Vex", "nymph", "-jig", "waltz", "bud", "9", "fjord "];
        let long: String = (0..).map(|n| alphabet[n * n % 7 + n % 2]).take(400).collect::<String>();
        let long: String = long.chars().take(256).collect();
        register(&server, "long", "long@example.org", &long).await.ok();

        let anyone = server.anonymous();
        anyone.try_login("fifteen", "lantern mapxyzt", "TOKEN").await.ok();
        anyone.try_login("unicode", unicode, "TOKEN").await.ok();
        anyone.try_login("unicode", unicode.trim(), "TOKEN").await.refused("UNAUTHENTICATED");
        anyone.try_login("long", &long, "TOKEN").await.ok();
        let mut other = long.clone();
        other.pop();
        anyone.try_login("long", &other, "TOKEN").await.refused("UNAUTHENTICATED");
        other.push('!');
        anyone.try_login("long", &other, "TOKEN").await.refused("UNAUTHENTICATED");
    }

    async fn a_name_or_address_signs_in_in_any_case_and_unicode_form(server: TestServer) {
        register(&server, "Åda", "Ada@Example.org", LONG).await.ok();
        for identifier in ["Åda", "åda", "A\u{30a}DA", "ada@example.org", "ADA@EXAMPLE.ORG"] {
            server.anonymous().try_login(identifier, LONG, "TOKEN").await.ok();
        }
    }

    /// ASVS: 6.3.8, 16.3.1
    async fn unknown_wrong_and_deactivated_get_one_answer_at_one_cost(server: TestServer) {
        server.user("ada").await;
        let bob = server.register("bob").await;
        server.sql("UPDATE users SET is_active = FALSE WHERE username_key = 'bob'").await;
        let attempts = [
            ("ada", LONG),
            ("nobody", LONG),
            ("nobody@example.org", LONG),
            ("not a\u{0} name", LONG),
            ("", ""),
            ("bob", &*bob.password),
        ];
        let mut answers = Vec::new();
        for (identifier, password) in attempts {
            let anyone = server.anonymous();
            let (reply, statements) = server.counting(anyone.try_login(identifier, password, "TOKEN")).await;
            answers.push((identifier, reply.status, reply.comparable(), statements));
        }
        for answer in &answers {
            assert_eq!(answer.2["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
            assert_eq!((answer.1, &answer.2, answer.3), (answers[0].1, &answers[0].2, answers[0].3), "{}", answer.0);
        }
        assert_eq!(server.events("authn_login_fail", "FAILURE").await, 6);
    }

    /// ASVS: 11.4.2
    async fn old_hashes_are_renewed_at_the_next_sign_in(server: TestServer) {
        for mut person in [server.user("ada").await, server.admin().await] {
            let older = PasswordHasher::new(HashParams::new(19_456, 2, 1).unwrap(), server.app.keyring.clone());
            let hash = older.unwrap().hash(&SecretString::from(person.password.clone())).unwrap();
            assert!(hash.contains("m=19456"));
            let name = person.username.clone();
            server.sql(&format!("UPDATE users SET password_hash = '{hash}' WHERE username_key = '{name}'")).await;
            person.login().await;
            let renewed = format!("SELECT COUNT(*) FROM users WHERE username_key = '{name}' AND password_hash <> '{hash}'");
            assert_eq!(server.number(&renewed).await, 1);
            person.login().await;
            assert!(person.is_signed_in().await);
        }
    }

    /// ASVS: 11.3.2, 14.2.4
    async fn the_database_holds_no_address_and_no_name_in_the_clear(server: TestServer) {
        let input = json!({
            "username": "ada", "email": "canary.address@example.org", "password": LONG, "fullName": "Canary Fullname",
        });
        server.anonymous().mutate("register", input, "accepted").await.ok();
        server.anonymous().try_login("ada", LONG, "TOKEN").await.ok();
        settled(&server).await;
        for table in ["users", "sessions", "audit_events"] {
            let text = server.dump(table).await.to_lowercase();
            for canary in ["canary.address", "canary fullname", "127.0.0.1", LONG] {
                assert!(!text.contains(canary), "{table} holds {canary}");
                assert!(!text.contains(&hex::encode(canary)), "{table} holds {canary} as bytes");
            }
        }
        let admin = server.admin().await;
        let users = admin
            .query("{ users(filter: { email: \"Canary.Address@example.org\" }) { edges { node { username email fullName } } } }", json!({}))
            .await
            .ok();
        let expected = json!({ "username": "ada", "email": "canary.address@example.org", "fullName": "Canary Fullname" });
        assert_eq!(users.data("/users/edges/0/node"), &expected);
        assert_eq!(users.data("/users/edges").as_array().map(Vec::len), Some(1));
    }

    async fn accounts_are_found_by_each_filter(server: TestServer) {
        let admin = server.admin().await;
        for name in ["ada", "adam", "bob"] {
            server.register(name).await;
        }
        server.sql("UPDATE users SET is_active = FALSE WHERE username_key = 'adam'").await;
        let names = async |filter: Value| -> Vec<String> {
            let document = "query($filter: UserFilter) { users(filter: $filter) { edges { node { username } } } }";
            let reply = admin.query(document, json!({ "filter": filter })).await.ok();
            let edges = reply.data("/users/edges").as_array().unwrap().clone();
            edges.iter().map(|edge| edge["node"]["username"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names(json!({})).await, ["bob", "adam", "ada", "root"]);
        assert_eq!(names(json!({ "username": "AD" })).await, ["adam", "ada"]);
        assert_eq!(names(json!({ "username": "%" })).await, [""; 0]);
        assert_eq!(names(json!({ "isActive": false })).await, ["adam"]);
        assert_eq!(names(json!({ "role": "ADMIN" })).await, ["root"]);
        assert_eq!(names(json!({ "email": "BOB@example.org" })).await, ["bob"]);
        assert_eq!(names(json!({ "email": "b@example.org" })).await, [""; 0]);
    }
}
