//! A small tokenizer, made here: byte-level with a few merges, as most models of today have it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::process::ProcessError;

const TEMPLATE: &str = "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n\
                        {% endfor %}<|im_start|>assistant\n";

/// Pairs that stand for more than a byte, most frequent first; each half is a byte or stands above.
const MERGES: [(&str, &str); 16] = [
    ("t", "h"),
    ("th", "e"),
    ("i", "n"),
    ("e", "r"),
    ("a", "n"),
    ("o", "n"),
    ("Ġ", "the"),
    ("in", "g"),
    ("o", "r"),
    ("Ġ", "a"),
    ("an", "d"),
    ("e", "n"),
    ("s", "t"),
    ("Ġ", "s"),
    ("s", "h"),
    ("sh", "or"),
];

/// Puts its files into a folder of `directory`; returns the folder.
pub(super) fn put(directory: &Path) -> Result<PathBuf, ProcessError> {
    let folder = directory.join("tokenizer");
    let written = fs::create_dir_all(&folder)
        .and_then(|()| fs::write(folder.join("tokenizer.json"), tokenizer().to_string()))
        .and_then(|()| fs::write(folder.join("tokenizer_config.json"), json!({"chat_template": TEMPLATE}).to_string()));
    written.map_err(ProcessError::io("cannot write the tokenizer"))?;
    Ok(folder)
}

fn tokenizer() -> Value {
    let mut vocab: Map<String, Value> = (0..=255_u8).map(|byte| (letter(byte).to_string(), json!(byte))).collect();
    for (id, (left, right)) in (256..).zip(MERGES) {
        vocab.insert(format!("{left}{right}"), json!(id));
    }
    let special = |id: u32, content: &str| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
            "special": true})
    };
    let merges: Vec<Value> = MERGES.iter().map(|(left, right)| json!([left, right])).collect();
    json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null, "decoder": null,
        "added_tokens": [special(1000, "<|im_start|>"), special(1001, "<|im_end|>")],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "vocab": vocab, "merges": merges},
    })
}

/// The letter that stands for a byte: a printable one for itself, the others from U+0100 on, in order.
fn letter(byte: u8) -> char {
    let printable = |byte: u8| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    if printable(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|&other| !printable(other)).count() as u32;
    char::from_u32(0x100 + before).unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_byte_has_a_letter_of_its_own() {
        let letters: BTreeSet<char> = (0..=255).map(letter).collect();
        assert_eq!(letters.len(), 256);
        assert_eq!((letter(b' '), letter(b'\n'), letter(b'a')), ('Ġ', 'Ċ', 'a'));
    }

    #[test]
    fn merges_are_of_what_is_in_the_vocabulary() {
        let tokenizer = tokenizer();
        let vocab = &tokenizer["model"]["vocab"];
        for (left, right) in MERGES {
            assert!(
                [left.to_owned(), right.to_owned(), left.to_owned() + right]
                    .iter()
                    .all(|part| vocab.get(part).is_some())
            );
        }
    }
}
