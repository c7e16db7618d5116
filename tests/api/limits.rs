//! How much: limits over HTTP, each at the limit and one past it, in process and over replicas.

use crate::harness::{Client, Kind, Reply, TestServer};
use futures_util::future::join_all;
use serde_json::json;

const LOW: &[(&str, &str)] = &[("PORTCULLIS_LIMIT_API", "10"), ("PORTCULLIS_LIMIT_LOGIN", "5")];

async fn me(client: &Client) -> Reply {
    client.query("{ me { username } }", json!({})).await
}

/// ASVS: 2.4.1, 4.3.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tenth_operation_is_served_and_the_eleventh_is_not() {
    let server = TestServer::with(Kind::Sqlite, LOW).await;
    let ada = server.anonymous();
    for number in 1..=10 {
        let reply = me(&ada).await.ok();
        assert_eq!(reply.header("x-ratelimit-remaining"), (10 - number).to_string());
        assert!(reply.header("ratelimit-policy").contains("\"api\";q=10;w=60"), "{reply:?}");
    }
    let (refused, statements) = server.counting(me(&ada)).await;
    assert_eq!((refused.status, refused.code(), statements), (429, "RATE_LIMITED", 0));
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    let wait = refused.header("retry-after").parse().unwrap();
    server.advance(std::time::Duration::from_secs(wait));
    me(&ada).await.ok();
}

/// Without counting by execution one request would try as many passwords as it has aliases.
///
/// ASVS: 6.3.1, 4.3.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aliases_do_not_multiply_guesses() {
    let server = TestServer::with(
        Kind::Sqlite,
        &[
            ("PORTCULLIS_LIMIT_LOGIN", "5"),
            ("PORTCULLIS_MAX_ROOT_MUTATIONS", "100"),
            ("PORTCULLIS_MAX_ALIASES", "100"),
        ],
    )
    .await;
    let ada = server.register("ada").await;
    let guesses = |count: usize| {
        let one = |n: usize| {
            format!(
                "g{n}: login(input: {{ identifier: \"ada\", password: \"guess number {n} of many\" }}) {{ status }}"
            )
        };
        format!("mutation {{ {} }}", (0..count).map(one).collect::<Vec<_>>().join(" "))
    };
    let before = server.events("authn_login_fail", "FAILURE").await;
    let refused = server.anonymous().query(&guesses(6), json!({})).await;
    assert_eq!((refused.status, refused.code()), (429, "RATE_LIMITED"));
    assert_eq!(
        server.events("authn_login_fail", "FAILURE").await,
        before,
        "a refused request tried passwords"
    );
    server.anonymous().query(&guesses(5), json!({})).await;
    assert_eq!(server.events("authn_login_fail", "FAILURE").await, before + 5);
    // The budget is used up for the account, under any of its names' spellings.
    assert_eq!(server.anonymous().try_login("ADA", &ada.password, "TOKEN").await.status, 429);
}

