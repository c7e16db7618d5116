//! The outbox, against a server that speaks SMTP and one that does not answer.

use crate::harness::{Kind, TestServer};
use portcullis::accounts::letters;
use portcullis::mail::worker;
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

/// Takes messages for as long as it is there; `refusals` of them it refuses for the time being first.
async fn sink(listener: TcpListener, seen: Arc<Mutex<Vec<String>>>, mut refusals: u32) {
    while let Ok((stream, _)) = listener.accept().await {
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        let mut message: Option<String> = None;
        write.write_all(b"220 sink\r\n").await.unwrap();
        while let Ok(Some(line)) = lines.next_line().await {
            let answer = match (&mut message, line.as_str()) {
                (Some(_), ".") => {
                    seen.lock().unwrap().extend(message.take());
                    "250 ok\r\n"
                }
                (Some(text), _) => {
                    text.push_str(&line);
                    text.push('\n');
                    ""
                }
                (None, "DATA") => {
                    message = Some(String::new());
                    "354 go on\r\n"
                }
                (None, line) if line.starts_with("RCPT") && refusals > 0 => {
                    refusals -= 1;
                    "451 later\r\n"
                }
                (None, "QUIT") => break,
                (None, _) => "250 ok\r\n",
            };
            write.write_all(answer.as_bytes()).await.unwrap();
        }
    }
}

both! {
    /// The message is written with the account, and sent once the server takes it: not lost, not twice.
    ///
    /// ASVS: 16.5.2
    async fn an_outage_delays_mail_and_loses_none(kind: Kind) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let server = TestServer::with(kind, &[("PORTCULLIS_SMTP_URL", &format!("smtp://{address}"))]).await;
        server.register("ada").await;
        let deliver = || worker::deliver_due(&server.app, letters::resolve);
        // The errand is looked into; its letter cannot be sent.
        deliver().await.unwrap();
        assert_eq!(server.number("SELECT COUNT(*) FROM outbox").await, 1);
        assert_eq!(deliver().await.unwrap(), 0, "too early");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let listener = TcpListener::bind(address).await.unwrap();
        let sink = tokio::spawn(sink(listener, Arc::clone(&seen), 1));
        server.advance(Duration::from_secs(15));
        assert_eq!(deliver().await.unwrap(), 0, "451");
        server.advance(Duration::from_millis(29_999));
        assert_eq!(deliver().await.unwrap(), 0, "backing off");
        server.advance(Duration::from_millis(1));
        assert_eq!(deliver().await.unwrap(), 1);
        assert_eq!(deliver().await.unwrap(), 0);
        assert_eq!(server.number("SELECT COUNT(*) FROM outbox").await, 0);
        let seen = seen.lock().unwrap().clone();
        assert_eq!(seen.len(), 1);
        assert!(seen[0].contains("To: ada@example.org") && seen[0].contains("Confirm your e-mail address"));
        sink.abort();
    }

    /// Two workers at once: each message goes once.
    ///
    /// ASVS: 2.3.4
    async fn two_workers_do_not_send_a_message_twice(server: TestServer) {
        for name in ["ada", "bob", "eve"] {
            server.register(name).await;
        }
        let deliver = || worker::deliver_due(&server.app, letters::resolve);
        let (a, b, c) = tokio::join!(deliver(), deliver(), deliver());
        let sent = a.unwrap() + b.unwrap() + c.unwrap();
        assert_eq!(sent, 6, "three errands and their three letters");
        assert_eq!(server.mail().await.len(), 3);
    }

    /// Recipient and body are sealed while they wait.
    ///
    /// ASVS: 14.2.4
    async fn what_waits_cannot_be_read(server: TestServer) {
        server.register("ada").await;
        let text = if server.kind == Kind::Postgres { "encode(body, 'escape')" } else { "CAST(body AS TEXT)" };
        let clear = format!("SELECT COUNT(*) FROM outbox WHERE {text} LIKE '%ada%'");
        assert_eq!(server.number(&clear).await, 0);
        assert_eq!(server.number("SELECT COUNT(*) FROM outbox").await, 1);
    }

    /// ASVS: 16.3.4
    async fn a_message_that_can_never_go_is_given_up_and_reported(server: TestServer) {
        server.register("ada").await;
        server.sql("UPDATE outbox SET attempts = 49").await;
        server.sql("UPDATE outbox SET body = recipient").await;
        server.mail().await;
        assert_eq!(server.number("SELECT COUNT(*) FROM outbox WHERE failed_at IS NOT NULL").await, 1);
        assert_eq!(server.events("sys_degraded", "ALERT").await, 1);
        let reply = server.anonymous().query("{ me { id } }", json!({})).await;
        reply.ok();
    }
}
