//! What every slice works with: configuration, clock, database, keys, hashing, the trail.

use crate::access::IdentityCache;
use crate::accounts::hasher::HashPool;
use crate::audit::Auditor;
use crate::audit::checkpoint::Checkpoints;
use crate::audit::integrity::Integrity;
use crate::audit::log::Log;
use crate::audit::rollup::Rollup;
use crate::audit::spool::Spool;
use crate::audit::writer::Parts;
use crate::bus::Bus;
use crate::clock::Clock;
use crate::config::{Algorithm, Config, Mode};
use crate::crypto::jwt::JwtSigner;
use crate::crypto::password::{HashParams, PasswordHasher};
use crate::crypto::{Keyring, KeyringError};
use crate::db::Db;
use crate::defense::{Matcher, Watch};
use crate::keys::{canary, file};
use crate::limits::Mode as LimitMode;
use crate::limits::charge::Quota;
use crate::limits::memory::MemoryStore;
use crate::limits::policy::Policy;
use crate::limits::redis::{RedisOptions, RedisStore};
use crate::limits::store::{Resilient, Store};
use crate::mail::{MailError, Transport};
use entity::user::Role;
use migration::{Migrator, MigratorTrait};
use sea_orm::EntityTrait;
use sea_orm_migration::seaql_migrations;
use secrecy::ExposeSecret;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

/// Counters kept in process at most; each takes 200 bytes or less.
const LIMIT_KEYS: usize = 500_000;

/// The application's state. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App(Arc<State>);

/// The parts of an [`App`].
#[derive(Debug)]
pub struct State {
    /// The settings.
    pub config: Arc<Config>,
    /// The time.
    pub clock: Clock,
    /// The database.
    pub db: Db,
    /// What happened just now, on all replicas.
    pub bus: Bus,
    /// The keys.
    pub keyring: Keyring,
    /// Wakes whoever reads the keyring's file again.
    pub reload_keys: Notify,
    /// How much each client gets.
    pub policy: Policy,
    /// What each client took lately.
    pub limits: Store,
    /// Identities looked up lately.
    pub identities: IdentityCache,
    /// Signed access tokens.
    pub jwt: JwtSigner,
    /// Password hashing.
    pub hasher: HashPool,
    /// How mail leaves.
    pub mail: Transport,
    /// The audit trail's writer.
    pub audit: Auditor,
    /// Checkpoints of the trail.
    pub checkpoints: Checkpoints,
    /// The trail's integrity, as far as it is known.
    pub integrity: Integrity,
    /// Counts of the trail.
    pub rollup: Rollup,
    /// What the rules are told and remember.
    pub watch: Watch,
    /// Who is banned, in memory.
    pub bans: Matcher,
    /// Work in the background, waited for at shutdown.
    pub tasks: TaskTracker,
}

impl std::ops::Deref for App {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}

/// Why the application cannot start; each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be used.
    #[error("{path}: {source}")]
    Folder {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The key file can be read by others.
    #[error("{path} may be read by others (mode {mode:o}); run: chmod 600 {path}")]
    KeyFileMode {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The keyring is not one.
    #[error("the master key is not usable: {0}")]
    Keyring(#[from] KeyringError),
    /// The secret that signs access tokens is too short.
    #[error("`jwt_secret` (PORTCULLIS_JWT_SECRET) is not usable: {0}")]
    Jwt(#[from] crate::crypto::jwt::JwtError),
    /// The Redis address is not one.
    #[error("`redis_url` (PORTCULLIS_REDIS_URL) is not usable: {0}")]
    Redis(#[from] redis::RedisError),
    /// The same, by the limit store.
    #[error("`redis_url` (PORTCULLIS_REDIS_URL) is not usable: {0}")]
    LimitStore(#[from] crate::limits::redis::StoreError),
    /// The keyring does not go with the database.
    #[error("the keyring is refused: {0}")]
    OtherKeyring(String),
    /// The hashing parameters are not usable.
    #[error("the password settings are not usable: {0}")]
    Hashing(#[from] crate::crypto::password::HashError),
    /// Mail cannot be sent as configured.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// The database does not open.
    #[error(
        "the database does not open: {0}\n  Check `database_url` (PORTCULLIS_DATABASE_URL), that it runs, and that this user may read and write it."
    )]
    Database(sea_orm::DbErr),
    /// The database was migrated by a newer build.
    #[error(
        "the database has a migration that this build does not know ({0}); run the newer build, or restore the backup from before it"
    )]
    NewerDatabase(String),
    /// Migrations cannot be applied.
    #[error(
        "a migration failed: {0}\n  Nothing of it was kept; `portcullis migrate status` shows where the database stands."
    )]
    Migration(sea_orm::DbErr),
}

