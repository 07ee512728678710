//! Records are compared with bytes put together here from the field table alone, so that a wrong number or type in the
//! derive shows.

use proptest::prelude::*;
use prost::Message;

use super::llumlet::{MigrateRequest, MigrationValue};
use super::*;

/// Protobuf's wire format, from its specification.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn varint(mut self, mut value: u64) -> Self {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    fn int(self, field: u64, value: i64) -> Self {
        self.varint(field << 3).varint(value as u64)
    }

    fn double(self, field: u64, value: f64) -> Self {
        let mut this = self.varint(field << 3 | 1);
        this.0.extend(value.to_le_bytes());
        this
    }

    fn float(self, field: u64, value: f32) -> Self {
        let mut this = self.varint(field << 3 | 5);
        this.0.extend(value.to_le_bytes());
        this
    }

    fn bytes(self, field: u64, value: &[u8]) -> Self {
        let mut this = self.varint(field << 3 | 2).varint(value.len() as u64);
        this.0.extend(value);
        this
    }

    fn text(self, field: u64, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }
}

/// Both ways: the bytes are read as the record, and the record is written as the bytes.
#[track_caller]
fn golden<M: Message + Default + PartialEq + std::fmt::Debug>(bytes: &Bytes, record: &M) {
    assert_eq!(&decode::<M>("k", &bytes.0).unwrap(), record);
    assert_eq!(record.encode_to_vec(), bytes.0);
}

#[test]
fn metadata_has_upstreams_numbers() {
    let bytes = Bytes::default()
        .text(1, "id_dp2")
        .text(2, "decode")
        .text(3, "vLLM")
        .text(4, "10.0.0.1")
        .text(5, "10.0.0.2")
        .int(6, 8000)
        .int(7, 50051)
        .int(8, 5600)
        .text(9, "node-a")
        .int(10, 4)
        .int(11, 8)
        .text(12, "unit-a")
        .int(13, 2)
        .int(14, 3)
        .int(15, 1)
        .double(16, 1_795_333_620.25)
        .double(17, 1_795_333_640.5)
        .text(18, "10.0.0.3")
        .int(19, 16)
        .int(20, 65_536)
        .text(100, "m");
    let record = InstanceMetadata {
        instance_id: "id_dp2".to_owned(),
        instance_type: "decode".to_owned(),
        backend_type: "vLLM".to_owned(),
        ip: "10.0.0.1".to_owned(),
        ip_kvs: "10.0.0.2".to_owned(),
        api_server_port: 8000,
        llumlet_port: 50051,
        kvt_port: 5600,
        node_id: "node-a".to_owned(),
        data_parallel_size: 4,
        tensor_parallel_size: 8,
        unit_id: "unit-a".to_owned(),
        dp_rank: 2,
        ep_rank: 3,
        dp_local_rank: 1,
        utc_create: 1_795_333_620.25,
        utc_update: 1_795_333_640.5,
        ip_kvt: "10.0.0.3".to_owned(),
        block_size: 16,
        max_num_batched_tokens: 65_536,
        model: "m".to_owned(),
    };
    golden(&bytes, &record);
}

#[test]
fn status_has_upstreams_numbers() {
    let mut bytes = Bytes::default()
        .text(1, "id")
        .int(2, 1)
        .int(3, 1_795_333_620_123)
        .int(4, 104)
        .int(5, 105)
        .text(6, "r1")
        .text(6, "r2")
        .text(7, "r2");
    // Each number is its field's, plus 100; so two that were exchanged would be seen.
    for field in 8..=33 {
        bytes = bytes.int(field, field as i64 + 100);
    }
    for field in 34..=37 {
        bytes = bytes.double(field, field as f64 / 100.0);
    }
    let bytes = bytes.int(38, 138).double(39, 12.75).int(40, 140);
    let record = InstanceStatus {
        instance_id: "id".to_owned(),
        schedulable: true,
        timestamp_ms: 1_795_333_620_123,
        step_id: 104,
        update_id: 105,
        recent_waiting_requests: vec!["r1".to_owned(), "r2".to_owned()],
        waiting_requests: vec!["r2".to_owned()],
        hybrid_scheduler_waiting_to_decode_requests_num: 108,
        scheduler_waiting_to_decode_requests_num: 109,
        num_waiting_requests: 110,
        scheduler_running_to_decode_requests_num: 111,
        num_running_requests: 112,
        num_loading_requests: 113,
        num_total_gpu_tokens: 114,
        num_used_gpu_tokens: 115,
        num_uncomputed_tokens_hybrid_scheduler_waiting_prefills: 116,
        num_unallocated_tokens_hybrid_scheduler_waiting_decodes: 117,
        hybrid_scheduler_waiting_to_decode_tokens_num: 118,
        num_uncomputed_tokens_scheduler_waiting_prefills: 119,
        scheduler_waiting_to_decode_tokens_num: 120,
        num_uncomputed_tokens_scheduler_running_prefills: 121,
        num_unallocated_tokens_scheduler_running_prefills: 122,
        scheduler_running_to_decode_tokens_num: 123,
        num_tokens_loading_requests: 124,
        num_uncomputed_tokens_all_waiting_prefills: 125,
        num_migrate_in_reqs: 126,
        num_migrate_out_reqs: 127,
        num_available_migrate_in_slots: 128,
        num_available_migrate_out_slots: 129,
        num_migrate_in_tokens: 130,
        num_migrate_out_tokens: 131,
        num_available_migrate_in_tokens: 132,
        num_available_migrate_out_tokens: 133,
        kv_cache_usage_ratio_migrate_in: 0.34,
        kv_cache_usage_ratio_migrate_out: 0.35,
        available_kv_cache_usage_ratio_migrate_in: 0.36,
        available_kv_cache_usage_ratio_migrate_out: 0.37,
        profiling_id: 138,
        step_duration: 12.75,
        num_scheduled_prefill_tokens: 140,
    };
    golden(&bytes, &record);
}

