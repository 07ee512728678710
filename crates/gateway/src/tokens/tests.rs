//! With small tokenizers made here: one that counts words, one of bytes with a few merges.

use std::fs;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokenizers::Tokenizer;

use super::segments::Segments;
use super::*;

const CHATML: &str = "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n\
                      {% endfor %}<|im_start|>assistant\n";

fn special(id: u32, content: &str) -> Value {
    json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
        "special": true})
}

/// Every word is a token, and every special token too.
fn words() -> Value {
    json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null, "decoder": null,
        "added_tokens": [special(1, "<|im_start|>"), special(2, "<|im_end|>")],
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "unk_token": "<unk>", "vocab":
            {"<unk>": 0, "<|im_start|>": 1, "<|im_end|>": 2, "hi": 3, "user": 4, "assistant": 5}},
    })
}

/// Byte-level, as most models of today: its words are found by a regular expression.
fn bytes() -> Value {
    // The letters that stand for bytes: printable ones for themselves, the others from U+0100 on.
    let plain = |byte: u32| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    let mut next = 0x100;
    let mut vocab = serde_json::Map::new();
    for byte in 0..256_u32 {
        let letter = if plain(byte) {
            byte
        } else {
            next += 1;
            next - 1
        };
        vocab.insert(char::from_u32(letter).unwrap().to_string(), json!(byte));
    }
    for (merged, id) in [("th", 256), ("the", 257), ("Ġthe", 258), ("in", 259), ("Ċ", 10)] {
        vocab.insert(merged.to_owned(), json!(id));
    }
    json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null, "decoder": null,
        "added_tokens": [special(300, "<|a|>"), special(301, "<|a|>b"), special(302, "<|end|>")],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "vocab": vocab, "merges": [["t", "h"], ["th", "e"], ["Ġ", "the"], ["i", "n"]]},
    })
}

fn load(tokenizer: &Value, template: Option<&str>) -> Model {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let settings = json!({"chat_template": template, "bos_token": {"content": "<s>"}, "model_max_length": 1e30});
    fs::write(dir.path().join("tokenizer_config.json"), settings.to_string()).unwrap();
    TokensConfig { path: dir.path().to_owned(), template: None }.load().unwrap()
}

fn tokens(max_model_len: Option<u64>) -> Tokens {
    Tokens::new(Some(Arc::new(load(&words(), Some(CHATML)))), max_model_len, true)
}

fn body(value: &Value) -> Body {
    Body::parse(Bytes::from(value.to_string())).unwrap()
}

#[tokio::test]
async fn prompts_of_every_api_are_counted_exactly() {
    let tokens = tokens(None);
    let chat = [1, 4, 3, 0, 2, 1, 5];
    for (api, value, ids) in [
        (Api::ChatCompletions, json!({"messages": [{"role": "user", "content": "hi there"}]}), &chat[..]),
        (Api::ChatCompletions, json!({"messages": ["hi there"]}), &chat[..]),
        (Api::Messages, json!({"messages": [{"role": "user", "content": "hi there"}]}), &chat[..]),
        (Api::Responses, json!({"input": "hi there"}), &chat[..]),
        (Api::Completions, json!({"prompt": "hi there hi"}), &[3, 0, 3]),
        (Api::Completions, json!({"prompt": [7, 8]}), &[7, 8]),
        (Api::Embeddings, json!({"input": ["hi", "a hi"]}), &[3, 0, 3]),
    ] {
        assert_eq!(tokens.cut(api, &body(&value)).await.unwrap().unwrap(), ids, "{value}");
        let (counted, forwarded) = tokens.count(api, &body(&value)).await;
        assert_eq!(forwarded.as_deref(), Some(ids), "{value}");
        assert_eq!((counted.count, counted.source), (ids.len() as u64, CountedBy::Tokenizer));
    }
}

#[tokio::test]
async fn what_cannot_be_cut_is_estimated_and_said_to_be() {
    let chat = body(&json!({"messages": [{"role": "user", "content": "hi"}]}));
    let untemplated = Tokens::new(Some(Arc::new(load(&words(), None))), None, true);
    let refusing = Some("{{ raise_exception('no') }}");
    let refusing = Tokens::new(Some(Arc::new(load(&words(), refusing))), None, true);
    for tokens in [Tokens::default(), untemplated, refusing] {
        assert_eq!(tokens.count(Api::ChatCompletions, &chat).await.0.source, CountedBy::Estimate);
    }
    let odd = body(&json!({"messages": 5}));
    assert_eq!(tokens(None).count(Api::ChatCompletions, &odd).await.0.source, CountedBy::Estimate);
}

