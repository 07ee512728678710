//! A model's tokenizer and chat template, as its directory holds them.

use std::fs;
use std::path::Path;

use openai::Api;
use serde::Deserialize;
use serde_json::Value;
use tokenizers::Tokenizer;

use super::chat::Chat;
use super::segments::Segments;
use super::template::{Specials, Template};

/// A tokenizer, ready to cut.
#[derive(Debug)]
pub(crate) struct Model {
    segments: Segments,
    template: Option<Template>,
}

/// Why a prompt was not cut.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CutError {
    /// The request has no prompt that can be read as text.
    #[error("the request has no prompt that can be cut into tokens: {0}")]
    Prompt(String),
    /// The model has no chat template.
    #[error("the tokenizer has no chat template: give one as --chat-template")]
    NoTemplate,
    /// The template refuses the chat.
    #[error("the chat template refuses the messages: {0}")]
    Template(#[from] minijinja::Error),
    /// The tokenizer failed.
    #[error("the tokenizer failed: {0}")]
    Tokenizer(String),
}

/// `tokenizer_config.json`, as far as it matters here.
#[derive(Debug, Default, Deserialize)]
struct Settings {
    chat_template: Option<Templates>,
    bos_token: Option<Value>,
    eos_token: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Templates {
    One(String),
    Several(Vec<Named>),
}

#[derive(Debug, Deserialize)]
struct Named {
    name: String,
    template: String,
}

impl Settings {
    /// The text of a token that is written as itself or as an object about it.
    fn token(value: Option<&Value>) -> Option<String> {
        let value = value?;
        value.as_str().or_else(|| value["content"].as_str()).map(str::to_owned)
    }

    fn template(self) -> Option<String> {
        match self.chat_template? {
            Templates::One(template) => Some(template),
            Templates::Several(named) => {
                named.into_iter().find(|named| named.name == "default").map(|named| named.template)
            }
        }
    }
}

impl Model {
    /// Reads `tokenizer.json`, and the chat template from `template`, `chat_template.jinja` or `tokenizer_config.json`.
    ///
    /// # Errors
    /// Which file, and what is wrong with it.
    pub(super) fn load(directory: &Path, template: Option<&Path>) -> Result<Self, String> {
        let file = directory.join("tokenizer.json");
        let tokenizer = Tokenizer::from_file(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let settings = directory.join("tokenizer_config.json");
        let settings: Settings = match fs::read(&settings) {
            Ok(json) => serde_json::from_slice(&json).map_err(|error| format!("{}: {error}", settings.display()))?,
            Err(_) => Settings::default(),
        };
        let specials = Specials {
            bos: Settings::token(settings.bos_token.as_ref()),
            eos: Settings::token(settings.eos_token.as_ref()),
        };
        let beside = directory.join("chat_template.jinja");
        let text = match template.or_else(|| beside.exists().then_some(beside.as_path())) {
            Some(path) => Some(fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?),
            None => settings.template(),
        };
        let template = text.map(|text| Template::new(text, specials)).transpose();
        let template = template.map_err(|error| format!("chat template: {error}"))?;
        Ok(Self { segments: Segments::new(tokenizer)?, template })
    }

    /// Cuts the prompt of a request.
    pub(super) fn cut(&self, api: Api, body: &[u8]) -> Result<Vec<u32>, CutError> {
        let chat: Chat = serde_json::from_slice(body).map_err(|error| CutError::Prompt(error.to_string()))?;
        match api {
            Api::ChatCompletions | Api::Messages | Api::Responses => {
                let template = self.template.as_ref().ok_or(CutError::NoTemplate)?;
                self.segments.cut(&template.render(&chat)?)
            }
            Api::Completions | Api::Generate | Api::Embeddings => self.texts(&chat),
        }
    }

    /// Cuts texts, or takes the ids that stand for them.
    fn texts(&self, chat: &Chat) -> Result<Vec<u32>, CutError> {
        let special = chat.add_special_tokens.unwrap_or(true);
        let nothing = || CutError::Prompt("there is none".to_owned());
        let mut ids = Vec::new();
        match chat.prompt.as_ref().or(chat.input.as_ref()).ok_or_else(nothing)? {
            Value::String(text) => ids = self.segments.whole(text, special)?,
            Value::Array(items) => {
                for item in items {
                    match item {
                        Value::String(text) => ids.append(&mut self.segments.whole(text, special)?),
                        Value::Array(numbers) => ids.extend(numbers.iter().filter_map(id)),
                        number => ids.extend(id(number)),
                    }
                }
            }
            _ => return Err(nothing()),
        }
        Ok(ids)
    }
}

fn id(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}
