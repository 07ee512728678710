//! Under which names records lie in Redis and etcd, and how instances are named.

/// Redis keys of [`InstanceMetadata`](crate::records::InstanceMetadata) begin so; the instance id follows.
pub const METADATA_PREFIX: &str = "llumnix:instance_metadata:";

/// Redis keys of [`InstanceStatus`](crate::records::InstanceStatus) begin so; the instance id follows.
pub const STATUS_PREFIX: &str = "llumnix:instance_status:";

/// Redis keys of [`PodDiscoveryInfo`](crate::records::PodDiscoveryInfo) begin so; the pod's name follows.
pub const REDIS_DISCOVERY_PREFIX: &str = "llumnix:discovery:";

/// The same in etcd.
pub const ETCD_DISCOVERY_PREFIX: &str = "llumnix/discovery/";

/// Where an instance's metadata lies.
#[must_use]
pub fn metadata(instance_id: &str) -> String {
    [METADATA_PREFIX, instance_id].concat()
}

/// Where an instance's status lies.
#[must_use]
pub fn status(instance_id: &str) -> String {
    [STATUS_PREFIX, instance_id].concat()
}

/// Where a pod's discovery record lies in Redis.
#[must_use]
pub fn redis_discovery(pod: &str) -> String {
    [REDIS_DISCOVERY_PREFIX, pod].concat()
}

/// Where a pod's discovery record lies in etcd.
#[must_use]
pub fn etcd_discovery(pod: &str) -> String {
    [ETCD_DISCOVERY_PREFIX, pod].concat()
}

/// The id of a data-parallel rank: of an engine in the CMS, and of a pod in discovery.
#[must_use]
pub fn rank_id(name: &str, dp_rank: i32) -> String {
    format!("{name}_dp{dp_rank}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn keys_are_upstreams() {
        assert_eq!(super::metadata("a_dp0"), "llumnix:instance_metadata:a_dp0");
        assert_eq!(super::status("a_dp0"), "llumnix:instance_status:a_dp0");
        assert_eq!(super::redis_discovery("decode-0"), "llumnix:discovery:decode-0");
        assert_eq!(super::etcd_discovery("decode-0"), "llumnix/discovery/decode-0");
        assert_eq!(super::rank_id("decode-0", 3), "decode-0_dp3");
    }
}
