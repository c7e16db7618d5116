//! Second factors: enrolling, signing in, removing, and what attackers try.

use crate::harness::{Client, Kind, Reply, TestServer};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::time::Duration;

/// An authenticator app: gives the codes of a secret, as the server would expect them.
pub struct Authenticator(String);

impl Authenticator {
    /// The code `steps` of 30 seconds from now on.
    fn code(&self, server: &TestServer, steps: i64) -> String {
        totp(&base32(&self.0), server.app.clock.now().0 / 1000 + steps * 30)
    }
}

/// RFC 4648 base32 without padding.
fn base32(text: &str) -> Vec<u8> {
    let mut bits = String::new();
    for c in text.bytes() {
        let value = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|known| *known == c).unwrap();
        bits.push_str(&format!("{value:05b}"));
    }
    bits.as_bytes()
        .chunks_exact(8)
        .map(|byte| u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2).unwrap())
        .collect()
}

/// The code for a time in seconds.
fn totp(secret: &[u8], seconds: i64) -> String {
    let totp = totp_rs::Builder::new()
        .with_algorithm(totp_rs::Algorithm::SHA1)
        .with_secret(<[u8; 20]>::try_from(secret).unwrap())
        .with_account_name("x".to_owned())
        .build()
        .unwrap();
    totp.generate(seconds.try_into().unwrap()).to_string()
}

impl Client {
    async fn confirm(&self, code: &str) -> Reply {
        self.mutate("confirmMfa", json!({ "code": code }), "backupCodes").await
    }

    /// Enrols; the app and ten backup codes. Moves the clock on, so that the app has a fresh code.
    async fn enrol(&self) -> (Authenticator, Vec<String>) {
        let reply =
            self.query("mutation { enrollMfa { secret otpauthUri qrCodePng qrCodeSvg } }", json!({})).await;
        let app = Authenticator(reply.ok().text_at("/enrollMfa/secret"));
        let codes = self.confirm(&app.code(&self.server, 0)).await.ok();
        let codes = codes.data("/confirmMfa/backupCodes").as_array().unwrap().clone();
        self.server.advance(Duration::from_secs(30));
        (app, codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect())
    }

    /// The first step; the MFA token.
    async fn first_step(&self) -> String {
        let input = json!({ "identifier": self.username, "password": self.password, "transport": "TOKEN" });
        let reply =
            self.server.anonymous().mutate("login", input, "status mfaToken token session { id }").await.ok();
        assert_eq!(reply.data("/login/status"), "MFA_REQUIRED");
        assert!(reply.data("/login/token").is_null() && reply.data("/login/session").is_null());
        reply.text_at("/login/mfaToken")
    }

    async fn second_step(&self, mfa_token: &str, code: &str) -> Reply {
        let input = json!({ "mfaToken": mfa_token, "code": code });
        self.server
            .anonymous()
            .mutate("completeMfaLogin", input, "status token session { mfa } user { id }")
            .await
    }

    async fn step_up(&self, password: &str, code: Value) -> Reply {
        self.mutate("reauthenticate", json!({ "password": password, "code": code }), "token session { mfa }")
            .await
    }

    async fn codes_left(&self) -> Value {
        self.query("{ me { backupCodesLeft mfaEnabled } }", json!({})).await.ok().data("/me").clone()
    }

    async fn disable(&self, code: &str) -> Reply {
        self.mutate("disableMfa", json!({ "code": code }), "done").await
    }

    async fn regenerate(&self) -> Reply {
        self.query("mutation { regenerateBackupCodes { backupCodes } }", json!({})).await
    }
}

