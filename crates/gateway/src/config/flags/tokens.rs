//! Counting a prompt's tokens before an engine does.

use super::{Flag, Group, flag, unset};

pub(super) const FLAGS: &[Flag] = &[
    unset(
        Group::Tokens,
        [
            "tokenizer-path",
            "CANDOR_GATEWAY_TOKENIZER_PATH",
            "DIRECTORY",
            "The model's tokenizer.json and tokenizer_config.json, to count prompts' tokens exactly; without it they are estimated",
        ],
    ),
    unset(
        Group::Tokens,
        [
            "tokenizer-name",
            "CANDOR_GATEWAY_TOKENIZER_NAME",
            "NAME",
            "What the tokenizer is called; it is never downloaded, --tokenizer-path says where it is",
        ],
    ),
    unset(
        Group::Tokens,
        [
            "chat-template",
            "CANDOR_GATEWAY_CHAT_TEMPLATE",
            "FILE",
            "Jinja template of chats, instead of the tokenizer's own; needs --tokenizer-path",
        ],
    ),
    flag(
        Group::Tokens,
        [
            "max-model-len",
            "CANDOR_GATEWAY_MAX_MODEL_LEN",
            "TOKENS",
            "0",
            "Longest context of the model: a prompt that is known to leave no room for an answer is refused; 0 leaves it to the engine",
        ],
    ),
    flag(
        Group::Tokens,
        [
            "forward-tokens",
            "CANDOR_GATEWAY_FORWARD_TOKENS",
            "BOOL",
            "true",
            "Tell schedulers a prompt's token ids, or where they are not known hashes of its text, so that they can look for its prefix in caches",
        ],
    ),
];
