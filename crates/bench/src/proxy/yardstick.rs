//! The yardsticks: nginx and haproxy as bare reverse proxies.
//!
//! One worker each, kept-alive connections on both sides, nothing buffered, nothing logged, no delay: the best that
//! each does as a proxy for token streams.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::process::ProcessError;

/// Where a yardstick is found.
const PLACES: [&str; 4] = ["/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin"];

/// The command line of nginx between `listen` and `engine`; its files lie in `directory`.
///
/// # Errors
/// It is not installed, or the directory cannot be written.
pub(crate) fn nginx(listen: SocketAddr, engine: SocketAddr, directory: &Path) -> Result<Vec<OsString>, Error> {
    let program = find("nginx", "nginx-light")?;
    let at = directory.display();
    // A master process would outlive the bench's guard: one process does both jobs.
    let text = format!(
        "daemon off;
master_process off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {at}/nginx.pid;
error_log {at}/nginx-error.log error;
events {{ worker_connections 10000; }}
http {{
  access_log off;
  tcp_nodelay on;
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  client_body_buffer_size 1m;
  client_body_temp_path {at}/nginx-body;
  proxy_temp_path {at}/nginx-proxy;
  upstream engine {{
    server {engine};
    keepalive 2048;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
  }}
  server {{
    listen {listen} backlog=4096;
    location / {{
      proxy_pass http://engine;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_buffering off;
      proxy_read_timeout 600s;
    }}
  }}
}}
"
    );
    let file = write(directory, "nginx.conf", &text)?;
    let error_log = directory.join("nginx-error.log");
    Ok([
        program.as_os_str(),
        "-e".as_ref(),
        error_log.as_os_str(),
        "-p".as_ref(),
        directory.as_os_str(),
        "-c".as_ref(),
        file.as_os_str(),
    ]
    .map(OsString::from)
    .into())
}

/// The command line of haproxy between `listen` and `engine`; its file lies in `directory`.
///
/// # Errors
/// It is not installed, or the directory cannot be written.
pub(crate) fn haproxy(listen: SocketAddr, engine: SocketAddr, directory: &Path) -> Result<Vec<OsString>, Error> {
    let program = find("haproxy", "haproxy")?;
    let text = format!(
        "global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  option http-no-delay
  http-reuse always
frontend clients
  bind {listen} backlog 4096
  default_backend engines
backend engines
  server engine {engine} pool-max-conn -1 pool-purge-delay 600s
"
    );
    let file = write(directory, "haproxy.cfg", &text)?;
    Ok([program.as_os_str(), "-db".as_ref(), "-q".as_ref(), "-f".as_ref(), file.as_os_str()].map(OsString::from).into())
}

fn find(program: &'static str, package: &'static str) -> Result<PathBuf, Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(PLACES.map(PathBuf::from))
        .map(|place| place.join(program))
        .find(|candidate| candidate.is_file())
        .ok_or(Error::Missing { program, package })
}

fn write(directory: &Path, name: &str, text: &str) -> Result<PathBuf, Error> {
    let file = directory.join(name);
    fs::write(&file, text).map_err(ProcessError::io(format!("cannot write {}", file.display())))?;
    Ok(file)
}
