//! Password hashing within a memory budget (OWASP ASVS 15.2.2).
//!
//! Argon2id is slow and large on purpose, so a flood of sign-ins could starve everything else. Hashing
//! runs on blocking threads, as many at once as the memory budget holds; whoever waits longer than the
//! queue's deadline is told to come back, and other requests go on meanwhile.

use crate::crypto::password::{PasswordHasher, Verdict};
use crate::error::{Error, Result};
use secrecy::SecretString;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// A bounded pool for hashing. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HashPool {
    hasher: Arc<PasswordHasher>,
    permits: Arc<Semaphore>,
    patience: Duration,
}

impl HashPool {
    /// A pool in which `memory_budget_mib` bounds all hashes under way, each of `memory_kib`.
    #[must_use]
    pub fn new(hasher: PasswordHasher, memory_kib: u32, memory_budget_mib: u32, queue_ms: u64) -> Self {
        let permits = (u64::from(memory_budget_mib) * 1024 / u64::from(memory_kib.max(1))).max(1);
        Self {
            hasher: Arc::new(hasher),
            permits: Arc::new(Semaphore::new(
                usize::try_from(permits).unwrap_or(1).min(Semaphore::MAX_PERMITS),
            )),
            patience: Duration::from_millis(queue_ms),
        }
    }

    /// Hashes `password` for storing, as a PHC string.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when its turn does not come in time.
    pub async fn hash(&self, password: SecretString) -> Result<String> {
        self.run(move |hasher| hasher.hash(&password)).await?.map_err(Error::internal)
    }

    /// Compares `password` with `stored`; with `None`, does the same work and never matches.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when its turn does not come in time.
    pub async fn verify(&self, password: SecretString, stored: Option<String>) -> Result<Verdict> {
        self.run(move |hasher| match stored {
            Some(stored) => hasher.verify(&password, &stored),
            None => {
                let _ = hasher.verify(&password, hasher.dummy_hash());
                Verdict::Mismatch
            }
        })
        .await
    }

    /// Hashes that could start at once.
    #[must_use]
    pub fn available(&self) -> usize {
        self.permits.available_permits()
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&PasswordHasher) -> T + Send + 'static,
    ) -> Result<T> {
        let permit = self.turn().await?;
        let hasher = Arc::clone(&self.hasher);
        let result = tokio::task::spawn_blocking(move || work(&hasher)).await.map_err(Error::internal);
        drop(permit);
        result
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>> {
        match tokio::time::timeout(self.patience, self.permits.acquire()).await {
            Ok(permit) => permit.map_err(Error::internal),
            Err(_) => Err(Error::Overloaded { retry_after: self.patience.as_secs().max(1) }),
        }
    }
}