#[test]
fn discovery_has_upstreams_numbers() {
    let instance = Bytes::default()
        .text(1, "prefill")
        .text(2, "10.0.0.1")
        .int(3, 8001)
        .text(4, "10.0.0.2")
        .int(5, 5601)
        .int(6, 1)
        .int(7, 2)
        .text(8, "m")
        .int(9, 1_795_333_620);
    let bytes = Bytes::default().text(1, "prefill-0").int(3, 1_795_333_620_123).bytes(4, &instance.0);
    let record = PodDiscoveryInfo {
        pod_name: "prefill-0".to_owned(),
        timestamp_ms: 1_795_333_620_123,
        instances: vec![InstanceDiscoveryInfo {
            instance_type: "prefill".to_owned(),
            entrypoint_ip: "10.0.0.1".to_owned(),
            entrypoint_port: 8001,
            kv_transfer_ip: "10.0.0.2".to_owned(),
            kv_transfer_port: 5601,
            dp_rank: 1,
            dp_size: 2,
            model: "m".to_owned(),
            version: 1_795_333_620,
        }],
    };
    golden(&bytes, &record);
}

#[test]
fn a_migration_has_upstreams_numbers() {
    let head = || {
        Bytes::default()
            .text(1, "src")
            .text(2, "dst")
            .text(3, "10.0.0.2")
            .int(4, 50051)
            .text(5, "NUM_REQ")
            .text(6, "LCR")
    };
    let record = |value| MigrateRequest {
        src_engine_id: "src".to_owned(),
        dst_engine_id: "dst".to_owned(),
        dst_engine_ip: "10.0.0.2".to_owned(),
        dst_engine_port: 50051,
        migration_type: "NUM_REQ".to_owned(),
        migration_req_policy: "LCR".to_owned(),
        migration_value: Some(value),
        trigger_policy: "decode_load".to_owned(),
    };
    golden(&head().int(7, -1).text(10, "decode_load"), &record(MigrationValue::NumReqs(-1)));
    golden(&head().int(8, 1024).text(10, "decode_load"), &record(MigrationValue::NumTokens(1024)));
    golden(&head().float(9, 0.25).text(10, "decode_load"), &record(MigrationValue::KvCacheUsageRatio(0.25)));
}

#[test]
fn fields_of_a_newer_writer_are_passed_over() {
    let bytes = Bytes::default().text(1, "id").int(99, 7).text(100, "new").int(2, 1);
    let status: InstanceStatus = decode("k", &bytes.0).unwrap();
    assert_eq!((status.instance_id.as_str(), status.schedulable), ("id", true));
}

#[test]
fn garbage_is_an_error_that_names_the_key() {
    for garbage in [&b""[..], b"\xff", b"{\"instance_id\":\"a\"}", b"\x0a\x05ab"] {
        let error = decode::<InstanceStatus>("llumnix:instance_status:a", garbage).unwrap_err();
        assert!(error.to_string().contains("llumnix:instance_status:a"), "{error}");
    }
}

proptest! {
    #[test]
    fn a_status_survives_the_way_there_and_back(
        id in ".*",
        schedulable: bool,
        numbers in proptest::array::uniform8(any::<i32>()),
        timestamp_ms: i64,
        duration in proptest::num::f64::ANY.prop_filter("NaN is not equal to itself", |x| !x.is_nan()),
        waiting in proptest::collection::vec(".*", 0..5),
    ) {
        let status = InstanceStatus {
            instance_id: id,
            schedulable,
            timestamp_ms,
            step_id: numbers[0],
            update_id: numbers[1],
            waiting_requests: waiting,
            num_waiting_requests: numbers[2],
            num_running_requests: numbers[3],
            num_total_gpu_tokens: numbers[4],
            num_used_gpu_tokens: numbers[5],
            num_uncomputed_tokens_all_waiting_prefills: numbers[6],
            num_scheduled_prefill_tokens: numbers[7],
            step_duration: duration,
            ..InstanceStatus::default()
        };
        let bytes = status.encode_to_vec();
        prop_assume!(!bytes.is_empty());
        prop_assert_eq!(decode::<InstanceStatus>("k", &bytes).unwrap(), status);
    }

    #[test]
    fn no_bytes_whatever_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode::<InstanceStatus>("k", &bytes);
        let _ = decode::<InstanceMetadata>("k", &bytes);
        let _ = decode::<PodDiscoveryInfo>("k", &bytes);
    }
}
