//! One-token legs: a prefill leg, and the decode leg that only releases what a prefill holds.

use openai::{Api, Body, Edit};

/// Makes `edit` ask for one token: every upper limit of the API set to 1, also where the client gave none (an engine's
/// default may be thousands), and `min_tokens` lowered with it, since vLLM refuses a minimum above the maximum.
pub(crate) fn one_token<'a>(api: Api, body: &Body, edit: Edit<'a>) -> Edit<'a> {
    api.token_limits().iter().fold(edit, |edit, limit| {
        let lower_bound = limit.name == "min_tokens";
        if lower_bound && !body.get_at(*limit).is_some_and(exceeds_one) {
            return edit;
        }
        edit.set_at(*limit, b"1".as_slice())
    })
}

/// A number above one. What is no number stays as it is: the engine will say so better than we could.
fn exceeds_one(raw: &[u8]) -> bool {
    std::str::from_utf8(raw).ok().and_then(|text| text.parse::<f64>().ok()).is_some_and(|number| number > 1.0)
}