impl App {
    /// Whether `role` demands a second factor: as `mfa_required_roles` says; in production, unless it says
    /// otherwise, administrators'.
    #[must_use]
    pub fn demands_mfa(&self, role: Role) -> bool {
        let roles = &self.config.mfa_required_roles.0;
        if roles.is_empty() {
            return self.config.mode == Mode::Production && role == Role::Admin;
        }
        let name = match role {
            Role::User => "USER",
            Role::Moderator => "MODERATOR",
            Role::Admin => "ADMIN",
        };
        roles.iter().any(|required| required == name)
    }

    /// Opens keys and database and brings the tables up to date.
    ///
    /// # Errors
    /// What stands in the way, with the remedy.
    pub async fn start(config: Config, clock: Clock) -> Result<Self, StartError> {
        let keyring = file::open(&config)?;
        let db = Db::connect(&config).await.map_err(StartError::Database)?;
        if !up_to_date(&db).await {
            refuse_newer(&db).await?;
            Migrator::up(db.writer(), None).await.map_err(StartError::Migration)?;
        }
        db.check_writable().await.map_err(StartError::Database)?;
        canary::admit(&db, &keyring, clock.now()).await?;
        Self::assemble(config, clock, db, keyring)
    }

    /// Puts opened parts together.
    ///
    /// # Errors
    /// When the hashing parameters are not usable.
    pub fn assemble(config: Config, clock: Clock, db: Db, keyring: Keyring) -> Result<Self, StartError> {
        let below_floor = config.password_memory_kib < HashParams::FLOOR.m_kib();
        let params = if config.mode == Mode::Development && below_floor {
            HashParams::insecure()
        } else {
            HashParams::new(
                config.password_memory_kib,
                config.password_iterations,
                config.password_parallelism,
            )?
        };
        let hasher = PasswordHasher::new(params, keyring.clone())?;
        let hasher = HashPool::new(
            hasher,
            config.password_memory_kib,
            config.password_memory_budget_mib,
            config.password_queue_ms,
        );
        let mail = Transport::open(&config)?;
        let bus = open_bus(&config)?;
        let limits = open_limits(&config, &clock)?;
        let folder = config.data_dir.join("audit");
        let most = config.audit_spool_max_mib.saturating_mul(1 << 20);
        let watch = Watch::default();
        let audit = Auditor::new(Parts {
            db: db.clone(),
            bus: bus.clone(),
            limits: limits.clone(),
            keyring: keyring.clone(),
            clock: clock.clone(),
            spool: Spool::new(folder.join("spool.jsonl"), most, keyring.clone()),
            log: open_audit_log(&config)?,
            watch: watch.sender(),
        });
        let tasks = TaskTracker::new();
        let policy = policy(&config);
        let identities = IdentityCache::default();
        let jwt = open_signer(&config, &keyring)?;
        Ok(Self(Arc::new(State {
            config: Arc::new(config),
            clock,
            db,
            bus,
            keyring,
            reload_keys: Notify::new(),
            policy,
            limits,
            identities,
            jwt,
            hasher,
            mail,
            audit,
            checkpoints: Checkpoints::default(),
            integrity: Integrity::default(),
            rollup: Rollup::default(),
            bans: Matcher::default(),
            watch,
            tasks,
        })))
    }
}

/// Makes the data folder if need be, readable by its owner only.
///
/// # Errors
/// When the system refuses.
pub fn ensure_data_dir(config: &Config) -> Result<(), StartError> {
    let path = &config.data_dir;
    let wrap = |source| StartError::Folder { path: path.clone(), source };
    if !path.exists() {
        fs::create_dir_all(path).map_err(wrap)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(wrap)?;
    }
    Ok(())
}

