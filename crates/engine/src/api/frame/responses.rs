//! The Responses API, as vLLM serves it: named and numbered events, the first two of which come before anything is computed.

use super::{Ending, Terms, Tools, Usage, event};
use serde_json::{Value, json};

/// What the events of one response share, and how far it is.
#[derive(Clone, Debug)]
pub(crate) struct Responding {
    id: String,
    item: String,
    model: String,
    created: u64,
    tools: Option<Tools>,
    /// Number of the next event.
    next: u64,
    /// What has been generated so far: text, or arguments.
    output: String,
    /// Whether the token limit cut it off.
    cut: bool,
}

impl Responding {
    pub(super) fn new(terms: Terms<'_>, tools: Option<Tools>) -> Self {
        let name = terms.id.strip_prefix("resp_").unwrap_or(terms.id);
        Self {
            id: terms.id.to_owned(),
            item: format!("{}_{name}", if tools.is_some() { "fc" } else { "msg" }),
            model: terms.model.to_owned(),
            created: terms.created,
            tools,
            next: 0,
            output: String::new(),
            cut: false,
        }
    }

    pub(super) fn open(&mut self, out: &mut Vec<u8>) {
        let response = self.response("in_progress", &[], None);
        for name in ["response.created", "response.in_progress"] {
            self.send(name, json!({"response": response}), out);
        }
    }

    pub(super) fn first(&mut self, out: &mut Vec<u8>) {
        let item = self.item("in_progress");
        self.send("response.output_item.added", json!({"output_index": 0, "item": item}), out);
        if self.tools.is_none() {
            let part = self.part();
            self.send_part("response.content_part.added", json!({"part": part}), out);
        }
    }

    pub(super) fn token(&mut self, text: (&str, &str), first: bool, closes: bool, out: &mut Vec<u8>) {
        let (name, piece) = match &self.tools {
            Some(tools) => ("response.function_call_arguments.delta", tools.piece(text, first, closes)),
            None => ("response.output_text.delta", format!("{}{}", text.0, text.1)),
        };
        self.output.push_str(&piece);
        let mut members = json!({"delta": piece});
        if self.tools.is_none() {
            members["logprobs"] = json!([]);
        }
        self.send_part(name, members, out);
    }

    pub(super) fn last(&mut self, text: (&str, &str), ending: Ending<'_>, tokens: u32, out: &mut Vec<u8>) {
        let closes = self.tools.is_some() && tokens > 0 && ending.reason == "stop";
        if text != ("", "") || closes {
            self.token(text, tokens == 1 && text != ("", ""), closes, out);
        }
        self.cut = ending.reason == "length";
        let output = self.output.clone();
        match self.tools.as_ref().map(|tools| tools.name.clone()) {
            Some(name) => {
                let members = json!({"arguments": output, "name": name});
                self.send_part("response.function_call_arguments.done", members, out);
            }
            None => {
                self.send_part("response.output_text.done", json!({"text": output, "logprobs": []}), out);
                let part = self.part();
                self.send_part("response.content_part.done", json!({"part": part}), out);
            }
        }
        let item = self.item("completed");
        self.send("response.output_item.done", json!({"output_index": 0, "item": item}), out);
    }

    pub(super) fn end(&mut self, usage: Usage, out: &mut Vec<u8>) {
        let status = if self.cut { "incomplete" } else { "completed" };
        let response = self.response(status, &[self.item("completed")], Some(usage));
        self.send("response.completed", json!({"response": response}), out);
    }

    pub(super) fn fail(&self, message: &str, out: &mut Vec<u8>) {
        let error = json!({
            "type": "error", "code": "server_error", "message": message, "param": null, "sequence_number": self.next,
        });
        event("error", &error, out);
    }

    pub(super) fn document(&self, choices: &[(String, Ending<'_>)], usage: Usage, kv: Option<&str>) -> Vec<u8> {
        let Some((text, ending)) = choices.first() else { return Vec::new() };
        let mut whole = self.clone();
        whole.output = match &self.tools {
            Some(tools) => tools.arguments(text, *ending),
            None => text.clone(),
        };
        whole.cut = ending.reason == "length";
        let status = if whole.cut { "incomplete" } else { "completed" };
        let mut response = whole.response(status, &[whole.item("completed")], Some(usage));
        response["kv_transfer_params"] = kv.and_then(|kv| serde_json::from_str(kv).ok()).unwrap_or_default();
        response.to_string().into_bytes()
    }

    fn response(&self, status: &str, output: &[Value], usage: Option<Usage>) -> Value {
        let cut = self.cut.then(|| json!({"reason": "max_output_tokens"}));
        json!({
            "id": self.id, "object": "response", "created_at": self.created, "status": status, "model": self.model,
            "output": output, "error": null, "incomplete_details": cut, "instructions": null, "metadata": null,
            "parallel_tool_calls": true, "temperature": 1.0, "top_p": 1.0, "tool_choice": "auto", "tools": [],
            "truncation": "disabled", "usage": usage.map(counted),
        })
    }

    fn item(&self, status: &str) -> Value {
        let content = if status == "completed" { vec![self.part()] } else { Vec::new() };
        match &self.tools {
            Some(tools) => json!({
                "id": self.item, "type": "function_call", "call_id": tools.id("call_", 0), "name": tools.name,
                "arguments": self.output, "status": status,
            }),
            None => json!({
                "id": self.item, "type": "message", "role": "assistant", "status": status, "content": content,
            }),
        }
    }

    fn part(&self) -> Value {
        json!({"type": "output_text", "text": self.output, "annotations": [], "logprobs": []})
    }

    fn send_part(&mut self, name: &str, mut members: Value, out: &mut Vec<u8>) {
        members["item_id"] = json!(self.item);
        members["output_index"] = json!(0);
        if self.tools.is_none() {
            members["content_index"] = json!(0);
        }
        self.send(name, members, out);
    }

    fn send(&mut self, name: &str, mut members: Value, out: &mut Vec<u8>) {
        members["type"] = json!(name);
        members["sequence_number"] = json!(self.next);
        self.next += 1;
        event(name, &members, out);
    }
}

fn counted(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cached.unwrap_or(0)},
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.prompt + usage.completion,
    })
}
