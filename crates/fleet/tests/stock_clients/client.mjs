// The stock JavaScript client of OpenAI against a gateway: client.mjs URL KEY.

import assert from "node:assert/strict";
import OpenAI from "openai";

const [url, key] = process.argv.slice(2);
const model = "tiny";
const messages = [{ role: "user", content: "what is the weather like?" }];
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });

async function all(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

async function modelsAndCompletions() {
  const listed = await all(client.models.list());
  assert.deepEqual(listed.map((model) => model.id), [model]);
  const ask = { model, prompt: "one two three", max_tokens: 5 };
  const answer = await client.completions.create(ask);
  assert.equal(answer.usage.completion_tokens, 5);
  const chunks = await all(await client.completions.create({ ...ask, stream: true }));
  assert.equal(chunks.map((chunk) => chunk.choices[0].text).join(""), answer.choices[0].text);
}

async function chat() {
  const ask = { model, messages, max_tokens: 6 };
  const answer = await client.chat.completions.create(ask);
  const plain = await all(await client.chat.completions.create({ ...ask, stream: true }));
  assert.ok(plain.every((chunk) => !chunk.usage && chunk.choices.length > 0), "usage that nobody asked for");
  assert.equal(plain.map((chunk) => chunk.choices[0].delta.content ?? "").join(""), answer.choices[0].message.content);
  const options = { stream: true, stream_options: { include_usage: true } };
  const counted = await all(await client.chat.completions.create({ ...ask, ...options }));
  assert.equal(counted.at(-1).usage.completion_tokens, 6);
}

async function tools() {
  const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
  const offered = [{ type: "function", function: { name: "weather", parameters } }];
  const answer = await client.chat.completions.create({ model, messages, tools: offered });
  const call = answer.choices[0].message.tool_calls[0];
  assert.equal(answer.choices[0].finish_reason, "tool_calls");
  assert.ok(JSON.parse(call.function.arguments).city);
  const chunks = await all(await client.chat.completions.create({ model, messages, tools: offered, stream: true }));
  const parts = chunks.flatMap((chunk) => chunk.choices[0].delta.tool_calls ?? []);
  assert.equal(parts.map((part) => part.function.arguments ?? "").join(""), call.function.arguments);
}

async function embeddings() {
  const answer = await client.embeddings.create({ model, input: ["one two", "three"] });
  assert.equal(answer.data.length, 2);
  assert.equal(answer.data[0].embedding.length, 64);
}

async function responses() {
  const ask = { model, input: "tell me", max_output_tokens: 6 };
  const answer = await client.responses.create(ask);
  const events = await all(await client.responses.create({ ...ask, stream: true }));
  const deltas = events.filter((event) => event.type === "response.output_text.delta");
  assert.equal(deltas.map((event) => event.delta).join(""), answer.output_text);
  assert.equal(events.at(-1).response.usage.output_tokens, 6);
}

async function errors() {
  const stranger = new OpenAI({ baseURL: `${url}/v1`, apiKey: "guess", maxRetries: 0 });
  await assert.rejects(stranger.models.list(), OpenAI.AuthenticationError);
  const wrong = client.chat.completions.create({ model: "other", messages });
  await assert.rejects(wrong, OpenAI.NotFoundError);
}

async function cancellation() {
  const leave = new AbortController();
  const ask = { model, messages, max_tokens: 3000, stream: true };
  const stream = await client.chat.completions.create(ask, { signal: leave.signal });
  for await (const _ of stream) leave.abort();
  const before = new AbortController();
  const waiting = client.completions.create({ model, prompt: "x", max_tokens: 3000 }, { signal: before.signal });
  setTimeout(() => before.abort(), 50);
  await assert.rejects(waiting, OpenAI.APIUserAbortError);
}

for (const part of [modelsAndCompletions, chat, tools, embeddings, responses, errors, cancellation]) await part();
