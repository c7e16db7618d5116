//! Starts servers for tests and speaks to them.
//!
//! ```ignore
//! both! {
//!     /// ASVS: 8.2.2
//!     async fn a_post_is_its_owners(server: TestServer) {
//!         let ada = server.user("ada").await;
//!         let reply = ada.query("{ me { username } }", json!({})).await;
//!         assert_eq!(reply.data("/me/username"), "ada");
//!     }
//! }
//! ```
//!
//! makes `a_post_is_its_owners::sqlite` and `a_post_is_its_owners::postgres`, each with a server, a
//! database and a data folder of its own. A test that wants other settings takes `kind: Kind` and
//! starts its server with [`TestServer::with`].

#![allow(dead_code, reason = "a kit; not every tool is in use at all times")]

pub mod binary;
mod client;
pub mod database;
mod mail;
mod person;
mod server;

#[allow(unused_imports)]
pub use client::{Client, Reply};
pub use database::Kind;
#[allow(unused_imports)]
pub use mail::{Mail, subjects};
pub use server::TestServer;
#[allow(unused_imports)]
pub use server::{START, settings, settled};

/// What a test of `both!` may take.
pub trait Given: Sized {
    /// Makes one for `kind`.
    fn given(kind: Kind) -> impl Future<Output = Self>;
}

impl Given for Kind {
    async fn given(kind: Kind) -> Self {
        kind
    }
}

impl Given for TestServer {
    async fn given(kind: Kind) -> Self {
        Self::start(kind).await
    }
}

/// Makes each test twice: against SQLite and against PostgreSQL.
macro_rules! both {
    ($($(#[doc = $doc:expr])* async fn $name:ident($arg:ident: $type:ty) $body:block)+) => {$(
        $(#[doc = $doc])*
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            use $crate::harness::{Given, Kind as DatabaseKind};

            async fn run($arg: $type) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                run(<$type as Given>::given(DatabaseKind::Sqlite).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                run(<$type as Given>::given(DatabaseKind::Postgres).await).await;
            }
        }
    )+};
}
