//! Malformed and ambiguous HTTP, and HTTP/2.

use super::kit::start;

const HEAD: &str =
    "POST /graphql HTTP/1.1\r\nhost: a.example\r\nuser-agent: t\r\ncontent-type: application/json\r\n";

/// A request that two servers could read as two different ones is refused, and what follows it is
/// never answered as a request of its own.
///
/// ASVS: 4.2.1
#[tokio::test]
async fn ambiguous_framing_is_refused() {
    let server = start(&[("header_timeout_ms", "500")]).await;
    let smuggled = "GET /health HTTP/1.1\r\nhost: a.example\r\nuser-agent: smuggled\r\n\r\n";
    for (what, framing) in [
        ("both lengths", "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("both, other order", "transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n"),
        ("two lengths", "content-length: 5\r\ncontent-length: 6\r\n\r\nhello"),
        ("a list of lengths", "content-length: 5, 6\r\n\r\nhello"),
        ("a signed length", "content-length: +5\r\n\r\nhello"),
        ("a length in hex", "content-length: 0x5\r\n\r\nhello"),
        ("a negative length", "content-length: -1\r\n\r\n"),
        ("a folded header", "x-a: b\r\n c\r\ncontent-length: 0\r\n\r\n"),
        ("a folded framing", "transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
        ("space before the colon", "content-length : 5\r\n\r\nhello"),
        ("chunked twice", "transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
        ("chunked is not last", "transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
        ("chunked with a prefix", "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n"),
        ("a tab in the name", "transfer-encoding\t: chunked\r\n\r\n0\r\n\r\n"),
        ("a bad chunk size", "transfer-encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n"),
        ("a negative chunk size", "transfer-encoding: chunked\r\n\r\n-1\r\n\r\n"),
        (
            "a chunk size over 64 bits",
            "transfer-encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n",
        ),
        ("a NUL in a value", "x-a: b\0c\r\ncontent-length: 0\r\n\r\n"),
        ("a bare CR", "x-a: b\rtransfer-encoding: chunked\r\ncontent-length: 0\r\n\r\n"),
    ] {
        let answer = server.raw(&format!("{HEAD}{framing}{smuggled}")).await;
        // Beside `chunked` a length counts for nothing: answered, and then the connection ends.
        let is_settled = what.starts_with("both") && answer.starts_with("HTTP/1.1 200");
        assert!(is_settled || answer.starts_with("HTTP/1.1 400") || answer.is_empty(), "{what}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), usize::from(!answer.is_empty()), "{what}: {answer}");
        assert!(!answer.contains("\"status\":\"ok\""), "{what}: {answer}");
    }
}

/// ASVS: 3.4.1, 3.4.4
#[tokio::test]
async fn what_hyper_refuses_by_itself_is_answered_like_everything_else() {
    let server = start(&[]).await;
    for (request, status, code) in [
        ("GET / HTTP/1.1\r\nbad header\r\n\r\n".to_owned(), "400", "BAD_REQUEST"),
        ("rubbish\r\n\r\n".to_owned(), "400", "BAD_REQUEST"),
        (format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(9_000)), "414", "URI_TOO_LONG"),
        (
            format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "a".repeat(20_000)),
            "431",
            "HEADERS_TOO_LARGE",
        ),
        (format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}", "a".repeat(200_000)), "431", "HEADERS_TOO_LARGE"),
        (format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(101)), "431", "HEADERS_TOO_LARGE"),
    ] {
        let request = request.replace("host: a\r\n", "host: a\r\nuser-agent: t\r\nconnection: close\r\n");
        let answer = server.raw(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{status}: {answer}");
        for needed in
            [code, "x-request-id: ", "strict-transport-security: ", "x-content-type-options: nosniff"]
        {
            assert!(answer.contains(needed), "{needed} in {answer}");
        }
    }
}

/// ASVS: 4.1.3
#[tokio::test]
async fn there_is_exactly_one_host_and_it_is_ours() {
    let server = start(&[("hosts", "api.example")]).await;
    for (lines, status) in [
        ("host: api.example\r\n", "200"),
        ("host: API.example:8080\r\n", "200"),
        ("", "400"),
        ("host: api.example\r\nhost: api.example\r\n", "400"),
        ("host: evil.example\r\n", "421"),
        ("host: evil.example\r\nx-forwarded-host: api.example\r\n", "421"),
    ] {
        let request = format!("GET /health HTTP/1.1\r\n{lines}user-agent: t\r\nconnection: close\r\n\r\n");
        let answer = server.raw(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{lines}: {answer}");
    }
}

#[tokio::test]
async fn http_2_is_served_with_the_same_headers() {
    let server = start(&[]).await;
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let answer = client.get(server.url("/health")).send().await.unwrap();
    assert_eq!(answer.version(), reqwest::Version::HTTP_2);
    assert!(answer.headers().contains_key("strict-transport-security"));
    let body = vec![b'x'; 300_000];
    let answer = client.post(server.url("/graphql")).header("content-type", "application/json").body(body);
    assert_eq!(answer.send().await.unwrap().status(), 413);
}

/// ASVS: 15.2.2
#[tokio::test]
async fn rapid_resets_end_the_connection_and_not_the_server() {
    use tokio::io::AsyncWriteExt;
    let server = start(&[]).await;
    let mut stream = server.connect().await;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        frame
    };
    let mut bytes = frame(4, 0, 0, &[]);
    // Static table: GET, http, / — a whole request in three bytes, reset at once.
    for n in 0..500u32 {
        bytes.extend(frame(1, 5, n * 2 + 1, &[0x82, 0x86, 0x84]));
        bytes.extend(frame(3, 0, n * 2 + 1, &8u32.to_be_bytes()));
    }
    let _ = stream.write_all(&bytes).await;
    // GOAWAY and the end, instead of 500 requests.
    super::kit::read_all(stream).await;
    assert_eq!(reqwest::get(server.url("/health")).await.unwrap().status(), 200);
}
