//! `/v1/embeddings`: texts in, vectors out.
//!
//! A vector follows from its text alone, is of unit length, and means nothing.

use super::Refusal;
use crate::core::hash::{self, TokenId};
use crate::text;
use serde::Deserialize;
use serde_json::{Value, json};

/// The length of a vector where the client asks for none.
const DIMENSIONS: usize = 64;
/// The longest that is made.
const MOST_DIMENSIONS: usize = 8192;
/// Most inputs of one request.
const MOST_INPUTS: usize = 256;

/// A request, understood and checked.
#[derive(Debug)]
pub(crate) struct Embeddings {
    pub(crate) model: Option<String>,
    /// The tokens of each input.
    pub(crate) inputs: Vec<Vec<TokenId>>,
    dimensions: usize,
    base64: bool,
}

#[derive(Deserialize)]
struct Wire {
    model: Option<String>,
    input: Input,
    dimensions: Option<usize>,
    encoding_format: Option<Format>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Input {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<TokenId>),
    Batches(Vec<Vec<TokenId>>),
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Format {
    Float,
    Base64,
}

impl Embeddings {
    /// Reads and checks a body. No input may have more than `max_model_len` tokens.
    ///
    /// # Errors
    /// What the client did wrong.
    pub(crate) fn parse(body: &[u8], max_model_len: u32) -> Result<Self, Refusal> {
        let wire: Wire = serde_json::from_slice(body).map_err(|error| Refusal::bad_request(error.to_string()))?;
        let tokenize = |text: &String| {
            let mut tokens = Vec::new();
            text::tokenize(text, &mut tokens);
            tokens
        };
        let inputs: Vec<_> = match wire.input {
            Input::Text(text) => vec![tokenize(&text)],
            Input::Texts(texts) => texts.iter().map(tokenize).collect(),
            Input::Tokens(tokens) => vec![tokens],
            Input::Batches(batches) => batches,
        };
        let dimensions = wire.dimensions.unwrap_or(DIMENSIONS);
        let wrong = |what: String, param| Err(Refusal::bad_request(what).with_param(param));
        if inputs.is_empty() || inputs.len() > MOST_INPUTS || inputs.iter().any(Vec::is_empty) {
            return wrong(format!("input must be 1 to {MOST_INPUTS} texts, none of them empty"), "input");
        }
        if let Some(long) = inputs.iter().map(Vec::len).find(|length| *length >= max_model_len as usize) {
            return wrong(
                format!("This model's maximum context length is {max_model_len} tokens, the input has {long}"),
                "input",
            );
        }
        if !(1..=MOST_DIMENSIONS).contains(&dimensions) {
            return wrong(format!("dimensions must be from 1 to {MOST_DIMENSIONS}"), "dimensions");
        }
        let base64 = wire.encoding_format == Some(Format::Base64);
        Ok(Self { model: wire.model, inputs, dimensions, base64 })
    }

    /// The answer's document.
    pub(crate) fn document(&self, id: &str, model: &str, created: u64) -> Value {
        let data = self.inputs.iter().enumerate().map(|(index, tokens)| {
            let vector = vector(tokens, self.dimensions);
            let embedding = if self.base64 {
                let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
                json!(base64(&bytes))
            } else {
                json!(vector)
            };
            json!({"index": index, "object": "embedding", "embedding": embedding})
        });
        let data: Vec<_> = data.collect();
        let tokens: usize = self.inputs.iter().map(Vec::len).sum();
        json!({
            "id": id, "object": "list", "created": created, "model": model, "data": data,
            "usage": {
                "prompt_tokens": tokens, "total_tokens": tokens, "completion_tokens": 0, "prompt_tokens_details": null,
            },
        })
    }
}

fn vector(tokens: &[TokenId], dimensions: usize) -> Vec<f32> {
    let seed = tokens.iter().fold(7, |state, token| hash::fold(state, u64::from(*token)));
    let raw: Vec<f64> = (0..dimensions as u64).map(|index| hash::unit(hash::fold(seed, index)) * 2.0 - 1.0).collect();
    let length = raw.iter().map(|value| value * value).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    raw.iter().map(|value| (value / length) as f32).collect()
}

/// Standard base64 with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |index| u32::from(chunk.get(index).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let there = digit <= chunk.len();
            let value = (word >> (18 - 6 * digit)) & 63;
            text.push(if there { char::from(DIGITS[value as usize]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_the_standards() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xff, 0xfe]), "//4=");
    }

    #[test]
    fn inputs_come_in_four_forms_and_vectors_follow_from_them() {
        let parse = |input: &str| Embeddings::parse(format!(r#"{{"input": {input}}}"#).as_bytes(), 100).unwrap();
        for (input, count) in [(r#""a b""#, 1), (r#"["a b", "c"]"#, 2), ("[5, 6]", 1), ("[[5, 6], [7]]", 2)] {
            assert_eq!(parse(input).inputs.len(), count, "{input}");
        }
        let (one, two) = (parse(r#""a b""#).document("i", "m", 1), parse(r#"["x", "a b"]"#).document("i", "m", 1));
        assert_eq!(one["data"][0]["embedding"], two["data"][1]["embedding"]);
        assert_ne!(one["data"][0]["embedding"], two["data"][0]["embedding"]);
        let squares = one["data"][0]["embedding"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap().powi(2));
        assert!((squares.sum::<f64>() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn wrong_requests_are_refused() {
        for body in [
            "{}",
            r#"{"input": []}"#,
            r#"{"input": ""}"#,
            r#"{"input": ["a", ""]}"#,
            r#"{"input": "a", "dimensions": 0}"#,
            r#"{"input": "a b c d"}"#,
            r#"{"input": "a", "encoding_format": "int"}"#,
        ] {
            assert!(Embeddings::parse(body.as_bytes(), 4).is_err(), "{body}");
        }
    }
}
