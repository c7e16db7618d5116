//! The table of settings: name, type, default, meaning. What is not here cannot be set.

use super::value::{Algorithm, List, Mode, Value};
use super::{ConfigError, Setting, Sources, check};
use ipnet::IpNet;
use secrecy::SecretString;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Whether a type holds a secret, which may then come from a file and is never shown.
trait Secrecy {
    const SECRET: bool = false;
}
impl Secrecy for Option<SecretString> {
    const SECRET: bool = true;
}
macro_rules! plain {
    ($($type:ty),* $(,)?) => {$(impl Secrecy for $type {})*};
}
plain!(
    Mode,
    Algorithm,
    bool,
    String,
    PathBuf,
    SocketAddr,
    u16,
    u32,
    u64,
    usize,
    Option<SocketAddr>,
    Option<PathBuf>,
    Option<String>,
    Option<u64>,
    List<String>,
    List<IpNet>,
);

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $default:literal;)*) => {
        /// Every setting, parsed. Made by [`Config::load`].
        #[derive(Debug, Clone)]
        pub struct Config {
            $($(#[doc = $doc])+ pub $name: $type,)*
        }

        /// The table of settings, in the order of the reference.
        pub const SETTINGS: &[Setting] = &[
            $(Setting {
                name: stringify!($name),
                default: $default,
                secret: <$type as Secrecy>::SECRET,
                doc: concat!($($doc),+),
            },)*
        ];

        impl Config {
            /// Parses and checks everything.
            ///
            /// # Errors
            /// All that is wrong, at once.
            pub fn load(mut sources: Sources) -> Result<Self, ConfigError> {
                let mut table = SETTINGS.iter();
                $(let $name = table.next().and_then(|setting| {
                    let given = sources.take(setting);
                    let text = given.as_deref().unwrap_or(setting.default);
                    match <$type as Value>::parse(text) {
                        Ok(value) => Some(value),
                        Err(expected) => {
                            let shown = if setting.secret { String::new() } else { format!(", not `{text}`") };
                            sources.problems.push(format!(
                                "`{}` ({}): expected {expected}{shown}", setting.name, setting.variable()
                            ));
                            None
                        }
                    }
                });)*
                sources.refuse_unknown();
                let mut problems = sources.problems;
                match ($($name,)*) {
                    ($(Some($name),)*) => {
                        let config = Self { $($name,)* };
                        check::contradictions(&config, &mut problems);
                        if problems.is_empty() { Ok(config) } else { Err(ConfigError { problems }) }
                    }
                    _ => Err(ConfigError { problems }),
                }
            }
        }
    };
}

settings! {
    /// `development` or `production`.
    mode: Mode = "development";
    /// Address and port of the public listener.
    listen: SocketAddr = "127.0.0.1:8080";
    /// Address and port for health details and metrics; empty: none.
    management_listen: Option<SocketAddr> = "";
    /// Folder for the SQLite file, the development key, mail and spool files.
    data_dir: PathBuf = "data";
    /// `sqlite://PATH` or `postgres://…`; empty: `portcullis.sqlite` in the data folder.
    database_url: Option<SecretString> = "";
    /// Connections to the database at most.
    database_connections: u32 = "8";
    /// Seconds to keep trying to reach the database at start.
    database_start_timeout_seconds: u64 = "30";
    /// Milliseconds a statement may take.
    database_statement_timeout_ms: u64 = "10000";
    /// `redis://…` or `rediss://…`, shared by all replicas; empty: limits are kept in process.
    redis_url: Option<SecretString> = "";
    /// File with the keyring, readable by the server only (mode 0600); in development `master.key` in the data folder.
    master_key_file: Option<PathBuf> = "";
    /// The keyring, or one base64 key of 32 bytes (`portcullis keys generate`); better kept in a file.
    master_key: Option<SecretString> = "";
    /// Rows that a key rotation seals again in one transaction.
    rotation_batch: u64 = "200";
    /// Rows a second that a key rotation seals again at most; 0: as fast as it can.
    rotation_rows_per_second: u64 = "2000";
    /// Seconds that a key rotation gives the servers to take up a changed keyring.
    key_settle_seconds: u64 = "10";
    /// What becomes of a person's posts when they erase their account: `delete` or `anonymise`.
    deletion_posts: String = "delete";
    /// Minutes between two rounds of removing what has run out; 0: never.
    retention_interval_minutes: u64 = "60";
    /// Days that expired sessions and tokens are kept.
    retention_expired_days: u64 = "7";
    /// Days that audit events stay in the database; older ones go to `audit/` in the data folder. 0: for ever.
    retention_audit_days: u64 = "400";
    /// `pretty` or `json`; empty: pretty in development, JSON in production.
    log_format: Option<String> = "";
    /// What is logged, as tracing directives.
    log_filter: String = "info,sqlx=warn,sea_orm_migration=warn";

    /// Name of the service: in one-time-password apps, mail and passwords' refused words.
    service_name: String = "Portcullis";
    /// Base address that people reach the service at, for links in mail.
    public_url: String = "http://localhost:8080";

    /// Minutes a session may be unused.
    session_idle_minutes: u64 = "60";
    /// Minutes a session lasts at most.
    session_absolute_minutes: u64 = "1440";
    /// Sessions a person may have at once; one more ends the oldest.
    session_max_per_user: u32 = "10";
    /// Minutes after proving who one is that sensitive changes stay open.
    recent_auth_minutes: u64 = "10";
    /// `Lax` or `Strict`.
    cookie_same_site: String = "Lax";

    /// KiB of memory for one password hash (Argon2id).
    password_memory_kib: u32 = "19456";
    /// Passes over that memory.
    password_iterations: u32 = "2";
    /// Lanes.
    password_parallelism: u32 = "1";
    /// MiB of memory for all password hashes under way.
    password_memory_budget_mib: u32 = "64";
    /// Milliseconds a password may wait for its turn to be hashed.
    password_queue_ms: u64 = "5000";

    /// Roles that must enrol a second factor (`USER`, `MODERATOR`, `ADMIN`), or `NONE`; empty: `ADMIN` in production, none in development.
    mfa_required_roles: List<String> = "";
    /// How access tokens are signed: `EdDSA` or `HS256`.
    jwt_algorithm: Algorithm = "EdDSA";
    /// Shared secret of at least 32 bytes, for HS256.
    jwt_secret: Option<SecretString> = "";

    /// `smtps://user:password@host`, or `smtp://…?tls=required` for STARTTLS, or `smtp://` on loopback; empty: mail is written to the data folder.
    smtp_url: Option<SecretString> = "";
    /// Sender of mail.
    mail_from: String = "Portcullis <no-reply@localhost>";

    /// Names that the Host header may have, with or without port; empty: any (development only).
    hosts: List<String> = "";
    /// Proxies whose forwarding headers count.
    trusted_proxies: List<IpNet> = "";
    /// Origins that browsers may call from, exact, such as `https://app.example`.
    cors_origins: List<String> = "";
    /// Connections at most.
    max_connections: u32 = "4096";
    /// Connections from one address (IPv6: one /64) at most.
    max_connections_per_address: u32 = "256";
    /// Milliseconds to receive a request's headers.
    header_timeout_ms: u64 = "10000";
    /// Milliseconds to receive a request's body.
    body_timeout_ms: u64 = "15000";
    /// Bytes of a request's body at most.
    max_body_bytes: u64 = "262144";
    /// Milliseconds to run one operation.
    operation_timeout_ms: u64 = "15000";
    /// Requests under way at most; more are shed with 503.
    max_concurrent_requests: u32 = "512";
    /// Milliseconds to finish requests at shutdown.
    shutdown_timeout_ms: u64 = "15000";
    /// Requests a second from one address (IPv6: one /64), sustained, before anything is read.
    shield_per_second: u32 = "50";
    /// Requests in one burst from one address.
    shield_burst: u32 = "200";
    /// PEM certificate chain; with `tls_key` the public listener speaks TLS.
    tls_certificate: Option<PathBuf> = "";
    /// PEM private key.
    tls_key: Option<PathBuf> = "";
    /// `monitor` or `block`: what a suspicious request meets.
    suspicious_requests: String = "block";
    /// GraphiQL at `/graphiql`: `true` or `false`; empty: in development only.
    playground: Option<String> = "";
    /// Introspection: `on`, `off` or `admin`; empty: on in development, off in production.
    introspection: Option<String> = "";
    /// Operations in one batch at most; 1: no batches.
    max_batch: u32 = "1";

    /// Which documents may run: `open`, `trusted-or-permitted` (others need ADMIN_ACCESS) or `trusted-only`.
    documents: String = "open";
    /// Manifest of trusted documents: JSON, id → document; read again when it changes.
    documents_manifest: Option<PathBuf> = "";

    /// Whether limits refuse (`enforce`) or only log and count (`report`).
    limits_mode: String = "enforce";
    /// Sign-in attempts per account and per address.
    limit_login: u32 = "5";
    /// Seconds of that window.
    limit_login_seconds: u64 = "300";
    /// Registrations and mails per address.
    limit_register: u32 = "3";
    /// Seconds of that window.
    limit_register_seconds: u64 = "3600";
    /// Operations per session, or per address when signed out.
    limit_api: u32 = "100";
    /// Seconds of that window.
    limit_api_seconds: u64 = "60";
    /// Administrative mutations per session.
    limit_admin: u32 = "50";
    /// Seconds of that window.
    limit_admin_seconds: u64 = "60";
    /// Operations per address, whoever is signed in.
    limit_address: u32 = "600";
    /// Seconds of that window.
    limit_address_seconds: u64 = "60";
    /// Operations per person, over all their sessions.
    limit_user: u32 = "300";
    /// Seconds of that window.
    limit_user_seconds: u64 = "60";
    /// Cost points a minute per person.
    limit_cost: u64 = "20000";
    /// Cost points a minute per address when signed out.
    limit_cost_anonymous: u64 = "5000";
    /// Addresses of monitors that no limit meets.
    limit_exempt: List<IpNet> = "";
    /// Replicas that share the load when the limit store is lost.
    replicas: u32 = "1";
    /// Cost of one operation at most.
    max_cost: u64 = "5000";
    /// Nesting of selections at most.
    max_depth: u32 = "12";
    /// Aliases in one operation at most.
    max_aliases: u32 = "20";
    /// Tokens in one document at most.
    max_tokens: u32 = "4000";
    /// Fields at the root of a mutation at most.
    max_root_mutations: u32 = "4";

    /// Seconds that an address stays banned when a rule bans it.
    ban_seconds: u64 = "3600";
    /// Events as JSON lines the moment they are recorded: `stdout`, or `file` (`audit/events.jsonl` in the data folder, rotated); empty: none.
    audit_log: Option<String> = "";
    /// MiB of one such file.
    audit_log_max_mib: u64 = "64";
    /// MiB of events that may wait on the disk while the database is away; beyond that changes are refused.
    audit_spool_max_mib: u64 = "64";

    /// Seconds that the rules about failed sign-ins look back; one incident each, for whom it concerns.
    rule_window_seconds: u64 = "900";
    /// Failed sign-ins from one address that are an incident (`login`).
    rule_login_address: u32 = "10";
    /// Failed sign-ins to one account that are an incident (`account`).
    rule_login_account: u32 = "10";
    /// Accounts tried from one address that are an incident (`spraying`).
    rule_spraying_accounts: u32 = "8";
    /// Failed second factors of one account that are an incident (`mfa`).
    rule_mfa: u32 = "5";
    /// Things asked for from one address that there are not, or not for it, that are an incident (`ids`).
    rule_ids: u32 = "60";
    /// Seconds of that window.
    rule_ids_seconds: u64 = "60";
    /// Rules that ban the address for `ban_seconds`: of `login`, `spraying`, `mfa`, `ids`.
    rule_bans: List<String> = "";
    /// Milliseconds from which an operation is an incident (`slow`).
    slow_request_ms: u64 = "10000";
}