both! {
    /// ASVS: 2.3.1, 6.3.7, 7.4.3
    async fn nothing_is_on_until_the_app_gave_a_code(server: TestServer) {
        let ada = server.user("ada").await;
        let other = server.anonymous().try_login("ada", &ada.password, "TOKEN").await.text_at("/login/token");
        server.mail().await;
        let reply = ada.query("mutation { enrollMfa { secret otpauthUri qrCodePng qrCodeSvg } }", json!({})).await.ok();
        let secret = reply.text_at("/enrollMfa/secret");
        assert!(reply.text_at("/enrollMfa/otpauthUri").contains(&secret));
        assert!(reply.text_at("/enrollMfa/qrCodePng").starts_with("data:image/png;base64,"));
        assert!(reply.text_at("/enrollMfa/qrCodeSvg").starts_with("<svg "));
        assert_eq!(ada.codes_left().await, json!({ "backupCodesLeft": 0, "mfaEnabled": false }));
        ada.confirm("000000").await.refused("BAD_USER_INPUT");
        server.anonymous().try_login("ada", &ada.password, "TOKEN").await.ok();
        let app = Authenticator(secret);
        let codes = ada.confirm(&app.code(&server, 0)).await.ok();
        assert_eq!(codes.data("/confirmMfa/backupCodes").as_array().unwrap().len(), 10);
        assert_eq!(ada.codes_left().await, json!({ "backupCodesLeft": 10, "mfaEnabled": true }));
        let mut elsewhere = server.anonymous();
        (elsewhere.id, elsewhere.token) = (ada.id.clone(), Some(other));
        assert!(!elsewhere.is_signed_in().await, "another session goes on without the factor");
        server.one_mail(&ada.email, "Your second factor has changed").await;
        ada.query("mutation { enrollMfa { secret } }", json!({})).await.refused("CONFLICT");
        ada.confirm(&app.code(&server, 1)).await.refused("BAD_USER_INPUT");
        // The stored secret is sealed.
        assert_eq!(server.number("SELECT COUNT(*) FROM factors WHERE LENGTH(secret) <= 20").await, 0);
    }

    /// ASVS: 6.3.3, 7.2.4
    async fn a_sign_in_takes_both_steps(server: TestServer) {
        let mut ada = server.user("ada").await;
        let (app, _) = ada.enrol().await;
        let mfa_token = ada.first_step().await;
        let done = ada.second_step(&mfa_token, &app.code(&server, 0)).await.ok();
        assert_eq!(done.data("/completeMfaLogin/status"), "SIGNED_IN");
        assert_eq!(done.data("/completeMfaLogin/session/mfa"), true);
        ada.token = Some(done.text_at("/completeMfaLogin/token"));
        assert!(ada.is_signed_in().await);
        assert_eq!(server.events("authn_mfa_required", "SUCCESS").await, 1);
    }

    /// Neither the MFA token nor a made-up one opens anything without a code; nor does a code alone.
    ///
    /// ASVS: 2.3.1, 6.3.3, 6.3.4
    async fn no_step_can_be_skipped(server: TestServer) {
        let mut ada = server.user("ada").await;
        let (app, _) = ada.enrol().await;
        let mfa_token = ada.first_step().await;
        let code = app.code(&server, 0);
        for forged in [mfa_token.clone(), mfa_token.replace("pcm_", "pcs_")] {
            ada.token = Some(forged);
            ada.query("{ me { id } }", json!({})).await.refused("UNAUTHENTICATED");
        }
        for token in ["", "pcm_", &format!("pcm_{}", "A".repeat(43)), &mfa_token.replace("pcm_", "pcs_")] {
            ada.second_step(token, &code).await.refused("UNAUTHENTICATED");
        }
        ada.second_step(&mfa_token, "").await.refused("UNAUTHENTICATED");
        // One person's token with another's code.
        let bob = server.user("bob").await;
        let (bobs, bob_codes) = bob.enrol().await;
        ada.second_step(&mfa_token, &bobs.code(&server, 0)).await.refused("UNAUTHENTICATED");
        ada.second_step(&mfa_token, &bob_codes[0]).await.refused("UNAUTHENTICATED");
        ada.second_step(&mfa_token, &app.code(&server, 0)).await.ok();
    }

    /// ASVS: 6.5.1, 6.5.5, 6.5.8
    async fn a_code_works_once_for_its_step_and_the_next(server: TestServer) {
        let ada = server.user("ada").await;
        let (app, _) = ada.enrol().await;
        let code = app.code(&server, 0);
        ada.second_step(&ada.first_step().await, &app.code(&server, 1)).await.refused("UNAUTHENTICATED");
        ada.second_step(&ada.first_step().await, &code).await.ok();
        ada.second_step(&ada.first_step().await, &code).await.refused("UNAUTHENTICATED");
        // The code of the enrolment was used there.
        ada.second_step(&ada.first_step().await, &app.code(&server, -1)).await.refused("UNAUTHENTICATED");
        server.advance(Duration::from_secs(60));
        ada.second_step(&ada.first_step().await, &app.code(&server, -2)).await.refused("UNAUTHENTICATED");
        ada.second_step(&ada.first_step().await, &app.code(&server, -1)).await.ok();
    }

    /// Without the conditional update both read the same last step and both are let in.
    ///
    /// ASVS: 2.3.4, 6.5.1, 15.4.2
    async fn of_two_uses_of_a_code_at_once_one_wins(server: TestServer) {
        let ada = server.user("ada").await;
        let (app, _) = ada.enrol().await;
        let code = app.code(&server, 0);
        let mut tokens = Vec::new();
        for _ in 0..6 {
            tokens.push(ada.first_step().await);
        }
        let replies = join_all(tokens.iter().map(|token| ada.second_step(token, &code))).await;
        assert_eq!(replies.iter().filter(|reply| reply.code().is_empty()).count(), 1);
    }

    /// Fifty in parallel, each with a sign-in of its own: a DELETE that is not conditional would let all in.
    ///
    /// ASVS: 2.3.4, 6.5.1, 6.5.2, 15.4.2
    async fn a_backup_code_works_once_however_many_try(server: TestServer) {
        let ada = server.user("ada").await;
        let (_, codes) = ada.enrol().await;
        // Tries at codes are bounded, so the race is run on the domain function behind them.
        let user = portcullis::accounts::find::by_id(&server.app, ada.id.parse().unwrap()).await.unwrap().unwrap();
        let uses = (0..50).map(|_| async {
            let tx = server.app.audit.begin().await.unwrap();
            let used = portcullis::mfa::code::use_up(&server.app, tx.connection(), &user, &codes[0]).await.unwrap();
            let event = portcullis::audit::Event::success(portcullis::audit::Kind::MfaChange, "test");
            tx.commit(&portcullis::audit::Origin::default(), event).await.unwrap();
            used.is_some()
        });
        let won = join_all(uses).await.into_iter().filter(|won| *won).count();
        assert_eq!(won, 1);
        assert_eq!(ada.codes_left().await["backupCodesLeft"], 9);
        ada.second_step(&ada.first_step().await, &codes[0]).await.refused("UNAUTHENTICATED");
        ada.second_step(&ada.first_step().await, &codes[1].to_lowercase().replace('-', " ")).await.ok();
        assert_eq!(ada.codes_left().await["backupCodesLeft"], 8);
        let stored = "SELECT COUNT(*) FROM backup_codes WHERE LENGTH(code_hash) = 32";
        assert_eq!(server.number(stored).await, 8);
    }

    /// ASVS: 2.3.4, 6.5.1, 6.6.2, 6.6.3
    async fn an_mfa_token_is_for_one_session_five_codes_and_five_minutes(server: TestServer) {
        let ada = server.user("ada").await;
        let (app, codes) = ada.enrol().await;
        let used = ada.first_step().await;
        ada.second_step(&used, &app.code(&server, 0)).await.ok();
        ada.second_step(&used, &codes[0]).await.refused("UNAUTHENTICATED");
        let four = ada.first_step().await;
        for _ in 0..4 {
            ada.second_step(&four, "000000").await.refused("UNAUTHENTICATED");
        }
        ada.second_step(&four, &codes[1]).await.ok();
        let five = ada.first_step().await;
        for _ in 0..5 {
            ada.second_step(&five, "000000").await.refused("UNAUTHENTICATED");
        }
        ada.second_step(&five, &codes[2]).await.refused("UNAUTHENTICATED");
        let late = ada.first_step().await;
        server.advance(Duration::from_secs(300));
        ada.second_step(&late, &codes[2]).await.refused("UNAUTHENTICATED");
        let in_time = ada.first_step().await;
        server.advance(Duration::from_millis(299_999));
        ada.second_step(&in_time, &codes[2]).await.ok();
    }

    /// A new token for five more codes does not help: codes are counted for the account.
    ///
    /// ASVS: 6.3.1, 6.6.3
    async fn codes_cannot_be_guessed_by_signing_in_again(server: TestServer) {
        let ada = server.user("ada").await;
        let (_, codes) = ada.enrol().await;
        for _ in 0..10 {
            ada.second_step(&ada.first_step().await, "000000").await.refused("UNAUTHENTICATED");
        }
        ada.second_step(&ada.first_step().await, &codes[0]).await.refused("UNAUTHENTICATED");
        server.advance(Duration::from_secs(1));
        ada.second_step(&ada.first_step().await, &codes[0]).await.ok();
    }

    /// ASVS: 6.4.3
    async fn a_password_reset_does_not_get_round_the_second_factor(server: TestServer) {
        let ada = server.user("ada").await;
        let (app, _) = ada.enrol().await;
        let waiting = ada.first_step().await;
        server.mail().await;
        let nobody = server.anonymous();
        nobody.mutate("requestPasswordReset", json!({ "email": ada.email }), "accepted").await.ok();
        let token = server.one_mail(&ada.email, "Reset your password").await.token();
        let input = json!({ "token": token, "newPassword": "copper heron walks at noon, twice" });
        nobody.mutate("resetPassword", input, "done").await.ok();
        ada.second_step(&waiting, &app.code(&server, 0)).await.refused("UNAUTHENTICATED");
        let reply = nobody.try_login("ada", "copper heron walks at noon, twice", "TOKEN").await.ok();
        assert_eq!(reply.data("/login/status"), "MFA_REQUIRED");
    }

    /// ASVS: 7.2.4, 7.5.1, 7.5.3
    async fn stepping_up_takes_password_and_code_and_renews_the_token(server: TestServer) {
        let mut ada = server.user("ada").await;
        let (app, codes) = ada.enrol().await;
        server.advance(Duration::from_secs(630));
        ada.regenerate().await.refused("REAUTHENTICATION_REQUIRED");
        ada.step_up(&ada.password, Value::Null).await.refused("BAD_USER_INPUT");
        ada.step_up("wrong", json!(app.code(&server, 0))).await.refused("UNAUTHENTICATED");
        ada.step_up(&ada.password, json!("000000")).await.refused("UNAUTHENTICATED");
        let renewed = ada.step_up(&ada.password, json!(app.code(&server, 0))).await.ok();
        assert_eq!(renewed.data("/reauthenticate/session/mfa"), true);
        assert!(!ada.is_signed_in().await, "the old token goes on");
        ada.token = Some(renewed.text_at("/reauthenticate/token"));
        let fresh = ada.regenerate().await.ok();
        assert_eq!(fresh.data("/regenerateBackupCodes/backupCodes").as_array().unwrap().len(), 10);
        ada.second_step(&ada.first_step().await, &codes[0]).await.refused("UNAUTHENTICATED");
        server.anonymous().step_up("x", Value::Null).await.refused("UNAUTHENTICATED");
    }

    /// Without a factor, password alone.
    ///
    /// ASVS: 7.5.1
    async fn guessing_by_stepping_up_is_held_back(server: TestServer) {
        let ada = server.user("ada").await;
        for _ in 0..10 {
            ada.step_up("wrong", Value::Null).await.refused("UNAUTHENTICATED");
        }
        ada.step_up(&ada.password, Value::Null).await.refused("UNAUTHENTICATED");
        server.advance(Duration::from_secs(1));
        ada.step_up(&ada.password, Value::Null).await.ok();
    }

    /// ASVS: 6.2.1, 6.5.6, 7.4.3
    async fn a_short_password_stands_only_beside_a_factor(server: TestServer) {
        let mut ada = server.user("ada").await;
        let (app, codes) = ada.enrol().await;
        let short = "xQ7v!2mK";
        let input = json!({ "currentPassword": ada.password, "newPassword": short });
        let reply = ada.mutate("changePassword", input, "token").await.ok();
        ada.token = Some(reply.text_at("/changePassword/token"));
        ada.disable(&app.code(&server, 0)).await.refused("CONFLICT");
        let long = "copper heron walks at noon, twice";
        let input = json!({ "currentPassword": short, "newPassword": long });
        let reply = ada.mutate("changePassword", input, "token").await.ok();
        ada.token = Some(reply.text_at("/changePassword/token"));
        ada.disable("000000").await.refused("BAD_USER_INPUT");
        ada.disable(&codes[0]).await.ok();
        assert_eq!(ada.codes_left().await, json!({ "backupCodesLeft": 0, "mfaEnabled": false }));
        let reply = server.anonymous().try_login("ada", long, "TOKEN").await.ok();
        assert_eq!(reply.data("/login/status"), "SIGNED_IN");
        ada.regenerate().await.refused("CONFLICT");
    }

    /// ASVS: 6.4.6, 6.5.6, 8.2.1
    async fn an_administrator_resets_a_lost_factor_and_nobody_else(server: TestServer) {
        let mut ada = server.user("ada").await;
        let root = server.admin().await;
        ada.enrol().await;
        let input = json!({ "currentPassword": ada.password, "newPassword": "xQ7v!2mK" });
        ada.token = Some(ada.mutate("changePassword", input, "token").await.ok().text_at("/changePassword/token"));
        ada.password = "xQ7v!2mK".to_owned();
        let reset = json!({ "id": ada.id, "reason": "telephone lost" });
        ada.mutate("resetUserMfa", reset.clone(), "user { id }").await.refused("FORBIDDEN");
        let mira = server.moderator().await;
        mira.mutate("resetUserMfa", reset.clone(), "user { id }").await.refused("FORBIDDEN");
        server.mail().await;
        root.mutate("resetUserMfa", reset, "user { mfaEnabled }").await.ok();
        assert!(!ada.is_signed_in().await);
        // The password is too short to stand alone: it works no more until it is reset.
        ada.server.anonymous().try_login("ada", &ada.password, "TOKEN").await.refused("UNAUTHENTICATED");
        let told: Vec<_> = server.mail().await.into_iter().map(|mail| mail.subject).collect();
        assert!(told.iter().any(|subject| subject.ends_with("Your second factor has changed")), "{told:?}");
        assert!(told.iter().any(|subject| subject.ends_with("Your password has to be reset")), "{told:?}");
        let own = json!({ "id": root.id, "reason": "x" });
        root.mutate("resetUserMfa", own, "user { id }").await.refused("CONFLICT");
    }

    /// ASVS: 6.3.3, 8.2.1
    async fn a_role_that_demands_a_factor_may_only_enrol_without(kind: Kind) {
        let server = TestServer::with(kind, &[("PORTCULLIS_MFA_REQUIRED_ROLES", "ADMIN,MODERATOR")]).await;
        let root = server.admin().await;
        for document in [
            "{ users { edges { node { id } } } }",
            "{ posts { edges { node { id } } } }",
            "mutation { createPost(input: { title: \"a\", body: \"b\" }) { post { id } } }",
            "mutation { revokeOtherSessions { revoked } }",
        ] {
            root.query(document, json!({})).await.refused("FORBIDDEN");
        }
        assert!(root.is_signed_in().await);
        let (app, _) = root.enrol().await;
        root.query("{ users { edges { node { id } } } }", json!({})).await.ok();
        root.disable(&app.code(&server, 0)).await.refused("CONFLICT");
        // Whoever has no such role is not asked.
        let ada = server.user("ada").await;
        ada.query("{ posts { edges { node { id } } } }", json!({})).await.ok();
    }

    async fn only_the_owner_sees_how_many_codes_are_left(server: TestServer) {
        let ada = server.user("ada").await;
        let root = server.admin().await;
        let query = "query($id: ID!) { user(id: $id) { backupCodesLeft } }";
        root.query(query, json!({ "id": ada.id })).await.refused("FORBIDDEN");
    }
}
