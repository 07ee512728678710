//! Anthropic's messages, as vLLM serves them: named events, and `[DONE]` after the last, which Anthropic itself does not send.

use super::{DONE, Ending, Terms, Tools, Usage, event};
use serde_json::{Value, json};

/// What the events of one message share.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    id: String,
    model: String,
    prompt: u32,
    tools: Option<Tools>,
    /// `stop_reason` and `stop_sequence`, once the text has ended.
    stopped: (&'static str, Option<String>),
}

impl Message {
    pub(super) fn new(terms: Terms<'_>, tools: Option<Tools>) -> Self {
        let (id, model) = (terms.id.to_owned(), terms.model.to_owned());
        Self { id, model, prompt: terms.prompt, tools, stopped: ("end_turn", None) }
    }

    /// The message without content, and the opening of its only block.
    pub(super) fn first(&self, out: &mut Vec<u8>) {
        let usage = json!({"input_tokens": self.prompt, "output_tokens": 0});
        let mut message = self.envelope(&json!([]), &usage);
        message["stop_reason"] = Value::Null;
        event("message_start", &json!({"type": "message_start", "message": message}), out);
        let block = match &self.tools {
            Some(tools) => {
                json!({"type": "tool_use", "id": tools.id("toolu_", 0), "name": tools.name, "input": {}})
            }
            None => json!({"type": "text", "text": ""}),
        };
        event("content_block_start", &json!({"type": "content_block_start", "index": 0, "content_block": block}), out);
    }

    /// A delta; for text that is empty there is none, as in vLLM.
    pub(super) fn token(&self, text: (&str, &str), first: bool, closes: bool, out: &mut Vec<u8>) {
        if text == ("", "") && !closes && self.tools.is_none() {
            return;
        }
        let delta = match &self.tools {
            Some(tools) => json!({"type": "input_json_delta", "partial_json": tools.piece(text, first, closes)}),
            None => json!({"type": "text_delta", "text": format!("{}{}", text.0, text.1)}),
        };
        event("content_block_delta", &json!({"type": "content_block_delta", "index": 0, "delta": delta}), out);
    }

    pub(super) fn last(&mut self, text: (&str, &str), ending: Ending<'_>, tokens: u32, out: &mut Vec<u8>) {
        let closes = self.tools.is_some() && tokens > 0 && ending.reason == "stop";
        if text != ("", "") || closes {
            self.token(text, tokens == 1 && text != ("", ""), closes, out);
        }
        event("content_block_stop", &json!({"type": "content_block_stop", "index": 0}), out);
        self.stopped = self.stop(ending);
    }

    pub(super) fn end(&self, usage: Usage, out: &mut Vec<u8>) {
        let (reason, sequence) = &self.stopped;
        let delta = json!({"stop_reason": reason, "stop_sequence": sequence});
        event("message_delta", &json!({"type": "message_delta", "delta": delta, "usage": counted(usage)}), out);
        event("message_stop", &json!({"type": "message_stop"}), out);
        out.extend_from_slice(DONE);
    }

    pub(super) fn document(&self, choices: &[(String, Ending<'_>)], usage: Usage, kv: Option<&str>) -> Vec<u8> {
        let Some((text, ending)) = choices.first() else { return Vec::new() };
        let block = match &self.tools {
            Some(tools) => {
                let input = serde_json::from_str(&tools.arguments(text, *ending)).unwrap_or_else(|_| json!({}));
                json!({"type": "tool_use", "id": tools.id("toolu_", 0), "name": tools.name, "input": input})
            }
            None => json!({"type": "text", "text": text}),
        };
        let mut message = self.envelope(&json!([block]), &counted(usage));
        let (reason, sequence) = self.stop(*ending);
        message["stop_reason"] = json!(reason);
        message["stop_sequence"] = json!(sequence);
        message["kv_transfer_params"] = kv.and_then(|kv| serde_json::from_str(kv).ok()).unwrap_or_default();
        message.to_string().into_bytes()
    }

    fn envelope(&self, content: &Value, usage: &Value) -> Value {
        json!({
            "id": self.id, "type": "message", "role": "assistant", "content": content, "model": self.model,
            "stop_reason": null, "stop_sequence": null, "usage": usage,
        })
    }

    fn stop(&self, ending: Ending<'_>) -> (&'static str, Option<String>) {
        match (ending.reason, ending.stop) {
            ("length", _) => ("max_tokens", None),
            ("stop", Some(stop)) => ("stop_sequence", Some(stop.to_owned())),
            ("stop", None) if self.tools.is_some() => ("tool_use", None),
            _ => ("end_turn", None),
        }
    }
}

fn counted(usage: Usage) -> Value {
    let mut counted = json!({"input_tokens": usage.prompt, "output_tokens": usage.completion});
    if let Some(cached) = usage.cached {
        counted["cache_read_input_tokens"] = json!(cached);
    }
    counted
}
