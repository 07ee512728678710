//! Llumlets over gRPC.

use cluster::records::llumlet::{MigrateRequest, MigrateResponse, MigrationValue, method};
use prost::Message as _;
use proxy::grpc::{self, CallError};
use proxy::{Client, ClientConfig, Target};

use super::Amount;
use super::plan::{Move, Party};
use super::round::{Failure, Llumlet};

/// Longest answer that is read.
const MAX_ANSWER: usize = 1 << 16;

/// Calls llumlets; one connection to each carries all calls.
pub(crate) struct Grpc(Client);

impl Default for Grpc {
    fn default() -> Self {
        Self(Client::new(ClientConfig::default()))
    }
}

impl Llumlet for Grpc {
    async fn migrate(&self, moved: &Move, to: &Party) -> Result<String, Failure> {
        let llumlet = moved.from.llumlet.to_string();
        let target = Target::parse(&llumlet).map_err(|error| Failure::Unreachable(error.to_string()))?;
        let request = request(moved, to).encode_to_vec();
        let answer = grpc::call(&self.0, &target, method::MIGRATE, &request, MAX_ANSWER).await.map_err(|error| {
            let told = format!("{llumlet}: {error}");
            if matches!(error, CallError::Refused { .. }) { Failure::Refused(told) } else { Failure::Unreachable(told) }
        })?;
        match MigrateResponse::decode(answer) {
            Ok(answer) if answer.success => Ok(answer.message),
            Ok(answer) => Err(Failure::Refused(answer.message)),
            Err(error) => Err(Failure::Refused(format!("its answer cannot be read: {error}"))),
        }
    }
}

fn request(moved: &Move, to: &Party) -> MigrateRequest {
    let value = match moved.selection.amount {
        Amount::Requests(requests) => MigrationValue::NumReqs(requests),
        Amount::Tokens(tokens) => MigrationValue::NumTokens(tokens),
        Amount::Share(share) => MigrationValue::KvCacheUsageRatio(share),
    };
    MigrateRequest {
        src_engine_id: moved.from.id.to_string(),
        dst_engine_id: to.id.to_string(),
        dst_engine_ip: to.llumlet.host.clone(),
        dst_engine_port: i32::from(to.llumlet.port),
        migration_type: moved.selection.amount.rule().to_owned(),
        migration_req_policy: moved.selection.order.to_owned(),
        migration_value: Some(value),
        trigger_policy: moved.trigger.to_owned(),
    }
}
