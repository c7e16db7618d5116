//! Contradictions between settings, and what production does not allow.

use super::settings::Config;
use super::value::{Algorithm, Mode};
use secrecy::ExposeSecret;

/// Adds a line to `problems` for each pair of settings that cannot stand together.
pub(super) fn contradictions(config: &Config, problems: &mut Vec<String>) {
    let mut refuse = |bad: bool, what: &str| {
        if bad {
            problems.push(what.to_owned());
        }
    };
    let production = config.mode == Mode::Production;
    let one_of = |text: &str, allowed: &[&str]| allowed.contains(&text);

    refuse(
        production && config.master_key.is_none() && config.master_key_file.is_none(),
        "`master_key` (PORTCULLIS_MASTER_KEY or PORTCULLIS_MASTER_KEY_FILE) is required in production; make one with `portcullis keys generate > master.key`",
    );
    refuse(
        config.master_key.is_some() && config.master_key_file.is_some(),
        "PORTCULLIS_MASTER_KEY and PORTCULLIS_MASTER_KEY_FILE are both set; keep one",
    );
    refuse(
        config.rotation_batch == 0 || config.rotation_batch > 10_000,
        "`rotation_batch` (PORTCULLIS_ROTATION_BATCH) must be from 1 to 10000",
    );
    refuse(
        !one_of(&config.deletion_posts, &["delete", "anonymise"]),
        "`deletion_posts` (PORTCULLIS_DELETION_POSTS) must be `delete` or `anonymise`",
    );
    refuse(
        production && config.hosts.0.is_empty(),
        "`hosts` (PORTCULLIS_HOSTS) is required in production: the names that clients reach the service by",
    );
    refuse(
        production && !config.public_url.starts_with("https://"),
        "`public_url` (PORTCULLIS_PUBLIC_URL) must begin with https:// in production",
    );
    refuse(
        production && config.password_memory_kib < 19_456,
        "`password_memory_kib` (PORTCULLIS_PASSWORD_MEMORY_KIB) must be 19456 or more in production (OWASP ASVS 11.4.2)",
    );
    refuse(
        production && config.password_iterations < 2,
        "`password_iterations` (PORTCULLIS_PASSWORD_ITERATIONS) must be 2 or more in production",
    );
    refuse(
        config.password_parallelism == 0,
        "`password_parallelism` (PORTCULLIS_PASSWORD_PARALLELISM) must be 1 or more",
    );
    refuse(
        config.password_memory_kib < 8 * config.password_parallelism.max(1),
        "`password_memory_kib` must be at least 8 × `password_parallelism`",
    );
    refuse(
        u64::from(config.password_memory_budget_mib) * 1024 < u64::from(config.password_memory_kib),
        "`password_memory_budget_mib` (PORTCULLIS_PASSWORD_MEMORY_BUDGET_MIB) must hold at least one hash of `password_memory_kib`",
    );
    if let Some(url) = config.database_url.as_ref().map(ExposeSecret::expose_secret) {
        refuse(
            !(url.starts_with("sqlite:")
                || url.starts_with("postgres://")
                || url.starts_with("postgresql://")),
            "`database_url` (PORTCULLIS_DATABASE_URL) must begin with sqlite:// or postgres://",
        );
    }
    if let Some(url) = config.redis_url.as_ref().map(ExposeSecret::expose_secret) {
        refuse(
            !(url.starts_with("redis://") || url.starts_with("rediss://")),
            "`redis_url` (PORTCULLIS_REDIS_URL) must begin with redis:// or rediss://",
        );
    }
    refuse(
        config.database_connections < 2,
        "`database_connections` (PORTCULLIS_DATABASE_CONNECTIONS) must be 2 or more",
    );
    refuse(
        config.session_idle_minutes == 0 || config.session_absolute_minutes == 0,
        "`session_idle_minutes` and `session_absolute_minutes` must be 1 or more",
    );
    refuse(
        config.session_idle_minutes > config.session_absolute_minutes,
        "`session_idle_minutes` (PORTCULLIS_SESSION_IDLE_MINUTES) is longer than `session_absolute_minutes`",
    );
    refuse(
        config.session_max_per_user == 0,
        "`session_max_per_user` (PORTCULLIS_SESSION_MAX_PER_USER) must be 1 or more",
    );
    refuse(
        !one_of(&config.cookie_same_site, &["Lax", "Strict"]),
        "`cookie_same_site` (PORTCULLIS_COOKIE_SAME_SITE) must be `Lax` or `Strict`",
    );
    refuse(
        !config.log_format.as_deref().is_none_or(|f| one_of(f, &["pretty", "json"])),
        "`log_format` (PORTCULLIS_LOG_FORMAT) must be `pretty` or `json`",
    );
    refuse(
        !one_of(&config.suspicious_requests, &["monitor", "block"]),
        "`suspicious_requests` (PORTCULLIS_SUSPICIOUS_REQUESTS) must be `monitor` or `block`",
    );
    for rule in &config.rule_bans.0 {
        refuse(
            !one_of(rule, &["login", "spraying", "mfa", "ids"]),
            "`rule_bans` (PORTCULLIS_RULE_BANS) may name login, spraying, mfa and ids",
        );
    }
    refuse(
        !config.audit_log.as_deref().is_none_or(|to| one_of(to, &["stdout", "file"])),
        "`audit_log` (PORTCULLIS_AUDIT_LOG) must be `stdout` or `file`",
    );
    refuse(
        !one_of(&config.limits_mode, &["enforce", "report"]),
        "`limits_mode` (PORTCULLIS_LIMITS_MODE) must be `enforce` or `report`",
    );
    refuse(
        !config.playground.as_deref().is_none_or(|p| one_of(p, &["true", "false"])),
        "`playground` (PORTCULLIS_PLAYGROUND) must be `true` or `false`",
    );
    refuse(
        !config.introspection.as_deref().is_none_or(|p| one_of(p, &["on", "off", "admin"])),
        "`introspection` (PORTCULLIS_INTROSPECTION) must be `on`, `off` or `admin`",
    );
    refuse(
        !one_of(&config.documents, &["open", "trusted-or-permitted", "trusted-only"]),
        "`documents` (PORTCULLIS_DOCUMENTS) must be `open`, `trusted-or-permitted` or `trusted-only`",
    );
    refuse(
        config.documents == "trusted-only" && config.documents_manifest.is_none(),
        "`documents_manifest` (PORTCULLIS_DOCUMENTS_MANIFEST) is required with `documents` = trusted-only: nothing could run without it",
    );
    for role in &config.mfa_required_roles.0 {
        refuse(
            !one_of(role, &["USER", "MODERATOR", "ADMIN", "NONE"]),
            "`mfa_required_roles` (PORTCULLIS_MFA_REQUIRED_ROLES) may name USER, MODERATOR and ADMIN, or NONE",
        );
    }
    refuse(
        config.tls_certificate.is_some() != config.tls_key.is_some(),
        "`tls_certificate` and `tls_key` go together (PORTCULLIS_TLS_CERTIFICATE, PORTCULLIS_TLS_KEY)",
    );
    let secret_length = config.jwt_secret.as_ref().map(|secret| secret.expose_secret().len());
    refuse(
        config.jwt_algorithm == Algorithm::Hs256 && secret_length.is_none_or(|length| length < 32),
        "`jwt_secret` (PORTCULLIS_JWT_SECRET) of at least 32 bytes is required with `jwt_algorithm` HS256",
    );
    refuse(
        config.jwt_algorithm == Algorithm::EdDsa && secret_length.is_some(),
        "`jwt_secret` (PORTCULLIS_JWT_SECRET) is set but `jwt_algorithm` is EdDSA; drop it or choose HS256",
    );
    for origin in &config.cors_origins.0 {
        let exact = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        refuse(
            exact.is_none_or(|rest| rest.is_empty() || rest.contains(['/', '*', ' '])),
            "`cors_origins` (PORTCULLIS_CORS_ORIGINS) takes exact origins such as https://app.example, without path or wildcard",
        );
    }
    for (name, zero) in [
        ("rule_window_seconds", config.rule_window_seconds == 0),
        ("rule_login_address", config.rule_login_address == 0),
        ("rule_login_account", config.rule_login_account == 0),
        ("rule_spraying_accounts", config.rule_spraying_accounts == 0),
        ("rule_mfa", config.rule_mfa == 0),
        ("rule_ids", config.rule_ids == 0),
        ("slow_request_ms", config.slow_request_ms == 0),
        ("audit_log_max_mib", config.audit_log_max_mib == 0),
        ("audit_spool_max_mib", config.audit_spool_max_mib == 0),
        ("max_connections", config.max_connections == 0),
        ("max_connections_per_address", config.max_connections_per_address == 0),
        ("max_concurrent_requests", config.max_concurrent_requests == 0),
        ("max_body_bytes", config.max_body_bytes == 0),
        ("header_timeout_ms", config.header_timeout_ms == 0),
        ("body_timeout_ms", config.body_timeout_ms == 0),
        ("operation_timeout_ms", config.operation_timeout_ms == 0),
        ("shield_per_second", config.shield_per_second == 0),
        ("shield_burst", config.shield_burst == 0),
        ("max_batch", config.max_batch == 0),
        ("replicas", config.replicas == 0),
    ] {
        refuse(zero, &format!("`{name}` must be 1 or more"));
    }
}
