//! `/openapi.json`: what the gateway serves, as OpenAPI 3.1, made from the table that requests are routed by.
//!
//! Bodies are described as far as the gateway reads them. What else they may hold is between the client and the engine, so
//! every object says that more members are allowed.

use openai::Api;
use serde_json::{Map, Value, json};

use crate::routes::Route;

#[cfg(test)]
mod tests;

/// The whole document.
pub(crate) fn document() -> Value {
    let paths: Map<_, _> = Route::ALL.into_iter().map(|route| (route.path().to_owned(), path(route))).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Candor gateway",
            "description": "OpenAI's API, and Anthropic's messages, over many engines.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "headers": headers(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A key of --api-keys-file."},
                "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "The same, as Anthropic's clients send it."},
            },
        },
    })
}

fn path(route: Route) -> Value {
    let mut operation = json!({
        "summary": summary(route),
        "operationId": operation_id(route),
        "responses": responses(route),
        // Keys are asked for only where the gateway was given some.
        "security": if route.needs_key() { json!([{"bearer": []}, {"apiKey": []}, {}]) } else { json!([{}]) },
    });
    if let Some(schema) = request(route) {
        operation["requestBody"] =
            json!({"required": true, "content": {"application/json": {"schema": reference(schema)}}});
    }
    if route.posts() { json!({"post": operation}) } else { json!({"get": operation, "head": head(&operation)}) }
}

/// `HEAD` is `GET` without a body.
fn head(get: &Value) -> Value {
    let mut head = get.clone();
    head["operationId"] = json!(format!("{}Head", get["operationId"].as_str().unwrap_or_default()));
    head
}

const fn summary(route: Route) -> &'static str {
    match route {
        Route::Inference(Api::ChatCompletions) => "Answer a chat",
        Route::Inference(Api::Completions) => "Continue a text",
        Route::Inference(Api::Responses) => "Make a response",
        Route::Inference(Api::Messages) => "Answer messages, in Anthropic's API",
        Route::Inference(Api::Embeddings) => "Turn texts into vectors",
        Route::Inference(Api::Generate) => "Continue tokens",
        Route::Tokenize => "Turn a prompt into tokens",
        Route::Models => "The models that the engines serve",
        Route::Health => "Whether the process lives",
        Route::Ready => "Whether requests can be served: an engine answers, and the gateway does not drain",
        Route::Metrics => "Prometheus metrics",
        Route::Config => "Effective settings, and where each came from; secrets are masked",
        Route::OpenApi => "This document",
    }
}

const fn operation_id(route: Route) -> &'static str {
    match route {
        Route::Inference(api) => api.name(),
        Route::Tokenize => "tokenize",
        Route::Models => "models",
        Route::Health => "healthz",
        Route::Ready => "readyz",
        Route::Metrics => "metrics",
        Route::Config => "config",
        Route::OpenApi => "openapi",
    }
}

/// The schema of the body that clients post.
const fn request(route: Route) -> Option<&'static str> {
    match route {
        Route::Inference(Api::ChatCompletions) => Some("ChatRequest"),
        Route::Inference(Api::Completions | Api::Generate) => Some("CompletionRequest"),
        Route::Inference(Api::Responses) => Some("ResponseRequest"),
        Route::Inference(Api::Messages) => Some("MessageRequest"),
        Route::Inference(Api::Embeddings) => Some("EmbeddingRequest"),
        Route::Tokenize => Some("TokenizeRequest"),
        _ => None,
    }
}

fn responses(route: Route) -> Value {
    let mut responses = Map::new();
    responses.insert("200".to_owned(), success(route));
    let errors: &[(&str, &str)] = match route {
        Route::Inference(_) => &[
            ("400", "The body is not what the API wants, or the engine refuses it"),
            ("401", "No valid key"),
            ("413", "The body exceeds --max-body-bytes"),
            ("429", "Too much is going on; Retry-After says when to come back"),
            ("502", "An engine answered nothing usable"),
            ("503", "Nobody is there to serve it"),
            ("504", "An engine took too long"),
        ],
        Route::Tokenize => &[
            ("400", "The body is not what the API wants"),
            ("401", "No valid key"),
            ("413", "The body exceeds --max-body-bytes"),
            ("502", "An engine answered nothing usable"),
            ("503", "Nobody is there to serve it"),
        ],
        Route::Models => &[("401", "No valid key"), ("503", "No engine answers")],
        Route::Config => &[("401", "No valid key")],
        Route::Ready => &[("503", "Not ready, and why")],
        Route::Health | Route::Metrics | Route::OpenApi => &[],
    };
    let shape = match route {
        Route::Inference(Api::Messages) => "AnthropicError",
        Route::Ready => "Readiness",
        _ => "Error",
    };
    for (status, description) in errors {
        let content = json!({"application/json": {"schema": reference(shape)}});
        responses.insert((*status).to_owned(), response(description, &content));
    }
    Value::Object(responses)
}

