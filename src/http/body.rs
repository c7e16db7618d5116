//! Reads a body within its limits: bytes counted as they come, a deadline, and a least rate.
//!
//! A declared length over the limit is refused before a byte is read; a chunked body is refused at
//! the first byte over it. Neither hyper nor warp bounds the time a body takes.

use super::refusal::Refusal;
use crate::clock::Clock;
use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use std::pin::pin;
use std::time::Duration;

/// Bytes a second that a sender must reach on average, once the grace time is over.
const LEAST_RATE: u64 = 1024;

/// How much of a body is read, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes at most.
    pub(crate) bytes: u64,
    /// For the whole body.
    pub(crate) time: Duration,
}

impl Limits {
    /// How long a sender may take for its first bytes before its rate counts.
    fn grace(self) -> Duration {
        self.time / 5
    }
}

/// Whether the headers announce a body that is worth reading.
///
/// # Errors
/// Too long, or encoded: a compressed body could grow past any limit, so none is decompressed.
pub(crate) fn announced(headers: &HeaderMap, limits: Limits) -> Result<(), Refusal> {
    let length =
        headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
    if length.is_some_and(|length| length > limits.bytes) {
        return Err(Refusal::LARGE_BODY);
    }
    match headers.get(CONTENT_ENCODING) {
        Some(encoding) if encoding != "identity" => Err(Refusal::ENCODED_BODY),
        _ => Ok(()),
    }
}

/// Reads `body` to its end.
///
/// # Errors
/// Too large, too slow, or broken off.
pub(crate) async fn read<S, B, E>(clock: &Clock, limits: Limits, body: S) -> Result<Bytes, Refusal>
where
    S: Stream<Item = Result<B, E>>,
    B: Buf,
{
    let started = clock.monotonic();
    let limit = usize::try_from(limits.bytes).unwrap_or(usize::MAX);
    let mut body = pin!(body);
    let mut whole = BytesMut::new();
    loop {
        let spent = clock.monotonic().saturating_sub(started);
        let left = allowance(limits, whole.len()).saturating_sub(spent);
        match tokio::time::timeout(left, body.next()).await {
            Err(_) => return Err(Refusal::SLOW_BODY),
            Ok(None) => return Ok(whole.freeze()),
            Ok(Some(Err(_))) => return Err(Refusal::BROKEN_BODY),
            Ok(Some(Ok(mut chunk))) => {
                if chunk.remaining() > limit - whole.len() {
                    return Err(Refusal::LARGE_BODY);
                }
                whole.extend_from_slice(&chunk.copy_to_bytes(chunk.remaining()));
            }
        }
    }
}

/// When a body of which `received` bytes have come must have more, counted from its start.
fn allowance(limits: Limits, received: usize) -> Duration {
    let earned = Duration::from_millis((received as u64).saturating_mul(1000) / LEAST_RATE);
    limits.time.min(limits.grace().saturating_add(earned))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use futures_util::stream;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { bytes: 10, time: Duration::from_secs(15) };

    async fn read_all(chunks: Vec<&'static [u8]>) -> Result<Bytes, Refusal> {
        let body = stream::iter(chunks.into_iter().map(Ok::<_, std::io::Error>));
        read(&Clock::test(0), LIMITS, body).await
    }

    #[tokio::test]
    async fn the_limit_is_counted_over_all_chunks() {
        assert_eq!(read_all(vec![]).await.unwrap(), "");
        assert_eq!(read_all(vec![b"01234", b"56789"]).await.unwrap(), "0123456789");
        assert_eq!(read_all(vec![b"01234", b"567890"]).await, Err(Refusal::LARGE_BODY));
        assert_eq!(read_all(vec![b"0123456789", b"", b"0"]).await, Err(Refusal::LARGE_BODY));
        assert_eq!(read_all(vec![b"01234567890"]).await, Err(Refusal::LARGE_BODY));
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_refused() {
        let body = stream::iter([Ok(b"{\"query\"".as_slice()), Err(std::io::Error::other("reset"))]);
        assert_eq!(read(&Clock::test(0), LIMITS, body).await, Err(Refusal::BROKEN_BODY));
    }

    #[tokio::test]
    async fn a_sender_slower_than_the_least_rate_is_dropped() {
        let hurried = Limits { bytes: 10, time: Duration::from_millis(50) };
        let first = stream::iter([Ok::<_, std::io::Error>(b"{".as_slice())]);
        let silent = first.chain(stream::pending());
        assert_eq!(read(&Clock::test(0), hurried, silent).await, Err(Refusal::SLOW_BODY));
    }

    #[test]
    fn headers_alone_can_refuse() {
        let with = |name, value: &str| HeaderMap::from_iter([(name, value.parse().unwrap())]);
        assert_eq!(announced(&HeaderMap::new(), LIMITS), Ok(()));
        assert_eq!(announced(&with(CONTENT_LENGTH, "10"), LIMITS), Ok(()));
        assert_eq!(announced(&with(CONTENT_LENGTH, "11"), LIMITS), Err(Refusal::LARGE_BODY));
        assert_eq!(announced(&with(CONTENT_ENCODING, "identity"), LIMITS), Ok(()));
        assert_eq!(announced(&with(CONTENT_ENCODING, "gzip"), LIMITS), Err(Refusal::ENCODED_BODY));
    }

    proptest! {
        #[test]
        fn nobody_earns_more_than_the_deadline(received in 0usize..1 << 40) {
            prop_assert!(allowance(LIMITS, received) <= LIMITS.time);
            prop_assert!(allowance(LIMITS, received) >= LIMITS.grace());
        }
    }
}
