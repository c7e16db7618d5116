//! The public listener with a certificate.

use super::kit::start;

/// ASVS: 12.1.1, 12.2.1, 4.4.1
#[tokio::test]
async fn an_encrypted_listener_speaks_both_protocols_and_nothing_in_the_clear() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    std::fs::write(&chain, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let (chain, key) = (chain.display().to_string(), key.display().to_string());
    let server = start(&[("tls_certificate", &chain), ("tls_key", &key)]).await;
    let url = format!("https://localhost:{}/graphql?query=x", server.address.port());
    let client = || {
        let authority = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
        reqwest::Client::builder().tls_certs_only([authority]).resolve("localhost", server.address)
    };
    for (client, version) in [
        (client(), reqwest::Version::HTTP_2),
        (client().http1_only(), reqwest::Version::HTTP_11),
        (client().tls_version_max(reqwest::tls::Version::TLS_1_2), reqwest::Version::HTTP_2),
    ] {
        let answer = client.build().unwrap().get(&url).send().await.unwrap();
        assert_eq!(answer.version(), version);
        let seen: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(seen["https"], true);
    }
    let answer = server.raw("GET /health HTTP/1.1\r\nhost: localhost\r\nuser-agent: t\r\n\r\n").await;
    assert!(!answer.contains("HTTP/1.1"), "{answer}");
}
