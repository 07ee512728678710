//! Where prompts come from: made up to a drawn length, or read from a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand::RngExt;
use rand::rngs::StdRng;
use serde::Deserialize;

use super::Lengths;

/// The source of prompts.
#[derive(Clone, Debug)]
pub enum Prompts {
    /// Made-up text of a drawn number of words, each about one token to a common tokenizer.
    Made(Lengths),
    /// The prompts of a JSON-lines file, taken in order and again from the top.
    Listed(Arc<[Listed]>),
}

/// One line of a prompt file: `{"prompt": "...", "max_tokens": 200}`; the second member is optional and outranks the
/// drawn output length.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Listed {
    /// The prompt, or the content of the one user message.
    pub prompt: String,
    /// How many tokens to ask for.
    #[serde(default)]
    pub max_tokens: Option<u32>,
}

/// Why a prompt file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PromptsError {
    /// The file cannot be read.
    #[error("cannot read prompts from {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A line is not an object with a `prompt`.
    #[error("{} line {line} is not {{\"prompt\": \"...\", \"max_tokens\": n}}: {error}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        error: serde_json::Error,
    },
    /// There is nothing in it.
    #[error("{} holds no prompt", .0.display())]
    Empty(PathBuf),
}

impl Prompts {
    /// Reads a JSON-lines file of prompts; blank lines are skipped.
    pub fn read(path: &Path) -> Result<Self, PromptsError> {
        let text =
            std::fs::read_to_string(path).map_err(|error| PromptsError::Read { path: path.to_owned(), error })?;
        let mut listed = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            listed.push(serde_json::from_str(line).map_err(|error| PromptsError::Line {
                path: path.to_owned(),
                line: index + 1,
                error,
            })?);
        }
        if listed.is_empty() {
            return Err(PromptsError::Empty(path.to_owned()));
        }
        Ok(Self::Listed(listed.into()))
    }

    /// The prompt of request `index`, and the output length that its line asks for.
    pub(super) fn draw(&self, index: u64, rng: &mut StdRng) -> (String, Option<u32>) {
        match self {
            Self::Made(lengths) => (words(lengths.draw(rng), rng), None),
            Self::Listed(listed) => {
                let at = usize::try_from(index % listed.len() as u64).unwrap_or(0);
                (listed[at].prompt.clone(), listed[at].max_tokens)
            }
        }
    }
}

/// Three-letter words and a blank: four characters, the usual rule of thumb for one token. Random, so that no prefix
/// cache finds two prompts alike.
fn words(count: u32, rng: &mut StdRng) -> String {
    let mut text = String::with_capacity(count as usize * 4);
    for _ in 0..count {
        for alphabet in [b"bcdfgklmnprst".as_slice(), b"aeiou", b"bdgklmnprst"] {
            text.push(char::from(alphabet[rng.random_range(0..alphabet.len())]));
        }
        text.push(' ');
    }
    text.pop();
    text
}
