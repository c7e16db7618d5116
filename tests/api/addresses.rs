//! Registration mail, proving and changing addresses, profiles.

use crate::harness::{Client, Reply, TestServer, subjects};
use serde_json::json;
use std::time::Duration;

impl Client {
    async fn verify(&self, token: &str) -> Reply {
        self.mutate("verifyEmail", json!({ "token": token }), "done").await
    }

    async fn me(&self, selection: &str) -> Reply {
        self.query(&format!("{{ me {{ {selection} }} }}"), json!({})).await.ok()
    }

    async fn register_as(&self, username: &str, email: &str) -> Reply {
        let input = json!({ "username": username, "email": email, "password": "seven quiet lanterns drift" });
        self.mutate("register", input, "accepted").await
    }
}

fn one(to: &str, subject: &str) -> Vec<(String, String)> {
    vec![(to.to_owned(), subject.to_owned())]
}

both! {
    /// ASVS: 2.3.4, 6.4.1, 6.6.2
    async fn an_address_is_proved_by_its_token_once(server: TestServer) {
        let ada = server.user("ada").await;
        assert_eq!(ada.me("emailVerified").await.data("/me/emailVerified"), false);
        let token = server.one_mail(&ada.email, "Confirm your e-mail address").await.token();
        server.anonymous().verify(&token).await.ok();
        assert_eq!(ada.me("emailVerified").await.data("/me/emailVerified"), true);
        server.anonymous().verify(&token).await.refused("BAD_USER_INPUT");
        let bob = server.register("bob").await;
        let token = server.one_mail(&bob.email, "Confirm your e-mail address").await.token();
        server.advance(Duration::from_secs(3600));
        server.anonymous().verify(&token).await.refused("BAD_USER_INPUT");
    }

    /// ASVS: 6.3.8
    async fn registering_a_taken_address_or_name_looks_the_same_and_tells_its_owner(server: TestServer) {
        let nobody = server.anonymous();
        let fresh = nobody.register_as("ada", "ada@example.org").await.ok();
        assert_eq!(subjects(&server.mail().await), one("ada@example.org", "Confirm your e-mail address"));
        let (address, work) = server.counting(nobody.register_as("other", "ADA@example.org")).await;
        assert_eq!(address.ok().comparable(), fresh.comparable());
        assert_eq!(subjects(&server.mail().await), one("ADA@example.org", "You already have an account"));
        let (name, again) = server.counting(nobody.register_as("Ada", "eve@example.org")).await;
        assert_eq!(name.ok().comparable(), fresh.comparable());
        assert_eq!(work, again);
        assert_eq!(subjects(&server.mail().await), one("eve@example.org", "Choose another user name"));
        let (fresh, work) = server.counting(nobody.register_as("zoe", "zoe@example.org")).await;
        fresh.ok();
        assert_eq!(work, again, "a free name takes the same statements");
    }

    /// ASVS: 6.3.7, 6.6.2
    async fn an_account_moves_to_an_address_that_was_proved(server: TestServer) {
        let ada = server.user("ada").await;
        server.mail().await;
        let input = json!({ "newEmail": "ada@new.example" });
        ada.mutate("changeEmail", input, "accepted").await.ok();
        let mails = server.mail().await;
        let mut told = subjects(&mails);
        told.sort();
        assert_eq!(told[0].1, "Your e-mail address is about to change");
        assert_eq!(told[1], ("ada@new.example".to_owned(), "Confirm your new e-mail address".to_owned()));
        assert_eq!(ada.me("email").await.data("/me/email"), "ada@example.org");
        let token = mails.iter().find(|mail| mail.to == "ada@new.example").unwrap().token();
        server.anonymous().verify(&token).await.ok();
        let me = ada.me("email emailVerified").await;
        assert_eq!((me.data("/me/email"), me.data("/me/emailVerified")), (&json!("ada@new.example"), &json!(true)));
        server.one_mail("ada@example.org", "Your e-mail address has changed").await;
        server.anonymous().try_login("ada@new.example", &ada.password, "TOKEN").await.ok();
        server.anonymous().try_login("ada@example.org", &ada.password, "TOKEN").await.refused("UNAUTHENTICATED");
    }

    /// ASVS: 6.3.8, 7.5.1
    async fn a_taken_address_is_not_given_away_nor_taken_over(server: TestServer) {
        let ada = server.user("ada").await;
        let bob = server.register("bob").await;
        server.mail().await;
        let free = ada.mutate("changeEmail", json!({ "newEmail": "free@example.org" }), "accepted").await.ok();
        let race = server.mail().await.into_iter().find(|mail| mail.to == "free@example.org").unwrap().token();
        let taken = ada.mutate("changeEmail", json!({ "newEmail": bob.email }), "accepted").await.ok();
        assert_eq!(free.comparable(), taken.comparable());
        server.one_mail(&bob.email, "You already have an account").await;
        // The free one is taken while the message is under way.
        server.anonymous().register_as("eve", "free@example.org").await.ok();
        server.anonymous().verify(&race).await.refused("BAD_USER_INPUT");
        assert_eq!(ada.me("email").await.data("/me/email"), "ada@example.org");
        server.advance(Duration::from_secs(601));
        let late = ada.mutate("changeEmail", json!({ "newEmail": "x@example.org" }), "accepted").await;
        late.refused("REAUTHENTICATION_REQUIRED");
    }

    async fn a_profile_is_changed_in_part_emptied_and_checked(server: TestServer) {
        let ada = server.user("ada").await;
        let input = json!({ "fullName": " Ada Lovelace ", "phone": "+44 20 7946 0000" });
        ada.mutate("updateProfile", input, "user { fullName phone }").await.ok();
        ada.mutate("updateProfile", json!({ "fullName": "Ada" }), "user { id }").await.ok();
        let me = ada.me("fullName phone").await;
        assert_eq!((me.data("/me/fullName"), me.data("/me/phone")), (&json!("Ada"), &json!("+442079460000")));
        ada.mutate("updateProfile", json!({ "phone": null }), "user { id }").await.ok();
        assert!(ada.me("phone").await.data("/me/phone").is_null());
        let bad = json!({ "fullName": "a\nb", "phone": "none" });
        let reply = ada.mutate("updateProfile", bad, "user { id }").await.refused("BAD_USER_INPUT");
        assert!(reply.field("fullName").is_array() && reply.field("phone").is_array());
        server.anonymous().mutate("updateProfile", json!({}), "user { id }").await.refused("UNAUTHENTICATED");
    }

    /// What an input does not name cannot be set: neither role nor status nor another's account.
    ///
    /// ASVS: 15.3.3
    async fn nothing_is_assigned_that_was_not_asked_for(server: TestServer) {
        let ada = server.user("ada").await;
        for extra in ["role", "isActive", "emailVerifiedAt", "userId", "id", "mfaEnrolledAt", "passwordHash"] {
            let input = json!({ "fullName": "Eve", extra: "ADMIN" });
            let reply = ada.mutate("updateProfile", input, "user { id }").await;
            assert!(!reply.code().is_empty(), "{extra}: {}", reply.text);
            let input = json!({
                "username": format!("eve{extra}"), "email": "eve@example.org",
                "password": "seven quiet lanterns drift", extra: "ADMIN"
            });
            let reply = server.anonymous().mutate("register", input, "accepted").await;
            assert!(!reply.code().is_empty(), "{extra}: {}", reply.text);
        }
        assert_eq!(ada.me("role").await.data("/me/role"), "USER");
        assert_eq!(server.number("SELECT COUNT(*) FROM users").await, 1);
    }

    /// ASVS: 1.3.11
    async fn no_input_becomes_a_header(server: TestServer) {
        for email in ["a@b.example\r\nBcc: x@y.example", "a@b.example\nTo: x@y.example", "a@b.example, x@y.example"] {
            server.anonymous().register_as("ada", email).await.refused("BAD_USER_INPUT");
            let input = json!({ "email": email });
            server.anonymous().mutate("requestPasswordReset", input, "accepted").await.refused("BAD_USER_INPUT");
        }
        server.anonymous().register_as("ada\r\nBcc", "ada@example.org").await.refused("BAD_USER_INPUT");
        assert!(server.mail().await.is_empty());
    }
}
