//! Asking a running server how it is, for container health checks: exit code 0 or 1.

use super::{Failure, commands::say};
use crate::config::Config;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// What a health check may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks the server that `config` describes, on this machine, whether it lives. Behind its own TLS it is
/// enough that it accepts the connection.
pub(super) fn check(config: &Config) -> Result<(), Failure> {
    let ip = match config.listen.ip() {
        ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        ip => ip,
    };
    let address = SocketAddr::new(ip, config.listen.port());
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)
        .map_err(|error| format!("{address} does not answer: {error}"))?;
    if config.tls_certificate.is_some() {
        return say("ok");
    }
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let host = config.hosts.0.first().map_or("localhost", String::as_str);
    let request =
        format!("GET /health HTTP/1.1\r\nHost: {host}\r\nUser-Agent: health\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    if answer.ends_with(b" 200") { say("ok") } else { Err("the server answers, but not with 200".into()) }
}
