//! Sending, against a server that speaks SMTP.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::config::Sources;
use crate::mail::content::Content;
use crate::mail::letter;
use proptest::prelude::*;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use uuid::Uuid;

const ID: MailId = MailId(Uuid::from_u128(7));
const AT: Timestamp = Timestamp(1_767_225_600_000);

fn config(smtp: &str) -> Config {
    let sources = Sources::default().with("PORTCULLIS_SMTP_URL", smtp);
    Config::load(sources.with("PORTCULLIS_DATA_DIR", "/nonexistent")).unwrap()
}

fn letter(username: &str, service: &str) -> Letter {
    let content = Content::VerifyAddress { username: username.to_owned(), token: "pce_token".to_owned() };
    letter::write(&content, service, "https://app.example")
}

/// One SMTP conversation; gives back every line the client sent.
async fn sink(listener: TcpListener) -> Vec<String> {
    let (stream, _) = listener.accept().await.unwrap();
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let mut seen = Vec::new();
    let mut in_data = false;
    write.write_all(b"220 sink ESMTP\r\n").await.unwrap();
    while let Ok(Some(line)) = lines.next_line().await {
        let answer = match (in_data, line.as_str()) {
            (true, ".") => {
                in_data = false;
                "250 queued\r\n"
            }
            (true, _) => "",
            (false, "DATA") => {
                in_data = true;
                "354 go on\r\n"
            }
            (false, "QUIT") => "221 bye\r\n",
            (false, _) => "250 ok\r\n",
        };
        seen.push(line.clone());
        write.write_all(answer.as_bytes()).await.unwrap();
        if line == "QUIT" {
            break;
        }
    }
    seen
}

#[tokio::test]
async fn a_message_reaches_an_smtp_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(sink(listener));
    let transport = Transport::open(&config(&url)).unwrap();
    transport.send(ID, AT, "ada@example.org", letter("ada", "Portcullis")).await.unwrap();
    drop(transport);
    let seen = server.await.unwrap();
    assert!(seen.contains(&"RCPT TO:<ada@example.org>".to_owned()), "{seen:?}");
    assert_eq!(seen.iter().filter(|line| line.starts_with("RCPT TO")).count(), 1);
    let text = seen.join("\n");
    assert!(text.contains("Subject: Portcullis: Confirm your e-mail address"));
    assert!(text.contains("Auto-Submitted: auto-generated"));
    assert!(text.contains("text/plain") && text.contains("text/html"));
}

/// ASVS: 12.3.1
#[test]
fn mail_does_not_travel_in_the_clear() {
    for bad in [
        "smtp://mail.example",
        "smtp://mail.example:587",
        "smtp://user:127.0.0.1@mail.example",
        "smtp://127.0.0.1@mail.example:25",
        "smtp://127.0.0.1.mail.example",
        "smtp://mail.example?tls=opportunistic",
        "smtp://mail.example/127.0.0.1",
        "smtp://[2001:db8::1]:25",
    ] {
        assert!(matches!(Transport::open(&config(bad)), Err(MailError::Clear)), "{bad}");
    }
    for good in [
        "smtps://user:secret@mail.example",
        "smtp://user:secret@mail.example:587?tls=required",
        "smtp://127.0.0.1:2525",
        "smtp://localhost:2525",
    ] {
        assert!(Transport::open(&config(good)).is_ok(), "{good}");
    }
}

/// The header block: the lines before the first empty one, continuations joined.
fn headers(message: &Message) -> Vec<String> {
    let bytes = message.formatted();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let head = text.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ").replace("\r\n\t", " ");
    head.split("\r\n").map(|line| line.split(':').next().unwrap().to_owned()).collect()
}

/// ASVS: 1.3.11
#[test]
fn no_text_begins_another_header() {
    let transport = Transport::open(&config("")).unwrap();
    let expected = headers(&transport.message(ID, AT, "ada@example.org", letter("ada", "P")).unwrap());
    for evil in
        ["x\r\nBcc: victim@example.net", "x\nBcc: a@b.c", "x\r\n\r\nbody", "\u{2028}Bcc: a@b.c", "é\r\nX: y"]
    {
        let message = transport.message(ID, AT, "ada@example.org", letter(evil, evil)).unwrap();
        assert_eq!(headers(&message), expected, "{evil:?}");
        assert_eq!(message.envelope().to().len(), 1);
    }
    for evil in ["ada@example.org\r\nBcc: a@b.c", "ada@example.org, a@b.c", "<ada@example.org>", "a@b.c\0"] {
        let refused = transport.message(ID, AT, evil, letter("ada", "P")).unwrap_err();
        assert!(refused.is_final(), "{evil:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// ASVS: 1.3.11
    #[test]
    fn any_name_gives_the_same_headers(username: String, service: String) {
        let transport = Transport::open(&config("")).unwrap();
        let expected = headers(&transport.message(ID, AT, "a@b.example", letter("ada", "P")).unwrap());
        let message = transport.message(ID, AT, "a@b.example", letter(&username, &service)).unwrap();
        prop_assert_eq!(headers(&message), expected);
    }
}
