//! Slow, large and many: what a client may not do to a connection.

use super::kit::{read_all, start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const POST: &str =
    "POST /graphql HTTP/1.1\r\nhost: a.example\r\nuser-agent: t\r\ncontent-type: application/json\r\n";

/// ASVS: 15.2.2
#[tokio::test]
async fn headers_that_never_end_are_cut_off() {
    let server = start(&[("header_timeout_ms", "50")]).await;
    for begun in
        ["", "G", "PRI * HTTP/2.0\r\n", "GET /health HTTP/1.1\r\nhost: a.exa", "GET / HTTP/1.1\r\nx: y\r\n"]
    {
        let mut stream = server.connect().await;
        stream.write_all(begun.as_bytes()).await.unwrap();
        read_all(stream).await;
    }
}

#[tokio::test]
async fn an_idle_kept_connection_is_closed() {
    let server = start(&[("header_timeout_ms", "50")]).await;
    let answer = server.raw("GET /health HTTP/1.1\r\nhost: a.example\r\nuser-agent: t\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// ASVS: 15.2.2
#[tokio::test]
async fn a_slow_body_is_408() {
    let server = start(&[("body_timeout_ms", "100")]).await;
    let mut stream = server.connect().await;
    stream.write_all(format!("{POST}content-length: 100\r\n\r\n{{\"que").as_bytes()).await.unwrap();
    let answer = read_all(stream).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("REQUEST_TIMEOUT"), "{answer}");
}

/// ASVS: 4.3.1
#[tokio::test]
async fn a_body_over_the_limit_is_413_however_it_is_framed() {
    let server = start(&[("max_body_bytes", "64")]).await;
    let chunk = "x".repeat(32);
    let chunked = |count: usize| {
        format!(
            "{POST}connection: close\r\ntransfer-encoding: chunked\r\n\r\n{}0\r\n\r\n",
            format!("20\r\n{chunk}\r\n").repeat(count)
        )
    };
    let sized = |size: usize| {
        format!("{POST}connection: close\r\ncontent-length: {size}\r\n\r\n{}", "x".repeat(size))
    };
    for (request, status) in [
        (chunked(2), "200"),
        (chunked(3), "413"),
        (sized(64), "200"),
        (sized(65), "413"),
        // Announced only: refused before any of it comes.
        (format!("{POST}content-length: 1073741824\r\n\r\n"), "413"),
    ] {
        let answer = server.raw(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}\n{answer}");
    }
}

#[tokio::test]
async fn a_compressed_body_is_not_unpacked() {
    let server = start(&[]).await;
    let answer = server
        .raw(&format!("{POST}connection: close\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{{}}"))
        .await;
    assert!(answer.starts_with("HTTP/1.1 415"), "{answer}");
}

/// ASVS: 15.2.2
#[tokio::test]
async fn connections_over_an_address_share_are_closed_and_places_come_back() {
    let server = start(&[("max_connections_per_address", "2")]).await;
    let ask = "GET /health HTTP/1.1\r\nhost: a.example\r\nuser-agent: t\r\n\r\n";
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = server.connect().await;
        stream.write_all(ask.as_bytes()).await.unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        held.push(stream);
    }
    assert_eq!(server.raw(ask).await, "");
    drop(held);
    let closing = ask.replace("user-agent: t", "user-agent: t\r\nconnection: close");
    while !server.raw(&closing).await.starts_with("HTTP/1.1 200") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn connections_over_the_total_are_closed() {
    let server = start(&[("max_connections", "1")]).await;
    let ask = "GET /health HTTP/1.1\r\nhost: a.example\r\nuser-agent: t\r\n\r\n";
    let mut stream = server.connect().await;
    stream.write_all(ask.as_bytes()).await.unwrap();
    stream.read_exact(&mut [0; 12]).await.unwrap();
    assert_eq!(server.raw(ask).await, "");
}

/// ASVS: 2.4.1
#[tokio::test]
async fn a_burst_over_the_shield_is_429_and_forged_addresses_do_not_help() {
    let server = start(&[("shield_per_second", "1"), ("shield_burst", "3")]).await;
    let client = reqwest::Client::new();
    let mut statuses = Vec::new();
    for n in 0..5 {
        let forged = format!("198.51.100.{n}");
        let answer =
            client.get(server.url("/health")).header("x-forwarded-for", forged).send().await.unwrap();
        if answer.status() == 429 {
            assert_eq!(answer.headers()["retry-after"], "1");
            assert!(answer.headers().contains_key("strict-transport-security"));
            assert!(answer.text().await.unwrap().contains("RATE_LIMITED"));
            statuses.push(429);
        } else {
            statuses.push(answer.status().as_u16());
        }
    }
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
}

#[tokio::test]
async fn the_shield_counts_clients_behind_a_trusted_proxy_apart_and_spares_the_exempt() {
    let server = start(&[
        ("shield_per_second", "1"),
        ("shield_burst", "1"),
        ("trusted_proxies", "127.0.0.1"),
        ("limit_exempt", "192.0.2.1"),
    ])
    .await;
    let client = reqwest::Client::new();
    for (address, expected) in [
        ("198.51.100.1", 200),
        ("198.51.100.2", 200),
        ("2001:db8::1", 200),
        ("2001:db8::2", 429),
        ("198.51.100.1", 429),
        ("192.0.2.1", 200),
        ("192.0.2.1", 200),
    ] {
        let answer =
            client.get(server.url("/health")).header("x-forwarded-for", address).send().await.unwrap();
        assert_eq!(answer.status(), expected, "{address}");
    }
}

/// ASVS: 15.2.2
#[tokio::test]
async fn requests_over_the_places_are_shed_and_health_still_answers() {
    let server = start(&[("max_concurrent_requests", "1")]).await;
    let client = reqwest::Client::new();
    let post = |body: &'static str| {
        client.post(server.url("/graphql")).header("content-type", "application/json").body(body).send()
    };
    let waiting = tokio::spawn(post("wait"));
    server.backend.arrived.notified().await;
    let shed = post("{}").await.unwrap();
    assert_eq!(shed.status(), 503);
    assert_eq!(shed.headers()["retry-after"], "1");
    assert_eq!(client.get(server.url("/health")).send().await.unwrap().status(), 200);
    server.backend.go_on.notify_one();
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
    assert_eq!(post("{}").await.unwrap().status(), 200);
}

/// ASVS: 15.2.2
#[tokio::test]
async fn a_reader_that_takes_nothing_is_dropped() {
    let server = start(&[("header_timeout_ms", "200"), ("max_body_bytes", "1000000")]).await;
    let mut stream = server.connect().await;
    // Pipelined answers of which not one is read fill the sockets' buffers.
    let ask = format!("{POST}content-length: 5\r\n\r\nlarge").repeat(200);
    let _ = stream.write_all(ask.as_bytes()).await;
    // Once nothing is read for the time of patience, the server closes: this write then fails.
    loop {
        let ready = stream.ready(tokio::io::Interest::ERROR | tokio::io::Interest::WRITABLE).await.unwrap();
        if ready.is_error() || ready.is_write_closed() {
            break;
        }
        if stream.write_all(ask.as_bytes()).await.is_err() {
            break;
        }
    }
}
