//! What a thief of the database gets: a scenario runs through all that is sealed, then the database's
//! files (SQLite with its log; a `pg_dump`) are searched for every value, however written.

use crate::harness::{Kind, TestServer};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use portcullis::crypto::Keyring;
use portcullis::keys::rotate;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, USER_AGENT};
use serde_json::json;

const AGENT: &str = "Zeppelin-Browser/7.31 (canary)";

/// What stands for `value` whole bytes into a base64 text, at each of the three alignments.
fn base64_forms(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    for shift in 0..3_usize {
        let shifted = [&vec![0; shift][..], value].concat();
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let text = engine.encode(&shifted);
            let whole = (shift * 8).div_ceil(6)..shifted.len() * 8 / 6;
            forms.push(text.as_bytes()[whole].to_vec());
        }
    }
    forms
}

/// Every way that `value` might be written.
fn forms(value: &str) -> Vec<(String, Vec<u8>)> {
    let mut forms = Vec::new();
    for (case, text) in
        [("", value.to_owned()), ("upper ", value.to_uppercase()), ("lower ", value.to_lowercase())]
    {
        let utf16: Vec<u16> = text.encode_utf16().collect();
        let plain = [
            ("UTF-8", text.as_bytes().to_vec()),
            ("UTF-16LE", utf16.iter().flat_map(|unit| unit.to_le_bytes()).collect()),
            ("UTF-16BE", utf16.iter().flat_map(|unit| unit.to_be_bytes()).collect()),
        ];
        for (encoding, bytes) in plain {
            forms.push((format!("{case}{encoding}, hex"), hex::encode(&bytes).into_bytes()));
            forms.push((format!("{case}{encoding}, HEX"), hex::encode_upper(&bytes).into_bytes()));
            for form in base64_forms(&bytes) {
                forms.push((format!("{case}{encoding}, base64"), form));
            }
            forms.push((format!("{case}{encoding}"), bytes));
        }
    }
    forms
}

fn found(dump: &[u8], value: &str) -> Vec<String> {
    let finds = |needle: &[u8]| memchr::memmem::find(dump, needle).is_some();
    forms(value)
        .into_iter()
        .filter(|(_, needle)| finds(needle))
        .map(|(form, _)| format!("{value} as {form}"))
        .collect()
}

/// The database as a thief has it; bytes that a dump shows in hex are added as bytes.
async fn dump(server: &TestServer) -> Vec<u8> {
    match server.kind {
        Kind::Sqlite => {
            let mut all = Vec::new();
            let mut files = 0;
            for file in std::fs::read_dir(server.folder()).unwrap() {
                let path = file.unwrap().path();
                if path.file_name().unwrap().to_str().unwrap().starts_with("portcullis.sqlite") {
                    all.extend(std::fs::read(path).unwrap());
                    files += 1;
                }
            }
            assert!(files >= 2, "the file and its log");
            all
        }
        Kind::Postgres => {
            let url = secrecy::ExposeSecret::expose_secret(server.app.config.database_url.as_ref().unwrap())
                .to_owned();
            let output =
                tokio::task::spawn_blocking(|| std::process::Command::new("pg_dump").arg(url).output());
            let output = output.await.unwrap().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let mut all = output.stdout;
            let text = String::from_utf8_lossy(&all).into_owned();
            for part in text.split("\\x").skip(1) {
                let end = part.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(part.len());
                all.extend(hex::decode(&part[..end / 2 * 2]).unwrap());
            }
            all
        }
    }
}

#[test]
fn the_search_finds_what_is_there() {
    let value = "Ada@Example.org";
    for (form, bytes) in forms(value) {
        let dump = [b"before", &bytes[..], b"after"].concat();
        assert!(!found(&dump, value).is_empty(), "{form}");
    }
    for shift in 0..3 {
        let dump = STANDARD_NO_PAD.encode(format!("{}{value} and more", "x".repeat(shift)));
        assert!(!found(dump.as_bytes(), value).is_empty(), "{shift}");
    }
    assert_eq!(found(b"nothing of it", value), Vec::<String>::new());
}

both! {
    /// ASVS: 11.1.2, 14.2.4, 11.4.2
    async fn a_stolen_database_tells_nobodys_data(server: TestServer) {
        let mut secrets = vec![AGENT.to_owned(), "127.0.0.1".to_owned()];
        let mut client = server.anonymous();
        client.username = "ada".to_owned();
        client.email = "Ada.Lovelace@Analytical.example".to_owned();
        client.password = "quiet lantern under seven maps".to_owned();
        let input = json!({ "username": "ada", "email": client.email, "password": client.password, "fullName": "Augusta Ada King-Noel" });
        client.mutate("register", input, "accepted").await.ok();
        let login = json!({ "identifier": client.email, "password": client.password, "transport": "TOKEN" });
        let body = json!({ "query": "mutation($input: LoginInput!) { login(input: $input) { token user { id } } }", "variables": { "input": login } });
        let request = client.request(Method::POST, "/graphql").header(USER_AGENT, AGENT).header(CONTENT_TYPE, "application/json");
        let reply = client.send(request.body(body.to_string())).await.ok();
        client.token = Some(reply.text_at("/login/token"));
        client.id = reply.text_at("/login/user/id");
        secrets.push(client.token.clone().unwrap());
        secrets.extend([client.email.clone(), client.password.clone(), "Augusta Ada King-Noel".to_owned()]);
        let user = client.id.parse::<entity::id::UserId>().unwrap();
        let phone = server.app.keyring.seal(user.uuid(), "+44 20 7946 0958");
        let change = entity::user::ActiveModel { id: sea_orm::Set(user), phone: sea_orm::Set(Some(phone)), ..Default::default() };
        sea_orm::ActiveModelTrait::update(change, server.app.db.writer()).await.unwrap();
        secrets.push("+44 20 7946 0958".to_owned());
        client.try_login(&client.email, "a wrong guess, but close", "TOKEN").await.refused("UNAUTHENTICATED");
        secrets.push("a wrong guess, but close".to_owned());
        let mut browser = server.browser("bob").await;
        secrets.extend([browser.email.clone(), browser.password.clone(), browser.cookie().unwrap(), browser.csrf.clone().unwrap()]);
        browser.create_post("a title anyone may read", "PUBLIC").await;
        client.query("mutation { exportMyData { next } }", json!({})).await.ok();
        // A rotation under way leaves nothing behind either.
        let ring = &server.app.keyring;
        ring.replace(&Keyring::parse(&ring.with_new_key()).unwrap());
        let lease = rotate::lease(&server.app).await.unwrap();
        rotate::run(&server.app, &portcullis::audit::Origin::default(), &lease, |_| {}).await.unwrap();
        client.query("{ me { email fullName phone } }", json!({})).await.ok();
        browser.login_by_cookie().await;
        secrets.extend([browser.cookie().unwrap(), browser.csrf.clone().unwrap()]);
        browser.mutate("deleteMyAccount", json!({ "password": browser.password }), "done").await.ok();
        secrets.push(std::fs::read_to_string(server.folder().join("master.key")).unwrap().lines().last().unwrap()[2..].to_owned());

        let dump = dump(&server).await;
        assert!(memchr::memmem::find(&dump, b"ada").is_some(), "names are public");
        let told: Vec<String> = secrets.iter().flat_map(|value| found(&dump, value)).collect();
        assert_eq!(told, Vec::<String>::new());
    }
}
