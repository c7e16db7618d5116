//! The bytes of one connection, guarded: a deadline for the first request, a least rate for what
//! the client reads, and decent words for what hyper refuses by itself.
//!
//! hyper's header timeout begins only when it knows the protocol, and its own 400, 414 and 431 are
//! bare status lines: no body, no security headers, no request id.

use super::activity::Activity;
use super::door::Door;
use super::headers::SECURITY;
use super::refusal::Refusal;
use super::request_id;
use bytes::{Buf, Bytes};
use http::HeaderMap;
use std::fmt::Write as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Bytes a second that a reader must take while an answer waits for it.
const LEAST_RATE: u64 = 1024;

/// A connection's stream with its limits. `P` is what the connection holds (its places) until it ends.
pub(crate) struct Guarded<I, P> {
    inner: I,
    door: Door,
    activity: Arc<Activity>,
    first: Pin<Box<Sleep>>,
    stall: Option<Stall>,
    substitute: Option<Substitute>,
    _places: P,
}

/// A write that waits for its reader.
struct Stall {
    until: Pin<Box<Sleep>>,
    taken: u64,
}

/// Words of ours that go out instead of `replaces` bytes of hyper's.
struct Substitute {
    words: Bytes,
    replaces: usize,
}

impl<I, P> Guarded<I, P> {
    /// Guards `inner` from now on.
    pub(crate) fn new(inner: I, door: Door, activity: Arc<Activity>, places: P) -> Self {
        let first = Box::pin(sleep(Duration::from_millis(door.config().header_timeout_ms)));
        Self { inner, door, activity, first, stall: None, substitute: None, _places: places }
    }

    /// Counts `written` of `offered` bytes; fails when the reader is too slow.
    fn progress(
        &mut self,
        written: Poll<io::Result<usize>>,
        offered: usize,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let patience = Duration::from_millis(self.door.config().header_timeout_ms);
        match &written {
            Poll::Ready(Ok(size)) if *size < offered => {
                if let Some(stall) = &mut self.stall {
                    stall.taken += *size as u64;
                }
            }
            Poll::Ready(_) => self.stall = None,
            Poll::Pending => {
                let stall =
                    self.stall.get_or_insert_with(|| Stall { until: Box::pin(sleep(patience)), taken: 0 });
                while stall.until.as_mut().poll(context).is_ready() {
                    let least = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX) * LEAST_RATE / 1000;
                    if stall.taken < least {
                        return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                    }
                    *stall = Stall { until: Box::pin(sleep(patience)), taken: 0 };
                }
            }
        }
        written
    }
}

impl<I: AsyncRead + Unpin, P: Unpin> AsyncRead for Guarded<I, P> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.inner).poll_read(context, buffer);
        if read.is_pending() && !self.activity.has_started() {
            ready!(self.first.as_mut().poll(context));
            if !self.activity.has_started() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        read
    }
}

impl<I: AsyncWrite + Unpin, P: Unpin> AsyncWrite for Guarded<I, P> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.substitute.is_none()
            && let Some(refusal) = bare_refusal(bytes)
        {
            let words =
                spelled_out(refusal, &request_id::choose(self.door.clock(), false, &HeaderMap::new()));
            self.substitute = Some(Substitute { words, replaces: bytes.len() });
        }
        let this = &mut *self;
        while let Some(Substitute { words, replaces }) = &mut this.substitute {
            let written = ready!(Pin::new(&mut this.inner).poll_write(context, words))?;
            words.advance(written);
            if words.is_empty() || written == 0 {
                let replaced = *replaces;
                this.substitute = None;
                return Poll::Ready(Ok(replaced));
            }
        }
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.progress(written, bytes.len(), context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(context);
        self.progress(flushed.map_ok(|()| 0), 0, context).map_ok(|_| ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.inner).poll_shutdown(context);
        self.progress(shut.map_ok(|()| 0), 0, context).map_ok(|_| ())
    }
}

/// The refusal that `bytes` stand for, when they are a status line of hyper's own: a head without
/// body, and without the request id that every answer of ours has. No body of ours holds bare CRLFs
/// at the place where a head begins.
fn bare_refusal(bytes: &[u8]) -> Option<Refusal> {
    let head = std::str::from_utf8(bytes).ok().filter(|head| head.len() < 256)?;
    let status = head.strip_prefix("HTTP/1.1 ").or_else(|| head.strip_prefix("HTTP/1.0 "))?.get(..3)?;
    let is_bare = head.ends_with("\r\n\r\n")
        && head.contains("content-length: 0\r\n")
        && !head.contains(request_id::HEADER.as_str());
    match status {
        _ if !is_bare => None,
        "400" => Some(Refusal::MALFORMED),
        "414" => Some(Refusal::LONG_URI),
        "431" => Some(Refusal::LARGE_HEADERS),
        _ => None,
    }
}

/// A whole response for `refusal`, after which the connection closes.
fn spelled_out(refusal: Refusal, request_id: &str) -> Bytes {
    let body = refusal.body(request_id);
    let mut head = format!(
        "HTTP/1.1 {}\r\nconnection: close\r\ncontent-type: application/json; charset=utf-8\r\n\
         content-length: {}\r\n{}: {request_id}\r\n",
        refusal.status,
        body.len(),
        request_id::HEADER,
    );
    for (name, value) in &SECURITY {
        let _ = write!(head, "{name}: {}\r\n", value.to_str().unwrap_or_default());
    }
    head.push_str("\r\n");
    [head.as_bytes(), &body].concat().into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn only_bare_heads_are_replaced() {
        let bare = "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n";
        assert_eq!(bare_refusal(bare.as_bytes()), Some(Refusal::LARGE_HEADERS));
        assert_eq!(bare_refusal(bare.replace("431", "400").as_bytes()), Some(Refusal::MALFORMED));
        for other in [
            bare.replace("431", "404"),
            bare.replace("431", "200"),
            bare.replace("date:", "x-request-id:"),
            bare.replace("content-length: 0", "content-length: 5"),
            format!("{{\"body\":\"{bare}\"}}"),
            format!("{bare}tail"),
        ] {
            assert_eq!(bare_refusal(other.as_bytes()), None, "{other}");
        }
    }
}
