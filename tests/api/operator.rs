//! The command line, against the database of a running server.

use crate::harness::{Kind, TestServer};
use portcullis::audit::checkpoint;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::process::Command;

/// Runs the program; returns whether it ended with 0, standard output and standard error.
async fn command(server: &TestServer, arguments: &[&str]) -> (bool, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command
        .args(arguments)
        .env_clear()
        .env("PORTCULLIS_DATA_DIR", server.folder())
        .env("PORTCULLIS_LOG_FILTER", "error")
        .env("PORTCULLIS_PASSWORD_MEMORY_KIB", "8")
        .env("PORTCULLIS_DATABASE_URL", server.app.config.database_url.as_ref().unwrap().expose_secret())
        .current_dir(server.folder());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
        .collect()
}

both! {
    /// ASVS: 16.4.2
    async fn the_trail_is_verified_and_exported(server: TestServer) {
        let ada = server.user("ada").await;
        ada.create_post("one", "PUBLIC").await;
        checkpoint::write(&server.app).await.unwrap();
        let note = server.folder().join("audit/checkpoint").display().to_string();
        let (ok, out, err) = command(&server, &["audit", "verify", "--checkpoint", &note, "--json"]).await;
        assert!(ok, "{out} {err}");
        assert_eq!(lines(&out)[0]["intact"], true);

        let (ok, out, err) = command(&server, &["audit", "export", "--since", "2025-12-31T00:00:00Z"]).await;
        assert!(ok, "{err}");
        // The events so far and the one about the export.
        assert_eq!(i64::try_from(lines(&out).len()).unwrap(), server.all_events().await);
        assert!(out.contains("sensitive_create") && out.contains("127.0.0.1"));
        let csv = ["audit", "export", "--since", "2025-12-31T00:00:00Z", "--format", "csv"];
        let (ok, out, _) = command(&server, &csv).await;
        assert!(ok && out.starts_with("id,chain,seq,at,"));
        let (ok, _, err) = command(&server, &["audit", "export", "--since", "yesterday"]).await;
        assert!(!ok && err.contains("7d"), "{err}");

        let trigger = if server.kind == Kind::Sqlite {
            "UPDATE audit_guard SET mode = 'rotate'"
        } else {
            "DROP TRIGGER audit_events_no_change ON audit_events"
        };
        server.sql(trigger).await;
        server.sql("UPDATE audit_events SET action = 'x' WHERE event_type = 'sensitive_create'").await;
        let (ok, _, err) = command(&server, &["audit", "verify"]).await;
        let seq = server.number("SELECT seq FROM audit_events WHERE action = 'x'").await;
        assert!(!ok && err.contains(&format!("seq {seq}")), "{err}");
    }

    async fn accounts_and_bans_are_managed_from_the_machine(server: TestServer) {
        let root = server.admin().await;
        let (ok, out, _) = command(&server, &["admin", "list", "--json"]).await;
        assert!(ok);
        let found = lines(&out);
        assert_eq!((found.len(), &found[0]["username"]), (1, &json!("root")));
        let ada = server.user("ada").await;
        let (ok, out, err) = command(&server, &["admin", "revoke-sessions", "ada"]).await;
        assert!(ok && out.contains("sessions ended: 1"), "{out} {err}");
        // This server's memory does not know: without Redis, the next look at the database does.
        assert_eq!(server.number("SELECT COUNT(*) FROM sessions").await, 1);
        let (ok, ..) = command(&server, &["admin", "unlock", &ada.id, "--json"]).await;
        assert!(ok);
        let (ok, _, err) = command(&server, &["admin", "unlock", "nobody"]).await;
        assert!(!ok && err.contains("nobody"));

        let (ok, out, err) = command(&server, &["ban", "add", "192.0.2.0/24", "--reason", "x", "--json"]).await;
        assert!(ok, "{err}");
        let id = lines(&out)[0]["id"].as_str().unwrap().to_owned();
        portcullis::defense::bans::refresh(&server.app).await.unwrap();
        assert!(server.app.bans.matches("192.0.2.7".parse().unwrap(), server.app.clock.now()));
        let (_, out, _) = command(&server, &["ban", "list", "--json"]).await;
        assert_eq!(lines(&out)[0]["address"], "192.0.2.0/24");
        let (ok, ..) = command(&server, &["ban", "lift", &id]).await;
        assert!(ok);
        let (ok, _, err) = command(&server, &["ban", "add", "127.0.0.1", "--reason", "x"]).await;
        assert!(!ok && err.contains("this machine"), "{err}");
        // All of it is in the trail, as done by the command line.
        let query = "{ auditEvents(filter: { eventTypes: [\"authz_admin\", \"session_end\"] }) { edges { node { userAgent actorId } } } }";
        let reply = root.query(query, json!({})).await.ok();
        let edges = reply.data("/auditEvents/edges").as_array().unwrap();
        assert_eq!(edges.len(), 3);
        assert!(edges.iter().all(|edge| edge["node"]["userAgent"] == "cli" && edge["node"]["actorId"].is_null()));
    }

    async fn the_doctor_finds_what_is_wrong(server: TestServer) {
        server.user("ada").await;
        let (ok, out, err) = command(&server, &["doctor", "--json"]).await;
        assert!(ok, "{out} {err}");
        let parts = lines(&out);
        for part in ["configuration", "database", "migrations", "clock", "keys", "mail", "audit trail"] {
            assert!(parts.iter().any(|line| line["part"] == part && line["state"] == "ok"), "{part}: {out}");
        }
        std::fs::create_dir_all(server.folder().join("audit")).unwrap();
        std::fs::write(server.folder().join("audit/checkpoint"), "Portcullis/audit\n0\n\n").unwrap();
        let (ok, out, _) = command(&server, &["doctor", "--json"]).await;
        let failed: Vec<Value> = lines(&out).into_iter().filter(|line| line["state"] == "fail").collect();
        assert!(!ok && failed.len() == 1, "{out}");
        assert_eq!(failed[0]["part"], "audit checkpoint");
        assert!(failed[0]["fix"].is_string());
    }

    async fn completions_know_the_commands(server: TestServer) {
        let (ok, out, _) = command(&server, &["completions", "bash"]).await;
        assert!(ok && out.contains("revoke-sessions") && out.contains("doctor"));
    }
}
