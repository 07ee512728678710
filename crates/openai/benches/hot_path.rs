//! What a request and each of its chunks cost: `cargo bench -p openai`.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use openai::sse::{Filter, Scanner, Verdict};
use openai::{Api, Body, TokenMeter};

/// A chat request with a prompt of about `size` bytes, escapes and other scripts in it.
fn request(size: usize) -> Bytes {
    let line = "The quick brown fox jumps over the lazy dog, \\\"twice\\\"; Füchse, too.\\n";
    let prompt = line.repeat(size / line.len());
    Bytes::from(format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"{prompt}"}}],"stream":true,"stream_options":{{"include_usage":true}},"max_tokens":128,"temperature":0.7}}"#
    ))
}

/// One event of a vLLM chat stream, about 250 bytes.
const EVENT: &str = concat!(
    r#"data: {"id":"chatcmpl-0f5c7f3e-7d1c-4bfb-9e2e-3e8a1d3f6f7a","object":"chat.completion.chunk","created":1795332897,"#,
    r#""model":"meta-llama/Llama-3.1-8B-Instruct","choices":[{"index":0,"delta":{"content":" token"},"logprobs":null,"#,
    r#""finish_reason":null,"token_ids":null}]}"#,
    "\n\n"
);

fn bodies(criterion: &mut Criterion) {
    for size in [4 << 10, 300 << 10] {
        let bytes = request(size);
        let mut group = criterion.benchmark_group(format!("body {} KiB", size >> 10));
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function("scan", |bencher| bencher.iter(|| Body::parse(black_box(&bytes).clone()).is_ok()));
        let Ok(body) = Body::parse(bytes.clone()) else { continue };
        group.bench_function("head", |bencher| bencher.iter(|| black_box(&body).head(Api::ChatCompletions).is_ok()));
        group.bench_function("edit", |bencher| {
            bencher.iter(|| {
                let edit = black_box(&body).edit().set("stream", b"false").remove("stream_options");
                edit.set("max_tokens", b"1").set("kv_transfer_params", b"{\"do_remote_decode\":true}").build()
            });
        });
    }
}

fn chunks(criterion: &mut Criterion) {
    let chunk = Bytes::from_static(EVENT.as_bytes());
    let data = EVENT.trim_end().trim_start_matches("data: ").as_bytes();
    let mut group = criterion.benchmark_group("chunk");
    group.throughput(Throughput::Bytes(chunk.len() as u64));
    let mut meter = TokenMeter::new();
    group.bench_function("meter", |bencher| bencher.iter(|| meter.feed(black_box(data))));
    let mut scanner = Scanner::default();
    group.bench_function("scan and meter", |bencher| {
        bencher.iter(|| {
            let mut tokens = 0;
            scanner.push(black_box(&chunk), |event| tokens += meter.feed(event.data).tokens);
            tokens
        });
    });
    let (mut filter, mut out) = (Filter::default(), Vec::new());
    group.bench_function("filter and meter", |bencher| {
        bencher.iter(|| {
            let judge = |event: &openai::sse::Event<'_>| match meter.feed(event.data).usage_only {
                true => Verdict::Drop,
                false => Verdict::Keep,
            };
            filter.push(black_box(&chunk), judge, &mut out);
            out.drain(..).count()
        });
    });
}

criterion_group!(benches, bodies, chunks);
criterion_main!(benches);
