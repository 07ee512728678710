//! The settings of who may use the gateway.

use std::net::SocketAddr;
use std::path::Path;

use proxy::tls::ServerTls;

use super::read::Reader;
use crate::cors::Cors;
use crate::keys::Keys;
use crate::limits::LimitsConfig;

/// Who may use the gateway, and over what.
#[derive(Debug, Clone)]
pub(crate) struct AccessConfig {
    /// The keys; `None` where everybody is let in.
    pub(crate) keys: Option<Keys>,
    /// The pages that are let near.
    pub(crate) cors: Cors,
    /// The certificate, where TLS is spoken.
    pub(crate) tls: Option<ServerTls>,
    /// What models and keys may use; `None` where nothing is limited.
    pub(crate) limits: Option<LimitsConfig>,
}

impl AccessConfig {
    /// Reads the files that are named, and refuses to stand open to the network unless told to.
    pub(super) fn read(read: &mut Reader<'_>, listen: SocketAddr) -> Self {
        let keys = read.loaded("api-keys-file", |path| Keys::from_file(Path::new(path)));
        let tls =
            read.loaded("cert-path", |path| ServerTls::from_dir(Path::new(path)).map_err(|error| error.to_string()));
        let cors = read.loaded("cors-allow-origin", Cors::parse).unwrap_or_default();
        let open = read.boolean("insecure-no-auth");
        if !open && !read.is_set("api-keys-file") && !listen.ip().is_loopback() {
            read.fault(
                "insecure-no-auth",
                format!(
                    "{} is reachable by others, who could all use the gateway: give --api-keys-file, \
                     listen on --host 127.0.0.1, or accept it with --insecure-no-auth",
                    listen.ip()
                ),
            );
        }
        let keyed = read.is_set("api-keys-file");
        let limits = read.loaded("limits-config", |path| LimitsConfig::from_file(Path::new(path), keyed));
        Self { keys, cors, tls, limits }
    }
}
