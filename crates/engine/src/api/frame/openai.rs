//! Text and chat completions.

use super::{Ending, Terms, Tools, Usage, put, quote};
use crate::api::Dialect;
use openai::Api;

/// What all chunks of one answer share.
#[derive(Clone, Debug)]
pub(crate) struct Completion {
    chat: bool,
    /// The function that is called, where one is.
    tools: Option<Tools>,
    dialect: Dialect,
    /// `{"id":…,"object":…,"created":…,"model":…,"choices":[`, for chunks.
    chunk: Vec<u8>,
    /// The same for documents.
    document: Vec<u8>,
    /// Prompt length, where every chunk is to carry usage.
    continuous: Option<u32>,
}

const FINGERPRINT: &str = "vllm-0.32.0-80fa74aa";

impl Completion {
    /// Renders what repeats. `continuous` is the prompt's length where every chunk is to carry usage.
    pub(super) fn new(terms: Terms<'_>, tools: Option<Tools>) -> Self {
        let Terms { api, dialect, id, model, created, continuous, .. } = terms;
        let chat = api == Api::ChatCompletions;
        let (whole, chunk) =
            if chat { ("chat.completion", "chat.completion.chunk") } else { ("text_completion", "text_completion") };
        let (id, model) = (quote(id), quote(model));
        let head = |object: &str| {
            format!(r#"{{"id":{id},"object":"{object}","created":{created},"model":{model},"choices":["#).into_bytes()
        };
        let mut data = b"data: ".to_vec();
        data.append(&mut head(chunk));
        Self { chat, tools, dialect, chunk: data, document: head(whole), continuous }
    }

    /// The chunk that opens a chat choice; completions have none.
    pub(super) fn role(&self, index: u32, out: &mut Vec<u8>) {
        if !self.chat {
            return;
        }
        let tail = match self.dialect {
            Dialect::Vllm => r#""content":""},"logprobs":null,"finish_reason":null}]"#,
            Dialect::Sglang => {
                r#""content":"","reasoning_content":null,"tool_calls":null},"logprobs":null,"finish_reason":null,"matched_stop":null}]"#
            }
        };
        self.open(index, out);
        out.extend_from_slice(br#","delta":{"role":"assistant","#);
        out.extend_from_slice(tail.as_bytes());
        if self.dialect == Dialect::Vllm {
            out.extend_from_slice(br#","prompt_token_ids":null,"prompt_text":null"#);
        }
        self.close(0, out);
    }

    /// The chunk of one token. `text` comes in two parts and needs no escaping; `tokens` counts this one.
    pub(super) fn token(&self, index: u32, text: (&str, &str), tokens: u32, out: &mut Vec<u8>) {
        self.open(index, out);
        self.put_text(index, text, tokens == 1, false, out);
        let tail = match (self.dialect, self.chat) {
            (Dialect::Vllm, true) => r#","logprobs":null,"finish_reason":null,"token_ids":null}]"#,
            (Dialect::Vllm, false) => {
                r#","logprobs":null,"finish_reason":null,"stop_reason":null,"prompt_token_ids":null,"token_ids":null}]"#
            }
            (Dialect::Sglang, _) => r#","logprobs":null,"finish_reason":null,"matched_stop":null}]"#,
        };
        out.extend_from_slice(tail.as_bytes());
        self.close(tokens, out);
    }

    /// The chunk that ends a choice. vLLM puts the last token into it; `text` is empty where there is none.
    pub(super) fn last(&self, index: u32, text: (&str, &str), ending: Ending<'_>, tokens: u32, out: &mut Vec<u8>) {
        if self.dialect == Dialect::Sglang && text != ("", "") {
            self.token(index, text, tokens, out);
            return self.last(index, ("", ""), ending, tokens, out);
        }
        self.open(index, out);
        let closes = tokens > 0 && ending.reason == "stop";
        self.put_text(index, text, tokens == 1 && text != ("", ""), closes, out);
        let stop = ending.stop.map_or_else(|| "null".to_owned(), quote);
        let name = self.stop_member();
        put(out, format_args!(r#","logprobs":null,"finish_reason":"{}","{name}":{stop}"#, self.reason(ending)));
        let tail = match (self.dialect, self.chat) {
            (Dialect::Vllm, true) => r#","token_ids":null}]"#,
            (Dialect::Vllm, false) => r#","prompt_token_ids":null,"token_ids":null}]"#,
            (Dialect::Sglang, _) => "}]",
        };
        out.extend_from_slice(tail.as_bytes());
        self.close(tokens, out);
    }

    /// The chunk that only carries usage.
    pub(super) fn usage(&self, usage: Usage, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.chunk);
        out.extend_from_slice(br#"],"usage":"#);
        usage.render(usage.cached.is_some(), out);
        if self.dialect == Dialect::Vllm {
            put(out, format_args!(r#","system_fingerprint":"{FINGERPRINT}""#));
        }
        out.extend_from_slice(b"}\n\n");
    }

    /// A whole answer: each choice's text and ending, the usage, and `kv_transfer_params` (JSON) where there are any.
    pub(super) fn document(&self, choices: &[(String, Ending<'_>)], usage: Usage, kv: Option<&str>) -> Vec<u8> {
        let mut out = self.document.clone();
        for (index, (text, ending)) in choices.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            self.put_choice(index, text, *ending, &mut out);
        }
        let fingerprint = match self.dialect {
            Dialect::Vllm => format!(r#","service_tier":null,"system_fingerprint":"{FINGERPRINT}""#),
            Dialect::Sglang => String::new(),
        };
        put(&mut out, format_args!(r#"]{fingerprint},"usage":"#));
        usage.render(true, &mut out);
        if self.dialect == Dialect::Vllm {
            if self.chat {
                out.extend_from_slice(br#","prompt_logprobs":null,"prompt_token_ids":null,"prompt_text":null"#);
            }
            let kv = kv.unwrap_or("null");
            put(&mut out, format_args!(r#","kv_transfer_params":{kv},"ec_transfer_params":null,"metrics":null"#));
        }
        out.push(b'}');
        out
    }

    fn put_choice(&self, index: usize, text: &str, ending: Ending<'_>, out: &mut Vec<u8>) {
        let reason = self.reason(ending);
        let (text, calls) = match &self.tools {
            None => (quote(text), String::new()),
            Some(tools) => ("null".to_owned(), format!(r#","tool_calls":[{}]"#, tools.whole(index, text, ending))),
        };
        let stop = ending.stop.map_or_else(|| "null".to_owned(), quote);
        let name = self.stop_member();
        let body = match (self.chat, self.dialect) {
            (true, Dialect::Vllm) => format!(
                r#""message":{{"role":"assistant","content":{text},"refusal":null,"annotations":null,"audio":null,"function_call":null,"reasoning":null{calls}}}"#
            ),
            (true, Dialect::Sglang) if self.tools.is_some() => {
                format!(r#""message":{{"role":"assistant","content":{text},"reasoning_content":null{calls}}}"#)
            }
            (true, Dialect::Sglang) => format!(
                r#""message":{{"role":"assistant","content":{text},"reasoning_content":null,"tool_calls":null}}"#
            ),
            (false, _) => format!(r#""text":{text}"#),
        };
        put(
            out,
            format_args!(r#"{{"index":{index},{body},"logprobs":null,"finish_reason":"{reason}","{name}":{stop}"#),
        );
        let tail = match (self.dialect, self.chat) {
            (Dialect::Vllm, true) => r#","token_ids":null,"routed_experts":null}"#,
            (Dialect::Vllm, false) => {
                r#","token_ids":null,"prompt_logprobs":null,"prompt_token_ids":null,"routed_experts":null}"#
            }
            (Dialect::Sglang, _) => "}",
        };
        out.extend_from_slice(tail.as_bytes());
    }

    const fn stop_member(&self) -> &'static str {
        match self.dialect {
            Dialect::Vllm => "stop_reason",
            Dialect::Sglang => "matched_stop",
        }
    }

    fn open(&self, index: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.chunk);
        if index == 0 {
            out.extend_from_slice(br#"{"index":0"#);
        } else {
            put(out, format_args!(r#"{{"index":{index}"#));
        }
    }

    /// OpenAI's word for how the choice ended.
    fn reason<'a>(&self, ending: Ending<'a>) -> &'a str {
        if self.tools.is_some() && ending.reason == "stop" { "tool_calls" } else { ending.reason }
    }

    /// The output member of one chunk; of a call's arguments, `first` opens and `closes` ends them.
    fn put_text(&self, index: u32, text: (&str, &str), first: bool, closes: bool, out: &mut Vec<u8>) {
        let (carried, own) = text;
        if let Some(tools) = &self.tools {
            out.extend_from_slice(br#","delta":{"tool_calls":["#);
            tools.part(index as usize, text, first, closes, out);
            return out.extend_from_slice(b"]}");
        }
        out.extend_from_slice(if self.chat { br#","delta":{"content":""# } else { br#","text":""# });
        out.extend_from_slice(carried.as_bytes());
        out.extend_from_slice(own.as_bytes());
        out.extend_from_slice(if self.chat { b"\"}" } else { b"\"" });
    }

    fn close(&self, tokens: u32, out: &mut Vec<u8>) {
        match (self.continuous, self.dialect) {
            (Some(prompt), _) => {
                out.extend_from_slice(br#","usage":"#);
                Usage { prompt, completion: tokens, cached: None }.render(false, out);
            }
            (None, Dialect::Sglang) => out.extend_from_slice(br#","usage":null"#),
            (None, Dialect::Vllm) => {}
        }
        out.extend_from_slice(b"}\n\n");
    }
}
