//! What happened just now, told to whoever waits for it: on this replica at once, on the others through
//! Redis publish/subscribe.
//!
//! A message names rows, never their content: whoever receives one reads the row with its own
//! permissions. A message may be lost (Redis away, a slow subscriber), so nothing that must hold hangs on
//! one alone; revocation, for one, is enforced by epochs, and a message only makes a socket notice sooner.

use crate::crypto::random;
use entity::id::{EventId, PostId, UserId};
use futures_util::{Stream, StreamExt};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc};
use uuid::Uuid;

/// Messages that a subscriber may lag behind; a slower one misses the oldest.
const LAG: usize = 1024;
/// Messages that may wait for Redis; more are dropped, which other replicas' subscribers notice only.
const OUTBOX: usize = 4096;
/// The Redis channel.
const CHANNEL: &str = "portcullis:bus";

/// One thing that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Message {
    /// A public post was made or became public.
    PostPublished {
        /// Which one.
        post: Uuid,
    },
    /// An event was written to the audit trail.
    AuditRecorded {
        /// Which one.
        event: Uuid,
        /// Whom it concerns, if anyone.
        actor: Option<Uuid>,
    },
    /// Sessions or rights of a user changed.
    IdentityChanged {
        /// Whose.
        user: Uuid,
    },
    /// The list of bans changed.
    BansChanged,
}

impl Message {
    /// A post was published.
    #[must_use]
    pub fn post_published(post: PostId) -> Self {
        Self::PostPublished { post: post.uuid() }
    }

    /// An event was recorded.
    #[must_use]
    pub fn audit_recorded(event: EventId, actor: Option<UserId>) -> Self {
        Self::AuditRecorded { event: event.uuid(), actor: actor.map(UserId::uuid) }
    }

    /// A user's sessions or rights changed.
    #[must_use]
    pub fn identity_changed(user: UserId) -> Self {
        Self::IdentityChanged { user: user.uuid() }
    }
}

/// A message and the replica it comes from.
#[derive(Debug, Serialize, Deserialize)]
struct Envelope {
    from: Uuid,
    message: Message,
}

/// The bus. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bus {
    local: broadcast::Sender<Message>,
    remote: Option<mpsc::Sender<Message>>,
}

impl Bus {
    /// A bus within this process.
    #[must_use]
    pub fn local() -> Self {
        Self { local: broadcast::channel(LAG).0, remote: None }
    }

    /// A bus that reaches every replica on the same Redis. Connects in the background, for as long as the
    /// bus is used, and again after each loss.
    #[must_use]
    pub fn shared(client: redis::Client) -> Self {
        let (local, _) = broadcast::channel(LAG);
        let (sender, outbox) = mpsc::channel(OUTBOX);
        let me = Uuid::from_bytes(random::bytes());
        tokio::spawn(send(client.clone(), me, outbox));
        tokio::spawn(receive(client, me, local.clone()));
        Self { local, remote: Some(sender) }
    }

    /// Tells everyone; never waits.
    pub fn publish(&self, message: Message) {
        // An error means that nobody is subscribed here.
        let _ = self.local.send(message);
        if let Some(remote) = &self.remote
            && remote.try_send(message).is_err()
        {
            tracing::warn!("a message to the other replicas was dropped");
        }
    }

    /// Everything from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Message> {
        self.local.subscribe()
    }
}

/// Everything told on `bus` from now on. A subscriber that lags behind misses the oldest messages.
pub fn events(bus: &Bus) -> impl Stream<Item = Message> + Send + use<> {
    futures_util::stream::unfold(bus.subscribe(), |mut receiver| async move {
        loop {
            match receiver.recv().await {
                Ok(message) => return Some((message, receiver)),
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "a slow subscriber missed messages");
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    })
}

/// The pause before another attempt to reach Redis.
fn pause(failures: u32) -> Duration {
    Duration::from_millis(100u64.saturating_mul(1 << failures.min(5)))
}

async fn send(client: redis::Client, me: Uuid, mut outbox: mpsc::Receiver<Message>) {
    let mut connection = None;
    while let Some(message) = outbox.recv().await {
        let Ok(text) = serde_json::to_string(&Envelope { from: me, message }) else { continue };
        if connection.is_none() {
            connection = client.get_multiplexed_async_connection().await.ok();
        }
        let sent = match &mut connection {
            Some(open) => redis::cmd("PUBLISH").arg(CHANNEL).arg(text).query_async::<i64>(open).await.is_ok(),
            None => false,
        };
        if !sent {
            connection = None;
            tracing::warn!("a message to the other replicas was lost: Redis does not answer");
        }
    }
}

async fn receive(client: redis::Client, me: Uuid, local: broadcast::Sender<Message>) {
    let mut failures = 0;
    loop {
        if let Ok(mut subscription) = client.get_async_pubsub().await
            && subscription.subscribe(CHANNEL).await.is_ok()
        {
            failures = 0;
            let mut messages = subscription.on_message();
            while let Some(message) = messages.next().await {
                let envelope =
                    message.get_payload::<String>().ok().and_then(|text| serde_json::from_str(&text).ok());
                if let Some(Envelope { from, message }) = envelope
                    && from != me
                {
                    let _ = local.send(message);
                }
            }
        }
        tokio::time::sleep(pause(failures)).await;
        failures = failures.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_message_reaches_every_subscriber_once() {
        let bus = Bus::local();
        let (mut a, mut b) = (bus.subscribe(), bus.subscribe());
        bus.publish(Message::BansChanged);
        assert_eq!(a.recv().await.unwrap(), Message::BansChanged);
        assert_eq!(b.recv().await.unwrap(), Message::BansChanged);
        assert!(a.try_recv().is_err());
    }
}
