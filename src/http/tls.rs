//! TLS on the public listener: 1.2 and 1.3 only (ASVS 12.1.1), and certificates that can be renewed
//! without a restart.

use super::door::Door;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ServerConfig, crypto::CryptoProvider};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(10);

/// The certificate in use, replaced when its files change.
#[derive(Debug)]
struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// TLS for the public listener, and what keeps its certificate fresh.
pub(crate) struct Tls {
    /// Makes encrypted streams of accepted ones.
    pub(crate) acceptor: TlsAcceptor,
    certificate: Arc<Certificate>,
}

impl Tls {
    /// TLS as configured; `None` when it is not.
    ///
    /// # Errors
    /// A file cannot be read, is no PEM, or the key is not the certificate's.
    pub(crate) fn configured(door: &Door) -> io::Result<Option<Self>> {
        let config = door.config();
        let (Some(chain), Some(key)) = (config.tls_certificate.clone(), config.tls_key.clone()) else {
            return Ok(None);
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let current = RwLock::new(Arc::new(load(&provider, &chain, &key)?));
        let certificate = Arc::new(Certificate { chain, key, current });
        let mut tls = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_cert_resolver(certificate.clone());
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Some(Self { acceptor: TlsAcceptor::from(Arc::new(tls)), certificate }))
    }

    /// Loads the certificate again when its files change or the process gets SIGHUP; one that does
    /// not load leaves the old one in use. Never ends.
    pub(crate) fn keep_fresh(&self) -> impl Future<Output = ()> + Send + use<> {
        let certificate = self.certificate.clone();
        async move {
            let mut hangup = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok();
            let mut seen = certificate.changed();
            loop {
                let asked = async {
                    match &mut hangup {
                        Some(hangup) => hangup.recv().await,
                        None => std::future::pending().await,
                    }
                };
                let asked = tokio::time::timeout(LOOK, asked).await.is_ok();
                let now = certificate.changed();
                if asked || now != seen {
                    seen = now;
                    certificate.reload();
                }
            }
        }
    }
}

impl Certificate {
    /// When each file was last written.
    fn changed(&self) -> [Option<SystemTime>; 2] {
        [&self.chain, &self.key].map(|path| std::fs::metadata(path).and_then(|file| file.modified()).ok())
    }

    /// Loads the files; keeps what was there if they do not load.
    fn reload(&self) {
        match load(&aws_lc_rs::default_provider(), &self.chain, &self.key) {
            Ok(fresh) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
                tracing::info!("loaded the TLS certificate again");
            }
            Err(error) => tracing::error!(%error, "kept the old TLS certificate: the new one does not load"),
        }
    }
}

/// Reads a certificate chain and its key.
fn load(provider: &CryptoProvider, chain: &Path, key: &Path) -> io::Result<CertifiedKey> {
    let failed = |path: &Path, error: &dyn std::fmt::Display| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display()))
    };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect)
        .map_err(|error| failed(chain, &error))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| failed(key, &error))?;
    let signer = provider.key_provider.load_private_key(secret).map_err(|error| failed(key, &error))?;
    let certified = CertifiedKey::new(certificates, signer);
    certified.keys_match().map_err(|error| failed(key, &error))?;
    Ok(certified)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    /// A fresh certificate in `folder`, and its bytes.
    fn write(folder: &Path, name: &str) -> Vec<u8> {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        std::fs::write(folder.join("chain.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        made.cert.der().to_vec()
    }

    #[test]
    fn a_renewed_certificate_is_used_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
        let first = write(folder.path(), "a.example");
        let loaded = load(&aws_lc_rs::default_provider(), &chain, &key).unwrap();
        let certificate = Certificate { chain: chain.clone(), key, current: RwLock::new(Arc::new(loaded)) };
        let in_use = || certificate.current.read().unwrap().cert[0].to_vec();
        assert_eq!(in_use(), first);
        let second = write(folder.path(), "a.example");
        certificate.reload();
        assert_eq!(in_use(), second);
        // Half of a renewal: the chain is new, the key is not.
        let other = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        std::fs::write(&chain, other.cert.pem()).unwrap();
        certificate.reload();
        assert_eq!(in_use(), second);
        std::fs::write(&chain, "rubbish").unwrap();
        certificate.reload();
        assert_eq!(in_use(), second);
    }
}
