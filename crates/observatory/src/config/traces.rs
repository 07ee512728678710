//! Flags of what takes spans in and keeps them.

use std::net::SocketAddr;
use std::time::Duration;

use super::fault::Fault;
use crate::traces::Limits;

/// Flags of spans and OTLP.
#[derive(Clone, Debug, clap::Args)]
pub struct TraceArgs {
    /// Address and port of OTLP/gRPC; port 0 picks a free one. The page's port takes it as well
    #[arg(long, env = "CANDOR_OBSERVATORY_OTLP_GRPC", value_name = "ADDR", default_value = "127.0.0.1:4317")]
    pub otlp_grpc_listen: SocketAddr,
    /// Address and port of OTLP/HTTP; port 0 picks a free one. The page's port takes it as well
    #[arg(long, env = "CANDOR_OBSERVATORY_OTLP_HTTP", value_name = "ADDR", default_value = "127.0.0.1:4318")]
    pub otlp_http_listen: SocketAddr,
    /// Memory for spans; the oldest go first
    #[arg(long, env = "CANDOR_OBSERVATORY_MAX_SPAN_BYTES", value_name = "BYTES", default_value_t = 512 << 20)]
    pub max_span_bytes: usize,
}

/// What takes spans in and keeps them, validated.
#[derive(Clone, Debug)]
pub struct TraceConfig {
    /// Where OTLP arrives beside the page's port.
    pub otlp: Vec<SocketAddr>,
    /// What the store of spans may hold.
    pub limits: Limits,
}

impl TraceArgs {
    /// Checks everything; `guarded` says that callers must show a token.
    pub(super) fn validate(self, retention: Duration, guarded: bool, faults: &mut Vec<Fault>) -> TraceConfig {
        let otlp = vec![self.otlp_grpc_listen, self.otlp_http_listen];
        if !guarded {
            let open = [("otlp-grpc-listen", self.otlp_grpc_listen), ("otlp-http-listen", self.otlp_http_listen)];
            let open = open.into_iter().filter(|(_, addr)| !addr.ip().is_loopback());
            faults.extend(open.map(|(flag, addr)| Fault::OpenOtlp { flag, addr }));
        }
        if self.max_span_bytes < 1 << 20 {
            faults.push(Fault::Range { flag: "max-span-bytes", expected: "a mebibyte (1048576) or more" });
        }
        let limits = Limits { retention, max_bytes: self.max_span_bytes, ..Limits::default() };
        TraceConfig { otlp, limits }
    }
}
