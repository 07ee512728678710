//! What chats of the different APIs are to a chat template: a list of messages, each a role and its text.

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The members of a request that make its prompt.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Chat {
    /// Chat's and Anthropic's.
    messages: Option<Vec<Value>>,
    /// Anthropic's system prompt.
    system: Option<Value>,
    /// The Responses API's, and embeddings' texts.
    pub(super) input: Option<Value>,
    /// The Responses API's system prompt.
    instructions: Option<String>,
    /// Completions'.
    pub(super) prompt: Option<Value>,
    /// Kept in their order, which the template may write down.
    pub(super) tools: Option<minijinja::Value>,
    pub(super) add_generation_prompt: Option<bool>,
    pub(super) add_special_tokens: Option<bool>,
    /// vLLM's: more variables for the template.
    pub(super) chat_template_kwargs: Option<Map<String, Value>>,
}

impl Chat {
    /// The messages as the template gets them.
    pub(super) fn messages(&self) -> Vec<Value> {
        let system = self.system.as_ref().map(text);
        let system = system.or_else(|| self.instructions.clone());
        let opening = system.map(|system| json!({"role": "system", "content": system}));
        let said: Vec<Value> = match (&self.messages, &self.input) {
            (Some(messages), _) => messages.iter().map(flattened).collect(),
            (None, Some(Value::Array(items))) => items.iter().map(flattened).collect(),
            (None, Some(input)) => vec![json!({"role": "user", "content": text(input)})],
            (None, None) => Vec::new(),
        };
        opening.into_iter().chain(said).collect()
    }
}

/// A message whose content is text: most templates know no other, and engines flatten it alike. What is no text, such as an
/// image, counts nothing here.
fn flattened(message: &Value) -> Value {
    let Some(members) = message.as_object() else {
        return json!({"role": "user", "content": text(message)});
    };
    let content = members.get("content").filter(|content| !content.is_null()).or_else(|| members.get("output"));
    let mut flat = members.clone();
    flat.remove("output");
    flat.entry("role").or_insert_with(|| json!("tool"));
    if let Some(content) = content {
        flat.insert("content".to_owned(), json!(text(content)));
    }
    Value::Object(flat)
}

/// The text of content: itself, or that of its parts, a line each.
fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts = parts.iter().map(|part| match part {
                Value::String(text) => text.clone(),
                part if part["text"].is_string() => text(&part["text"]),
                part => text(&part["content"]),
            });
            texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(body: Value) -> Value {
        serde_json::from_value::<Chat>(body).unwrap().messages().into()
    }

    #[test]
    fn every_api_becomes_a_list_of_roles_and_texts() {
        let user = json!({"role": "user", "content": "hi"});
        for body in [
            json!({"messages": [user]}),
            json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image_url"}]}]}),
            json!({"input": "hi"}),
            json!({"input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]}),
        ] {
            assert_eq!(messages(body.clone()), json!([user]), "{body}");
        }
        let system = json!([{"role": "system", "content": "be brief"}, user]);
        assert_eq!(messages(json!({"system": [{"type": "text", "text": "be brief"}], "messages": [user]})), system);
        assert_eq!(messages(json!({"instructions": "be brief", "input": "hi"})), system);
        let result = json!({"input": [{"type": "function_call_output", "call_id": "c", "output": "rain"}]});
        assert_eq!(messages(result)[0]["content"], "rain");
        let calls = json!({"role": "assistant", "content": null, "tool_calls": [{"id": "x"}]});
        assert_eq!(messages(json!({"messages": [calls]}))[0]["tool_calls"][0]["id"], "x");
    }
}