#[test]
fn nobody_waits_behind_a_crowd() {
    // The only thread for such work is busy with something else until told.
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let (free, busy) = std::sync::mpsc::channel::<()>();
        drop(tokio::task::spawn_blocking(move || busy.recv()));
        let tokens = Arc::new(tokens(None));
        let value = body(&json!({"prompt": "hi there"}));
        let mut crowd = tokio::task::JoinSet::new();
        for _ in 0..tokens.desk.as_ref().unwrap().room() {
            let (tokens, value) = (Arc::clone(&tokens), value.clone());
            crowd.spawn(async move { tokens.count(Api::Completions, &value).await.0.source });
        }
        tokio::task::yield_now().await;
        assert_eq!(tokens.count(Api::Completions, &value).await.0.source, CountedBy::Estimate);
        free.send(()).unwrap();
        let sources = crowd.join_all().await;
        assert!(sources.iter().all(|source| *source == CountedBy::Tokenizer), "{sources:?}");
        assert_eq!(tokens.count(Api::Completions, &value).await.0.source, CountedBy::Tokenizer);
    });
}

#[tokio::test]
async fn a_prompt_that_leaves_no_room_is_known_only_where_it_was_counted() {
    let tokens = tokens(Some(3));
    let exceeds = async |api, value: Value| tokens.exceeds(api, tokens.count(api, &body(&value)).await.0);
    assert_eq!(exceeds(Api::Completions, json!({"prompt": "hi hi"})).await, None);
    assert_eq!(exceeds(Api::Completions, json!({"prompt": "hi hi hi"})).await, Some(3));
    assert_eq!(exceeds(Api::Embeddings, json!({"input": "hi hi hi"})).await, None);
    assert_eq!(exceeds(Api::Completions, json!({"prompt": {"x": "a b c d e f g h i j k l"}})).await, None);
}

#[test]
fn faults_of_a_directory_name_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let config =
        |template: Option<&str>| TokensConfig { path: dir.path().to_owned(), template: template.map(PathBuf::from) };
    assert!(config(None).load().unwrap_err().contains("tokenizer.json"));
    fs::write(dir.path().join("tokenizer.json"), words().to_string()).unwrap();
    assert!(config(None).load().is_ok(), "text can be cut without a template");
    assert!(config(Some("/nonexistent.jinja")).load().unwrap_err().contains("/nonexistent.jinja"));
    let broken = dir.path().join("broken.jinja");
    fs::write(&broken, "{% if %}").unwrap();
    assert!(config(broken.to_str()).load().unwrap_err().contains("template"));
    fs::write(dir.path().join("tokenizer_config.json"), "[").unwrap();
    assert!(config(None).load().unwrap_err().contains("tokenizer_config.json"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Cut piece by piece, the second time from memory, a text has the tokens that it has when it is cut at once.
    #[test]
    fn pieces_are_as_the_whole(parts in prop::collection::vec(
        prop::sample::select(vec!["<|a|>", "<|a|>b", "<|end|>", " the", "the ", "in", "\n\n", "  ", "é", "12", "<|", "B", "'s"]), 0..24,
    )) {
        let text = parts.concat();
        let tokenizer: Tokenizer = bytes().to_string().parse().unwrap();
        let whole = tokenizer.encode_fast(text.as_str(), false).unwrap().get_ids().to_vec();
        let segments = Segments::new(tokenizer).unwrap();
        prop_assert_eq!(&segments.cut(&text).unwrap(), &whole, "{:?}", text);
        prop_assert_eq!(segments.cut(&text).unwrap(), whole, "{:?}", text);
    }

    /// Whatever a client sends, it is cut or it is not, and nothing panics.
    #[test]
    fn any_members_are_cut_or_refused(value in "[a-z\\[\\]{}\":, 0-9]{0,20}", member in "messages|input|prompt|system|tools") {
        let model = load(&words(), Some(CHATML));
        let text = format!("{{\"{member}\":{value}}}");
        for api in Api::ALL {
            let _ = model.cut(api, text.as_bytes());
        }
    }
}