/// Where `audit_log` says that events go as JSON lines.
fn open_audit_log(config: &Config) -> Result<Log, StartError> {
    match config.audit_log.as_deref() {
        None => Ok(Log::default()),
        Some("stdout") => Ok(Log::stdout()),
        Some(_) => {
            let path = config.data_dir.join("audit").join("events.jsonl");
            let most = config.audit_log_max_mib.saturating_mul(1 << 20);
            Log::file(path.clone(), most).map_err(|source| StartError::Folder { path, source })
        }
    }
}

/// The table of limits that `config` sets.
fn policy(config: &Config) -> Policy {
    let points = |limit: u64| u32::try_from(limit).unwrap_or(u32::MAX);
    Policy {
        address: Quota::per_seconds(config.limit_address, config.limit_address_seconds),
        user: Quota::per_seconds(config.limit_user, config.limit_user_seconds),
        login: Quota::per_seconds(config.limit_login, config.limit_login_seconds),
        register: Quota::per_seconds(config.limit_register, config.limit_register_seconds),
        api: Quota::per_seconds(config.limit_api, config.limit_api_seconds),
        admin: Quota::per_seconds(config.limit_admin, config.limit_admin_seconds),
        cost: Quota::per_seconds(points(config.limit_cost), 60),
        cost_anonymous: Quota::per_seconds(points(config.limit_cost_anonymous), 60),
        allow: config.limit_exempt.0.clone(),
        mode: if config.limits_mode == "report" { LimitMode::Report } else { LimitMode::Enforce },
    }
}

/// The limit store that the configuration asks for.
fn open_limits(config: &Config, clock: &Clock) -> Result<Store, StartError> {
    let memory = MemoryStore::new(clock.clone(), LIMIT_KEYS);
    match &config.redis_url {
        None => Ok(Store::Memory(Arc::new(memory))),
        Some(url) => {
            let redis = RedisStore::new(url.expose_secret(), &RedisOptions::default())?;
            Ok(Store::Redis(Arc::new(Resilient::new(redis, memory, config.replicas, clock.clone()))))
        }
    }
}

/// Seconds that an access token lives.
const ACCESS_TOKEN_SECONDS: i64 = 900;

/// The signer of access tokens that the configuration asks for: issued by this service, for this service.
fn open_signer(config: &Config, keyring: &Keyring) -> Result<JwtSigner, StartError> {
    let signer =
        JwtSigner::new(keyring.clone(), &config.public_url, &config.public_url, ACCESS_TOKEN_SECONDS);
    match (config.jwt_algorithm, &config.jwt_secret) {
        (Algorithm::Hs256, Some(secret)) => Ok(signer.with_shared_secret(secret)?),
        _ => Ok(signer),
    }
}

/// The bus that the configuration asks for.
fn open_bus(config: &Config) -> Result<Bus, StartError> {
    match &config.redis_url {
        Some(url) => Ok(Bus::shared(redis::Client::open(url.expose_secret())?)),
        None => Ok(Bus::local()),
    }
}

/// Whether exactly this build's migrations are applied. It only reads: a role that may not change tables
/// (deploy/postgres-roles.sql) can serve what another has migrated.
async fn up_to_date(db: &Db) -> bool {
    #[expect(clippy::disallowed_methods, reason = "the names of migrations")]
    let applied = seaql_migrations::Entity::find().all(db.writer()).await.unwrap_or_default();
    let mut applied: Vec<String> = applied.into_iter().map(|row| row.version).collect();
    let mut known: Vec<String> = Migrator::migrations().iter().map(|one| one.name().to_owned()).collect();
    applied.sort();
    known.sort();
    applied == known
}

/// A database that a newer build migrated is left alone.
async fn refuse_newer(db: &Db) -> Result<(), StartError> {
    if let Err(sea_orm::DbErr::Custom(message)) = Migrator::get_migration_with_status(db.writer()).await
        && message.contains("missing")
    {
        return Err(StartError::NewerDatabase(message));
    }
    Ok(())
}
