//! Members by which a request names hosts. They are the coordinator's to set, never a client's.
//!
//! An engine believes `kv_transfer_params.remote_host`: whoever sets it makes the engine open a connection there. The
//! same goes for SGLang's `bootstrap_*` and for the encoder's `ec_transfer_params`. vLLM also takes the first from its
//! side doors for engine arguments: `vllm_xargs`, and `sampling_params.extra_args` of the token-in API.

use std::sync::LazyLock;

use bytes::Bytes;
use memchr::{memchr, memmem};
use openai::{Body, Edit};

/// Top-level members that name hosts.
pub(crate) const MEMBERS: [&str; 6] = [
    "kv_transfer_params",
    "ec_transfer_params",
    "bootstrap_host",
    "bootstrap_port",
    "bootstrap_room",
    "bootstrap_pair_key",
];

/// Members that vLLM passes on to its connectors from inside another one.
const NESTED: [&str; 2] = ["kv_transfer_params", "ec_transfer_params"];

/// Whether `body` may hold a member that names hosts: a search of the raw bytes, without a parse.
///
/// False positives cost a parse. There is no false negative: a member name appears in JSON either as it is or with an
/// escape, and an escape of any of these (ASCII) characters begins with `\u00`; and engines in Python also take JSON in
/// UTF-16 and UTF-32, where an ASCII character always has a zero byte beside it.
#[must_use]
pub fn suspicious(body: &[u8]) -> bool {
    static SIGNS: LazyLock<[memmem::Finder<'static>; 3]> =
        LazyLock::new(|| ["_transfer_params", "bootstrap_", "\\u00"].map(memmem::Finder::new));
    memchr(0, body).is_some() || SIGNS.iter().any(|sign| sign.find(body).is_some())
}

/// The client's bytes without the members that name hosts; the very same bytes where there are none.
#[must_use]
pub fn strip(body: &Body) -> Bytes {
    if !suspicious(body.bytes()) || !names_hosts(body) {
        return body.bytes().clone();
    }
    edit(body).build()
}

/// Begins an edit of `body` that has all members which name hosts removed.
pub(crate) fn edit(body: &Body) -> Edit<'_> {
    let mut edit = body.edit();
    if !suspicious(body.bytes()) {
        return edit;
    }
    for name in MEMBERS.into_iter().filter(|name| body.get(name).is_some()) {
        edit = edit.remove(name);
    }
    for name in NESTED {
        if body.get_in("vllm_xargs", name).is_some() {
            edit = edit.remove_in("vllm_xargs", name);
        }
    }
    match extra_args_without_hosts(body) {
        Some(clean) => edit.set_in("sampling_params", "extra_args", Vec::from(clean)),
        None => edit,
    }
}

fn names_hosts(body: &Body) -> bool {
    MEMBERS.iter().any(|name| body.get(name).is_some())
        || NESTED.iter().any(|name| body.get_in("vllm_xargs", name).is_some())
        || extra_args_without_hosts(body).is_some()
}

/// `sampling_params.extra_args` without its members that name hosts, if it has any.
fn extra_args_without_hosts(body: &Body) -> Option<Bytes> {
    let raw = body.get_in("sampling_params", "extra_args")?;
    let args = Body::parse(Bytes::copy_from_slice(raw)).ok()?;
    if NESTED.iter().all(|name| args.get(name).is_none()) {
        return None;
    }
    Some(NESTED.into_iter().fold(args.edit(), Edit::remove).build())
}
