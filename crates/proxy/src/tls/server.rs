//! The server's certificate: from files, reloaded when they change, or self-signed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::{TlsError, provider};

/// What a listener needs to answer TLS. Clones share one certificate.
#[derive(Clone)]
pub struct ServerTls {
    shared: Arc<Shared>,
}

struct Shared {
    current: RwLock<Current>,
    files: Option<Files>,
}

struct Current {
    config: Arc<ServerConfig>,
    stamp: Option<Stamp>,
}

/// Where a certificate and its key lie.
struct Files {
    cert: PathBuf,
    key: PathBuf,
}

/// When the two files last changed.
type Stamp = (SystemTime, SystemTime);

impl ServerTls {
    /// Reads `tls.crt` and `tls.key` (PEM; the names of a Kubernetes TLS secret) from a directory. Changes are picked up by
    /// [`ServerTls::reload_if_changed`], which a listener calls by itself.
    ///
    /// # Errors
    /// [`TlsError`] naming the file or the fault.
    pub fn from_dir(dir: &Path) -> Result<Self, TlsError> {
        Self::from_files(&dir.join("tls.crt"), &dir.join("tls.key"))
    }

    /// Reads a PEM certificate chain and a PEM key.
    ///
    /// # Errors
    /// [`TlsError`] naming the file or the fault.
    pub fn from_files(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let files = Files { cert: cert.to_owned(), key: key.to_owned() };
        let current = Current { stamp: Some(files.stamp()?), config: files.load()? };
        Ok(Self { shared: Arc::new(Shared { current: RwLock::new(current), files: Some(files) }) })
    }

    /// A certificate made up now for `names`, signed by itself; returned beside it, for a client that is to trust it.
    ///
    /// # Errors
    /// [`TlsError::SelfSigned`] where a name is not one.
    pub fn self_signed(names: &[&str]) -> Result<(Self, CertificateDer<'static>), TlsError> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names)?;
        let cert = made.cert.der().clone();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let config = config(vec![cert.clone()], key)?;
        let current = RwLock::new(Current { config, stamp: None });
        Ok((Self { shared: Arc::new(Shared { current, files: None }) }, cert))
    }

    /// Reads the files again if they are not the ones in use; says whether it did. A file pair that does not load (half
    /// written, say) leaves the old certificate in use, to be tried again.
    ///
    /// # Errors
    /// Why the changed files were not taken.
    pub fn reload_if_changed(&self) -> Result<bool, TlsError> {
        let Some(files) = &self.shared.files else { return Ok(false) };
        let stamp = Some(files.stamp()?);
        if self.shared.current.read().stamp == stamp {
            return Ok(false);
        }
        let config = files.load()?;
        *self.shared.current.write() = Current { config, stamp };
        Ok(true)
    }

    /// The configuration for the next handshake.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.shared.current.read().config)
    }
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let source = self.shared.files.as_ref().map(|files| files.cert.as_path());
        f.debug_struct("ServerTls").field("cert", &source).finish_non_exhaustive()
    }
}

impl Files {
    fn stamp(&self) -> Result<Stamp, TlsError> {
        Ok((changed(&self.cert)?, changed(&self.key)?))
    }

    fn load(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let pem = |path: &PathBuf| {
            let path = path.clone();
            |source| TlsError::Pem { path, source }
        };
        let chain = CertificateDer::pem_file_iter(&self.cert)
            .map_err(pem(&self.cert))?
            .collect::<Result<Vec<_>, _>>()
            .map_err(pem(&self.cert))?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(pem(&self.key))?;
        config(chain, key)
    }
}

fn changed(path: &Path) -> Result<SystemTime, TlsError> {
    std::fs::metadata(path)
        .and_then(|meta| meta.modified())
        .map_err(|source| TlsError::File { path: path.to_owned(), source })
}

fn config(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
