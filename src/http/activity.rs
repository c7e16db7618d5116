//! What moves on one connection, so that one on which nothing moves can be ended.
//!
//! A slow reader is dropped by the write timeout of [`super::io`] on HTTP/1.1. On HTTP/2 it can
//! keep the socket lively and close its windows instead; so bodies go out in pieces that are asked
//! for one by one, and a connection whose answers make no progress is dropped.

use crate::clock::Clock;
use axum_core::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Bytes of one piece: HTTP/2's frame size unless peers agree otherwise.
const PIECE: usize = 16 * 1024;

/// Requests under way on a connection, and when one of them last moved.
#[derive(Debug)]
pub(crate) struct Activity {
    clock: Clock,
    started: AtomicBool,
    under_way: AtomicUsize,
    /// Milliseconds of the clock's monotonic time.
    moved: AtomicU64,
}

impl Activity {
    /// A connection just opened.
    pub(crate) fn new(clock: Clock) -> Arc<Self> {
        let this = Self {
            clock,
            started: AtomicBool::new(false),
            under_way: AtomicUsize::new(0),
            moved: AtomicU64::new(0),
        };
        this.touch();
        Arc::new(this)
    }

    /// A request has arrived: counted until the guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> UnderWay {
        self.started.store(true, Ordering::Relaxed);
        self.under_way.fetch_add(1, Ordering::Relaxed);
        self.touch();
        UnderWay(Arc::clone(self))
    }

    /// Whether any request has arrived yet.
    pub(crate) fn has_started(&self) -> bool {
        self.started.load(Ordering::Relaxed)
    }

    /// How long nothing has moved, and whether a request is under way.
    pub(crate) fn still(&self) -> (Duration, bool) {
        let moved = Duration::from_millis(self.moved.load(Ordering::Relaxed));
        (self.clock.monotonic().saturating_sub(moved), self.under_way.load(Ordering::Relaxed) > 0)
    }

    fn touch(&self) {
        let now = u64::try_from(self.clock.monotonic().as_millis()).unwrap_or(u64::MAX);
        self.moved.store(now, Ordering::Relaxed);
    }
}

/// A request under way, until dropped.
#[derive(Debug)]
pub(crate) struct UnderWay(Arc<Activity>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.touch();
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A response's body on its way out, piece by piece.
#[derive(Debug)]
pub(crate) struct Outbound {
    inner: Body,
    left: Bytes,
    under_way: UnderWay,
}

impl Outbound {
    /// `inner`, whose request is `under_way` until all of it has been asked for.
    pub(crate) fn new(inner: Body, under_way: UnderWay) -> Self {
        Self { inner, left: Bytes::new(), under_way }
    }
}

impl http_body::Body for Outbound {
    type Data = Bytes;
    type Error = axum_core::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum_core::Error>>> {
        self.under_way.0.touch();
        if self.left.is_empty() {
            match ready!(Pin::new(&mut self.inner).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.left = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => return Poll::Ready(end),
            }
        }
        let size = self.left.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.left.split_to(size)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.inner.size_hint().exact() {
            Some(rest) => SizeHint::with_exact(rest + self.left.len() as u64),
            None => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use http_body::Body as _;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn a_body_goes_out_in_pieces_and_counts_until_it_is_gone() {
        let clock = Clock::test(0);
        let activity = Activity::new(clock.clone());
        assert!(!activity.has_started());
        let mut body = Outbound::new(Body::from(vec![7; PIECE * 2 + 1]), activity.begin());
        assert_eq!(body.size_hint().exact(), Some(PIECE as u64 * 2 + 1));
        for size in [PIECE, PIECE, 1] {
            clock.advance(Duration::from_secs(1));
            assert_eq!(activity.still(), (Duration::from_secs(1), true));
            assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), size);
            assert_eq!(activity.still(), (Duration::ZERO, true));
        }
        assert!(body.frame().await.is_none());
        drop(body);
        assert_eq!(activity.still(), (Duration::ZERO, false));
    }
}
