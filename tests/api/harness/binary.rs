//! The real program in a process of its own.

use super::client::Reply;
use super::database::{Kind, TestDatabase};
use super::server::settings;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use tempfile::TempDir;

/// A data folder and a database for the program, with the settings it is started with.
#[derive(Debug)]
pub struct Place {
    /// Data folder, and working folder: no stray `portcullis.toml` is read.
    pub folder: TempDir,
    /// Its database.
    pub database: TestDatabase,
    /// Settings, later ones win.
    pub settings: Vec<(&'static str, String)>,
}

impl Place {
    /// A place with the tests' settings.
    pub async fn new(kind: Kind) -> Self {
        let folder = TempDir::with_prefix("portcullis-test-").unwrap();
        let database = TestDatabase::new(kind, folder.path()).await;
        let mut settings = settings();
        settings.push(("PORTCULLIS_DATA_DIR", folder.path().display().to_string()));
        settings.push(("PORTCULLIS_DATABASE_URL", database.url.clone()));
        Self { folder, database, settings }
    }

    /// Sets `name`.
    pub fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.settings.retain(|(other, _)| *other != name);
        self.settings.push((name, value.into()));
    }

    /// The program with `arguments`, not started yet. Nothing of the surroundings reaches it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args(arguments).current_dir(self.folder.path()).env_clear().envs(self.settings.clone());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the program to its end with `input` on standard input.
    pub fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = self.command(arguments).spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let pid = child.id().to_string();
        // A server that started where it should have failed does not keep the test waiting.
        let (done, waiting) = mpsc::channel::<()>();
        let killer = std::thread::spawn(move || {
            if waiting.recv_timeout(Duration::from_secs(60)).is_err() {
                let _ = Command::new("kill").args(["-s", "KILL", &pid]).status();
            }
        });
        let output = child.wait_with_output().unwrap();
        let _ = done.send(());
        killer.join().unwrap();
        output
    }

    /// Starts the server and waits until it listens.
    pub fn serve(&self) -> Running {
        let mut child = self.command(&["serve"]).spawn().unwrap();
        let (send, receive) = mpsc::channel();
        let stdout = child.stdout.take().unwrap();
        let out = std::thread::spawn(move || {
            let mut all = String::new();
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(url) = line.trim().strip_prefix("GraphQL").map(str::trim) {
                    let _ = send.send(url.replace("localhost", "127.0.0.1"));
                }
                all.push_str(&line);
                all.push('\n');
            }
            all
        });
        let mut stderr = child.stderr.take().unwrap();
        let errors = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = stderr.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let Ok(url) = receive.recv_timeout(Duration::from_secs(60)) else {
            let _ = child.kill();
            panic!("the server did not start: {} {}", out.join().unwrap(), errors.join().unwrap());
        };
        let client = reqwest::Client::builder().no_proxy().user_agent("portcullis-tests/1").build().unwrap();
        Running { child, url, client, out: Some(out), errors: Some(errors) }
    }
}

/// The server, running; killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// Where `/graphql` is.
    pub url: String,
    client: reqwest::Client,
    out: Option<std::thread::JoinHandle<String>>,
    errors: Option<std::thread::JoinHandle<String>>,
}

impl Running {
    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Runs `document`; `None` when the connection broke before there was an answer.
    pub async fn query(&self, token: Option<&str>, document: &str, variables: Value) -> Option<Reply> {
        query(&self.client, &self.url, token, document, variables).await
    }

    /// A client and the address, for tasks of their own.
    pub fn handle(&self) -> (reqwest::Client, String) {
        (self.client.clone(), self.url.clone())
    }

    /// Registers `name` and signs it in; returns the token.
    pub async fn user(&self, name: &str, password: &str) -> String {
        let register = "mutation($i: RegisterInput!) { register(input: $i) { accepted } }";
        let input = json!({ "username": name, "email": format!("{name}@example.org"), "password": password });
        self.query(None, register, json!({ "i": input })).await.unwrap().ok();
        self.sign_in(name, password).await
    }

    /// Signs `name` in; returns the token.
    pub async fn sign_in(&self, name: &str, password: &str) -> String {
        let login = "mutation($i: LoginInput!) { login(input: $i) { token } }";
        let input = json!({ "identifier": name, "password": password, "transport": "TOKEN" });
        self.query(None, login, json!({ "i": input })).await.unwrap().ok().text_at("/login/token")
    }

    /// Sends SIGKILL: nothing is finished, nothing flushed.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends `signal` (`TERM`, `INT`) and waits for the end; returns exit code, standard output and error.
    pub fn stop(mut self, signal: &str) -> (Option<i32>, String, String) {
        let sent = Command::new("kill").args(["-s", signal, &self.pid().to_string()]).status().unwrap();
        assert!(sent.success());
        let status = self.child.wait().unwrap();
        let out = self.out.take().unwrap().join().unwrap();
        (status.code(), out, self.errors.take().unwrap().join().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `document` at `url`; `None` when the connection broke before there was an answer.
pub async fn query(
    client: &reqwest::Client,
    url: &str,
    token: Option<&str>,
    document: &str,
    variables: Value,
) -> Option<Reply> {
    let mut request = client.post(url).header("accept", "application/graphql-response+json");
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let sent = request.json(&json!({ "query": document, "variables": variables })).send().await.ok()?;
    Reply::try_of(sent).await
}