fn success(route: Route) -> Value {
    let json = |schema: Value| json!({"application/json": {"schema": schema}});
    let content = match route {
        Route::Inference(Api::Embeddings) => json(reference("Answer")),
        Route::Inference(_) => json!({
            "application/json": {"schema": reference("Answer")},
            "text/event-stream": {"schema": {"type": "string", "description": "Where the request says `stream`."}},
        }),
        Route::Tokenize => json(reference("Tokens")),
        Route::Models => json(reference("Models")),
        Route::Ready => json(reference("Readiness")),
        Route::Metrics => json!({
            "text/plain": {"schema": {"type": "string"}},
            "application/openmetrics-text": {"schema": {"type": "string"}},
        }),
        Route::Config => json(reference("Settings")),
        Route::Health | Route::OpenApi => json(json!({"type": "object"})),
    };
    response("Done", &content)
}

fn response(description: &str, content: &Value) -> Value {
    json!({
        "description": description,
        "headers": {
            "x-request-id": {"$ref": "#/components/headers/RequestId"},
            "server-timing": {"$ref": "#/components/headers/ServerTiming"},
        },
        "content": content,
    })
}

fn headers() -> Value {
    json!({
        "RequestId": {
            "description": "The request's name: the client's own where it sent one, and the same on every leg.",
            "schema": {"type": "string"},
        },
        "ServerTiming": {
            "description": "Where the time went so far; of a stream, the rest is in a trailer of this name.",
            "schema": {"type": "string"},
        },
    })
}

fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

/// An object with these members, and whatever else the engine understands.
fn object(required: &[&str], properties: &Value) -> Value {
    json!({"type": "object", "required": required, "properties": properties, "additionalProperties": true})
}

fn schemas() -> Value {
    let text = json!({"type": "string"});
    let flag = json!({"type": ["boolean", "null"]});
    let count = json!({"type": ["integer", "null"], "minimum": 0});
    let list = json!({"type": "array"});
    let texts = json!({"type": ["string", "array"]});
    let options =
        json!({"type": ["object", "null"], "properties": {"include_usage": flag, "continuous_usage_stats": flag}});
    let error = json!({"type": "object", "required": ["message", "type", "param", "code"], "properties": {
        "message": text, "type": text, "param": {"type": ["string", "null"]}, "code": {"type": ["string", "null"]}}});
    let anthropic =
        json!({"type": "object", "required": ["type", "message"], "properties": {"type": text, "message": text}});
    json!({
        "ChatRequest": object(&["messages"], &json!({"model": text, "messages": list, "stream": flag, "n": count,
            "stream_options": options, "max_tokens": count, "max_completion_tokens": count})),
        "CompletionRequest": object(&["prompt"], &json!({"model": text, "prompt": texts, "stream": flag, "n": count,
            "stream_options": options, "max_tokens": count})),
        "ResponseRequest": object(&["input"], &json!({"model": text, "input": texts, "stream": flag, "max_output_tokens": count})),
        "MessageRequest": object(&["messages", "max_tokens"], &json!({"model": text, "messages": list, "stream": flag,
            "max_tokens": count})),
        "EmbeddingRequest": object(&["input"], &json!({"model": text, "input": texts})),
        "TokenizeRequest": object(&[], &json!({"model": text, "prompt": text, "messages": list})),
        "Answer": object(&[], &json!({"id": text, "model": text, "usage": {"type": ["object", "null"]}})),
        "Tokens": object(&["count", "tokens"], &json!({"count": {"type": "integer"}, "max_model_len": count,
            "tokens": {"type": "array", "items": {"type": "integer"}}})),
        "Models": object(&["object", "data"], &json!({"object": {"const": "list"}, "data": list})),
        "Readiness": object(&["status", "instances"], &json!({"status": text, "instances": {"type": "integer"}, "answering": count})),
        "Settings": object(&["settings"], &json!({"settings": {"type": "array", "items": object(
            &["name", "value", "source"],
            &json!({"name": text, "value": {"type": ["string", "null"]}, "source": {"enum": SOURCES}}),
        )}})),
        "Error": object(&["error"], &json!({"error": error})),
        "AnthropicError": object(&["type", "error"], &json!({"type": {"const": "error"}, "error": anthropic})),
    })
}

/// Where a setting may come from.
const SOURCES: [&str; 5] = ["default", "file", "env", "flag", "extra-args"];