/// ASVS: 4.3.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shapes_that_exhaust_a_server_are_refused_before_anything_runs() {
    let server = TestServer::start(Kind::Sqlite).await;
    let client = server.anonymous();
    let deep = format!("{{ posts {}{} }}", "{ edges { node { author { posts ".repeat(8), "} } } }".repeat(8));
    let lists = format!("{{ posts(after: {}{}) {{ __typename }} }}", "[".repeat(500), "]".repeat(500));
    let aliases: String = (0..100).map(|n| format!("a{n}: me {{ id }} ")).collect();
    let bomb = (1..20).fold("fragment f0 on Query { me { id } }".to_owned(), |text, n| {
        format!("{text} fragment f{n} on Query {{ ...f{} ...f{} }}", n - 1, n - 1)
    });
    let mutations: String = (0..5).map(|n| format!("m{n}: logout {{ done }} ")).collect();
    let directives = format!("{{ me {{ id {} }} }}", "@include(if: true) ".repeat(200));
    let pages =
        "{ posts(first: 100) { edges { node { author { posts(first: 100) { edges { node { id } } } } } } } }";
    for (name, document, code) in [
        ("deep selections", deep, "QUERY_TOO_DEEP"),
        ("nested lists in a value", lists, "QUERY_TOO_DEEP"),
        ("aliases", format!("{{ {aliases} }}"), "QUERY_TOO_MANY_ALIASES"),
        ("a bomb of fragments", format!("{{ ...f19 }} {bomb}"), "QUERY_TOO_COMPLEX"),
        (
            "a cycle of fragments",
            "{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }".into(),
            "QUERY_TOO_COMPLEX",
        ),
        ("root mutations", format!("mutation {{ {mutations} }}"), "QUERY_TOO_MANY_ROOT_FIELDS"),
        ("directives", directives, "QUERY_TOO_MANY_DIRECTIVES"),
        ("pages within pages", pages.into(), "QUERY_TOO_COMPLEX"),
        ("unknown fields", format!("{{ {} }}", "nonsense ".repeat(20_000)), "QUERY_TOO_COMPLEX"),
    ] {
        let (reply, statements) = server.counting(client.query(&document, json!({}))).await;
        assert_eq!((reply.status, reply.code(), statements), (400, code, 0), "{name}: {:?}", reply.json);
    }
    let batch = client.post(r#"[{"query":"{ me { id } }"},{"query":"{ me { id } }"}]"#).await;
    assert_eq!((batch.status, batch.code()), (400, "BATCH_TOO_LARGE"));
    let twice = client.post(r#"{"query":"{ me { id } }","query":"{ posts { edges { cursor } } }"}"#).await;
    assert_eq!(twice.status, 400);
    me(&client).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_operation_does_not_use_is_given_back() {
    let server = TestServer::with(Kind::Sqlite, &[("PORTCULLIS_LIMIT_COST_ANONYMOUS", "1000")]).await;
    let client = server.anonymous();
    let list = "{ posts(first: 100) { edges { node { author { username } } } } }";
    let reply = client.query(list, json!({})).await.ok();
    let cost = &reply.json["extensions"]["cost"];
    assert!(cost["requested"].as_u64().unwrap() > 200, "{cost}");
    assert!(cost["actual"].as_u64().unwrap() < 5, "an empty list: {cost}");
    assert_eq!(cost["remaining"].as_u64().unwrap(), 1000 - cost["actual"].as_u64().unwrap());
}

fn redis() -> String {
    std::env::var("TEST_REDIS_URL").expect("TEST_REDIS_URL is not set: run `make test`")
}

/// Two servers on one Redis, as replicas; a client address of its own tells this test from others.
async fn replicas(limit: &str) -> (TestServer, TestServer, String) {
    let url = redis();
    let settings = [
        ("PORTCULLIS_REDIS_URL", url.as_str()),
        ("PORTCULLIS_LIMIT_API", limit),
        ("PORTCULLIS_TRUSTED_PROXIES", "127.0.0.1"),
    ];
    let (a, b) =
        (TestServer::with(Kind::Sqlite, &settings).await, TestServer::with(Kind::Sqlite, &settings).await);
    let unique: [u8; 6] = portcullis::crypto::random::bytes();
    let part = |n: usize| u16::from_be_bytes([unique[n], unique[n + 1]]);
    (a, b, format!("2001:db8:{:x}:{:x}::{:x}", part(0), part(2), part(4)))
}

async fn from(server: &TestServer, address: &str) -> Reply {
    let client = server.anonymous();
    let request = client
        .request(reqwest::Method::POST, "/graphql")
        .header("content-type", "application/json")
        .header("x-forwarded-for", address)
        .body(r#"{"query":"{ me { id } }"}"#);
    client.send(request).await
}

/// ASVS: 2.4.1, 15.4.1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_admit_exactly_the_limit_together() {
    let (a, b, address) = replicas("100").await;
    let requests = (0..192).map(|n| from(if n % 2 == 0 { &a } else { &b }, &address));
    let replies = join_all(requests).await;
    let admitted = replies.iter().filter(|reply| reply.status == 200).count();
    let refused = replies.iter().filter(|reply| reply.status == 429).count();
    assert_eq!((admitted, refused), (100, 92));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_one_round_trip_and_a_remembered_refusal_none() {
    let (a, _b, address) = replicas("4").await;
    // The first one brings the script to Redis.
    assert_eq!(from(&a, &address).await.status, 200);
    for _ in 0..3 {
        let before = a.app.limits.round_trips();
        assert_eq!(from(&a, &address).await.status, 200);
        assert_eq!(a.app.limits.round_trips() - before, 1);
    }
    assert_eq!(from(&a, &address).await.status, 429);
    let before = a.app.limits.round_trips();
    assert_eq!(from(&a, &address).await.status, 429);
    assert_eq!(a.app.limits.round_trips(), before);
}

/// A Redis that is not there costs nobody a request.
///
/// ASVS: 16.5.2, 16.5.3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_each_replica_limits_alone_and_nothing_fails() {
    let server = TestServer::with(
        Kind::Sqlite,
        &[("PORTCULLIS_REDIS_URL", "redis://127.0.0.1:1/"), ("PORTCULLIS_LIMIT_API", "10")],
    )
    .await;
    let client = server.anonymous();
    for _ in 0..10 {
        me(&client).await.ok();
    }
    assert_eq!(me(&client).await.status, 429);
    assert!(server.app.limits.degraded());
}
